"""One media worker as the pool sees it: what it was told, how much it has to do, and since when it is gone."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bridges import metrics
from bridges.journal import Journal
from bridges.protocol import Args, WorkerLoad
from commhub.ports.media import LegMeter

FULL_SHARE = 0.85
"""A worker that spends more of its time in ticks, look after look, takes no new call: the next talk spurt would cost it
ticks."""
FULL_LOOKS = 5
"""So many looks in a row make it full. One busy second says more of the machine than of the worker, and where no other
worker is free it must refuse nobody."""
LINK = "link."
"""How the leg ids of links between workers begin; nobody outside the pool hears of them."""


class Link(AbstractAsyncContextManager[Any], Protocol):
    """The connection to a worker (`client.MediaClient`)."""

    @property
    def is_connected(self) -> bool: ...

    async def ask(self, args: Args) -> object:
        """Raises WorkerLostError, or what the worker refuses the order with."""
        ...


@dataclass(frozen=True, slots=True)
class MemberView:
    """How a worker is, for people."""

    name: str
    is_up: bool
    legs: int
    busy: float


class Member:
    """`journal` is what the worker was told and still is to have. `met`: it was reached in this control's life;
    `gone_since` is a monotonic time, None while it is reached and answers."""

    def __init__(self, name: str, link: Link, *, has_radio: bool, now: float) -> None:
        self.name = name
        self.link = link
        self.has_radio = has_radio
        self.journal = Journal()
        self.load: WorkerLoad | None = None
        self._busy_looks = 0
        self.meters: Mapping[str, LegMeter] = {}
        self.met = False
        self.gone_since: float | None = now
        self.published = metrics.Published(name)

    @property
    def is_up(self) -> bool:
        return self.met and self.gone_since is None and self.link.is_connected

    @property
    def leg_count(self) -> int:
        return max(len(self.journal.legs), self.load.legs if self.load else 0)

    @property
    def weight(self) -> tuple[int, float]:
        """How loaded it is, to be compared: by its time first, in quarters, because small differences say more of
        the machine than of the worker; then by legs."""
        if self.load is None:
            return (0, 0.0)
        return (int(4 * self.load.busy), self.leg_count / max(self.load.max_legs, 1))

    def feel(self, load: WorkerLoad) -> None:
        """Take in how it is, at one look."""
        self.load = load
        self._busy_looks = self._busy_looks + 1 if load.busy >= FULL_SHARE else 0

    @property
    def has_room(self) -> bool:
        """Whether it is there and has a place for a leg, however busy it is."""
        return self.is_up and (self.load is None or self.leg_count < self.load.max_legs)

    @property
    def takes_calls(self) -> bool:
        return self.has_room and self._busy_looks < FULL_LOOKS

    def gone_for(self, now: float) -> float:
        return 0.0 if self.gone_since is None else now - self.gone_since

    def view(self) -> MemberView:
        return MemberView(
            self.name, self.is_up, self.leg_count, self.load.busy if self.load else 0.0
        )


def is_link(leg_id: str) -> bool:
    return leg_id.startswith(LINK)


def silent_meter(leg_id: str, call_id: str = "") -> LegMeter:
    """The meter of a leg of which nothing was measured yet."""
    return LegMeter(
        leg_id=leg_id, call_id=call_id, received=0, sent=0, lost=0, level_dbov=-127.0, silent_s=0.0
    )
