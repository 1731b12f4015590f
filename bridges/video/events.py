"""What the picture engine tells control. Kept apart from what makes it, because control reads it and forwards nothing."""

from dataclasses import dataclass

from commhub.ports.video import Layer, RecordedVideo, VideoCodec, VideoStatus


@dataclass(frozen=True, slots=True)
class SourceStarted:
    """Its first whole picture (a key frame) is there."""

    room_id: str
    source_id: str
    codec: VideoCodec
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class SpeakerMoved:
    room_id: str
    source_id: str | None


@dataclass(frozen=True, slots=True)
class KeyframeWanted:
    """A source that agreed to no PLI should be asked for a whole picture by its signalling."""

    session_id: str


@dataclass(frozen=True, slots=True)
class SessionLost:
    """A far end went without a goodbye, never came, or gave its place to a later session of the same source."""

    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PushConnected:
    session_id: str


@dataclass(frozen=True, slots=True)
class PushLost:
    """As SessionLost, for those we offered to."""

    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Every two seconds while there is a source."""

    status: VideoStatus


@dataclass(frozen=True, slots=True)
class VideoRecordingFailed:
    source_id: str
    reason: str


RoomEvent = (
    SourceStarted
    | SpeakerMoved
    | KeyframeWanted
    | SessionLost
    | Measured
    | RecordedVideo
    | VideoRecordingFailed
)
"""What rooms are told."""

Event = RoomEvent | PushConnected | PushLost
