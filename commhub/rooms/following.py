"""What follows in rooms by itself: who is there by the calls' legs, cameras nobody watches, incidents that were closed.

Facts on the bus say that something may have changed; what is, is read from the rows. The bus may lose a fact, and other
processes have buses of their own, so everything is compared now and then, and at the start of a process.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import structlog

from commhub.domain.call_facts import CallEnded, LegMoved, LegTransferred
from commhub.domain.errors import DomainError
from commhub.domain.facts import Fact, StageMoved
from commhub.domain.room import (
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    Session,
    SessionRight,
    Source,
    SourceState,
)
from commhub.domain.room_facts import RoomEndProposed
from commhub.kit.bus import Bus, Subscription
from commhub.kit.clock import Clock
from commhub.kit.supervise import Doorbell, run_forever
from commhub.ports.store import Store, UnitOfWork
from commhub.rooms import moves, presence
from commhub.rooms.config import RoomConfig
from commhub.rooms.metrics import CAMERAS_STOPPED
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.voices import Voices, talkers

log = structlog.get_logger(__name__)

_FACTS = 4096
# Nearly all calls are no room's; those that moved meanwhile are one question.
_TOGETHER_S = 0.05
# Of so many calls that go on it is remembered that they are no room's.
_MOST_ORDINARY = 4096
_SENDING = frozenset({SourceState.LIVE, SourceState.STARTING})


class RoomFollower:
    """Follows the hub until cancelled."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        bus: Bus[Fact],
        orderly: Orderly,
        voices: Voices,
        config: RoomConfig,
    ) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self._orderly = orderly
        self._voices = voices
        self._config = config
        self._bell = Doorbell()
        self._calls: set[str] = set()
        self._ordinary: dict[str, None] = {}
        """Calls that are no room's and never will be: which room a call is the sound of is said when it begins. The oldest
        first."""
        self._compared = clock.monotonic()

    async def run(self) -> None:
        await run_forever("rooms", self._follow)

    async def _follow(self) -> None:
        with self._bus.subscribe(_FACTS, self.concerns) as facts:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(facts), name="rooms-listen")
                while True:
                    await self._bell.wait(self._config.compare_every_s)
                    await self.step()
                    await asyncio.sleep(_TOGETHER_S)

    def concerns(self, fact: Fact) -> bool:
        """Whether a room may have to follow; asked at each fact, so that the legs of ordinary calls wake nobody."""
        if isinstance(fact, LegMoved | CallEnded):
            return fact.call_id not in self._ordinary
        return isinstance(fact, LegTransferred | StageMoved)

    async def _listen(self, facts: Subscription[Fact]) -> None:
        async for fact in facts:
            if isinstance(fact, LegMoved | CallEnded):
                self._calls.add(fact.call_id)
            elif isinstance(fact, LegTransferred):
                self._calls |= {fact.from_call, fact.to_call}
            self._bell.ring()

    # --- one call, and all rooms -------------------------------------------------------------------------

    async def step(self) -> None:
        """Follow the calls that moved; and all rooms when none did, or it is time to: a busy hub's calls never rest."""
        calls, self._calls = self._calls, set()
        if calls:
            await self.follow_calls(calls)
        now = self._clock.monotonic()
        if not calls or now - self._compared >= self._config.compare_every_s:
            self._compared = now
            await self.compare()

    async def follow_calls(self, call_ids: Collection[str]) -> None:
        """Legs of the calls moved: have the rooms they belong to, if any, say who is there."""
        async with self._store.read() as uow:
            rooms = await uow.calls.rooms_of(call_ids)
        for room_id in set(rooms.values()):
            await self._one(room_id)
        self._remember(call_id for call_id in call_ids if call_id not in rooms)

    def _remember(self, ordinary: Iterable[str]) -> None:
        self._ordinary.update(dict.fromkeys(ordinary))
        while len(self._ordinary) > _MOST_ORDINARY:
            del self._ordinary[next(iter(self._ordinary))]

    async def compare(self) -> None:
        """Everything of all open rooms of this hub."""
        async with self._store.read() as uow:
            rooms = await uow.rooms.open_here()
        for room in rooms:
            await self._one(room.id)

    async def _one(self, room_id: str) -> None:
        orders, speaking = Orders(), dict[str, str]()
        try:
            async with self._store.begin() as uow:
                room = await uow.rooms.get(room_id)
                if room.is_open:
                    await presence.settle(uow, room, self._clock.now(), orders)
                    await self._propose_end(uow, room)
                    await self._stop_idle(uow, room, orders)
                    speaking = talkers(await uow.rooms.participants_of(room.id))
        except DomainError as error:
            log.warning("room_not_followed", room_id=room_id, code=error.code, reason=str(error))
            return
        await self._orderly.carry_out(orders)
        await self._voices.attend(room_id, speaking)

    async def _propose_end(self, uow: UnitOfWork, room: Room) -> None:
        """Its incident is over: say so once. Ended it is by people, who may not be done talking."""
        if room.incident_id is None:
            return
        incident = await uow.incidents.get(room.incident_id)
        proposed = room.end_proposed_at is not None
        if incident.is_open and proposed:
            await uow.rooms.update(replace(room, end_proposed_at=None))
        elif not incident.is_open and not proposed:
            now = self._clock.now()
            await uow.rooms.update(replace(room, end_proposed_at=now))
            uow.record(
                RoomEndProposed(
                    at=now, incident_id=room.incident_id, room_id=room.id, name=room.name
                )
            )

    async def _stop_idle(self, uow: UnitOfWork, room: Room, orders: Orders) -> None:
        """A camera that nobody watches stops sending; whoever watches next starts it again."""
        now = self._clock.now()
        cameras = [
            source
            for source in await uow.rooms.sources_of(room.id)
            if source.device is not None and source.state in _SENDING
        ]
        if not cameras:
            return
        sessions = await uow.rooms.sessions_of(room.id)
        if await _is_meeting_now(uow, room):
            return
        sent_on = {one.source_id for one in await uow.cascades.uplinks_of(room.id)}
        for source in cameras:
            since = source.wanted_at or source.created_at
            if (
                source.id in sent_on
                or _is_watched(room, source, sessions)
                or now - since < self._config.idle_for
            ):
                continue
            await moves.shift(uow, room, source, SourceState.IDLE, now, "system", "unwatched")
            for session in sessions:
                if session.right is SessionRight.PUBLISH and session.source_id == source.id:
                    await moves.close_session(uow, room, session, "unwatched", now)
                    orders.release.append(session.id)
                    if session.leg_id is not None:
                        orders.hang_up.append(session.leg_id)
            orders.stop.append(source)
            CAMERAS_STOPPED.inc()


def _is_watched(room: Room, source: Source, sessions: Sequence[Session]) -> bool:
    if room.recording or room.spotlight == source.id:
        return True
    return any(one.right is SessionRight.VIEW and one.source_id == source.id for one in sessions)


async def _is_meeting_now(uow: UnitOfWork, room: Room) -> bool:
    """Whether somebody is there to whom a camera speaks, though perhaps nobody looks."""
    if room.mode is not RoomMode.MEETING:
        return False
    return any(
        one.state is ParticipantState.JOINED and one.kind is not ParticipantKind.CAMERA
        for one in await uow.rooms.participants_of(room.id)
    )
