"""点调 over tiers: one click at the top, and every joined hub below calls the roll of its own half and tells what it finds, as it finds it.

Each hub keeps a roll-call of its own; what it tells upward are its items, and those of the hubs below it with their origin kept. A list
replaces the one before, so one that is lost is made good by the next.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.roll_call import Check, RollCallItem, RollCallState, Verdict
from commhub.domain.tier import Order, Peering, check_order
from commhub.domain.tier_rooms import CascadeState
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body
from commhub.rooms.cascade import said
from commhub.rooms.cascade.errands import Errands
from commhub.rooms.cascade.ground import Ground
from commhub.rooms.cascade.parting import join_with
from commhub.rooms.roll_beyond import Answer, answered
from commhub.rooms.roll_calls import NewRollCall, RollCallFile, RollCalls

_ANSWER_S = 5.0
_LOOK_EVERY_S = 0.5
_SOONER_S = 2.0
"""By which a hub below is through before the one above gives it up."""
_LEAST_S = 2.0
_LONGEST_S = 120.0
_ITEMS_LIMIT = 1000


class Rolls:
    """Roll-calls that hubs ask of each other."""

    def __init__(self, ground: Ground, roll_calls: RollCalls) -> None:
        self._ground = ground
        self._roll_calls = roll_calls
        self.errands = Errands("roll")

    # --- downward ----------------------------------------------------------------------------------------

    def spread(self, file: RollCallFile) -> None:
        """Ask every hub that is called."""
        for item in file.items:
            if item.peer is not None and item.origin is None:
                self.errands.send(item.id, partial(self._ask, file, item))

    async def _ask(self, file: RollCallFile, item: RollCallItem) -> None:
        ground, roll_call = self._ground, file.roll_call
        async with ground.store.read() as uow:
            cascade = await join_with(uow, roll_call.room_id, str(item.peer))
        if cascade is None or cascade.state is not CascadeState.JOINED:
            return
        left_s = (roll_call.until - ground.clock.now()).total_seconds()
        body = {
            "room": cascade.their_room,
            "n": roll_call.n,
            "within_s": max(_LEAST_S, left_s - _SOONER_S),
        }
        began = ground.clock.monotonic()
        await ground.links.ask(cascade.peer, said.ROLL_CALL, body, _ANSWER_S)
        took_ms = round(1000 * (ground.clock.monotonic() - began), 1)
        async with ground.store.begin() as uow:
            known = await uow.room_records.find_roll_call(roll_call.room_id, roll_call.n)
            items = await uow.room_records.items_of(roll_call.id)
            mine = next((one for one in items if one.id == item.id), None)
            if known is None or known.state is RollCallState.DONE or mine is None:
                return
            await uow.room_records.update_item(answered(mine, Answer(ground.clock.now(), took_ms)))

    async def answer(self, peering: Peering, body: Body) -> Body:
        """`room.roll_call`: call the roll of our half. One that runs already is the answer, too."""
        check_order(peering, Order.ROLL_CALL)
        room_id, their_n = said.id_of(body, "room"), body.get("n")
        within = body.get("within_s")
        if not isinstance(their_n, int) or not isinstance(within, int | float):
            raise InvalidError("a roll-call has a number and a time")
        async with self._ground.store.read() as uow:
            cascade = await join_with(uow, room_id, peering.peer)
            if cascade is None or cascade.state is not CascadeState.JOINED:
                raise NotFoundError("this room is not joined with yours")
        by = Principal(id=peering.peer, name=peering.peer, kind="hub", roles=frozenset())
        lasts = timedelta(seconds=min(max(float(within), _LEAST_S), _LONGEST_S))
        n: int | None
        try:
            n = (await self._roll_calls.start(room_id, NewRollCall(within=lasts), by)).roll_call.n
        except ConflictError:
            n = await self._running(room_id)
        key = f"{room_id}-{peering.peer}-{their_n}"
        their_room = str(cascade.their_room)
        report = partial(self._report, peering.peer, room_id, n, their_room, their_n)
        self.errands.send(key, report)
        return {"n": n}

    async def _running(self, room_id: str) -> int | None:
        """The roll-call of the room that runs; None when there is nobody to be called."""
        calls = await self._roll_calls.all(room_id)
        running = (one for one in calls if one.roll_call.state is RollCallState.RUNNING)
        file = next(running, None)
        return None if file is None else file.roll_call.n

    # --- upward ------------------------------------------------------------------------------------------

    async def _report(
        self, peer: str, room_id: str, n: int | None, their_room: str, their_n: int
    ) -> None:
        """Tell what is found, until all is."""
        before, is_done = "", False
        while not is_done:
            items: Sequence[RollCallItem] = ()
            is_done = n is None
            if n is not None:
                file = await self._roll_calls.get(room_id, n)
                items, is_done = file.items, file.roll_call.state is RollCallState.DONE
            body = {
                "room": their_room,
                "n": their_n,
                "done": is_done,
                "items": [_told(self._ground.us, one) for one in items][:_ITEMS_LIMIT],
            }
            text = json.dumps(body)
            if text != before and self._ground.links.tell(peer, said.ROLL, body):
                before = text
            if not is_done:
                await asyncio.sleep(_LOOK_EVERY_S)

    async def heard(self, peering: Peering, body: Body) -> None:
        """`room.roll`: what a hub below found so far."""
        check_order(peering, Order.REPORT_UP)
        room_id, n = said.id_of(body, "room"), body.get("n")
        if not isinstance(n, int):
            raise InvalidError("a roll-call has a number")
        told = [_read(one) for one in said.list_of(body, "items", _ITEMS_LIMIT)]
        async with self._ground.store.begin() as uow:
            await uow.rooms.get(room_id)
            roll_call = await uow.room_records.find_roll_call(room_id, n)
            if roll_call is None or roll_call.state is RollCallState.DONE:
                return
            items = await uow.room_records.items_of(roll_call.id)
            theirs = {one.origin: one for one in items if one.peer == peering.peer}
            hub = theirs.get(None)
            if hub is None:
                return
            for one in told:
                await self._merge(uow, hub, theirs.get(one.origin), one)
            if body.get("done") is True and not hub.is_settled:
                now = self._ground.clock.now()
                here = replace(hub, answered_at=hub.answered_at or now, verdict=Verdict.PRESENT)
                await uow.room_records.update_item(here)

    async def _merge(
        self, uow: UnitOfWork, hub: RollCallItem, known: RollCallItem | None, told: RollCallItem
    ) -> None:
        mine = replace(
            told,
            id=known.id if known is not None else new_id(),
            roll_call_id=hub.roll_call_id,
            participant_id=hub.participant_id,
            called_at=hub.called_at,
            peer=hub.peer,
        )
        if known is None:
            await uow.room_records.add_item(mine)
        elif known != mine:
            await uow.room_records.update_item(mine)


def _told(us: str, item: RollCallItem) -> Mapping[str, object]:
    return {
        "origin": item.origin or f"{us}/{item.participant_id}",
        "name": item.name,
        "rung": item.rung,
        "answered_at": item.answered_at.isoformat() if item.answered_at else None,
        "round_trip_ms": item.round_trip_ms,
        "picture": item.picture.value,
        "height": item.height,
        "fps": item.fps,
        "voice": item.voice.value,
        "verdict": item.verdict.value,
    }


def _read(told: object) -> RollCallItem:
    """Somebody of another hub as it tells of them. Raises InvalidError."""
    if not isinstance(told, Mapping):
        raise InvalidError("an answer to a roll-call is an object")
    at, trip = told.get("answered_at"), told.get("round_trip_ms")
    height, fps = told.get("height"), told.get("fps")
    origin = said.origin_of(told)
    if origin is None:
        raise InvalidError("an answer to a roll-call says whose it is")
    try:
        return RollCallItem(
            id="",
            roll_call_id="",
            participant_id="",
            name=said.name_of(told, "name"),
            called_at=datetime.min.replace(tzinfo=UTC),
            rung=told.get("rung") is True,
            answered_at=datetime.fromisoformat(at) if isinstance(at, str) else None,
            round_trip_ms=float(trip) if isinstance(trip, int | float) else None,
            picture=Check(str(told.get("picture"))),
            height=height if isinstance(height, int) else 0,
            fps=float(fps) if isinstance(fps, int | float) else 0.0,
            voice=Check(str(told.get("voice"))),
            verdict=Verdict(str(told.get("verdict"))),
            origin=origin,
        )
    except ValueError as error:
        raise InvalidError(f"an answer to a roll-call is not of our form: {error}") from error
