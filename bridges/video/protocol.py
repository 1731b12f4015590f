"""The protocol of video workers, version 1: what control and the picture engine say to each other (docs/protocols/worker.md).

Requests carry the arguments of `ports.video.VideoEngine`, events those of `VideoIn` and `PushesIn`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bridges.video.events import (
    Event,
    KeyframeWanted,
    Measured,
    PushConnected,
    PushLost,
    SessionLost,
    SourceStarted,
    SpeakerMoved,
    VideoRecordingFailed,
)
from bridges.wire import Dialect
from commhub.ports.video import (
    IngestOrder,
    Layer,
    PlainOrder,
    PlainRemote,
    PublishOrder,
    PushOrder,
    RecordedVideo,
    SoundPlace,
    ViewOrder,
)

PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class PublishArgs:
    order: PublishOrder
    offer: str


@dataclass(frozen=True, slots=True)
class ViewArgs:
    order: ViewOrder
    offer: str


@dataclass(frozen=True, slots=True)
class IngestArgs:
    order: IngestOrder


@dataclass(frozen=True, slots=True)
class OfferPushArgs:
    order: PushOrder


@dataclass(frozen=True, slots=True)
class PushAnsweredArgs:
    session_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class OfferWatchArgs:
    order: PublishOrder


@dataclass(frozen=True, slots=True)
class WatchAnsweredArgs:
    session_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class PlaceSoundArgs:
    session_id: str
    sound: SoundPlace | None


@dataclass(frozen=True, slots=True)
class ShowArgs:
    session_id: str
    source_id: str
    best: Layer


@dataclass(frozen=True, slots=True)
class MuteArgs:
    source_id: str
    muted: bool


@dataclass(frozen=True, slots=True)
class SpotlightArgs:
    room_id: str
    source_id: str | None


@dataclass(frozen=True, slots=True)
class VoiceArgs:
    room_id: str
    source_id: str
    level_dbov: float | None


@dataclass(frozen=True, slots=True)
class LeftArgs:
    room_id: str
    source_id: str


@dataclass(frozen=True, slots=True)
class RequestKeyframeArgs:
    source_id: str


@dataclass(frozen=True, slots=True)
class ReservePlainArgs:
    order: PlainOrder


@dataclass(frozen=True, slots=True)
class ConnectPlainArgs:
    session_id: str
    remote: PlainRemote


@dataclass(frozen=True, slots=True)
class RefreshArgs:
    session_id: str


@dataclass(frozen=True, slots=True)
class RecordArgs:
    source_id: str
    on: bool


@dataclass(frozen=True, slots=True)
class ReleaseArgs:
    session_id: str


@dataclass(frozen=True, slots=True)
class StatusArgs:
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class CountsArgs:
    """Nothing to say."""


Args = (
    PublishArgs
    | ViewArgs
    | IngestArgs
    | OfferPushArgs
    | PushAnsweredArgs
    | OfferWatchArgs
    | WatchAnsweredArgs
    | PlaceSoundArgs
    | ShowArgs
    | MuteArgs
    | SpotlightArgs
    | VoiceArgs
    | LeftArgs
    | RequestKeyframeArgs
    | ReservePlainArgs
    | ConnectPlainArgs
    | RefreshArgs
    | RecordArgs
    | ReleaseArgs
    | StatusArgs
    | CountsArgs
)

ARGS: Mapping[str, type[Args]] = {
    "publish": PublishArgs,
    "view": ViewArgs,
    "ingest": IngestArgs,
    "offer_push": OfferPushArgs,
    "push_answered": PushAnsweredArgs,
    "offer_watch": OfferWatchArgs,
    "watch_answered": WatchAnsweredArgs,
    "place_sound": PlaceSoundArgs,
    "show": ShowArgs,
    "mute": MuteArgs,
    "spotlight": SpotlightArgs,
    "voice": VoiceArgs,
    "left": LeftArgs,
    "request_keyframe": RequestKeyframeArgs,
    "reserve_plain": ReservePlainArgs,
    "connect_plain": ConnectPlainArgs,
    "refresh": RefreshArgs,
    "record": RecordArgs,
    "release": ReleaseArgs,
    "status": StatusArgs,
    "counts": CountsArgs,
}

EVENTS: Mapping[str, type[Event]] = {
    "source_started": SourceStarted,
    "speaker_moved": SpeakerMoved,
    "keyframe_wanted": KeyframeWanted,
    "session_lost": SessionLost,
    "push_connected": PushConnected,
    "push_lost": PushLost,
    "measured": Measured,
    "recording_stored": RecordedVideo,
    "recording_failed": VideoRecordingFailed,
}

WORDS: Dialect[Args, Event] = Dialect(PROTOCOL, ARGS, EVENTS)
