"""What the Twilio edge is told by wiring. Times are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioConfig:
    """`number` is ours (E.164), shown to whom we call. `public_url` is the hub as Twilio reaches it: what signatures
    are computed over, and where calls are sent to. `allowed_prefixes` is who may be called: nobody, when empty.
    `inbound` says whom a number of ours means (an account, a radio, a talk group), as if that had been dialled."""

    account_sid: str
    auth_token: str = field(repr=False)
    number: str
    public_url: str
    api_base: str | None = None
    allowed_prefixes: tuple[str, ...] = ()
    inbound: Mapping[str, str] = field(default_factory=dict)

    max_legs: int = 50
    request_timeout_s: float = 10.0
    # Twilio gives up on a webhook after 15 s; a caller hears ringing while it waits for ours.
    hold_answer_s: float = 8.0
    # A stream's ticket: from the TwiML that names it to the first message on the socket.
    ticket_life_s: float = 60.0
    # How long a call without a stream may take to come back by its redirect.
    resume_within_s: float = 20.0
    # How long an unanswered call to the hub may ring.
    inbound_ring_s: float = 180.0
    start_within_s: float = 5.0
    # Sockets whose handshake was not signed and that have not shown a ticket yet.
    max_unproven: int = 16
    # Audio that waits for a slow socket, in packets of 20 ms; the oldest is dropped.
    queue_packets: int = 25
    # More than this between a mark and its echo is a backlog at Twilio, which is then cleared.
    max_backlog_s: float = 0.6
    # Without a packet of the engine for so long, it is asked again where the leg is.
    engine_silent_s: float = 3.0

    def __post_init__(self) -> None:
        if not self.public_url.startswith(("https://", "http://")):
            raise ValueError("the public URL is an http(s) URL")

    @property
    def stream_url(self) -> str:
        """The WebSocket of the media streams. Twilio takes wss only (error 31922)."""
        return "ws" + self.public_url.removeprefix("http").rstrip("/") + "/twilio/stream"
