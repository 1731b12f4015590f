"""Roll-call (点调): everybody who should be there is called, and what was found of each is a row and a line on the timeline.

Phones that are away are rung, cameras are asked for their picture; then the loop looks until all is found or the time is
up. A picture counts when frames of it arrive, a voice when packets of it do. The loop reads the rows, so a new process
goes on with a roll-call that was running.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Leg, LegState
from commhub.domain.errors import ConflictError, DomainError, NotFoundError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.roll_call import Check, RollCall, RollCallItem, RollCallState, Verdict, judge
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    Source,
    SourceKind,
    SourceState,
)
from commhub.domain.room_facts import RollCallDone, RollCallStarted
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import Doorbell
from commhub.ports.media import LegMeter, MediaEngine
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.video import SourceMeter, VideoStatus
from commhub.rooms import moves, presence
from commhub.rooms.metrics import ROLL_CALL_ITEMS
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.people import add_camera, check_space, with_call
from commhub.rooms.roll_beyond import await_hub, hub_item, hubs_below
from commhub.rooms.waking import wake_camera

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5
_IDLE_S = 5.0
_FRESH_S = 2.0
_RUNG = frozenset({Scheme.SIP, Scheme.TEL, Scheme.RADIO, Scheme.DESK})
_SPEAKS = frozenset({ParticipantKind.PHONE, ParticipantKind.USER, ParticipantKind.GUEST})
_SHOWN = frozenset({SourceKind.CAMERA, SourceKind.BODYCAM, SourceKind.RTSP, SourceKind.SIP})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRollCall:
    """`expect` are endpoints or ids of participants; none: everybody who was ever invited and not removed."""

    expect: Sequence[str] = ()
    within: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RollCallFile:
    """A roll-call with its items, in the order they were called."""

    roll_call: RollCall
    items: Sequence[RollCallItem]


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is to see and hear of everybody now."""

    legs: Mapping[str, Leg]
    heard: Mapping[str, LegMeter]
    seen: Mapping[str, SourceMeter]
    sources: Sequence[Source]


