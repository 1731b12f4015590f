"""The dispatcher's hand in a call: mute, hold, listen (监听), whisper (密语), barge in (强插), move, merge, and the
floor (强拆 of a talker's voice).

Each is committed with its audit row and its line on the timeline before the engine is told, so what was done to
somebody's call is on record even when the engine could not be reached; `reconcile` tells an engine that came (back)
how every leg is to be. Interventions in other people's talk need their own permission, asked by the routes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from commhub.calls import duty_moves, moves, told
from commhub.calls.orders import Orderly, Orders
from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Call, Cause, Direction, Leg, LegState, move_leg
from commhub.domain.call_facts import CallEnded, FloorCommanded, LegTransferred
from commhub.domain.errors import ConflictError, DomainError, InvalidError, UnavailableError
from commhub.domain.people import Scheme
from commhub.kit.clock import Clock
from commhub.ports.between import FloorsElsewhere
from commhub.ports.media import PLAIN, EngineStatus, FloorAction
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.telephony import shape_of

log = structlog.get_logger(__name__)

MAX_LEGS = 64
_MOVABLE = frozenset({LegState.CALLING, LegState.RINGING}) | TALKING


@dataclass(frozen=True, slots=True, kw_only=True)
class LegWish:
    """What the desk wants of a leg; None leaves a thing as it is. `key` presses a radio group's key for the call;
    `whispers_to` are ids of legs of the call, none for everybody."""

    muted: bool | None = None
    held: bool | None = None
    listen_only: bool | None = None
    whispers_to: Sequence[str] | None = None
    gain_db: float | None = None
    auto_gain: bool | None = None
    key: bool | None = None

    @property
    def intervenes(self) -> bool:
        """Whether it changes who hears whom without everybody's knowing."""
        return bool(self.listen_only) or bool(self.whispers_to)

    def change(self) -> dict[str, object]:
        """The fields of the leg it sets."""
        named = {
            "muted": self.muted,
            "held": self.held,
            "listen_only": self.listen_only,
            "whispers_to": None if self.whispers_to is None else tuple(self.whispers_to),
            "gain_db": self.gain_db,
            "auto_gain": self.auto_gain,
        }
        return {name: value for name, value in named.items() if value is not None}


