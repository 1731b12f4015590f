"""Any number of media workers as one media engine: a call lives on one of them, and its orders follow it.

Only one worker has the voice connection to the radios, so a group's floor is arbitrated there. A call that names a
group when it begins lives there too, if there is room; any other that a group joins, or that a leg is moved to from
another worker, has a *guest* part there: the same call id, with a link of two RTP legs to its home. Nothing outside
knows of links, and an order about a leg goes to wherever the leg is.

What happens when a worker is lost is `failover`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self

from bridges import protocol
from bridges.client import Ask, ClientConfig, MediaClient, Welcome
from bridges.errors import WorkerLostError
from bridges.failover import Failover, Patience
from bridges.journal import KEPT
from bridges.links import Links, let_go, order
from bridges.members import Link, Member, MemberView, is_link, silent_meter
from bridges.orders import MediaOrders
from bridges.places import Places
from bridges.protocol import Args
from commhub.domain.errors import InvalidError
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from commhub.ports.inward import MediaIn
from commhub.ports.media import EngineStatus, MediaOrder, Placements, Playback, WebRtcOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAddress:
    """`has_radio`: this worker has the voice connection to the radios; one of a pool has."""

    name: str
    client: ClientConfig
    has_radio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """Seconds. An order whose worker is lost waits `patience_s` for it or for its successor. After `dead_after_s`
    without a worker its calls are carried to another, after `lost_after_s` they are given up."""

    patience_s: float = 8.0
    dead_after_s: float = 8.0
    lost_after_s: float = 30.0
    beat_s: float = 1.0
    status_every_beats: int = 5


class MediaPool(MediaOrders):
    """Implements `commhub.ports.media.MediaEngine` over several workers, and feeds `inward` with their events.

    Orders that may be given twice wait for a lost worker or its successor; any other raises WorkerLostError.
    """

    def __init__(
        self,
        workers: Sequence[WorkerAddress],
        inward: MediaIn,
        placements: Placements,
        clock: Clock,
        config: PoolConfig | None = None,
        *,
        open_link: Callable[[WorkerAddress, Welcome], Link] | None = None,
    ) -> None:
        if not workers or len({worker.name for worker in workers}) != len(workers):
            raise InvalidError("a pool has one media worker or more, each with a name of its own")
        self._config = config or PoolConfig()
        self._inward = inward
        self._clock = clock
        self._open_link = open_link or self._client
        self.members = tuple(self._member(worker) for worker in workers)
        self._places = Places(self.members, placements)
        self._links = Links(self._places)
        patience = Patience(
            dead_after_s=self._config.dead_after_s, lost_after_s=self._config.lost_after_s
        )
        self._failover = Failover(self._places, self._links, inward, patience, clock)
        self._stack = AsyncExitStack()
        self._beats = 0

    @property
    def inward(self) -> MediaIn:
        """Where the workers' events go; keys that an edge hears in its signalling go there, too."""
        return self._inward

    def _member(self, worker: WorkerAddress) -> Member:
        async def welcome(status: EngineStatus, ask: Ask) -> None:
            await self._failover.welcome(member, status, ask)

        link = self._open_link(worker, welcome)
        now = self._clock.monotonic()
        member = Member(worker.name, link, has_radio=worker.has_radio, now=now)
        return member

    def _client(self, worker: WorkerAddress, welcome: Welcome) -> Link:
        return MediaClient(worker.client, self._inward, self._clock, welcome=welcome)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for member in self.members:
                await stack.enter_async_context(member.link)
            for name, work in (("media-pool", self._watch), ("media-pool-news", self._tell)):
                task = asyncio.create_task(run_forever(name, work), name=name)
                stack.push_async_callback(_cancelled, task)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def is_connected(self) -> bool:
        """Whether any worker is there."""
        return any(member.link.is_connected for member in self.members)

    # Orders --------------------------------------------------------------------------------------------------

    async def ask(self, args: Args) -> object:
        match args:
            case protocol.StatusArgs():
                await self._measure_all()
                return asdict(self.known())
            case protocol.LoadArgs() | protocol.JournalArgs():
                raise InvalidError("this is asked of one worker, not of all")
            case protocol.ReleaseArgs(leg_id):
                await self._release(leg_id)
                return None
            case protocol.StopPlayingArgs():
                await self._everywhere(args)
                return None
        deadline = self._clock.monotonic() + self._config.patience_s
        while True:
            try:
                return await self._carry(args)
            except WorkerLostError:
                left_s = deadline - self._clock.monotonic()
                if left_s <= 0 or type(args) not in KEPT:
                    raise
                await self._places.news.wait(min(left_s, self._config.beat_s))

    async def _carry(self, args: Args) -> object:
        """One attempt, at wherever the order belongs now."""
        match args:
            case protocol.JoinGroupArgs():
                return await self._at_part(args, args.call_id, self._places.radio)
            case protocol.MoveArgs(leg_id, call_id):
                return await self._move(args, self._places.with_leg(leg_id), call_id)
            case protocol.RecordArgs(call_id, on=False) if call_id not in self._places.homes:
                return None
            case _:
                return await order(await self._place_of(args), args)

    async def _place_of(self, args: Args) -> Member:
        match args:
            case protocol.KeyGroupArgs() | protocol.CommandFloorArgs() | protocol.EnrollArgs():
                return self._places.radio
            case Playback(leg_ids=legs) if legs:
                return self._places.with_leg(legs[0])
            case MediaOrder(call_id=call_id, urgent=urgent):
                return await self._places.home_of(call_id, urgent=urgent)
            case Playback(call_id=call_id):
                return await self._places.home_of(call_id)
            case protocol.RecordArgs(call_id) | protocol.AnswerArgs(WebRtcOrder(call_id=call_id)):
                return await self._places.home_of(call_id)
            case _:
                return self._places.with_leg(getattr(args, "leg_id", ""))

    async def _at_part(self, args: Args, call_id: str, member: Member) -> object:
        """Carry out an order at a worker that becomes part of the call by it, if it is not yet."""
        home = await self._places.home_of(call_id, prefer=member)
        if home is member:
            return await order(member, args)
        try:
            async with self._links.lock:
                await self._links.make(call_id, home, member)
                return await order(member, args)
        finally:
            await self._links.tidy(call_id)

    async def _move(self, args: protocol.MoveArgs, member: Member, call_id: str) -> object:
        """The leg stays on its worker, so its address does; its new call gets a part there."""
        former = member.journal.legs[args.leg_id]
        result = await self._at_part(args, call_id, member)
        await self._links.tidy(former)
        return result

    async def _release(self, leg_id: str) -> None:
        member = self._places.of_leg(leg_id)
        if member is None:
            await self._everywhere(protocol.ReleaseArgs(leg_id))
            return
        call_id = member.journal.legs[leg_id]
        await let_go(member, leg_id)
        await self._links.tidy(call_id)

    async def _everywhere(self, args: Args) -> None:
        """Have every worker that is there carry it out; to the others it means nothing when they come back."""
        for member in self.members:
            member.journal.keep(args)
            if member.link.is_connected:
                with suppress(WorkerLostError):
                    await member.link.ask(args)

    # How it goes ---------------------------------------------------------------------------------------------

    def views(self) -> Sequence[MemberView]:
        return [member.view() for member in self.members]

    def known(self) -> EngineStatus:
        """Every leg there is or that is being set up again, with its last meters."""
        legs = [
            replace(member.meters.get(leg_id) or silent_meter(leg_id), call_id=call_id)
            for member in self.members
            for leg_id, call_id in member.journal.legs.items()
            if not is_link(leg_id)
        ]
        return EngineStatus(worker="all", boot_id="", legs=legs)

    async def _measure_all(self) -> None:
        await asyncio.gather(*map(self._measure, self.members))

    async def _measure(self, member: Member) -> None:
        if not member.link.is_connected:
            return
        with suppress(WorkerLostError):
            answer = await member.link.ask(protocol.StatusArgs())
            status: EngineStatus = protocol.read_as(EngineStatus, answer)
            member.meters = {meter.leg_id: meter for meter in status.legs}

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._config.beat_s)

    async def _tell(self) -> None:
        await self._failover.tell(self.known, self._config.beat_s)

    async def look(self) -> None:
        """Ask every worker how it is, publish that, and see to the calls of those that do not answer."""
        self._beats += 1
        await asyncio.gather(*map(self._look_at, self.members))
        await self._failover.judge()
        if self._beats % self._config.status_every_beats == 0:
            await self._measure_all()
            for member in self.members:
                of_calls = (one for leg, one in member.meters.items() if not is_link(leg))
                member.published.calls(of_calls if member.is_up else ())

    async def _look_at(self, member: Member) -> None:
        answers = False
        if member.link.is_connected:
            with suppress(WorkerLostError):
                await self._feel(member)
                answers = True
        if not answers and member.gone_since is None:
            member.gone_since = self._clock.monotonic()
        member.published.is_up(member.is_up)

    async def _feel(self, member: Member) -> None:
        """Ask one worker how it is. Raises WorkerLostError."""
        answer = await member.link.ask(protocol.LoadArgs())
        load: protocol.WorkerLoad = protocol.read_as(protocol.WorkerLoad, answer)
        member.feel(load)
        member.published.update(load)
        if member.gone_since is None:
            return
        # It hung, and its calls may have been carried away meanwhile.
        answer = await member.link.ask(protocol.StatusArgs())
        status: EngineStatus = protocol.read_as(EngineStatus, answer)
        await self._failover.welcome(member, status, member.link.ask)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
