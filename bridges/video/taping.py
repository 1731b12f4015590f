"""Which sources are recorded, and what of them the recorder gets: the packets of the best layer that arrives.

A camera that is gone for a moment goes on in its file; one that stays away has its file ended.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from bridges.video.events import VideoRecordingFailed
from bridges.video.frames import LayerPacket
from bridges.video.recorder import VideoRecorder
from bridges.video.source import Source
from bridges.video.track import Portion, Track
from commhub.domain.errors import NotFoundError
from commhub.kit.clock import Clock
from commhub.ports.video import RecordedVideo

_GONE_S = 30.0


class Taping:
    """`room_of` says where a source is, None for one that is not there; `want_keyframe` asks one for a whole picture. Both
    are called on the event loop on which this was made, and so is `tell`."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        tell: Callable[[RecordedVideo | VideoRecordingFailed], None],
        room_of: Callable[[str], str | None],
        want_keyframe: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._room_of = room_of
        self._seen_at: dict[str, float] = {}
        loop = asyncio.get_running_loop()

        def told(event: RecordedVideo | VideoRecordingFailed) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._told, event)

        def wanted(source_id: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(want_keyframe, source_id)

        self._tell = tell
        self.recorder = VideoRecorder(directory, clock, told, wanted)

    def record(self, source_id: str, on: bool) -> None:
        """Raises NotFoundError for a source that is not there."""
        if not on:
            self._seen_at.pop(source_id, None)
            self.recorder.stop(source_id)
            return
        room_id = self._room_of(source_id)
        if room_id is None:
            raise NotFoundError("nobody publishes this source")
        self._seen_at[source_id] = self._clock.monotonic()
        self.recorder.begin(room_id, source_id)

    def is_recorded(self, source_id: str) -> bool:
        return source_id in self._seen_at

    def take(self, source: Source, track: Track, portion: Portion) -> None:
        """Packets of a layer that came just now."""
        if source.source_id not in self._seen_at:
            return
        now = self._clock.monotonic()
        if track.layer is not min(source.rates(now) or source.audiences):
            return
        self._seen_at[source.source_id] = now
        self.recorder.write(source.source_id, source.codec, _packets(track, portion))

    def end_gone(self) -> None:
        """End the files of sources that stay away; called once a second."""
        now = self._clock.monotonic()
        for source_id, seen_at in list(self._seen_at.items()):
            if self._room_of(source_id) is None and now - seen_at > _GONE_S:
                self.record(source_id, on=False)

    def _told(self, event: RecordedVideo | VideoRecordingFailed) -> None:
        if isinstance(event, VideoRecordingFailed):
            self._seen_at.pop(event.source_id, None)
        self._tell(event)


def _packets(track: Track, portion: Portion) -> list[LayerPacket]:
    cache, origin = track.cache, portion.run.origin
    packets: list[LayerPacket] = []
    for extended in cache.extended[portion.slots].tolist():
        payload = cache.payload(extended)
        if payload is not None:
            timestamp, marker, _ = cache.described(extended)
            packets.append(LayerPacket(origin, extended, timestamp, marker, payload))
    return packets
