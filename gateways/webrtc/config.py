"""What the WebRTC edge is told."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnConfig:
    """A TURN server (coturn with `use-auth-secret`) for whom no direct path is open: its `turn:`, `turns:` or `stun:` addresses,
    the secret it shares with this hub, and for how long credentials are good."""

    urls: tuple[str, ...]
    secret: bytes = field(repr=False)
    ttl_s: int = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcConfig:
    """`token_secret` signs leg and room tokens. A browser whose audio is lost has `return_within_s` seconds to offer
    again; a desk that rings is given up after the time its order says."""

    token_secret: bytes = field(repr=False)
    return_within_s: float = 15.0
    turn: TurnConfig | None = None
