"""The media engine as control sees it: addresses and orders, never samples.

Orders are idempotent per leg id: a retry after a lost connection finds the leg as it left it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RtpAddress:
    """An IP address and an even UDP port; RTCP is port + 1 (RFC 3550 §11)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """One agreed RTP audio format (RFC 3551). `ptime_ms` is what the far end wants to receive, `fmtp` its format
    parameters as it wrote them. `dtmf_payload_type` is telephone-event's, `comfort_noise` says that payload
    type 13 (RFC 3389) may be used both ways."""

    encoding: str
    payload_type: int
    clock_rate: int = 8000
    ptime_ms: int = 20
    dtmf_payload_type: int | None = None
    comfort_noise: bool = False
    fmtp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaOrder:
    """A place for one leg. `near_signalling`: the SDP address equals the signalling source, so the leg may
    share the batch port pair; otherwise it gets a pair of its own until its source is learnt and locked.
    `port` asks for the pair the leg had before a worker died (0: any)."""

    call_id: str
    leg_id: str
    near_signalling: bool = True
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtpKeys:
    """What SDES agreed (RFC 4568): `suite` is the name of the crypto suite there; the keys are master key and
    salt in Base64, `local_key` for what we send, `remote_key` for what the far end sends. They are in no repr,
    so no log line can hold them."""

    suite: str
    local_key: str = field(repr=False)
    remote_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpRemote:
    """Where the far end wants its audio, and in what. `sends`/`receives` are the far end's direction
    (RFC 3264): hold is receives=False. `rtcp` is where it wants its reports (RFC 3605; None: port + 1), unless
    `rtcp_mux` has them on the audio's own port (RFC 5761). With `srtp` nothing crosses in the clear."""

    address: RtpAddress
    audio: AudioFormat
    sends: bool = True
    receives: bool = True
    rtcp: RtpAddress | None = None
    rtcp_mux: bool = False
    srtp: SrtpKeys | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMeter:
    """What the engine measured: packets and losses so far, level in dBov (RFC 6464, −127…0)."""

    leg_id: str
    call_id: str
    received: int
    sent: int
    lost: int
    level_dbov: float
    silent_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """`boot_id` changes when the worker was restarted and has forgotten its legs."""

    worker: str
    boot_id: str
    legs: Sequence[LegMeter] = field(default=())


class MediaEngine(Protocol):
    """The audio engine of a worker. Raises commhub.domain.errors.UnavailableError while no worker is there."""

    async def reserve(self, order: MediaOrder) -> RtpAddress:
        """Give the leg a receiving address; nothing is sent before `connect`."""
        ...

    async def connect(self, leg_id: str, remote: RtpRemote) -> None:
        """Start, change (re-INVITE) or pause the leg's stream."""
        ...

    async def join_group(self, call_id: str, leg_id: str, group: str) -> None:
        """Make a radio group a leg of the call: the floor decides who is heard there."""
        ...

    async def mute(self, leg_id: str, muted: bool) -> None:
        """Keep the leg's voice out of the mix; it still hears."""
        ...

    async def key_group(self, call_id: str, group: str, down: bool) -> None:
        """The dispatcher presses (or lets go of) the group's key for the call, above VOX."""
        ...

    async def record(self, call_id: str, on: bool) -> None:
        """Start or stop the call's mixed recording; `MediaIn.recording_stored` tells of the file."""
        ...

    async def release(self, leg_id: str) -> None:
        """Forget the leg. Unknown legs are fine (a retry)."""
        ...

    async def status(self) -> EngineStatus:
        """Every leg with its meters."""
        ...
