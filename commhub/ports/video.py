"""The picture engine as control sees it: sources and views by SDP text, never packets.

A *source* (画面源) is what one camera, screen or browser publishes into a room, in up to three layers; a *view* is one far
end that watches, a *session* either of the two: one WebRTC connection (a WHIP or WHEP resource), one plain RTP stream of a
SIP video call, one pull of an RTSP camera, one *push* (推送): a view for which we offer, to the hub above or any WHIP ingest, or one
*watch*: what we view by WHEP at the hub above, and is a source here. The engine forwards packets and decodes none. It lives in a process of
its own; the sound that comes with a picture goes on to the audio engine as an ordinary RTP leg (`audio`, below),
so that phones and radios are in a meeting like anybody else (decision 10).

Orders are idempotent per session id. All raise `commhub.domain.errors`: UnavailableError while no engine is there,
InvalidError for an offer that cannot be taken, NotFoundError for a source or session nobody has, ConflictError when a
limit is reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol

from commhub.ports.media import AudioFormat, RtpAddress, SrtpKeys


class Layer(IntEnum):
    """主码流 and 子码流: how good a picture is; a camera's main and sub-stream, or the layers of simulcast."""

    MAIN = 0
    SUB = 1
    LOW = 2


class VideoCodec(StrEnum):
    """What is forwarded; nothing is ever made into another."""

    H264 = "H264"
    VP8 = "VP8"
    VP9 = "VP9"
    AV1 = "AV1"


SPEAKER = "speaker"
"""As a view's source: whoever speaks (or is in the spotlight), switched without a new stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPlace:
    """Where the audio engine expects the voice of a leg (`MediaEngine.reserve`), and in what. All sessions of one leg share
    one way there: who publishes by WHIP and views by WHEP is one voice and one ear, and does not hear itself."""

    leg_id: str
    address: RtpAddress
    audio: AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOrder:
    """A far end publishes into a room by WHIP. `layer` is what it sends when it sends one stream (a camera publishes main
    and sub-stream as two sessions of one source); with simulcast its rids are layers by their order. `talks`: its
    microphone is wanted, `hears`: it gets the room's sound on the same connection; either needs `sound`. `own_sound`: instead
    of all that, what it sends of sound stays with its picture, for those who watch it."""

    session_id: str
    room_id: str
    source_id: str
    layer: Layer = Layer.MAIN
    sound: SoundPlace | None = None
    talks: bool = False
    hears: bool = False
    own_sound: bool = False
    max_kbps: int = 8_000
    is_screen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOrder:
    """A far end watches one source of a room (or SPEAKER) by WHEP, never better than `best`; bandwidth may choose less.
    `hears`: the room's sound comes on the same connection; `own_sound`: the source's own does instead, unmixed."""

    session_id: str
    room_id: str
    source_id: str
    best: Layer = Layer.MAIN
    sound: SoundPlace | None = None
    hears: bool = False
    own_sound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOrder:
    """Send one source of a room (or SPEAKER) onward by WHIP, never better than `best`; bandwidth may choose less. Without sound."""

    session_id: str
    room_id: str
    source_id: str
    best: Layer = Layer.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """`sdp` is our answer. `audio` is what was agreed for sound and `audio_from` the address from which it reaches the audio
    engine and at which the room's sound is expected (`MediaEngine.connect`); None without sound."""

    sdp: str
    audio: AudioFormat | None = None
    audio_from: RtpAddress | None = None
    codec: VideoCodec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """One agreed RTP video format of a plain (SIP) stream. `fmtp` as the far end wrote it; in `packetization_mode` 0 no NAL
    unit is split (RFC 6184 §6.2). `max_kbps` is the most it wants to get, as by a REMB. `nack`, `pli`, `fir`: what it
    agreed to be told by RTCP (RFC 4585, RFC 5104); with neither `pli` nor `fir` it is asked for key frames by
    its signalling."""

    codec: VideoCodec
    payload_type: int
    fmtp: str = ""
    packetization_mode: int = 1
    max_kbps: int = 4_000
    nack: bool = False
    pli: bool = False
    fir: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOrder:
    """A SIP video stream: what it sends is `source_id` in the room, what it gets is `shows` (a source, or SPEAKER). `ipv6`: its
    far end is reached by IPv6."""

    session_id: str
    room_id: str
    source_id: str
    shows: str = SPEAKER
    ipv6: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRemote:
    """Where the far end of a SIP video stream wants its picture, and in what. `sends`/`receives` are its direction
    (RFC 3264): hold is receives=False. `rtcp` is where it wants reports (None: port + 1), unless `rtcp_mux` has them
    on the stream's own port (RFC 5761). With `srtp` nothing crosses in the clear."""

    address: RtpAddress
    video: VideoFormat
    sends: bool = True
    receives: bool = True
    rtcp: RtpAddress | None = None
    rtcp_mux: bool = False
    srtp: SrtpKeys | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOrder:
    """Pull a camera by RTSP. `url` may hold its password, so it is in no repr."""

    session_id: str
    room_id: str
    source_id: str
    url: str = field(repr=False)
    layer: Layer = Layer.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeter:
    """One layer as it arrives: pixels (0: not yet known), frames and kbit/s of the last second, packets lost so far."""

    layer: Layer
    width: int = 0
    height: int = 0
    fps: float = 0.0
    kbps: float = 0.0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMeter:
    """A source that is there. `started` once a whole picture came; `silent_s` since its last packet; `level_dbov` of its
    microphone (RFC 6464, −127…0)."""

    source_id: str
    room_id: str
    codec: VideoCodec
    layers: tuple[LayerMeter, ...] = ()
    started: bool = False
    views: int = 0
    silent_s: float = 0.0
    round_trip_ms: float | None = None
    muted: bool = False
    level_dbov: float = -127.0
    recording: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewMeter:
    """A view: what it gets now, what its path can carry (kbit/s; None until measured), what it lost and got again."""

    session_id: str
    source_id: str
    layer: Layer
    kbps: float = 0.0
    estimate_kbps: float | None = None
    lost: int = 0
    repaired: int = 0
    round_trip_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoStatus:
    """`boot_id` changes when the worker was restarted and has forgotten its sessions. `sessions` are the ids of all it has."""

    worker: str
    boot_id: str
    sessions: Sequence[str] = field(default=())
    sources: Sequence[SourceMeter] = field(default=())
    views: Sequence[ViewMeter] = field(default=())


