"""One unbroken stream for a view, whatever it is shown: the arithmetic between a layer's packets and a view's.

A view must never see that its source, layer or camera changed: its sequence numbers go on by one, its timestamps by the
time that passed, its picture ids by one. So a view's stream is a list of *stretches* (`stretches`), in each of which every number is the layer's plus a
constant. The list is also the way back: a viewer's NACK names one of our numbers, and the stretch it falls in says
which packet of which layer that was.

Costs are shared: an `Intake` (`intake`) looks at a layer's batch once for all its views and hands out a `Run`; in the steady
state a view's part is two array additions and a few comparisons. Time is told by the caller in seconds (monotonic).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.video.codecs.numbers import PICTURE_MASK, TL0_MASK, Numbers, is_ahead
from bridges.video.intake import AHEAD_LIMIT, BACK_LIMIT, CLOCK_RATE, Run, extended_near, signed
from bridges.video.stretches import Sent, Stretch, Stretches

_REPLAY_STEP = 90
"""Between two pictures of a newcomer's replay: a millisecond."""


@dataclass(slots=True)
class Rewritten:
    """What a run became: the view's numbers, an entry a packet that goes. `lines` are those packets in the run (None: all of
    them). Their picture numbers are shifted as `stretch` says, or each as its own of `stretches` where they differ."""

    sequences: NDArray[np.uint16]
    timestamps: NDArray[np.uint32]
    stretch: Stretch
    lines: NDArray[np.intp] | None = None
    stretches: list[Stretch] | None = None

    def write_numbers(
        self, numbers: Numbers, slots: NDArray[np.uint8], at: NDArray[np.intp]
    ) -> None:
        """Write the picture numbers of the packets that go into `slots` (those packets × bytes), whose payloads begin at
        `at`; `numbers` are the run's."""
        if self.lines is not None:
            numbers = numbers.part(self.lines)
        if self.stretches is None:
            numbers.write(slots, at, self.stretch.picture_shift, self.stretch.tl0_shift)
            return
        numbers.write(
            slots,
            at,
            np.array([one.picture_shift for one in self.stretches], np.int32),
            np.array([one.tl0_shift for one in self.stretches], np.int32),
        )


@dataclass(frozen=True, slots=True)
class Steady:
    """What a view adds to the numbers of its layer, from the extended number `first` on."""

    first: int
    sequence_add: int
    timestamp_add: int
    picture_shift: int
    tl0_shift: int


@dataclass(slots=True)
class Passed:
    """How far a layer was passed on: its highest extended number, newest timestamp and when that came, picture numbers."""

    last: int = -1
    newest: int = 0
    at: float = 0.0
    picture: int = -1
    tl0: int = -1

    def leaps(self, run: Run, now: float) -> bool:
        """Whether the run's time cannot be true: then each view begins a stretch of its own."""
        if self.last < 0 or run.last <= self.last:
            return False
        advance = signed(run.newest - self.newest)
        elapsed = round((now - self.at) * CLOCK_RATE)
        return advance < -BACK_LIMIT or advance > elapsed + AHEAD_LIMIT

    def note(self, run: Run, now: float, *, leapt: bool = False) -> None:
        if run.last <= self.last:
            return
        if leapt or self.last < 0 or signed(run.newest - self.newest) > 0:
            self.newest, self.at = run.newest, now
        self.last = run.last
        if run.numbers is not None:
            self.picture, self.tl0 = run.numbers.newest, run.numbers.newest_tl0


