"""Tells neighbours what is new on the timelines they share: what we wrote, and what came to us by others.

How far a neighbour was told is a place in our log, kept on the share and moved in the transaction that queues the lines; what it wrote itself
is not told back. So nothing is written twice when an incident moves, and a loop that starts anew knows where it was.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import structlog

from commhub.domain.errors import UnavailableError
from commhub.domain.facts import Fact, TimelineEntry
from commhub.domain.tier import Share, ShareState
from commhub.domain.tier_facts import IncidentShared, PeeringMoved, SharesChanged
from commhub.domain.tier_moves import settle
from commhub.kit.bus import Bus, Subscription
from commhub.kit.patience import Patience
from commhub.kit.supervise import Doorbell
from commhub.ports.store import UnitOfWork
from commhub.tiers.bodies import LINES, Line, LinesBody
from commhub.tiers.common import NOBODY, Common, Names, standing_of
from commhub.tiers.metrics import LINES_TOLD
from commhub.tiers.sharing import record_move

log = structlog.get_logger(__name__)

MOST_LINES: Final = 200
# A frame has at most a million characters (docs/protocols/tiers.md), and a trace may be long.
MOST_CHARACTERS: Final = 400_000
# How another hub stands is our note of what it said itself.
_OURS_ALONE: Final = frozenset({"their_stage_moved"})
_TAKEN: Final = frozenset({ShareState.HELD, ShareState.RETURNED, ShareState.ENDED})
_SHARES: Final = 200
_BATCH: Final = 20
_LOOK_EVERY_S: Final = 2.0
# What is written within this time goes together.
_GATHER_S: Final = 0.1


class Telling:
    """`run` is the loop. `on_change` is called when a deadline between hubs may have become another."""

    def __init__(self, common: Common, bus: Bus[Fact], on_change: Callable[[], None]) -> None:
        self._common = common
        self._bus = bus
        self._on_change = on_change
        self._bell = Doorbell()
        self._patience = Patience(common.clock)
        self._swept = 0
        self._is_alone = False

    async def run(self) -> None:
        """Tell until cancelled. What the bus lost, or another process wrote, is found by looking."""
        with self._bus.subscribe(4096, wants=self._wants) as facts:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(facts), name="tiers-hear")
                tasks.create_task(self._tell_on(), name="tiers-tell")

    def _wants(self, fact: Fact) -> bool:
        if isinstance(fact, SharesChanged | PeeringMoved):
            return True
        return fact.incident_id is not None and not self._is_alone

    async def _hear(self, facts: Subscription[Fact]) -> None:
        async for fact in facts:
            match fact:
                case PeeringMoved():
                    # Shares of old with who was paired anew: their lines are old as well.
                    self._swept = 0
                case SharesChanged():
                    self._on_change()
                case IncidentShared(given=False):
                    self._common.adoption.wake()
            self._bell.ring()

    async def _tell_on(self) -> None:
        while True:
            if not await self.tell_behind():
                await self._bell.wait(_LOOK_EVERY_S)
                await asyncio.sleep(_GATHER_S)

    async def tell_behind(self) -> bool:
        """Queue what is new, and return whether there is more of it now."""
        limit = _SHARES + len(self._patience)
        async with self._common.store.read() as uow:
            self._is_alone = not any(one.is_active for one in await uow.peerings.list())
            newest = await uow.timeline.newest()
            if self._is_alone or newest == self._swept:
                return False
            behind = await uow.shares.behind(limit, self._swept)
            names = await Names.load(uow) if behind else NOBODY
        self._patience.keep_only({_key(share) for share in behind})
        ready = self._patience.ready(behind, _key)
        is_more = len(behind) == limit
        for batch in _batches(sorted(ready, key=_key)):
            is_more |= await self._tell_together(batch, names)
        if not is_more and not len(self._patience):
            self._swept = newest
        if ready:
            self._common.links.wake()
        return is_more

    async def _tell_together(self, batch: Sequence[Share], names: Names) -> bool:
        """Whether there is more of one of them. What fails together is tried one by one, and what fails alone later."""
        try:
            async with self._common.store.begin() as uow:
                more = [await self._tell(uow, share, names) for share in batch]
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, UnavailableError):
                return any([await self._tell_together([one], names) for one in batch])
            for share in batch:
                self._patience.failed(_key(share))
            log.exception("tier_lines_not_told", shares=len(batch))
            return False
        for share in batch:
            self._patience.forget(_key(share))
        return any(more)

    async def _tell(self, uow: UnitOfWork, seen: Share, names: Names) -> bool:
        incident = await uow.incidents.get(seen.incident_id)
        share = await uow.shares.find(seen.incident_id, seen.peer)
        if share is None or share.state not in _TAKEN:
            return False
        entries = await uow.timeline.untold(incident.id, share.peer, share.told_seq, MOST_LINES)
        if not entries:
            return False
        lines, last = self._fitting(entries)
        now = self._common.clock.now()
        told = settle(replace(share, told_seq=last), incident.stage.value, now)
        await uow.shares.put(told)
        if told.state is not share.state:
            record_move(uow, share, told)
            self._common.changed(uow, incident.id)
        if lines:
            said = LinesBody(lines=lines, standing=standing_of(incident, names))
            await self._common.say(uow, share.peer, LINES, incident.id, said)
            LINES_TOLD.inc(len(lines))
        return last < entries[-1].seq or len(entries) == MOST_LINES

    def _fitting(self, entries: Sequence[TimelineEntry]) -> tuple[list[Line], int]:
        """As many as one message holds, and the place of the last one of ours that this settles."""
        lines: list[Line] = []
        last = size = 0
        for entry in entries:
            if entry.kind in _OURS_ALONE and entry.hub == self._common.us:
                last = entry.seq
                continue
            line = self._line_of(entry)
            length = len(json.dumps(line.data, ensure_ascii=False, default=str))
            if length > MOST_CHARACTERS:
                line = line.model_copy(update={"data": {"left_out": f"{length} characters"}})
                length = 0
            if size + length > MOST_CHARACTERS:
                break
            lines.append(line)
            last, size = entry.seq, size + length
        return lines, last

    def _line_of(self, entry: TimelineEntry) -> Line:
        return Line(
            hub=entry.hub or self._common.us,
            seq=entry.origin_seq or entry.seq,
            at=entry.at,
            actor=entry.actor[:200],
            kind=entry.kind,
            data=entry.data,
        )


def _key(share: Share) -> str:
    """By the incident first: that is the order in which rows are taken."""
    return f"{share.incident_id} {share.peer}"


def _batches(shares: Sequence[Share]) -> Iterator[Sequence[Share]]:
    for first in range(0, len(shares), _BATCH):
        yield shares[first : first + _BATCH]