@dataclass(frozen=True, slots=True)
class RecordedVideo:
    """A recording that is whole: `path` relative to the recordings directory, remuxed and never re-encoded; `started_at`
    in seconds of Unix time, `size` in bytes."""

    room_id: str
    source_id: str
    path: str
    seconds: float
    sha256: str
    size: int
    started_at: float
    width: int = 0
    height: int = 0


class VideoEngine(Protocol):
    """The forwarder of this hub."""

    async def publish(self, order: PublishOrder, offer: str) -> Answered:
        """Answer a WHIP offer. Another offer of the same session restarts its ICE, or takes the place of one that was lost."""
        ...

    async def view(self, order: ViewOrder, offer: str) -> Answered:
        """Answer a WHEP offer; the first picture follows from the cache of the source's last key frame on."""
        ...

    async def offer_push(self, order: PushOrder) -> str:
        """Our SDP offer, good for a minute. Another offer of the same session is for a new connection in place of the one there
        is, which goes on until it is answered; within 30 s of the end of one its stream goes on: same SSRC, sequence and
        time. Raises ConflictError when too many are pushed."""
        ...

    async def push_answered(self, session_id: str, answer: str) -> None:
        """The far end's answer; `PushesIn` tells what comes of it. Raises InvalidError, after which another answer is still taken,
        and NotFoundError when there is no offer (any more)."""
        ...

    async def offer_watch(self, order: PublishOrder) -> str:
        """Our SDP offer to be sent what is to be that source of ours, for a WHEP endpoint; good for a minute. Without sound. The session is
        as one of `publish` from its answer on: another one of the same source takes its place. Raises ConflictError when too many are watched."""
        ...

    async def watch_answered(self, session_id: str, answer: str) -> None:
        """The far end's answer. Raises InvalidError, and NotFoundError when there is no offer (any more)."""
        ...

    async def place_sound(self, session_id: str, sound: SoundPlace | None) -> RtpAddress | None:
        """The session's sound goes elsewhere from now on, or (None) nowhere, while its picture goes on. Returns the address
        it comes from there; None for a session that agreed to no sound. Raises NotFoundError."""
        ...

    async def show(self, session_id: str, source_id: str, best: Layer) -> None:
        """Switch a view, a push, or a plain stream's picture, to another source or layer: at most a freeze for the far end."""
        ...

    async def reserve_plain(self, order: PlainOrder) -> RtpAddress:
        """An even port pair for a SIP video stream (RTCP is port + 1)."""
        ...

    async def connect_plain(self, session_id: str, remote: PlainRemote) -> None:
        """Begin, change (re-INVITE) or pause the stream. Raises NotFoundError for one that was never reserved, or was
        forgotten."""
        ...

    async def refresh(self, session_id: str) -> None:
        """The far end of a plain stream wants a whole picture of what it is shown, and says so by signalling (RFC 5168)."""
        ...

    async def ingest(self, order: IngestOrder) -> None:
        """Begin to pull a camera; it is tried again with back-off until released."""
        ...

    async def mute(self, source_id: str, muted: bool) -> None:
        """Forward nothing of the source's picture (its views freeze) or go on, from a key frame."""
        ...

    async def spotlight(self, room_id: str, source_id: str | None) -> None:
        """What SPEAKER shows in this room: one source, or (None) whoever speaks."""
        ...

    async def voice(self, room_id: str, source_id: str, level_dbov: float | None) -> None:
        """Who sends no levels with their picture speaks, so loud (RFC 6464), or (None) no longer: to be said again each second,
        or it is forgotten after three. `source_id` is the name SPEAKER knows them by; without a source of that name they
        are told of (`VideoIn.speaker_moved`) and SPEAKER stays as it is."""
        ...

    async def left(self, room_id: str, source_id: str) -> None:
        """Whose voice was told of is in the room no more."""
        ...

    async def request_keyframe(self, source_id: str) -> None:
        """Have the source send a whole picture."""
        ...

    async def record(self, source_id: str, on: bool) -> None:
        """Record what the source sends in its best layer; `VideoIn.recording_stored` tells of the file."""
        ...

    async def release(self, session_id: str) -> None:
        """Forget the session. Unknown ones are fine (a retry)."""
        ...

    async def status(self) -> VideoStatus:
        """Everything with its meters."""
        ...