class Rewriter:
    """The stream of one view. Nothing passes before the first `switch`."""

    def __init__(self, sequence: int, timestamp: int) -> None:
        """`sequence`, `timestamp`: those of the first packet (random, RFC 3550 §5.1)."""
        self._next = (sequence & 0xFFFF) + 0x10000
        self._stretches = Stretches()
        self._stretch = Stretch(-1, 0, self._next, 0)
        self._sequence_add = np.uint16(0)
        self._timestamp_add = np.uint32(0)
        # Of the layer that is shown: the highest extended number, and the timestamp of its newest picture.
        self._highest = -1
        self._newest = 0
        # Of the view: its newest picture's timestamp and when that came, its picture numbers.
        self._timestamp = timestamp & 0xFFFFFFFF
        self._at: float | None = None
        self._picture = -1
        self._tl0 = -1
        # The layer's picture numbers that were last sent and last left out.
        self._kept = -1
        self._left_out = -1

    @property
    def origin(self) -> int:
        """Which layer is shown: the origin of the last switch, −1 before any."""
        return self._stretch.origin

    @property
    def highest(self) -> int:
        """The highest extended sequence number of the view; one before its first while nothing was sent."""
        return self._next - 1

    def timestamp_at(self, now: float) -> int:
        """The view's RTP time at that moment, for sender reports (RFC 3550 §6.4.1)."""
        if self._at is None:
            return self._timestamp
        return self._timestamp + round((now - self._at) * CLOCK_RATE) & 0xFFFFFFFF

    def switch(self, start: Run, now: float) -> None:
        """From the first packet of `start` on, the first of a key frame, the view is shown that layer.

        `start` is what is sent at once, at least that packet; it still has to be taken. Where it is more than one
        picture (a replay since the key frame), these are put close together: the view ends at the present and not ahead of it.
        """
        first = extended_near(int(start.sequences[0]), start.last)
        pictures, times = self._times_of_replay(start, now)
        # Beyond `_next` where packets that may still come stand before one that was left out.
        begins = max(self._next, self._stretch.begins)
        stretch = Stretch(start.origin, first, begins, signed(times[-1] - pictures[-1]))
        if len(pictures) > 1:
            stretch.replay = dict(zip(pictures, times, strict=True))
            stretch.replay_until = start.last
        if start.numbers is not None:
            picture, tl0 = int(start.numbers.picture[0]), int(start.numbers.tl0[0])
            if picture >= 0 and self._picture >= 0:
                stretch.picture_shift = self._picture + 1 - picture
            if tl0 >= 0 and self._tl0 >= 0:
                stretch.tl0_shift = self._tl0 + 1 - tl0
        self._enter(stretch, after=self._highest + 1)
        self._highest = first - 1
        self._newest, self._timestamp, self._at = pictures[-1], times[-1], now
        self._kept = self._left_out = -1

    def take(self, run: Run, now: float, keep: NDArray[np.bool_] | None = None) -> Rewritten | None:
        """What becomes of a run; None when nothing of it is for this view. `keep` says which packets are wanted: the others
        leave no gap, unless what follows them has gone already; such a late one goes as it is."""
        if run.origin != self._stretch.origin or not len(self._stretches):
            return None
        is_new = run.last > self._highest
        if is_new:
            self._follow_time(run, now)
        stretch = self._stretch
        if keep is not None or run.first < stretch.first or run.first <= stretch.replay_until:
            return self._take_each(run, keep)
        if is_new:
            self._highest = run.last
            self._next = run.last + stretch.shift + 1
            if run.numbers is not None:
                self._note(run.numbers.newest, run.numbers.newest_tl0)
        return Rewritten(
            run.sequences + self._sequence_add, run.timestamps + self._timestamp_add, stretch
        )

    @property
    def steady(self) -> Steady:
        """What is added to every packet from now on, for who writes many views at once."""
        stretch = self._stretch
        return Steady(
            max(stretch.first, stretch.replay_until + 1),
            stretch.shift & 0xFFFF,
            stretch.timestamp_shift & 0xFFFFFFFF,
            stretch.picture_shift,
            stretch.tl0_shift,
        )

    def follow(self, passed: Passed) -> None:
        """What was written by `steady` since the last time: as if each run of it had been taken."""
        if passed.last > self._highest:
            self._highest = passed.last
            self._next = passed.last + self._stretch.shift + 1
            self._note(passed.picture, passed.tl0)
        if signed(passed.newest - self._newest) > 0:
            self._timestamp = self._stretch.timestamp(passed.newest)
            self._newest, self._at = passed.newest, passed.at

    def find(self, sequence: int) -> Sent | None:
        """Which packet we sent under that number, or None: never sent, or too long ago."""
        return self._stretches.find(extended_near(sequence, self._next - 1), self._next - 1)

    def _times_of_replay(self, start: Run, now: float) -> tuple[list[int], list[int]]:
        """The timestamps of the pictures of `start`, oldest first, and those they get in the view."""
        first = int(start.timestamps[0])
        pictures = sorted(
            dict.fromkeys(start.timestamps.tolist()), key=lambda one: signed(one - first)
        )
        count = len(pictures)
        if self._at is None:
            offsets = [_REPLAY_STEP * index for index in range(count)]
        else:
            room = max(round((now - self._at) * CLOCK_RATE), count)
            offsets = [room * (index + 1) // count for index in range(count)]
        return pictures, [self._timestamp + offset & 0xFFFFFFFF for offset in offsets]

    def _follow_time(self, run: Run, now: float) -> None:
        """Note the newest timestamp; one that cannot be true begins a stretch at the time it really is."""
        newest, stretch = run.newest, self._stretch
        advance = signed(newest - self._newest)
        elapsed = 0 if self._at is None else round((now - self._at) * CLOCK_RATE)
        if advance < -BACK_LIMIT or advance > elapsed + AHEAD_LIMIT:
            first = max(run.first, self._highest + 1)
            self._timestamp = self._timestamp + max(elapsed, 1) & 0xFFFFFFFF
            again = stretch.after(first, first + stretch.shift)
            again.timestamp_shift = signed(self._timestamp - newest)
            again.replay, again.replay_until = {}, -1
            self._enter(again, after=first)
        elif advance > 0:
            self._timestamp = stretch.timestamp(newest)
        else:
            return
        self._newest, self._at = newest, now

    def _take_each(self, run: Run, keep: NDArray[np.bool_] | None) -> Rewritten | None:
        """Packet by packet: something is left out, comes late, or is replayed."""
        lines: list[int] = []
        sequences: list[int] = []
        timestamps: list[int] = []
        stretches: list[Stretch] = []
        kept = [True] * len(run.sequences) if keep is None else keep.tolist()
        columns = zip(run.sequences.tolist(), run.timestamps.tolist(), strict=True)
        for line, (sequence, timestamp) in enumerate(columns):
            extended = extended_near(sequence, run.last)
            stretch = self._place(extended, kept[line], run.numbers, line)
            if stretch is not None:
                lines.append(line)
                sequences.append(extended + stretch.shift & 0xFFFF)
                timestamps.append(stretch.timestamp(timestamp))
                stretches.append(stretch)
        if not lines:
            return None
        are_alike = all(one is stretches[0] for one in stretches)
        return Rewritten(
            np.array(sequences, np.uint16),
            np.array(timestamps, np.uint32),
            stretches[0],
            None if len(lines) == len(run.sequences) else np.array(lines, np.intp),
            None if are_alike else stretches,
        )

    def _place(
        self, extended: int, is_kept: bool, numbers: Numbers | None, line: int
    ) -> Stretch | None:
        """The stretch of one packet; None when it does not go."""
        if extended <= self._highest:
            held = self._stretches.holding(extended, self._stretch.origin)
            if held is not None:
                # What came after it may have been left out: then this is the newest that goes.
                self._next = max(self._next, extended + held.shift + 1)
            return held
        self._highest = extended
        picture = int(numbers.picture[line]) if numbers is not None else -1
        if not is_kept:
            self._leave_out(extended, picture)
            return None
        self._next = extended + self._stretch.shift + 1
        if numbers is not None:
            self._note(picture, int(numbers.tl0[line]))
        return self._stretch

    def _leave_out(self, extended: int, picture: int) -> None:
        """Close the gap a packet would leave: what follows it is shifted by one less, and by a picture if that is gone."""
        stretch = self._stretch
        after = stretch.after(extended + 1, extended + stretch.shift)
        if picture >= 0 and picture not in (self._left_out, self._kept):
            after.picture_shift -= 1
        self._left_out = picture if picture >= 0 else self._left_out
        self._enter(after, after=extended)

    def _note(self, picture: int, tl0: int) -> None:
        """Follow the picture numbers of what is sent; both are the layer's, −1 for none."""
        if picture >= 0:
            self._kept = picture
            written = picture + self._stretch.picture_shift & PICTURE_MASK
            if is_ahead(written, self._picture, PICTURE_MASK):
                self._picture = written
        if tl0 >= 0:
            written = tl0 + self._stretch.tl0_shift & TL0_MASK
            if is_ahead(written, self._tl0, TL0_MASK):
                self._tl0 = written

    def _enter(self, stretch: Stretch, after: int) -> None:
        """Begin a stretch; `after` is the first extended number of the layer that the one before does not hold."""
        self._stretches.enter(stretch, after)
        self._stretch = stretch
        self._sequence_add = np.uint16(stretch.shift & 0xFFFF)
        self._timestamp_add = np.uint32(stretch.timestamp_shift & 0xFFFFFFFF)
