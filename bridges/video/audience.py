"""Who is shown one layer: those at its head, all served by the same array operations; those behind, each at its own
pace; those who wait for its next key frame.

The rewriters of those at the head are told lazily how far their stream went (`sync`): in the steady state every number of a
view is the layer's plus a constant, and 200 views cost one addition.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bridges.video.cache import HEADER
from bridges.video.counts import VideoCounts
from bridges.video.fanout import Cohort, Fanout, Load
from bridges.video.gop import Cached, may_replay, replay_kbps
from bridges.video.intake import Run
from bridges.video.pacing import Share
from bridges.video.rewriting import Passed
from bridges.video.track import Portion, Track
from bridges.video.view import View, cohort_of

_WINDOW_S = 0.05
"""Over which a burst is summed."""
_SMALL_BURST = 16_000
_JUMP_BACKLOG = 150
"""Packets a view may be behind when a newer key frame is there to begin from."""


class Audience:
    """Of one track. Times in seconds, monotonic."""

    def __init__(self, track: Track, fanout: Fanout, counts: VideoCounts) -> None:
        self.track = track
        self.behind: list[View] = []
        self.waiting: list[View] = []
        self._followers: list[View] = []
        self._cohorts: list[Cohort] = []
        self._steady_from = 0
        self._is_stale = False
        self._passed = Passed()
        self._origin = track.origin
        self._fanout = fanout
        self._counts = counts
        self._window_at = 0.0
        self._window_bytes = 0

    def __iter__(self) -> Iterator[View]:
        """Who is shown the layer, or waits for it."""
        yield from self._followers
        yield from self.behind
        yield from self.waiting

    @property
    def size(self) -> int:
        """How many are shown the layer."""
        return len(self._followers) + len(self.behind)

    # Coming and going ----------------------------------------------------------------------------------------

    def wait(self, view: View) -> None:
        """Show it to the view from its next key frame on; until then it goes on with what it has."""
        view.target = self.track
        self.waiting.append(view)

    def can_begin(self, view: View, now: float, *, is_newcomer: bool) -> bool:
        """Whether the view may begin at the last key frame: the cache has all since then, and the path carries it.
        `is_newcomer`: it shows nothing of this source that could go on meanwhile."""
        track = self.track
        key_at = track.key_at
        if key_at is None:
            return False
        slots = track.cache.between(key_at, track.highest)
        cached = Cached(
            expected=track.highest - key_at + 1,
            present=len(slots),
            octets=int(track.cache.sizes[slots].sum()),
            age_s=now - track.key_seen_at,
        )
        return may_replay(cached, view.estimator.limit_kbps(now), is_newcomer=is_newcomer)

    def begin_cached(self, view: View, now: float) -> None:
        """Begin there, faster than it was made."""
        track = self.track
        view.pace.kbps = replay_kbps(track.rates.kbps, view.estimator.limit_kbps(now))
        self.begin(view, track.key_at or 0, now)
        self._counts.replays += 1

    def begin(self, view: View, key_at: int, now: float) -> None:
        """Show the layer to a view, which is in no audience now, from that first packet of a key frame on."""
        track = self.track
        slots = track.cache.between(key_at, track.highest)
        run = track.cache.run_of(track.origin, slots, numbered=track.numbered)
        view.rewriter.switch(run, now)
        view.track, view.target, view.cursor = track, None, run.first
        self.behind.append(view)

    def leave(self, view: View) -> None:
        """The view is shown something else, or nothing; fine for one that is not here."""
        if view in self._followers:
            self.sync(view)
            self._followers.remove(view)
            self._is_stale = True
        for some in (self.behind, self.waiting):
            if view in some:
                some.remove(view)

    def refresh(self) -> None:
        """Something of a follower changed: its address, what it agreed to."""
        self._is_stale = True

    def sync(self, view: View) -> None:
        """Tell the view's rewriter how far it was served."""
        if view.cursor is None and view.track is self.track:
            view.rewriter.follow(self._passed)

    # Packets -------------------------------------------------------------------------------------------------

    def restarted(self) -> list[View]:
        """Take everybody out when the layer became another stream; who that was."""
        if self._origin == self.track.origin:
            return []
        self._origin = self.track.origin
        all_of_them = [*self._followers, *self.behind]
        for view in self._followers:
            self.sync(view)
        for view in all_of_them:
            view.track = view.cursor = None
        self._followers, self.behind, self._is_stale = [], [], True
        self._passed = Passed()
        return all_of_them

    def pass_on(self, portion: Portion, now: float) -> None:
        """What came of the layer, to all at its head."""
        run = portion.run
        if self._followers:
            burst = self._burst(int(self.track.cache.sizes[portion.slots].sum()), now)
            if burst > _SMALL_BURST and run.first > self._passed.last:
                self._hold_back(burst, run.first)
        leapt = self._passed.leaps(run, now)
        if self._followers:
            if self._is_stale:
                self._build()
            if leapt or run.first < self._steady_from:
                self._pass_singly(portion, now)
            else:
                load = self._load(portion.slots, run)
                for cohort in self._cohorts:
                    self._fanout.send(cohort, load, now)
        self._passed.note(run, now, leapt=leapt)

    def catch_up(self, share: Share, now: float) -> None:
        """Serve those behind, as far as their paths and the processor allow; in turns."""
        if not self.behind:
            return
        behind, self.behind = self.behind, []
        left = share.left(now)
        for place, view in enumerate(behind):
            if left <= 0:
                # Who got nothing comes first next time.
                self.behind = [*behind[place:], *self.behind]
                break
            sent = self._catch_up(view, left, now)
            share.spend(sent)
            left -= sent

    def _catch_up(self, view: View, limit: int, now: float) -> int:
        track, cursor = self.track, view.cursor or 0
        key_at = track.key_at
        if (
            key_at is not None
            and key_at > cursor
            and track.highest - cursor > _JUMP_BACKLOG
            and track.cache.holds(key_at)
        ):
            self.begin(view, key_at, now)
            return 1
        if track.highest - cursor >= track.cache.capacity:
            # Its place is overwritten, and nothing newer can be shown alone.
            self.wait(view)
            return 1
        slots = track.cache.between(cursor, track.highest)
        allowance = view.pace.allowance(now)
        if len(slots) and allowance > 0:
            fitting = int(np.searchsorted(np.cumsum(track.cache.sizes[slots]), allowance)) + 1
            part = slots[: min(fitting, limit)]
            run = track.cache.run_of(track.origin, part, numbered=track.numbered)
            self._send_own(view, part, run, now)
            view.pace.spend(int(track.cache.sizes[part].sum()))
            view.cursor = run.last + 1
            slots = slots[len(part) :]
            self._counts.paced += len(slots) > 0
            if not len(slots):
                self._join(view)
                return len(part)
            self.behind.append(view)
            return len(part)
        if len(slots):
            self.behind.append(view)
        else:
            self._join(view)
        return 0

    def _join(self, view: View) -> None:
        view.cursor = None
        self._followers.append(view)
        self._is_stale = True

    def _burst(self, size: int, now: float) -> int:
        if now - self._window_at > _WINDOW_S:
            self._window_at, self._window_bytes = now, 0
        self._window_bytes += size
        return self._window_bytes

    def _hold_back(self, burst: int, first: int) -> None:
        """A large picture goes to thin paths piece by piece."""
        limited = [view for view in self._followers if view.pace.limit_kbps is not None]
        if not limited:
            return
        kbps = self.track.rates.kbps
        held = [view for view in limited if not view.pace.takes(burst, kbps)]
        for view in held:
            self.sync(view)
            self._followers.remove(view)
            view.cursor = first
            view.pace.kbps = replay_kbps(kbps, view.pace.limit_kbps)
            self.behind.append(view)
        self._is_stale |= bool(held)

    def _build(self) -> None:
        """Group those at the head by what makes their packets differ in length, or in their way."""
        groups: dict[tuple[int, int, bool, bool], list[View]] = {}
        self._steady_from = 0
        for view in self._followers:
            outlet = view.outlet
            if outlet is None or view.types is None:
                continue
            self.sync(view)
            self._steady_from = max(self._steady_from, view.rewriter.steady.first)
            key = (outlet.fd, outlet.tag, view.extends, outlet.handle is None)
            groups.setdefault(key, []).append(view)
        self._cohorts = [cohort_of(group) for group in groups.values()]
        self._is_stale = False

    def _pass_singly(self, portion: Portion, now: float) -> None:
        """Each by its own rewriter: time leapt, or a packet came that is older than somebody's beginning."""
        for view in self._followers:
            self.sync(view)
            self._send_own(view, portion.slots, portion.run, now)
        self._is_stale = True

    def _send_own(self, view: View, slots: NDArray[np.intp], run: Run, now: float) -> None:
        rewritten = view.rewriter.take(run, now)
        if rewritten is None or view.outlet is None or view.types is None:
            return
        if rewritten.lines is not None:
            slots = slots[rewritten.lines]
        load = self._load(slots, run, own=True)
        if run.numbers is not None:
            at = np.full(len(slots), HEADER, np.intp)
            rewritten.write_numbers(run.numbers, load.packets, at)
        load.numbers = None
        load.sequences, load.timestamps = rewritten.sequences, rewritten.timestamps
        self._fanout.send(cohort_of([view], steady=False), load, now)

    def _load(self, slots: NDArray[np.intp], run: Run, *, own: bool = False) -> Load:
        """Packets of the cache as a load; `own`: a copy that may be written to."""
        cache = self.track.cache
        sizes = cache.sizes[slots]
        width = HEADER + int(sizes.max())
        first = int(slots[0])
        in_a_row = int(slots[-1]) - first == len(slots) - 1 and bool((np.diff(slots) == 1).all())
        packets = (
            cache.slots[first : first + len(slots), :width]
            if in_a_row and not own
            else cache.slots[slots, :width]
        )
        return Load(
            packets, sizes, cache.markers[slots], run.sequences, run.timestamps, run.numbers
        )
