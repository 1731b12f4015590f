"""Keep the one model true: gather facts, render what they touched, and wake the desks.

State is rendered at most every 200 ms, all that is dirty in one read transaction; events go at once. The bus may
lose a message and knows nothing of other processes, so the whole state is compared with the store now and
then, and a bus that did lose something ends the epoch: every desk then gets the whole state again.

While no desk looks, nothing is rendered: only what no row holds is noted, and the first desk begins a new epoch.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

import structlog

from commhub.domain.account import Principal
from commhub.domain.call_facts import FloorMoved
from commhub.domain.facts import Fact, ServiceMoved
from commhub.kit.bus import Bus, Subscription
from commhub.kit.clock import Clock
from commhub.kit.supervise import Doorbell, run_forever
from commhub.live.eyes import Eyes, Lens, RoomRows
from commhub.live.gathering import Gathered, floor_json
from commhub.live.model import Collection, Frame, Model
from commhub.live.rendering import Objects, Renderer, entry_json, service_json
from commhub.ports.store import Store

log = structlog.get_logger(__name__)

Services = Callable[[], Awaitable[Mapping[str, str]]]
"""The parts of the hub and their states, as for /readyz."""

Neighbours = Callable[[], Awaitable[Mapping[str, str]]]
"""Each neighbouring hub and how the link to it is, as JSON text by name."""

Unit = Callable[[Principal], Awaitable[str | None]]
"""The department of somebody, by which they see rooms."""

FACTS = 65536
TIMELINES = 4096
ENTRIES = 500


class LostFactsError(Exception):
    """The bus dropped facts before they were gathered, so events are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Seconds. `state_every_s` and `events_every_s` are the shortest time between two frames of the kind;
    `patience_s` is how long a desk may stay behind; nothing is rendered any more when no desk has looked for
    `idle_after_s`; `ask_again_s` is how often its credentials are checked."""

    state_every_s: float = 0.2
    events_every_s: float = 0.02
    compare_every_s: float = 15.0
    patience_s: float = 5.0
    idle_after_s: float = 30.0
    neighbours_every_s: float = 2.0
    hello_within_s: float = 10.0
    ask_again_s: float = 30.0
    log_size: int = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class HubIdentity:
    """Which hub a desk looks at, for its top bar; its neighbours and timelines know it by `id`. `mode` is 平时 normal, 战时 war or a
    special one."""

    name: str
    tier: str
    mode: str = "normal"
    id: str = ""


class LiveService:
    """`services` tells the states of the hub's parts at the start of an epoch; `ServiceMoved` facts follow. `neighbours` is asked when a
    link moved, and now and then for what waits. Without `unit_of` nobody has a department."""

    def __init__(
        self,
        store: Store,
        bus: Bus[Fact],
        clock: Clock,
        *,
        services: Services | None = None,
        neighbours: Neighbours | None = None,
        unit_of: Unit | None = None,
        hub: HubIdentity | None = None,
        config: LiveConfig | None = None,
    ) -> None:
        self.config = config or LiveConfig()
        self._store = store
        self._bus = bus
        self._clock = clock
        self._services = services
        self._neighbours = neighbours
        self._unit_of = unit_of
        self._rooms: dict[str, RoomRows] = {}
        self._model = Model(
            size=self.config.log_size,
            hub=json.dumps(asdict(hub), ensure_ascii=False) if hub else None,
        )
        self._gathered = Gathered()
        self._state_bell = Doorbell()
        self._event_bell = Doorbell()
        self._rendering = asyncio.Lock()
        self._news = asyncio.Event()
        self._is_loaded = asyncio.Event()
        self._told: OrderedDict[str, int] = OrderedDict()
        self._wanted = asyncio.Event()
        self._asked = 0
        self._listening = 0

    async def run(self) -> None:
        """Follow the hub until cancelled. A failure is logged, and a new epoch begins."""
        await run_forever("live", self._follow)

    # --- what a desk asks ----------------------------------------------------------------------------

    async def eyes_of(self, principal: Principal) -> Eyes:
        """With which rights somebody looks now."""
        unit_id = None if self._unit_of is None else await self._unit_of(principal)
        return Eyes(principal, unit_id)

    async def first(self, epoch: str | None, seq: int, eyes: Eyes | None = None) -> Frame:
        """What a desk that had `seq` of `epoch` needs: the changes since, or the whole state. Without `eyes` nothing is hidden."""
        self._asked += 1
        self._wanted.set()
        await self._is_loaded.wait()
        lens = self._lens(eyes)
        return self._model.since(epoch, seq, lens) or self._model.snapshot(lens)

    def snapshot(self, eyes: Eyes | None = None) -> Frame:
        """The whole state now."""
        return self._model.snapshot(self._lens(eyes))

    async def after(self, frame: Frame, eyes: Eyes | None = None) -> Frame | None:
        """Wait for changes after `frame`. None: they are gone from the log, the desk is too far behind."""
        self._asked += 1
        self._listening += 1
        try:
            while True:
                news = self._news
                if frame.epoch != self._model.epoch:
                    return self.snapshot(eyes)
                if frame.to < self._model.seq:
                    return self._model.since(frame.epoch, frame.to, self._lens(eyes))
                await news.wait()
        finally:
            self._listening -= 1

    def _lens(self, eyes: Eyes | None) -> Lens | None:
        return None if eyes is None or eyes.see_all else Lens(eyes, self._rooms)

    # --- following the hub ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        with self._bus.subscribe(FACTS, self._concerns) as facts:
            while True:
                await self._doze(facts)
                await self._serve(facts)

    def _concerns(self, fact: Fact) -> bool:
        """Asked at each fact: while no desk looks, only what no row holds wakes anybody."""
        return self._wanted.is_set() or isinstance(fact, FloorMoved | ServiceMoved)

    async def _doze(self, facts: Subscription[Fact]) -> None:
        """Wait for a desk. What no row holds is noted meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(self._hear(facts), name="live-doze")
            await self._wanted.wait()
            hearing.cancel()

    async def _hear(self, facts: Subscription[Fact]) -> None:
        async for fact in facts:
            if isinstance(fact, FloorMoved):
                self._model.put(Collection.FLOORS, fact.group, floor_json(fact))
            elif isinstance(fact, ServiceMoved):
                self._put_service(fact)

    async def _serve(self, facts: Subscription[Fact]) -> None:
        """Begin an epoch and go on until no desk looks any more."""
        self._gathered = Gathered()
        self._told.clear()
        lost = facts.dropped
        await self._begin()
        async with asyncio.TaskGroup() as tasks:
            jobs = [
                tasks.create_task(self._gather(facts), name="live-gather"),
                tasks.create_task(self._tell_events(facts, lost), name="live-events"),
                tasks.create_task(self._render_state(), name="live-state"),
                tasks.create_task(self._compare(), name="live-compare"),
                tasks.create_task(self._follow_neighbours(), name="live-neighbours"),
            ]
            await self._until_alone()
            for job in jobs:
                job.cancel()

    async def _until_alone(self) -> None:
        while True:
            asked = self._asked
            await asyncio.sleep(self.config.idle_after_s)
            if asked == self._asked and not self._listening:
                self._wanted.clear()
                self._is_loaded.clear()
                return

    async def _begin(self) -> None:
        state = await self._render_everything()
        if self._services is not None:
            parts = await self._services()
            state = {
                **state,
                Collection.SERVICES: {
                    name: service_json(name, status, None) for name, status in parts.items()
                },
            }
        if self._neighbours is not None:
            state = {**state, Collection.PEERINGS: await self._neighbours()}
        self._model.begin(state)
        self._is_loaded.set()
        self._wake()

    async def _gather(self, facts: Subscription[Fact]) -> None:
        async for fact in facts:
            self._gathered.take(fact)
            if self._gathered.has_events:
                self._event_bell.ring()
            if self._gathered.has_state:
                self._state_bell.ring()

    async def _tell_events(self, facts: Subscription[Fact], lost: int) -> None:
        while True:
            await self._event_bell.wait(self.config.compare_every_s)
            if facts.dropped > lost:
                raise LostFactsError(f"{facts.dropped - lost} facts were lost")
            news = self._gathered.take_news()
            for name, value, about in news:
                self._model.event(name, value, about)
            timelines, floor = self._gathered.take_events()
            for group, value in floor:
                self._model.event("floor", value)
                self._model.put(Collection.FLOORS, group, value)
            if timelines:
                await self._tell_timelines(timelines)
            if timelines or floor or news:
                self._wake()
                await asyncio.sleep(self.config.events_every_s)

    async def _tell_timelines(self, timelines: Mapping[str, datetime]) -> None:
        async with self._store.read() as uow:
            for incident_id, earliest in timelines.items():
                told = self._told.pop(incident_id, None)
                seq = told or 0
                while True:
                    entries = await uow.timeline.of_incident(incident_id, seq, ENTRIES)
                    for entry in entries:
                        seq = entry.seq
                        # Of an incident not seen before only what is new is an event; the rest is history.
                        if told is not None or entry.at >= earliest:
                            self._model.event("timeline", entry_json(entry))
                    if len(entries) < ENTRIES:
                        break
                self._told[incident_id] = seq
        while len(self._told) > TIMELINES:
            self._told.popitem(last=False)

    async def _render_state(self) -> None:
        while True:
            await self._state_bell.wait(self.config.compare_every_s)
            async with self._rendering:
                dirty, services = self._gathered.take_state()
                if dirty:
                    await self._render(dirty)
                links = self._gathered.take_links()
                if links:
                    await self._look_at_neighbours()
            for service in services.values():
                self._put_service(service)
            if dirty or services or links:
                self._wake()
                await asyncio.sleep(self.config.state_every_s)

    async def _render(self, dirty: Mapping[Collection, set[str]]) -> None:
        found: dict[Collection, Objects] = {}
        async with self._store.read() as uow:
            renderer = Renderer(uow, self._clock.now())
            for collection, ids in dirty.items():
                found[collection] = await renderer.some(collection, ids)
        self._rooms.update(renderer.rooms)
        for collection, objects in found.items():
            for key, value in objects.items():
                if value is None:
                    self._model.delete(collection, key)
                    if collection is Collection.ROOMS:
                        self._rooms.pop(key, None)
                else:
                    self._model.put(collection, key, value)

    async def _follow_neighbours(self) -> None:
        """How much waits for them, how late they answer: nothing tells of it."""
        while True:
            await asyncio.sleep(self.config.neighbours_every_s)
            before = self._model.seq
            async with self._rendering:
                await self._look_at_neighbours()
            if self._model.seq != before:
                self._wake()

    async def _look_at_neighbours(self) -> None:
        if self._neighbours is not None:
            self._model.replace(Collection.PEERINGS, await self._neighbours())

    async def _compare(self) -> None:
        while True:
            await asyncio.sleep(self.config.compare_every_s)
            async with self._rendering:
                for collection, objects in (await self._render_everything()).items():
                    self._model.replace(collection, objects)
            self._wake()

    async def _render_everything(self) -> Mapping[Collection, Mapping[str, str]]:
        async with self._store.read() as uow:
            renderer = Renderer(uow, self._clock.now())
            everything = await renderer.everything()
        self._rooms = renderer.rooms
        return everything

    def _put_service(self, fact: ServiceMoved) -> None:
        value = service_json(fact.service, fact.state, fact.detail)
        self._model.put(Collection.SERVICES, fact.service, value)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
