"""Which worker a call lives on, and which one the next call is given to."""

import asyncio
from collections.abc import Sequence

import structlog

from bridges.errors import WorkerLostError
from bridges.members import Member, is_link
from commhub.domain.errors import NotFoundError, UnavailableError
from commhub.kit.supervise import Doorbell
from commhub.ports.media import Placements

log = structlog.get_logger(__name__)


class Places:
    """`news` rings when a worker was reached or a call has moved: whoever waited may try again."""

    def __init__(self, members: Sequence[Member], placements: Placements) -> None:
        self.members = members
        self.placements = placements
        self.homes: dict[str, Member] = {}
        self.news = Doorbell()
        self._placing = asyncio.Lock()

    @property
    def radio(self) -> Member:
        """The worker with the voice connection. Raises UnavailableError when there is none."""
        for member in self.members:
            if member.has_radio:
                return member
        raise UnavailableError("no media worker is connected to the radios")

    def of_leg(self, leg_id: str) -> Member | None:
        return next((member for member in self.members if leg_id in member.journal.legs), None)

    def with_leg(self, leg_id: str) -> Member:
        """Where an order about the leg goes. Raises NotFoundError, or WorkerLostError while a worker that may have
        it was not reached yet."""
        member = self.of_leg(leg_id)
        if member is not None:
            return member
        if all(one.met for one in self.members):
            raise NotFoundError("the media engine has no such leg", leg=leg_id)
        raise WorkerLostError("the leg's media worker was not reached yet")

    async def home_of(
        self, call_id: str, *, prefer: Member | None = None, urgent: bool = False
    ) -> Member:
        """Where the call lives; a new one is given a place, on `prefer` if it can be had. An `urgent` one is not refused
        because workers are busy.

        Raises NotFoundError for a call that nobody knows or that is over, UnavailableError without room,
        WorkerLostError without workers.
        """
        home = self.homes.get(call_id)
        if home is not None:
            return home
        if len(self.members) == 1:
            # Nothing to choose and nothing to remember: whoever comes late finds the call where all calls are.
            home = self.homes[call_id] = self.choose(with_radio=False, urgent=urgent)
            return home
        async with self._placing:
            return self.homes.get(call_id) or await self._place(call_id, prefer, urgent)

    async def _place(self, call_id: str, prefer: Member | None, urgent: bool) -> Member:
        placement = await self.placements.find(call_id)
        if placement is None:
            raise NotFoundError("there is no such call any more", call=call_id)
        named = next((one for one in self.members if one.name == placement.worker), None)
        if named is not None and not named.met:
            # It may have legs of this call, so nobody else is given it before that is known.
            return named
        if named is not None and named.is_up:
            self.homes[call_id] = named
            return named
        if prefer and prefer.takes_calls:
            home = prefer
        else:
            home = self.choose(placement.with_radio, urgent=urgent)
        await self.placements.record(call_id, home.name)
        self.homes[call_id] = home
        log.info("call_placed", call=call_id, worker=home.name)
        return home

    def choose(self, with_radio: bool, *, urgent: bool = False) -> Member:
        """The worker for a call: with a radio group the one that has the radios, else the least loaded. For an `urgent`
        one a busy worker is better than none.

        Raises UnavailableError when all are full, WorkerLostError when none is there.
        """
        takers = [member for member in self.members if member.takes_calls]
        if urgent and not takers:
            takers = [member for member in self.members if member.has_room]
        if with_radio and (having := [member for member in takers if member.has_radio]):
            return having[0]
        if takers:
            return min(takers, key=lambda member: member.weight)
        if any(member.is_up for member in self.members):
            raise UnavailableError("every media worker is full")
        raise WorkerLostError("no media worker is there")

    def guests_of(self, call_id: str) -> list[Member]:
        """The workers that have a part of the call besides its home."""
        home = self.homes.get(call_id)
        return [
            member
            for member in self.members
            if member is not home and member.journal.legs_of(call_id)
        ]

    def forget_if_over(self, call_id: str) -> None:
        if not any(member.journal.has(call_id) for member in self.members):
            self.homes.pop(call_id, None)

    def has_own_legs(self, member: Member, call_id: str) -> bool:
        """Whether legs of the call are there for more than a link."""
        return any(not is_link(leg_id) for leg_id in member.journal.legs_of(call_id))
