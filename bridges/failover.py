"""What happens to a lost worker's calls.

The process that takes a killed worker's place has its calls again before anybody here knows (`journal_file`). When
it is reached, what it has is compared with what it was told: missing legs are ordered again, legs that ended
meanwhile are let go. A worker that stays away loses its calls to another one, with new ports, of which the far ends
are told where they can be; and what nobody could take is given up.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from bridges import metrics, protocol
from bridges.client import Ask
from bridges.errors import WorkerLostError
from bridges.journal import Journal, KeptArgs
from bridges.links import Links, is_guests_end, let_go, order
from bridges.members import Member, is_link, silent_meter
from bridges.places import Places
from bridges.protocol import Args
from commhub.domain.errors import DomainError, InvalidError, UnavailableError
from commhub.kit.clock import Clock
from commhub.kit.supervise import Doorbell
from commhub.ports.inward import MediaIn
from commhub.ports.media import EngineStatus, LegMeter, MediaOrder, RtpAddress

log = structlog.get_logger(__name__)

MAX_TAKES = 4
TAKES_WITHIN_S = 60.0
"""A call that had to be set up again so often in so short a time is what kills its workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds without a worker after which its calls are carried to another, and after which they are lost."""

    dead_after_s: float
    lost_after_s: float


class Failover:
    """`tell` runs for as long as the pool does: it hands on what the core has to know, in order."""

    def __init__(
        self, places: Places, links: Links, inward: MediaIn, patience: Patience, clock: Clock
    ) -> None:
        self._places = places
        self._links = links
        self._inward = inward
        self._patience = patience
        self._clock = clock
        self._takes: dict[str, list[float]] = {}
        self._readdressed: dict[str, RtpAddress] = {}
        self._relink: set[str] = set()
        self._status_due = False
        self._bell = Doorbell()

    # A worker is reached ---------------------------------------------------------------------------------------

    async def welcome(self, member: Member, status: EngineStatus, ask: Ask) -> None:
        """Bring a worker that was just reached to what it should have. Raises WorkerLostError."""
        theirs = _read_journal(await ask(protocol.JournalArgs()))
        has = {meter.leg_id: meter for meter in status.legs}
        if not member.met:
            await self._adopt(member, theirs, has)
        await self._restore(member, has, ask)
        member.meters = has
        await _let_go_of_strangers(member, has, ask)
        member.met, member.gone_since = True, None
        log.info("media_worker_met", worker=member.name, legs=len(member.journal.legs))
        self._places.news.ring()
        self._tell_soon()

    async def _adopt(self, member: Member, theirs: Journal, has: Mapping[str, LegMeter]) -> None:
        """Take over what a worker has from the control before this one, as far as it is still wanted."""
        for meter in has.values():
            if meter.leg_id not in theirs.legs:
                theirs.keep(MediaOrder(call_id=meter.call_id, leg_id=meter.leg_id))
        for args in theirs.orders(None):
            if isinstance(args, protocol.EnrollArgs):
                member.journal.keep(args)
        live = await self._places.placements.live_legs(theirs.legs)
        for call_id in theirs.calls:
            wanted = {leg for leg in theirs.legs_of(call_id) if leg in live or is_link(leg)}
            is_guest = any(map(is_guests_end, wanted))
            if not wanted or (not is_guest and await self._is_elsewhere(call_id, member)):
                continue
            for args in theirs.orders(call_id):
                leg_id = _leg_of(args)
                if leg_id is None or leg_id in wanted:
                    member.journal.keep(args)
            if not is_guest:
                self._places.homes[call_id] = member

    async def _is_elsewhere(self, call_id: str, member: Member) -> bool:
        """Whether the call was carried to another worker."""
        placement = await self._places.placements.find(call_id)
        others = {one.name for one in self._places.members} - {member.name}
        return placement is not None and placement.worker in others

    async def _restore(self, member: Member, has: dict[str, LegMeter], ask: Ask) -> None:
        """Order again what the worker should have and has not."""
        missing = {leg: call for leg, call in member.journal.legs.items() if leg not in has}
        for call_id in set(missing.values()):
            if self._too_often(call_id):
                log.error("call_given_up", call=call_id, worker=member.name)
                for leg_id in member.journal.legs_of(call_id):
                    member.journal.keep(protocol.ReleaseArgs(leg_id))
                continue
            for leg_id in [leg for leg, call in missing.items() if call == call_id]:
                if await self._restore_leg(member, leg_id, ask):
                    has[leg_id] = silent_meter(leg_id, call_id)
            for args in member.journal.settings_of(call_id):
                await _attempt(args, ask)

    async def _restore_leg(self, member: Member, leg_id: str, ask: Ask) -> bool:
        for args in list(member.journal.orders_of_leg(leg_id)):
            carried_out, result = await _attempt(args, ask)
            if not carried_out:
                member.journal.keep(protocol.ReleaseArgs(leg_id))
                await _attempt(protocol.ReleaseArgs(leg_id), ask)
                metrics.TAKEN_UP.labels("lost").inc()
                return False
            member.journal.keep(args, result)
            if isinstance(args, MediaOrder):
                self._note_address(args, result)
        metrics.TAKEN_UP.labels("ordered_again").inc()
        return True

    def _note_address(self, wanted: MediaOrder, result: object) -> None:
        address: RtpAddress = protocol.read_as(RtpAddress, result)
        if wanted.port in {0, address.port}:
            return
        if is_link(wanted.leg_id):
            self._relink.add(wanted.call_id)
        else:
            self._readdressed[wanted.leg_id] = address

    # A worker stays away ---------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """Carry away the calls of workers that are gone too long, and give up what nobody could take."""
        now = self._clock.monotonic()
        for member in self._places.members:
            gone_s = member.gone_for(now)
            if gone_s >= self._patience.dead_after_s:
                for call_id in member.journal.calls:
                    await self._carry_away(member, call_id)
            if gone_s >= self._patience.lost_after_s and member.journal.calls:
                self._give_up(member)

    async def _carry_away(self, member: Member, call_id: str) -> None:
        home = self._places.homes.get(call_id)
        if home is not None and home is not member:
            if home.is_up:
                await self._carry(call_id, member, home)
            return
        try:
            target = self._places.choose(with_radio=False)
        except UnavailableError:
            return
        if self._too_often(call_id):
            log.error("call_given_up", call=call_id, worker=member.name)
            member.journal.forget_call(call_id)
            self._tell_soon()
            return
        await self._carry(call_id, member, target)

    async def _carry(self, call_id: str, gone: Member, target: Member) -> None:
        """Set up on `target` what the call had at `gone`; what cannot be had there is lost."""
        log.warning("call_carried_over", call=call_id, gone=gone.name, to=target.name)
        guests = [guest for guest in self._places.guests_of(call_id) if guest is not gone]
        try:
            for leg_id in gone.journal.legs_of(call_id):
                if not is_link(leg_id):
                    await self._carry_leg(gone, target, leg_id)
            for args in gone.journal.settings_of(call_id):
                await _attempt(args, lambda one: order(target, one))
        except WorkerLostError:
            # The next look finds another target; what was carried already is found again there.
            return
        gone.journal.forget_call(call_id)
        if self._places.homes.get(call_id) is not target:
            self._places.homes[call_id] = target
            await self._places.placements.record(call_id, target.name)
        if guests or target.journal.legs_of(call_id):
            self._relink.add(call_id)
        self._places.news.ring()
        self._tell_soon()

    async def _carry_leg(self, gone: Member, target: Member, leg_id: str) -> None:
        for args in list(gone.journal.orders_of_leg(leg_id)):
            if isinstance(args, protocol.JoinGroupArgs) and not target.has_radio:
                metrics.TAKEN_UP.labels("lost").inc()
                return
            again = replace(args, port=0) if isinstance(args, MediaOrder) else args
            carried_out, result = await _attempt(again, lambda one: order(target, one))
            if not carried_out:
                await let_go(target, leg_id)
                metrics.TAKEN_UP.labels("lost").inc()
                return
            if isinstance(args, MediaOrder):
                self._readdressed[leg_id] = protocol.read_as(RtpAddress, result)
        metrics.TAKEN_UP.labels("carried_over").inc()

    def _give_up(self, member: Member) -> None:
        log.error("calls_lost", worker=member.name, calls=len(member.journal.calls))
        for call_id in member.journal.calls:
            member.journal.forget_call(call_id)
            self._places.forget_if_over(call_id)
        self._tell_soon()

    def _too_often(self, call_id: str) -> bool:
        now = self._clock.monotonic()
        takes = [at for at in self._takes.get(call_id, []) if now - at < TAKES_WITHIN_S]
        self._takes = {
            call: ats for call, ats in self._takes.items() if now - ats[-1] < TAKES_WITHIN_S
        }
        self._takes[call_id] = [*takes, now]
        return len(takes) >= MAX_TAKES

    # The core is told ------------------------------------------------------------------------------------------

    def _tell_soon(self) -> None:
        self._status_due = True
        self._bell.ring()

    async def tell(self, known: Callable[[], EngineStatus], every_s: float) -> None:
        """Until cancelled: link calls again whose parts moved, and tell the core which legs have a new address and
        which there are. Before every worker was reached or given up, nobody can say which there are."""
        while True:
            await self._bell.wait(every_s)
            if not self._status_due or not self._is_complete():
                continue
            self._status_due = False
            await self._link_again()
            await self._links.sweep()
            told, self._readdressed = self._readdressed, {}
            for leg_id, address in told.items():
                if self._places.of_leg(leg_id) is not None:
                    await _deliver("leg_readdressed", self._inward.leg_readdressed(leg_id, address))
            if not await _deliver("engine_status", self._inward.engine_status(known())):
                self._status_due = True

    def _is_complete(self) -> bool:
        now, limit = self._clock.monotonic(), self._patience.dead_after_s
        return all(one.met or one.gone_for(now) >= limit for one in self._places.members)

    async def _link_again(self) -> None:
        calls, self._relink = self._relink, set()
        for call_id in calls:
            home = self._places.homes.get(call_id)
            if home is None:
                continue
            for leg_id in home.journal.legs_of(call_id):
                if is_guests_end(leg_id):
                    await let_go(home, leg_id)
            for guest in self._places.guests_of(call_id):
                try:
                    async with self._links.lock:
                        await self._links.make(call_id, home, guest)
                except DomainError as error:
                    log.warning("link_not_made", call=call_id, reason=str(error))
                    self._relink.add(call_id)
                    self._status_due = True


async def _let_go_of_strangers(member: Member, has: dict[str, LegMeter], ask: Ask) -> None:
    """What ended while the worker was away; again, for what ends meanwhile."""
    while stale := [leg_id for leg_id in has if leg_id not in member.journal.legs]:
        for leg_id in stale:
            await ask(protocol.ReleaseArgs(leg_id))
            del has[leg_id]


async def _attempt(args: Args, ask: Ask) -> tuple[bool, object]:
    """Whether the order was carried out, and its result. Raises WorkerLostError."""
    if isinstance(args, protocol.AnswerArgs):
        return False, None
    try:
        return True, await ask(args)
    except WorkerLostError:
        raise
    except DomainError as error:
        log.warning("order_not_restored", what=type(args).__name__, reason=str(error))
        return False, None


async def _deliver(what: str, work: Awaitable[None]) -> bool:
    try:
        await work
    except Exception:  # the supervisor of what the core is told: the next look tells it again
        log.exception("media_event_failed", what=what)
        return False
    return True


def _read_journal(messages: object) -> Journal:
    """What a worker says it was told; one that keeps no journal says nothing."""
    journal = Journal()
    for message in messages if isinstance(messages, list) else ():
        try:
            journal.keep(protocol.read_args(message))
        except InvalidError as error:
            log.warning("journal_line_passed_over", reason=str(error))
    return journal


def _leg_of(args: KeptArgs) -> str | None:
    if isinstance(args, protocol.AnswerArgs):
        return args.order.leg_id
    leg_id = getattr(args, "leg_id", None)
    return leg_id if isinstance(leg_id, str) else None