class VideoIn(Protocol):
    """What the engine tells control. The implementation may take its time; the engine waits for none of it."""

    async def source_started(
        self, room_id: str, source_id: str, codec: VideoCodec, layers: tuple[Layer, ...]
    ) -> None:
        """Its first whole picture is there."""
        ...

    async def session_lost(self, session_id: str, reason: str) -> None:
        """A far end went without a goodbye, or a camera cannot be pulled any more."""
        ...

    async def speaker_moved(self, room_id: str, source_id: str | None) -> None:
        """`source_id` as in `VideoEngine.voice`; None: nobody any more."""
        ...

    async def measured(self, status: VideoStatus) -> None:
        """Every two seconds while there is a source."""
        ...

    async def keyframe_wanted(self, session_id: str) -> None:
        """A plain source whose far end gave no RTCP feedback should be asked for a whole picture by signalling."""
        ...

    async def recording_stored(self, recorded: RecordedVideo) -> None:
        """Told again until it returns."""
        ...

    async def recording_failed(self, source_id: str, reason: str) -> None: ...

    async def engine_came(self, boot_id: str) -> None:
        """The engine is (again) there; with a new boot id it has forgotten every session."""
        ...


class PushesIn(Protocol):
    """What the engine tells control of pushes; of no importance to rooms. Lost while no control is there: `VideoStatus` says what is."""

    async def push_connected(self, session_id: str) -> None:
        """The far end was reached; the source's picture flows to it."""
        ...

    async def push_lost(self, session_id: str, reason: str) -> None:
        """It went (`failed`: it said so, or the handshake failed; `vanished`: it answers no more; `unanswered`: our offer was). Order
        the push again by the same id."""
        ...
