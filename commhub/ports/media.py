"""The media engine as control sees it: addresses and orders, never samples.

Orders are idempotent per leg id: a retry after a lost connection finds the leg as it left it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from commhub.kit.values import quick


@quick
@dataclass(frozen=True, slots=True)
class RtpAddress:
    """An IP address and an even UDP port; RTCP is port + 1 (RFC 3550 §11)."""

    host: str
    port: int


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """One agreed RTP audio format (RFC 3551). `ptime_ms` is what the far end wants to receive, `fmtp` its format
    parameters as it wrote them. `dtmf_payload_type` is telephone-event's, `dtmf_clock_rate` what its
    durations count in (None: the voice's clock), `comfort_noise` says that payload
    type 13 (RFC 3389) may be used both ways."""

    encoding: str
    payload_type: int
    clock_rate: int = 8000
    ptime_ms: int = 20
    dtmf_payload_type: int | None = None
    dtmf_clock_rate: int | None = None
    comfort_noise: bool = False
    fmtp: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class LegShape:
    """How a leg takes part in its call; the default speaks to everybody and hears everybody.

    `muted`: nobody hears it. `deaf`: it hears nobody (a prompt to it alone is heard all the same). `gain_db` is
    −20…+20 on its voice; `limit` adds an automatic gain of −20…+20 dB that brings speech to `target_dbov`
    (−40…−6). `hears` are the legs it hears, None for all; `whispers_to` the legs that alone hear it, none for
    everybody. Leg ids that are not in the call hear and say nothing.
    """

    muted: bool = False
    deaf: bool = False
    gain_db: float = 0.0
    limit: bool = False
    target_dbov: float = -20.0
    hears: tuple[str, ...] | None = None
    whispers_to: tuple[str, ...] = ()


PLAIN = LegShape()
"""A leg like any other."""


class FloorAction(StrEnum):
    """What the desk does to a group's floor by its own hand."""

    REVOKE = "revoke"
    GRANT = "grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioStanding:
    """What the hub says of a device on the air: the groups whose floor it may ask for, and whether its SOS is
    open, so that its words are an emergency's. A device in no group is in none any more."""

    device_id: str
    groups: tuple[str, ...]
    emergency: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtpKeys:
    """What SDES agreed (RFC 4568): `suite` is the name of the crypto suite there; the keys are master key and
    salt in Base64, `local_key` for what we send, `remote_key` for what the far end sends. They are in no repr,
    so no log line can hold them."""

    suite: str
    local_key: str = field(repr=False)
    remote_key: str = field(repr=False)


@quick
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


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MediaOrder:
    """A place for one leg. `near_signalling`: the SDP address equals the signalling source, so the leg may
    share the batch port pair; otherwise it gets a pair of its own until its source is learnt and locked.
    `ipv6`: its far end is reached by IPv6, for which there is always a pair of its own.
    `port` asks for the pair the leg had before a worker died (0: any). `shape` is how it begins, so that who only
    listens is not heard for a moment first. `urgent`: a life may depend on the call, so no engine is too busy for it.
    `remote`: its stream begins at once, as `connect` begins it; whoever answers an offer knows it already."""

    call_id: str
    leg_id: str
    near_signalling: bool = True
    port: int = 0
    shape: LegShape = PLAIN
    ipv6: bool = False
    urgent: bool = False
    remote: RtpRemote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcOrder:
    """A place for a leg whose far end is a browser. `talks` False answers so that nothing of it is ever heard
    (WHEP), whatever its shape says later."""

    call_id: str
    leg_id: str
    talks: bool = True
    shape: LegShape = PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMeter:
    """What the engine measured: packets and losses so far, level in dBov (RFC 6464, −127…0).

    `jitter_ms` is the interarrival jitter (RFC 3550 §6.4.1), `concealed` the frames made up so far, `depth_ms` how long
    packets wait here to be heard. `round_trip_ms` and `far_lost_pct` (of what we send, lately) are what the far end's
    reports said; None until one did."""

    leg_id: str
    call_id: str
    received: int
    sent: int
    lost: int
    level_dbov: float
    silent_s: float
    jitter_ms: float = 0.0
    concealed: int = 0
    depth_ms: float = 0.0
    round_trip_ms: float | None = None
    far_lost_pct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """`boot_id` changes when the worker was restarted and has forgotten its legs."""

    worker: str
    boot_id: str
    legs: Sequence[LegMeter] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """A prompt that is played. `id` is the caller's: ordered again, it goes on. To the legs named, heard by nobody else, or
    (None) to the whole call, recordings included. What is ordered for the same legs, or the same call, waits its
    turn. `prompt` is a built-in one by its name or an uploaded one by its id; `gain_db` −40…0: a prompt is never
    louder than it was made."""

    id: str
    call_id: str
    prompt: str
    leg_ids: tuple[str, ...] | None = None
    loop: bool = False
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A recording that is whole. `path` is relative to the recordings directory, `leg_id` None for the mixed one,
    `started_at` the moment of its first sample in seconds of Unix time, `rate` in Hz, `size` in bytes."""

    call_id: str
    path: str
    seconds: float
    sha256: str
    leg_id: str | None = None
    started_at: float = 0.0
    rate: int = 8000
    size: int = 0


class MediaEngine(Protocol):
    """The audio engine of a worker. Raises commhub.domain.errors.UnavailableError while no worker is there."""

    async def reserve(self, order: MediaOrder) -> RtpAddress:
        """Give the leg a receiving address; nothing is sent before `connect`, or the order's own `remote`. Raises
        InvalidError for a `remote` as `connect` does; the leg has its place all the same until it is released."""
        ...

    async def connect(self, leg_id: str, remote: RtpRemote) -> None:
        """Start, change (re-INVITE) or pause the leg's stream."""
        ...

    async def answer(self, order: WebRtcOrder, offer: str) -> str:
        """The SDP answer to a browser's offer; its audio is in the call once ICE and DTLS are through. Another offer
        for the same leg restarts its connection, or takes the place of one that was lost.

        Raises InvalidError for an offer that cannot be taken, with what is wrong."""
        ...

    async def join_group(self, call_id: str, leg_id: str, group: str) -> None:
        """Make a radio group a leg of the call: the floor decides who is heard there."""
        ...

    async def shape(self, leg_id: str, shape: LegShape) -> None:
        """How the leg takes part from the next tick on, in place of what was said before.

        Raises InvalidError for numbers out of range."""
        ...

    async def watch(self, leg_id: str, on: bool) -> None:
        """Tell (`MediaIn.voice_heard`) when the leg speaks, or no longer. Raises NotFoundError."""
        ...

    async def move(self, leg_id: str, call_id: str) -> None:
        """Take the leg, a group's too, out of its call and into another, without a gap: its address, its stream
        and its shape go on."""
        ...

    async def command_floor(self, group: str, action: FloorAction, participant: str | None) -> None:
        """Take the floor (or the place in the queue) from a participant (None: whoever talks), or give it to a
        radio, whatever the priorities. Raises NotFoundError for a group nobody uses, NotAllowedError for a radio that is no member."""
        ...

    async def enroll(self, radios: Sequence[RadioStanding], whole: bool) -> None:
        """Say which devices may ask for which floors; with `whole` these are all, and any other is a stranger."""
        ...

    async def key_group(self, call_id: str, group: str, down: bool) -> None:
        """The dispatcher presses (or lets go of) the group's key for the call, above VOX."""
        ...

    async def record(self, call_id: str, on: bool, per_leg: bool = False) -> None:
        """Start or stop the call's mixed recording, and one of each leg when asked; `MediaIn.recording_stored`
        tells of each file. Started again with another `per_leg`, the legs' files begin or end there."""
        ...

    async def play(self, playback: Playback) -> None:
        """Play a prompt; `MediaIn.playback_ended` tells when it is over. Raises NotFoundError for an unknown
        prompt, call or leg."""
        ...

    async def stop_playing(self, playback_id: str) -> None:
        """Fade the prompt out, or take it from the queue. An unknown one is fine (it ended, a retry)."""
        ...

    async def send_digits(self, leg_id: str, digits: str) -> None:
        """Press keys (0–9, *, #, A–D) for the far end, after those still under way: telephone-events where they
        were agreed, else tones in the voice. A retry presses them again. Raises InvalidError for other
        characters, more than 64 or a radio group, ConflictError for a leg that takes nothing now."""
        ...

    async def release(self, leg_id: str) -> None:
        """Forget the leg. Unknown legs are fine (a retry)."""
        ...

    async def status(self) -> EngineStatus:
        """Every leg with its meters."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a live call is. `worker` is the media worker that was chosen for it, None before its first leg;
    `with_radio` says that one of its legs is a radio group's."""

    worker: str | None
    with_radio: bool


class Placements(Protocol):
    """What a pool of workers must know of calls beyond its own life."""

    async def find(self, call_id: str) -> Placement | None:
        """None for a call that nobody knows or that has ended."""
        ...

    async def live_legs(self, leg_ids: Collection[str]) -> frozenset[str]:
        """Those of the legs that have not ended, whichever call they are in."""
        ...

    async def record(self, call_id: str, worker: str) -> None:
        """The call lives on this worker from now on. An unknown call is fine (it ended meanwhile)."""
        ...
