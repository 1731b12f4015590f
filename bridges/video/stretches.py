"""The stretches of a view's stream: which packets of which layer became which of the view's, the latest thousands of them.

They are ordered by the view's numbers and leave nothing between them: a stretch begins where the one before it ends. A
number that falls in a stretch but beyond what it holds of its layer was never sent.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

HISTORY = 8_192
"""Packets of a view behind its newest that a NACK can still be mapped to."""
_LIMIT = 1_024
"""Stretches that are remembered; a view of which every second packet is left out fills them in 2,048 packets."""


@dataclass(slots=True)
class Stretch:
    """Packets of one layer from the extended number `first` on (and before `until`), each shifted by the same. `begins`
    is the view's extended number of `first`. A `replay` gives pictures a time of their own, up to `replay_until`."""

    origin: int
    first: int
    begins: int
    timestamp_shift: int
    picture_shift: int = 0
    tl0_shift: int = 0
    until: int | None = None
    replay: dict[int, int] = field(default_factory=dict)
    replay_until: int = -1

    @property
    def shift(self) -> int:
        """From the layer's extended numbers to the view's."""
        return self.begins - self.first

    def holds(self, extended: int) -> bool:
        return self.first <= extended and (self.until is None or extended < self.until)

    def after(self, first: int, begins: int) -> "Stretch":
        """One that goes on in the same way with that packet."""
        return Stretch(
            self.origin,
            first,
            begins,
            self.timestamp_shift,
            self.picture_shift,
            self.tl0_shift,
            replay=self.replay,
            replay_until=self.replay_until,
        )

    def timestamp(self, timestamp: int) -> int:
        """The view's timestamp of a picture of the layer."""
        if not self.replay:
            return timestamp + self.timestamp_shift & 0xFFFFFFFF
        known = self.replay.get(timestamp)
        return self._beside_replay(timestamp) if known is None else known

    def _beside_replay(self, timestamp: int) -> int:
        """A picture after the replay keeps its distance; one between its pictures (which came too late to be
        in it) stands just after the one before it."""
        before: int | None = None
        for picture, time in self.replay.items():
            if (timestamp - picture) & 0x80000000:
                return (time if before is None else before + 1) & 0xFFFFFFFF
            before = time
        return timestamp + self.timestamp_shift & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet of a view as its layer knows it: the extended number there; `stretch` says how its header was rewritten."""

    extended: int
    stretch: Stretch

    @property
    def origin(self) -> int:
        return self.stretch.origin


class Stretches:
    """Those of one view, oldest first."""

    def __init__(self) -> None:
        self._all: list[Stretch] = []

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, stretch: Stretch, after: int) -> None:
        """Add the next; the one before it holds nothing of its layer from `after` on."""
        if self._all:
            self._all[-1].until = after
            if self._all[-1].begins == stretch.begins:
                # Nothing was sent in it: the number belongs to what is sent now.
                del self._all[-1]
        self._all.append(stretch)
        while len(self._all) > _LIMIT or (
            len(self._all) > 1 and self._all[1].begins <= stretch.begins - HISTORY
        ):
            del self._all[0]

    def holding(self, extended: int, origin: int) -> Stretch | None:
        """The latest stretch of what the view is shown now that holds the layer's packet; None for one that was left out,
        or is older than all that was shown."""
        for stretch in reversed(self._all):
            if stretch.origin != origin:
                return None
            if stretch.holds(extended):
                return stretch
        return None

    def find(self, number: int, newest: int) -> Sent | None:
        """The packet of that extended number of the view, whose newest is `newest`."""
        if not newest - HISTORY < number <= newest:
            return None
        index = bisect_right(self._all, number, key=lambda one: one.begins) - 1
        if index < 0:
            return None
        stretch = self._all[index]
        extended = number - stretch.shift
        return Sent(extended, stretch) if stretch.holds(extended) else None