class RollCalls:
    """Use cases of roll-calls; `run` is the loop that looks."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly, media: MediaEngine) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._media = media
        self._bell = Doorbell()
        self.spread: Callable[[RollCallFile], None] = lambda file: None
        """Has the hubs below call their rolls, too."""

    # --- the desk ----------------------------------------------------------------------------------------

    async def start(self, room_id: str, new: NewRollCall, by: Principal) -> RollCallFile:
        """Call everybody who is expected. Raises NotFoundError, InvalidError for an address nobody has, ConflictError for a room
        that has ended or is no meeting, or while another roll-call of it runs."""
        orders, now = Orders(), self._clock.now()
        rung: list[tuple[Participant, Endpoint]] = []
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            if room.mode is not RoomMode.MEETING:
                raise ConflictError("only of a meeting a roll is called")
            earlier = await uow.room_records.roll_calls_of(room_id)
            if any(one.state is RollCallState.RUNNING for one in earlier):
                raise ConflictError("a roll-call of this room is running")
            room = await with_call(uow, room, self._orderly.sound)
            expected = await self._expected(uow, room, new.expect, by)
            hubs = [] if new.expect else await hubs_below(uow, room)
            if not expected and not hubs:
                raise ConflictError("nobody is expected in this room")
            roll_call = RollCall(
                id=new_id(),
                room_id=room_id,
                n=len(earlier) + 1,
                created_at=now,
                created_by=by.actor,
                until=now + new.within,
            )
            items = [await self._item(uow, room, roll_call, one, orders, rung) for one in expected]
            items += [hub_item(roll_call, one) for one in hubs]
            await uow.room_records.add_roll_call(roll_call, items)
            uow.record(
                RollCallStarted(
                    at=now,
                    actor=by.actor,
                    incident_id=room.incident_id,
                    room_id=room_id,
                    roll_call_id=roll_call.id,
                    n=roll_call.n,
                    expected=len(items),
                )
            )
            await uow.audit.append(now, by.actor, "room.roll_call", room_id, "ok", str(roll_call.n))
        await self._orderly.carry_out(orders, by)
        for one, endpoint in rung:
            await self._ring(str(room.call_id), one, endpoint, by)
        self._bell.ring()
        self.spread(RollCallFile(roll_call, items))
        return RollCallFile(roll_call, items)

    async def get(self, room_id: str, n: int) -> RollCallFile:
        """Raises NotFoundError."""
        async with self._store.read() as uow:
            found = await uow.room_records.find_roll_call(room_id, n)
            if found is None:
                raise NotFoundError("this room has no such roll-call")
            return RollCallFile(found, await uow.room_records.items_of(found.id))

    async def all(self, room_id: str) -> Sequence[RollCallFile]:
        """Oldest first."""
        async with self._store.read() as uow:
            return [
                RollCallFile(one, await uow.room_records.items_of(one.id))
                for one in await uow.room_records.roll_calls_of(room_id)
            ]

    async def _expected(
        self, uow: UnitOfWork, room: Room, wanted: Sequence[str], by: Principal
    ) -> list[Participant]:
        people = [
            one
            for one in await uow.rooms.participants_of(room.id)
            if one.state is not ParticipantState.REMOVED and one.kind is not ParticipantKind.TIER
        ]
        if not wanted:
            return people
        found = []
        for text in dict.fromkeys(wanted):
            one = next((p for p in people if text in (p.id, str(p.endpoint))), None)
            found.append(one or await self._newcomer(uow, room, text, by))
        return found

    async def _newcomer(self, uow: UnitOfWork, room: Room, text: str, by: Principal) -> Participant:
        if ":" not in text:
            raise NotFoundError("this room has no such participant")
        await check_space(uow, room)
        now = self._clock.now()
        endpoint = Endpoint.parse(text)
        if endpoint.scheme is Scheme.CAMERA:
            return (await add_camera(uow, room, endpoint.name, now, by.actor))[0]
        endpoint = self._orderly.sound.address(text, by)
        one = await presence.stranger(uow, room, endpoint, None, now)
        return await moves.add(uow, room, replace(one, admitted=True), by.actor)

    async def _item(
        self,
        uow: UnitOfWork,
        room: Room,
        roll_call: RollCall,
        one: Participant,
        orders: Orders,
        rung: list[tuple[Participant, Endpoint]],
    ) -> RollCallItem:
        own = [s for s in await uow.rooms.sources_of(room.id) if s.participant_id == one.id]
        shows = [s for s in own if s.kind in _SHOWN and (s.device or s.state is SourceState.LIVE)]
        calls = False
        for source in shows:
            if source.device is not None and source.state is not SourceState.LIVE:
                await wake_camera(uow, room, source, self._clock, orders)
                calls = True
        leg = await uow.calls.find_leg(one.leg_id) if one.leg_id is not None else None
        is_away = leg is None or not leg.is_live
        if one.endpoint is not None and one.endpoint.scheme in _RUNG and is_away:
            rung.append((one, one.endpoint))
            calls = True
        return RollCallItem(
            id=new_id(),
            roll_call_id=roll_call.id,
            participant_id=one.id,
            name=one.name,
            called_at=roll_call.created_at,
            endpoint=one.endpoint,
            rung=calls,
            picture=Check.PENDING if shows else Check.NOT_ASKED,
            voice=Check.PENDING if one.kind in _SPEAKS else Check.NOT_ASKED,
        )

    async def _ring(
        self, call_id: str, one: Participant, endpoint: Endpoint, by: Principal
    ) -> None:
        try:
            await self._orderly.sound.seat(call_id, endpoint, one.name, by, muted=one.sound_muted)
        except DomainError as error:
            # Whoever cannot be rung is absent, which is what a roll-call is to find out.
            log.warning("roll_call_not_rung", participant_id=one.id, reason=str(error))

    # --- the loop ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            running = await self.look()
            await self._bell.wait(LOOK_EVERY_S if running else _IDLE_S)

    async def look(self) -> int:
        """Look once at everybody of every roll-call that runs; how many still do."""
        async with self._store.read() as uow:
            running = await uow.room_records.running_roll_calls()
        if not running:
            return 0
        heard = await self._heard()
        status = await self._seen()
        left = 0
        for one in running:
            left += await self._look_at(one, heard, status)
        return left

    async def _heard(self) -> Mapping[str, LegMeter]:
        try:
            return {meter.leg_id: meter for meter in (await self._media.status()).legs}
        except DomainError as error:
            log.warning("roll_call_hears_nobody", reason=str(error))
            return {}

    async def _seen(self) -> VideoStatus | None:
        try:
            return await self._orderly.video.status()
        except DomainError as error:
            log.warning("roll_call_sees_nobody", reason=str(error))
            return None

    async def _look_at(
        self, known: RollCall, heard: Mapping[str, LegMeter], status: VideoStatus | None
    ) -> bool:
        """Whether it still runs afterwards."""
        orders, now = Orders(), self._clock.now()
        still = await self._examine(known, heard, status, orders, now)
        await self._orderly.carry_out(orders)
        return still

    async def _examine(
        self,
        known: RollCall,
        heard: Mapping[str, LegMeter],
        status: VideoStatus | None,
        orders: Orders,
        now: datetime,
    ) -> bool:
        async with self._store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            roll_call = await uow.room_records.find_roll_call(known.room_id, known.n)
            if roll_call is None or roll_call.state is RollCallState.DONE:
                return False
            if room.is_open:
                # Whose leg a leg is, is not known before somebody looked.
                await presence.settle(uow, room, now, orders)
            legs = await uow.calls.legs_of(room.call_id) if room.call_id is not None else ()
            found = _Found(
                legs={leg.id: leg for leg in legs},
                heard=heard,
                seen={meter.source_id: meter for meter in status.sources} if status else {},
                sources=await uow.rooms.sources_of(room.id),
            )
            last = now >= roll_call.until or not room.is_open
            items = []
            for item in await uow.room_records.items_of(roll_call.id):
                after = item
                if item.peer is not None:
                    after = await_hub(item, last_chance=last)
                elif not item.is_settled:
                    one = await moves.participant_of(uow, room.id, item.participant_id)
                    after = examine(item, one, found, now, last_chance=last)
                if after != item:
                    await uow.room_records.update_item(after)
                items.append(after)
            if not all(item.is_settled for item in items):
                return True
            await self._finish(uow, room, roll_call, items)
        return False

    async def _finish(
        self, uow: UnitOfWork, room: Room, roll_call: RollCall, items: Sequence[RollCallItem]
    ) -> None:
        now = self._clock.now()
        done = replace(roll_call, state=RollCallState.DONE, done_at=now)
        await uow.room_records.update_roll_call(done)
        trips = [item.round_trip_ms for item in items if item.round_trip_ms is not None]
        uow.record(
            RollCallDone(
                at=now,
                actor=roll_call.created_by,
                incident_id=room.incident_id,
                room_id=room.id,
                roll_call_id=roll_call.id,
                n=roll_call.n,
                present=sum(item.verdict is Verdict.PRESENT for item in items),
                expected=len(items),
                absent=_names(items, Verdict.ABSENT),
                faulty=_names(items, Verdict.FAULTY),
                slowest_ms=max(trips, default=None),
            )
        )
        for item in items:
            ROLL_CALL_ITEMS.labels(item.verdict.value).inc()


def examine(
    item: RollCallItem, one: Participant, found: _Found, now: datetime, *, last_chance: bool
) -> RollCallItem:
    """The item with what was found of its participant just now."""
    leg = found.legs.get(one.leg_id or "")
    meter = found.heard.get(leg.id) if leg is not None else None
    talks = leg is not None and leg.state in TALKING
    pictures = [
        found.seen[source.id]
        for source in found.sources
        if source.participant_id == one.id and source.kind in _SHOWN and source.id in found.seen
    ]
    there = talks or bool(pictures) or one.state is ParticipantState.JOINED
    trips = [m.round_trip_ms for m in pictures if m.round_trip_ms is not None]
    if meter is not None and meter.round_trip_ms is not None:
        trips.insert(0, meter.round_trip_ms)
    item = replace(
        item,
        answered_at=item.answered_at or (now if there else None),
        round_trip_ms=trips[0] if trips else item.round_trip_ms,
    )
    if item.picture is Check.PENDING:
        item = _look(item, pictures)
    if item.voice is Check.PENDING and leg is not None and leg.state is LegState.CONNECTED:
        item = _listen(item, meter)
    item = replace(item, verdict=judge(item, last_chance=last_chance))
    if item.is_settled:
        # What was waited for and did not come is bad news about somebody who is there.
        bad = Check.BAD if item.verdict is Verdict.FAULTY else Check.PENDING
        item = replace(
            item,
            picture=bad if item.picture is Check.PENDING else item.picture,
            voice=bad if item.voice is Check.PENDING else item.voice,
        )
    return item


def _look(item: RollCallItem, pictures: Sequence[SourceMeter]) -> RollCallItem:
    layers = [
        layer
        for meter in pictures
        if meter.silent_s < _FRESH_S
        for layer in meter.layers
        if layer.height > 0 and layer.fps > 0
    ]
    if not layers:
        return item
    best = max(layers, key=lambda layer: layer.height)
    return replace(item, picture=Check.GOOD, height=best.height, fps=round(best.fps, 1))


def _listen(item: RollCallItem, meter: LegMeter | None) -> RollCallItem:
    if meter is None:
        return item
    if item.packets is None:
        return replace(item, packets=meter.received)
    return replace(item, voice=Check.GOOD) if meter.received > item.packets else item


def _names(items: Sequence[RollCallItem], verdict: Verdict) -> tuple[str, ...]:
    return tuple(item.name for item in items if item.verdict is verdict)
