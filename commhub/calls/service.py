"""Use cases of bridged calls.

Every wish is committed first (`moves`) and ordered from the leg drivers afterwards (`orders`), and every progress
report is a transaction that reads the leg again: so a restart between any two steps leaves nothing undecided, and a
report that comes twice or too late changes nothing. `resume` orders again what a crash left half ordered.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from commhub.calls import duty_moves, moves, told
from commhub.calls.control import MAX_LEGS, ConferenceControl
from commhub.calls.neighbours import NeighbourCalls
from commhub.calls.orders import Orderly, Orders, own_desk
from commhub.calls.rooms import RoomSoundService
from commhub.calls.transfers import Transfers
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call, Cause, Direction, Entry, Leg, LegState
from commhub.domain.duty import NO_LINES, DutyLines
from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.recording import UNRECORDED, RecordingRule
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import Doorbell
from commhub.kit.values import replace
from commhub.ports.between import Agreements, FloorsElsewhere
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused
from commhub.ports.media import MediaEngine, RtpAddress
from commhub.ports.store import Also, Store, UnitOfWork
from commhub.ports.telephony import LegDriver

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """What the desk asks for. `record` starts a mixed recording with the first voice, `record_legs` one of each leg
    beside it. `calls_back` is the missed call to a duty line that this one answers late."""

    legs: Sequence[str]
    incident_id: str | None = None
    title: str | None = None
    record: bool = False
    record_legs: bool = False
    calls_back: str | None = None


@dataclass(frozen=True, slots=True)
class CallState:
    """A call with all its legs, oldest first."""

    call: Call
    legs: tuple[Leg, ...]


class CallService:
    """Places, changes and ends calls. Implements `ports.inward.CallsIn`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        ring_for_s: float = 45.0,
        recording: RecordingRule = UNRECORDED,
        lines: DutyLines = NO_LINES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ring_for_s = ring_for_s
        self._rule = recording
        self._lines = lines
        self.waiting = Doorbell()
        """Rings when somebody called a duty line."""
        self._orderly = Orderly(ring_for_s)
        self._resumed = asyncio.Event()
        self.control = ConferenceControl(store, clock, self._orderly)
        """The desk's hand in a call that goes on."""
        self.transfers = Transfers(store, clock, self._orderly, self.control, self)
        """The phones' hand in it."""
        self.rooms = RoomSoundService(store, clock, self._orderly, self.control, self)
        """Calls that are the sound of rooms."""
        self.neighbours = NeighbourCalls(store, clock, self._orderly, self)
        """Calls that cross to other hubs."""

    def connect(self, media: MediaEngine, drivers: Mapping[Scheme, LegDriver]) -> None:
        """Hand over the engine and the leg drivers, which themselves were handed this service."""
        self._orderly.connect(media, drivers)

    def connect_hubs(
        self, elsewhere: LegDriver, agreements: Agreements, floors: FloorsElsewhere
    ) -> None:
        """Hand over what carries legs to other hubs, and what was agreed with them."""
        self._orderly.connect_hubs(elsewhere)
        self.control.connect_hubs(floors)
        self.neighbours.connect(agreements)

    # --- the desk ----------------------------------------------------------------------------------------

    async def place(self, request: CallRequest, principal: Principal) -> CallState:
        """Commit a call and start ringing its legs; answers before anybody picked up.

        Raises InvalidError for an endpoint that cannot be called, NotFoundError for an unknown incident.
        """
        endpoints = self._endpoints(request.legs, principal)
        now = self._clock.now()
        call = Call(
            id=new_id(),
            created_at=now,
            created_by=principal.actor,
            incident_id=request.incident_id,
            title=request.title,
            recording=request.record,
            recording_legs=request.record_legs,
        )
        call = self.by_rule(call)
        legs = tuple(
            Leg(id=new_id(), call_id=call.id, endpoint=endpoint, created_at=now)
            for endpoint in endpoints
        )
        async with self._store.begin() as uow:
            if request.incident_id is not None:
                await uow.incidents.get(request.incident_id)
            if request.calls_back is not None:
                call = await duty_moves.call_back(uow, request.calls_back, call)
            await moves.open_call(uow, call, legs, principal.actor)
            shown = ", ".join(map(str, endpoints))
            await uow.audit.append(now, principal.actor, "call.place", call.id, "ok", shown)
        await self.neighbours.ring(call, legs)
        return CallState(call, legs)

    async def add_leg(
        self,
        call_id: str,
        endpoint: str,
        principal: Principal,
        *,
        entry: Entry = Entry.TALK,
        whispers_to: Sequence[str] = (),
        answering: bool = False,
    ) -> Leg:
        """Ring one more endpoint into a live call, to talk, to barge in, to listen, or to whisper to some (leg ids);
        `answering`: to answer whoever waits on a duty line.
        Raises ConflictError when it is in there already or somebody else answers, InvalidError for a whisper to
        nobody."""
        if (entry is Entry.WHISPER) != bool(whispers_to):
            raise InvalidError("a whisper, and only a whisper, says which legs are to hear it")
        (parsed,) = self._endpoints([endpoint], principal)
        now = self._clock.now()
        async with self._store.begin() as uow:
            call = await moves.live_call(uow, call_id)
            live = [leg for leg in await uow.calls.legs_of(call_id) if leg.is_live]
            if any(leg.endpoint == parsed for leg in live):
                raise ConflictError(f"{parsed} is in this call already")
            if len(live) >= MAX_LEGS:
                raise InvalidError(f"a call has at most {MAX_LEGS} legs")
            leg = Leg(
                id=new_id(),
                call_id=call_id,
                endpoint=parsed,
                created_at=now,
                listen_only=entry is Entry.LISTEN,
                whispers_to=tuple(whispers_to),
            )
            heard_by = await moves.whispered_to(uow, leg)
            if answering:
                await duty_moves.claim(uow, call, leg)
            await uow.calls.add_leg(leg)
            uow.record(told.moved(leg, call, at=now, actor=principal.actor))
            detail = str(parsed)
            if entry is not Entry.TALK:
                change = {"entry": entry, "whispers_to": [str(one.endpoint) for one in heard_by]}
                uow.record(told.shaped(leg, call, change, at=now, actor=principal.actor))
                detail = f"{parsed} {entry}"
            await uow.audit.append(now, principal.actor, "call.add_leg", call_id, "ok", detail)
        await self.neighbours.ring(call, [leg])
        return leg

    async def hang_up(self, call_id: str, leg_id: str, principal: Principal) -> None:
        """Take one leg down; the call goes on while others talk. A leg that has ended is fine (a retry)."""
        async with self._store.begin() as uow:
            leg = await moves.leg_of(uow, call_id, leg_id)
            if leg.is_live:
                await uow.audit.append(
                    self._clock.now(),
                    principal.actor,
                    "call.release_leg",
                    call_id,
                    "ok",
                    str(leg.endpoint),
                )
        await self._end_leg(leg_id, Cause.DESK, None, actor=principal.actor)

    async def end(self, call_id: str, principal: Principal) -> None:
        """End a call and all its legs. A call that has ended is fine (a retry)."""
        orders = Orders()
        now = self._clock.now()
        async with self._store.begin() as uow:
            call = await uow.calls.get(call_id)
            if call.is_live:
                await moves.close(uow, call, Cause.DESK, principal.actor, now, orders)
                await uow.audit.append(now, principal.actor, "call.end", call_id, "ok")
        await self.carry_out(orders)

    async def get(self, call_id: str) -> CallState:
        async with self._store.read() as uow:
            return CallState(await uow.calls.get(call_id), tuple(await uow.calls.legs_of(call_id)))

    async def list(self, *, live_only: bool, before: str | None, limit: int) -> Sequence[CallState]:
        async with self._store.read() as uow:
            calls = await uow.calls.list(live_only, before, limit)
            return [CallState(call, tuple(await uow.calls.legs_of(call.id))) for call in calls]

    # --- progress (ports.inward.CallsIn) -----------------------------------------------------------------

    async def call_offered(
        self, incoming: IncomingCall, *, also: Also | None = None
    ) -> IncomingAccepted | IncomingRefused:
        """A phone dialled, or another hub: they hear ringing until whom they called answers."""
        if incoming.caller.hub is not None:
            return await self.neighbours.offered(incoming, also)
        return await self._dialled(incoming, also)

    async def _dialled(
        self, incoming: IncomingCall, also: Also | None
    ) -> IncomingAccepted | IncomingRefused:
        now = self._clock.now()
        outside = await self._orderly.outside(incoming.called, incoming.caller)
        is_emergency = outside is not None and outside.emergency
        if not is_emergency and self._lines.dialled(incoming.called) is None:
            into_room = await self.rooms.offered(incoming, also)
            if into_room is not None:
                return into_room
        async with self._store.begin() as uow:
            known = None if incoming.is_new else await uow.calls.find_leg(incoming.leg_id)
            if known is not None and not known.is_live:
                return IncomingRefused(cause=known.cause or Cause.FAILED)
            if known is not None:
                await _with(uow, also)
                return IncomingAccepted(call_id=known.call_id)
            line = self._lines.dialled(incoming.called)
            if is_emergency:
                line = None
            callee = None if line else await moves.dialled(uow, incoming.called, outside)
            if line is None and callee is None:
                return IncomingRefused(cause=Cause.NOT_FOUND)
            call = Call(
                id=new_id(),
                created_at=now,
                created_by=f"phone:{incoming.caller.name}",
                line=line.name if line else None,
            )
            call = self.by_rule(call)
            inbound = Leg(
                id=incoming.leg_id,
                call_id=call.id,
                endpoint=incoming.caller,
                created_at=now,
                direction=Direction.INBOUND,
                state=LegState.RINGING,
                name=incoming.display_name,
            )
            outbound = []
            if callee is not None:
                outbound = [Leg(id=new_id(), call_id=call.id, endpoint=callee, created_at=now)]
            await moves.open_call(uow, call, (inbound, *outbound), call.created_by)
            if line is not None:
                await duty_moves.offer(uow, call, incoming, line)
            await _with(uow, also)
        if line is not None:
            self.waiting.ring()
        await self.carry_out(Orders(place=[(leg, call) for leg in outbound]))
        return IncomingAccepted(call_id=call.id)

    async def leg_ringing(self, leg_id: str) -> None:
        await self._progress(leg_id, LegState.RINGING)

    async def leg_connected(
        self, leg_id: str, codec: str | None, *, also: Also | None = None
    ) -> None:
        await self._progress(leg_id, LegState.CONNECTED, codec, also)

    async def leg_held(self, leg_id: str) -> None:
        await self._progress(leg_id, LegState.HELD)

    async def leg_ended(
        self, leg_id: str, cause: Cause, detail: str | None, *, also: Also | None = None
    ) -> None:
        async with self._store.begin() as uow:
            orders = await moves.end_leg(uow, leg_id, cause, detail, self._clock.now())
            await _with(uow, also)
        await self.carry_out(orders)

    # --- after a restart ---------------------------------------------------------------------------------

    async def resume(self) -> None:
        """Order again what was committed and perhaps never ordered, and end what rang for nobody meanwhile."""
        now = self._clock.now()
        patience = timedelta(seconds=self._ring_for_s)
        again: list[tuple[Leg, Call]] = []
        answer: list[Leg] = []
        for state in await self._live():
            self.neighbours.know(state.legs)
            answer += moves.unanswered(state.call, state.legs)
            for leg in state.legs:
                if leg.state is not LegState.REQUESTED:
                    continue
                if now - leg.created_at < patience:
                    again.append((leg, state.call))
                else:
                    await self._end_leg(leg.id, Cause.FAILED, "the hub restarted before it rang")
        await self.carry_out(Orders(place=again, answer=answer))
        self._resumed.set()

    async def end_missing(self, known_to_engine: frozenset[str]) -> None:
        """End the talking legs whose audio the engine no longer has (its process was lost).

        Waits for `resume`: before that the drivers may not know their legs yet. What was connected meanwhile is
        no business of this list.
        """
        asked_at = self._clock.now()
        await self._resumed.wait()
        for state in await self._live():
            for leg in state.legs:
                if leg.state not in TALKING or leg.id in known_to_engine:
                    continue
                if leg.connected_at is not None and leg.connected_at > asked_at:
                    continue
                log.warning("leg_lost_its_media", leg_id=leg.id)
                if not await self._orderly.recover(leg):
                    await self.lose_leg(leg.id, "the media worker was restarted")

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        """The leg's audio has another address now: have its far end told, or end it when it cannot be."""
        await self._resumed.wait()
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        if leg is not None and leg.is_live and not await self._orderly.readdress(leg, address):
            await self.lose_leg(leg_id, "its media worker was replaced at another address")

    async def probe(self, leg_id: str) -> None:
        """A leg is silent: find out whether its far end has vanished."""
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        if leg is not None and leg.state is LegState.CONNECTED:
            await self._orderly.probe(leg)

    async def lose_leg(self, leg_id: str, detail: str) -> None:
        """End a leg whose audio is gone for good."""
        await self._end_leg(leg_id, Cause.MEDIA_LOST, detail)

    # --- inside ------------------------------------------------------------------------------------------

    def _endpoints(self, texts: Sequence[str], principal: Principal) -> Sequence[Endpoint]:
        endpoints = [own_desk(self._orderly.endpoint(text), principal) for text in texts]
        if not endpoints:
            raise InvalidError("a call needs at least one leg, for example sip:1001")
        if len(endpoints) > MAX_LEGS:
            raise InvalidError(f"a call has at most {MAX_LEGS} legs")
        if len(set(endpoints)) != len(endpoints):
            raise InvalidError("the same endpoint is named twice")
        return endpoints

    def by_rule(self, call: Call) -> Call:
        """The call, recorded as the rule says where that is more than was asked for."""
        recording = call.recording or self._rule.wants(call.incident_id)
        legs = call.recording_legs or (recording and self._rule.per_leg)
        if (recording or legs, legs) == (call.recording, call.recording_legs):
            return call
        return replace(call, recording=recording or legs, recording_legs=legs)

    async def _live(self) -> Sequence[CallState]:
        """What is live at this hub; another one on the same store minds its own."""
        async with self._store.read() as uow:
            calls = await uow.calls.live_here()
            return [CallState(call, tuple(await uow.calls.legs_of(call.id))) for call in calls]

    async def _progress(
        self, leg_id: str, state: LegState, codec: str | None = None, also: Also | None = None
    ) -> None:
        async with self._store.begin() as uow:
            orders = await moves.progress(uow, leg_id, state, self._clock.now(), codec)
            await _with(uow, also)
        await self.carry_out(orders)

    async def _end_leg(
        self, leg_id: str, cause: Cause, detail: str | None, *, actor: str | None = None
    ) -> None:
        """End a leg from our side, so that its driver must be told."""
        async with self._store.begin() as uow:
            orders = await moves.end_leg(
                uow, leg_id, cause, detail, self._clock.now(), actor=actor, tell_driver=True
            )
        await self.carry_out(orders)

    async def carry_out(self, orders: Orders) -> None:
        """Order what a committed transaction decided."""
        for leg, reason in await self._orderly.carry_out(orders):
            await self.leg_ended(leg.id, Cause.FAILED, reason)


async def _with(uow: UnitOfWork, also: Also | None) -> None:
    """Write what an edge keeps of its leg, in the same transaction."""
    if also is not None:
        await also(uow)
