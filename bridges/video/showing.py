"""Which layer of which source each view is shown, and how it gets there: at once from the cache, or from a next key frame
on, which is asked for.
"""

from collections.abc import Callable

from bridges.video.audience import Audience
from bridges.video.events import KeyframeWanted
from bridges.video.pacing import Share
from bridges.video.source import Source
from bridges.video.speaker import SpeakersOfRooms
from bridges.video.view import View
from commhub.ports.video import SPEAKER, Layer


class Showing:
    """For all views. `sources` are those there are, by id; `share` is what all that catch up may be sent; `tell` is told when a far
    end has to be asked for a key frame by its signalling. Times in seconds, monotonic."""

    def __init__(
        self,
        sources: dict[str, Source],
        speakers: SpeakersOfRooms,
        share: Share,
        tell: Callable[[KeyframeWanted], None],
    ) -> None:
        self._sources = sources
        self._speakers = speakers
        self._share = share
        self._tell = tell

    def aim(self, view: View, now: float) -> None:
        """Let it be shown the layer it should be."""
        source = self._source_for(view)
        if source is None or view.outlet is None or source.is_muted:
            return
        if source.codec not in view.stream.types:
            return
        if view.source_id == source.source_id:
            if view.track is not None and view.target is None and len(source.audiences) == 1:
                return
        else:
            self.leave(view)
            view.forget()
            view.source_id, view.codec = source.source_id, source.codec
        path = view.estimator
        layer = view.choice.decide(
            source.rates(now), path.kbps(now), now, is_strained=path.is_strained(now)
        )
        if layer is None:
            # Nothing arrives yet: wait for what it is to be.
            layer = min(source.audiences, key=lambda one: (one < view.best, one))
        audience = source.audiences[layer]
        if audience.track is view.track:
            self._stop_waiting(view)
        elif audience.track is not view.target:
            self._stop_waiting(view)
            self._turn_to(view, source, audience, now)

    def key_came(self, source: Source, audience: Audience, key_at: int, now: float) -> None:
        """A key frame begins: whoever waited for one is shown it."""
        if source.is_muted or not audience.track.cache.holds(key_at):
            return
        for view in list(audience.waiting):
            self.leave(view)
            audience.begin(view, key_at, now)
            view.choice.switched(audience.track.layer, now)

    def ask(self, source: Source, layer: Layer, now: float) -> None:
        """For a key frame."""
        deaf = source.want_keyframe(layer, now)
        if deaf is not None:
            self._tell(KeyframeWanted(deaf.session_id))

    def leave(self, view: View) -> None:
        """The view is shown nothing of its source now."""
        for audience in self._audiences(view):
            audience.leave(view)

    def refresh(self, view: View) -> None:
        """Something of the view changed: its address, what it agreed to."""
        for audience in self._audiences(view):
            audience.refresh()

    def sync(self, view: View) -> None:
        """Tell the view's rewriter how far it was served."""
        for audience in self._audiences(view):
            audience.sync(view)

    def _turn_to(self, view: View, source: Source, audience: Audience, now: float) -> None:
        is_newcomer = view.track is None
        if not audience.can_begin(view, now, is_newcomer=is_newcomer):
            audience.wait(view)
            self.ask(source, audience.track.layer, now)
            return
        self.leave(view)
        audience.begin_cached(view, now)
        view.choice.switched(audience.track.layer, now)
        audience.catch_up(self._share, now)

    def _stop_waiting(self, view: View) -> None:
        for audience in self._audiences(view):
            if view in audience.waiting:
                audience.waiting.remove(view)
        view.target = None

    def _source_for(self, view: View) -> Source | None:
        if view.wanted != SPEAKER:
            return self._sources.get(view.wanted)
        shown = self._sources.get(self._speakers.shown(view.room_id) or "")
        # Nobody spoke yet, or nobody it can be shown: whoever is there, rather than nothing.
        current = self._sources.get(view.source_id or "")
        others = (one for one in self._sources.values() if one.room_id == view.room_id)
        for one in (shown, current, *others):
            if one is not None and view.suits(one.source_id, one.codec):
                return one
        return None

    def _audiences(self, view: View) -> list[Audience]:
        source = self._sources.get(view.source_id or "")
        return [] if source is None else list(source.audiences.values())