class ConferenceControl:
    """Use cases over `LegShape`, moves and floors."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly
        self._elsewhere: FloorsElsewhere | None = None

    def connect_hubs(self, elsewhere: FloorsElsewhere) -> None:
        """Who asks other hubs for the floors of theirs."""
        self._elsewhere = elsewhere

    @property
    def elsewhere(self) -> FloorsElsewhere:
        if self._elsewhere is None:
            raise UnavailableError("this hub has no neighbours")
        return self._elsewhere

    async def change_leg(
        self, call_id: str, leg_id: str, wish: LegWish, principal: Principal
    ) -> Leg:
        """Change how a leg takes part, or press a group's key. Raises NotFoundError, ConflictError for a leg that
        is not connected, InvalidError for what makes no sense."""
        orders = Orders()
        async with self._store.begin() as uow:
            call = await moves.live_call(uow, call_id)
            before = await moves.leg_of(uow, call_id, leg_id)
            _check_talking(before)
            if wish.key is not None and before.endpoint.scheme is not Scheme.RADIO:
                raise InvalidError("only a radio group has a key to press")
            group = await moves.group_of(uow, before.endpoint)
            leg = await self._apply(uow, call, before, wish.change(), principal)
        if leg != before:
            orders.shape.append(leg)
        if leg.held != before.held:
            orders.hold.append(leg)
        await self._orderly.shape(orders)
        if wish.key is not None and leg.endpoint.hub is not None:
            await self.elsewhere.press(leg, wish.key, principal)
        elif wish.key is not None:
            await self._orderly.media.key_group(call_id, group, wish.key)
        return leg

    async def _apply(
        self,
        uow: UnitOfWork,
        call: Call,
        leg: Leg,
        change: Mapping[str, object],
        principal: Principal,
    ) -> Leg:
        changed = {name: value for name, value in change.items() if getattr(leg, name) != value}
        if not changed:
            return leg
        shaped = replace(leg, **changed)  # type: ignore[arg-type]  # the names and types of LegWish
        heard_by = await moves.whispered_to(uow, shaped)
        shown = {**changed}
        if "whispers_to" in changed:
            shown["whispers_to"] = [str(one.endpoint) for one in heard_by]
        await uow.calls.update_leg(shaped)
        now = self._clock.now()
        uow.record(told.shaped(shaped, call, shown, at=now, actor=principal.actor))
        words = " ".join(f"{name}={value}" for name, value in shown.items())
        await uow.audit.append(
            now, principal.actor, "call.shape_leg", call.id, "ok", f"{leg.endpoint} {words}"
        )
        return shaped

    async def press_keys(self, call_id: str, leg_id: str, digits: str, principal: Principal) -> Leg:
        """Press keys for a leg's far end (an answering machine, a door). On record is that keys were pressed and how
        many, not which: they may be a secret. Raises NotFoundError, ConflictError for a leg that is not connected,
        InvalidError for a radio group or what is no key."""
        async with self._store.begin() as uow:
            call = await moves.live_call(uow, call_id)
            leg = await moves.leg_of(uow, call_id, leg_id)
            _check_talking(leg)
            if leg.endpoint.scheme is Scheme.RADIO:
                raise InvalidError("a radio group hears no keys")
            detail = f"{leg.endpoint} keys={len(digits)}"
            await uow.audit.append(
                self._clock.now(), principal.actor, "call.press_keys", call.id, "ok", detail
            )
        await self._orderly.media.send_digits(leg_id, digits)
        return leg

    async def move_leg(self, call_id: str, leg_id: str, to: str, principal: Principal) -> Leg:
        """Take a leg into another live call, without ringing it again. It keeps mute and gain; hold, listening and
        whispers were about the call it leaves. Raises ConflictError for a leg that has not begun to ring or ended."""
        async with self._store.begin() as uow:
            source, target = await self._both(uow, call_id, to)
            leg = await moves.leg_of(uow, call_id, leg_id)
            if leg.state not in _MOVABLE:
                raise ConflictError(
                    f"the leg is {leg.state}; only one that rings or talks is moved"
                )
            orders = Orders()
            moved = await self._transfer(uow, leg, source, target, principal, orders)
            await self._settle(uow, source, target, principal, orders)
        await self._orderly.transfer(orders)
        return moved

    async def merge(self, call_id: str, into: str, principal: Principal) -> None:
        """Bring all who ring or talk in a call into another, and end the emptied one. What is in both already stays
        with the call it is merged into. Merging twice is merging once."""
        orders = Orders()
        async with self._store.begin() as uow:
            source, target = await self._both(uow, call_id, into)
            there = {leg.endpoint for leg in await uow.calls.legs_of(into) if leg.is_live}
            for leg in await uow.calls.legs_of(call_id):
                if leg.state not in _MOVABLE:
                    continue
                if leg.endpoint in there:
                    await moves.drop_leg(
                        uow, leg, source, principal.actor, self._clock.now(), orders
                    )
                    continue
                await self._transfer(uow, leg, source, target, principal, orders)
            await self._settle(uow, source, target, principal, orders)
        await self._orderly.transfer(orders)

    async def join_behind(self, leg_id: str, other_id: str) -> None:
        """Two legs of one phone leave (attended transfer): those of the first one's call go over to the second one's,
        and both legs are hung up. Raises ConflictError where that cannot be."""
        orders = Orders()
        async with self._store.begin() as uow:
            legs = [await uow.calls.find_leg(one) for one in (leg_id, other_id)]
            if any(leg is None or not leg.is_live or leg.listen_only for leg in legs):
                raise ConflictError("only legs that take part in a call can hand it on")
            first, second = (leg for leg in legs if leg is not None)
            if first.endpoint.hub is not None or second.endpoint.hub is not None:
                raise ConflictError("another hub hands on no calls here")
            principal = Principal(
                id=leg_id, name=first.endpoint.name, kind="phone", roles=frozenset()
            )
            source, target = await self._both(uow, first.call_id, second.call_id)
            now = self._clock.now()
            for leg in await uow.calls.legs_of(source.id):
                if leg.state in _MOVABLE and leg.id != leg_id:
                    await self._transfer(uow, leg, source, target, principal, orders)
            for leg, call in ((first, source), (second, target)):
                ended = move_leg(leg, LegState.ENDED, now, cause=Cause.TRANSFERRED)
                await uow.calls.update_leg(ended)
                uow.record(told.moved(ended, call, at=now, actor=principal.actor))
                orders.hang_up.append((leg, Cause.TRANSFERRED))
            await self._settle(uow, source, target, principal, orders)
        await self._orderly.transfer(orders)

    async def command_floor(
        self, group: str, action: FloorAction, participant: str | None, principal: Principal
    ) -> None:
        """Take the floor of a group away (None: from whoever talks), or give it to a radio. The engine is the judge
        of whether that can be, for a group at another hub (`patrol@street-a`) that hub; what is refused is on the audit as refused."""
        if action is FloorAction.GRANT and participant is None:
            raise InvalidError("say to whom the floor is to be given")
        now = self._clock.now()
        what = f"floor.{action.value}"
        async with self._store.begin() as uow:
            for call in await moves.calls_of_group(uow, group):
                uow.record(
                    FloorCommanded(
                        at=now,
                        actor=principal.actor,
                        incident_id=call.incident_id,
                        group=group,
                        action=action.value,
                        participant=participant,
                        call_id=call.id,
                    )
                )
            await uow.audit.append(now, principal.actor, what, group, "ok", participant or "")
        try:
            name, _, hub = group.partition("@")
            if hub:
                await self.elsewhere.command(hub, name, action, participant, principal)
            else:
                await self._orderly.media.command_floor(group, action, participant)
        except DomainError as error:
            async with self._store.begin() as uow:
                await uow.audit.append(
                    now, principal.actor, what, group, error.code, participant or ""
                )
            raise

    async def reconcile(self, status: EngineStatus) -> None:
        """Tell an engine that came (back) what it may have missed: who moved, who is shaped, who is on hold."""
        where = {meter.leg_id: meter.call_id for meter in status.legs}
        orders = Orders()
        async with self._store.read() as uow:
            legs = await uow.calls.live_legs()
        for leg in legs:
            if leg.id not in where:
                continue
            if where[leg.id] != leg.call_id:
                orders.move.append(leg)
            if shape_of(leg) != PLAIN:
                orders.shape.append(leg)
            if leg.held:
                orders.hold.append(leg)
        await self._orderly.catch_up(orders)

    # --- inside ------------------------------------------------------------------------------------------

    async def _both(self, uow: UnitOfWork, call_id: str, to: str) -> tuple[Call, Call]:
        if call_id == to:
            raise InvalidError("a leg is moved to another call than its own")
        # In the order of their ids, so that two desks that merge each into the other do not wait for ever.
        found = {one: await moves.live_call(uow, one) for one in sorted((call_id, to))}
        return found[call_id], found[to]

    async def _transfer(
        self,
        uow: UnitOfWork,
        leg: Leg,
        source: Call,
        target: Call,
        principal: Principal,
        orders: Orders,
    ) -> Leg:
        live = [one for one in await uow.calls.legs_of(target.id) if one.is_live]
        if any(one.endpoint == leg.endpoint for one in live):
            raise ConflictError(f"{leg.endpoint} is in that call already")
        if len(live) >= MAX_LEGS:
            raise InvalidError(f"a call has at most {MAX_LEGS} legs")
        now = self._clock.now()
        moved = replace(leg, call_id=target.id, held=False, listen_only=False, whispers_to=())
        await uow.calls.update_leg(moved)
        for call in (source, target):
            uow.record(
                LegTransferred(
                    at=now,
                    actor=principal.actor,
                    incident_id=call.incident_id,
                    call_id=call.id,
                    leg_id=leg.id,
                    endpoint=str(leg.endpoint),
                    from_call=source.id,
                    to_call=target.id,
                )
            )
        await uow.audit.append(
            now, principal.actor, "call.move_leg", source.id, "ok", f"{leg.endpoint} {target.id}"
        )
        if source.line is not None and leg.direction is Direction.INBOUND:
            await duty_moves.take(uow, source, principal.actor, now, orders)
        orders.move.append(moved)
        if shape_of(moved) != shape_of(leg):
            orders.shape.append(moved)
        if leg.held:
            orders.hold.append(moved)
        return moved

    async def _settle(
        self, uow: UnitOfWork, source: Call, target: Call, principal: Principal, orders: Orders
    ) -> None:
        """After legs went: an emptied call ends; who is left behind alone waits for the desk; a call that now has
        two remembers it, and answers who rang in."""
        now = self._clock.now()
        current = await uow.calls.get(source.id)
        left = [leg for leg in await uow.calls.legs_of(source.id) if leg.is_live]
        if left:
            await uow.calls.update(replace(current, had_two=False))
        elif current.is_live and current.room_id is None:
            await uow.calls.update(replace(current, ended_at=now))
            seconds = round((now - source.created_at).total_seconds(), 1)
            uow.record(
                CallEnded(
                    at=now,
                    actor=principal.actor,
                    incident_id=source.incident_id,
                    call_id=source.id,
                    duration_s=seconds,
                )
            )
            if source.line is not None:
                await duty_moves.over(uow, source, principal.actor, now)
        legs = await uow.calls.legs_of(target.id)
        talking = [leg for leg in legs if leg.state in TALKING]
        if len(talking) > 1 and not target.had_two:
            await uow.calls.update(replace(target, had_two=True))
        if talking:
            orders.answer.extend(
                leg
                for leg in legs
                if leg.direction is Direction.INBOUND and leg.state is LegState.RINGING
            )


def _check_talking(leg: Leg) -> None:
    if leg.state not in TALKING:
        raise ConflictError(f"the leg is {leg.state}; only a connected leg can be changed")
