"""Who of what is shared is online, and where: told to neighbours as it changes, and whole when a link comes up.

A tell is lost with the link and said anew, so nothing of it is durable; what is heard stays on the shared line (online) or in memory
(positions) until the next one. Compared is with what was told last, because the bus may lose a fact. Once a minute all of it is told again:
a tell may overtake the list it is about, which is durable and comes by another way, and is then of things nobody there knows yet.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from commhub.domain.facts import DeviceSeen, Fact, PhoneSeen
from commhub.domain.geo import Point, Position
from commhub.domain.tier import Peering, ShareRight
from commhub.domain.tier_facts import SharedMoved
from commhub.kit.bus import Bus, Subscription
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from commhub.ports.store import Store
from commhub.ports.tiers import Body, TierLinks, TierWords
from commhub.tiers.directory import SharedDirectoryService

PRESENCE = "directory.presence"
COMPARE_EVERY_S = 15.0
REST_S = 1.0
AGAIN_S = 60.0
_FACTS = 4096
_MOST = 5000

State = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Told:
    """What one neighbour was told last, by subject, and when all of it was (monotonic seconds)."""

    states: Mapping[str, State]
    all_at: float


class Presence:
    """Tells neighbours of ours and hears of theirs, until cancelled. `rest_s` is the least time between two tells, `again_s`
    that between two of everything."""

    def __init__(
        self,
        directory: SharedDirectoryService,
        store: Store,
        bus: Bus[Fact],
        clock: Clock,
        links: TierLinks,
        words: TierWords,
        *,
        rest_s: float = REST_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self._directory = directory
        self._store = store
        self._bus = bus
        self._clock = clock
        self._links = links
        self._rest_s = rest_s
        self._again_s = again_s
        self._told: dict[str, _Told] = {}
        self._positions: dict[str, Position] = {}
        words.on_tell(PRESENCE, self._hear)
        words.on_link(self._link_moved)

    def position_of(self, address: str) -> Position | None:
        """Where a neighbour's thing was last said to be, by its address (`radio:r12@street-a`)."""
        return self._positions.get(address)

    async def run(self) -> None:
        await run_forever("tier-presence", self._follow)

    async def _follow(self) -> None:
        with self._bus.subscribe(_FACTS, _matters) as facts:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(facts), name="presence-listen")
                tasks.create_task(self._tell_for_ever(), name="presence-tell")

    async def _listen(self, facts: Subscription[Fact]) -> None:
        async for _ in facts:
            self._directory.changed.ring()

    async def _tell_for_ever(self) -> None:
        while True:
            await self._directory.changed.wait(COMPARE_EVERY_S)
            await self._tell_all()
            # A hundred radios that move at once are one tell, not a hundred.
            await asyncio.sleep(self._rest_s)

    async def _tell_all(self) -> None:
        async with self._store.read() as uow:
            for peering in await uow.peerings.list():
                if not peering.is_active or not self._links.state_of(peering.peer).up:
                    self._told.pop(peering.peer, None)
                    continue
                states = {
                    export.subject: _state(
                        holding.online,
                        holding.position if ShareRight.SEE in export.rights else None,
                    )
                    for export, holding in await self._directory.told_to(uow, peering)
                }
                self._tell(peering.peer, states)

    def _tell(self, peer: str, states: Mapping[str, State]) -> None:
        before, now = self._told.get(peer), self._clock.monotonic()
        if before is None or now - before.all_at >= self._again_s:
            news, all_at = states, now
        else:
            known, all_at = before.states, before.all_at
            news = {name: state for name, state in states.items() if known.get(name) != state}
        if news and self._links.tell(peer, PRESENCE, {"subjects": news}):
            self._told[peer] = _Told(states, all_at)

    async def _link_moved(self, peering: Peering, up: bool) -> None:
        """Whoever was away heard nothing meanwhile."""
        self._told.pop(peering.peer, None)
        if up:
            self._directory.changed.ring()

    async def _hear(self, peering: Peering, body: Body) -> None:
        told = body["subjects"]
        if not isinstance(told, Mapping) or len(told) > _MOST:
            raise ValueError("no list of subjects")
        moved, now = [], self._clock.now()
        async with self._store.begin() as uow:
            for subject, state in told.items():
                shared = await uow.shared_directory.find_shared(peering.peer, str(subject))
                if shared is None or not isinstance(state, Mapping):
                    continue
                online, position = state.get("online") is True, _position(state)
                if online != shared.online:
                    await uow.shared_directory.put_shared(
                        replace(shared, online=online, updated_at=now)
                    )
                elif position == self._positions.get(shared.address):
                    continue
                moved.append(shared.address)
                if position is not None:
                    self._positions[shared.address] = position
            if moved:
                uow.record(SharedMoved(at=now, peer=peering.peer, subjects=tuple(sorted(moved))))


def _state(online: bool, position: Position | None) -> State:
    if position is None:
        return {"online": online}
    point = position.point
    return {
        "online": online,
        "lat": point.lat,
        "lon": point.lon,
        "at": position.at.isoformat(),
    }


def _position(state: State) -> Position | None:
    """Raises ValueError for a place that is none."""
    lat, lon, at = state.get("lat"), state.get("lon"), state.get("at")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return None
    moment = datetime.fromisoformat(str(at))
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return Position(Point(float(lat), float(lon)), moment)


def _matters(fact: Fact) -> bool:
    return isinstance(fact, DeviceSeen | PhoneSeen)
