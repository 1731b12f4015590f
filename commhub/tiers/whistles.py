"""吹哨报到: a street whistles departments of the hub above, and each checks in there within its time.

Each department is a row with the same id at both hubs, and the clocks of both fire it: a street that is cut off still sees that nobody came.
Who came in time has come in time at both, however late a hub hears of it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from commhub.domain.account import Principal
from commhub.domain.errors import IllegalMoveError, InvalidError, NotAllowedError, NotFoundError
from commhub.domain.incident import Incident
from commhub.domain.people import Unit
from commhub.domain.tier import (
    CheckIn,
    CheckInState,
    MessageState,
    Order,
    Peering,
    Relation,
    ShareKind,
    TierMessage,
    check_order,
)
from commhub.domain.tier_facts import UnitWhistled
from commhub.domain.tier_moves import came, withdrawn
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.tiers.bodies import (
    CHECKED_IN,
    WHISTLED,
    WITHDRAWN,
    Called,
    CheckedInBody,
    WhistledBody,
    WithdrawnBody,
)
from commhub.tiers.common import Common, about, hub, neighbour, standing_of, told_of, who
from commhub.tiers.deadlines import CheckIns
from commhub.tiers.sharing import Sharing

_LONGEST: Final = timedelta(days=7)
_UNIT: Final = "unit:"


class Whistles:
    """The use cases of both hubs, and what each hears of the other's."""

    def __init__(self, common: Common, sharing: Sharing) -> None:
        self._common = common
        self._sharing = sharing
        self._rows = CheckIns(common)
        words = common.words
        words.on_message(WHISTLED, self._called_for)
        words.on_message(CHECKED_IN, self._came)
        words.on_message(WITHDRAWN, self._not_needed)
        words.on_settled(WHISTLED, self._follow_answer)

    # --- the desk that whistles ----------------------------------------------------------------------------

    async def whistle(
        self,
        uow: UnitOfWork,
        incident_id: str,
        by: Principal,
        units: Sequence[str],
        within: timedelta,
        note: str | None = None,
        peer: str | None = None,
    ) -> Sequence[CheckIn]:
        """吹哨: call departments of the hub above (by their ids there) to the incident. One that is called and waited for already is not
        called twice. Raises NotFoundError (also for a unit they do not share with us), InvalidError, NotAllowedError, IllegalMoveError."""
        if not timedelta() < within <= _LONGEST:
            raise InvalidError("a department has between a moment and 7 days to check in")
        above = await neighbour(uow, peer, Relation.UPPER)
        incident = await uow.incidents.get(incident_id)
        if not incident.is_open:
            raise IllegalMoveError(f"the incident is {incident.stage}", stage=incident.stage)
        waiting = {
            one.unit_id
            for one in await uow.shares.check_ins_of(incident_id)
            if one.waits and one.given and one.peer == above.peer
        }
        wanted = [unit for unit in dict.fromkeys(units) if unit not in waiting]
        if not wanted:
            raise IllegalMoveError("every one of them is called and waited for already")
        called = [await self._call(uow, incident, above, unit, within, by, note) for unit in wanted]
        share = await uow.shares.find(incident_id, above.peer)
        if share is None or not share.is_open:
            share = await self._sharing.offer(uow, incident, above, ShareKind.WHISTLED, by, note)
        said = WhistledBody(
            turn=share.turn,
            by=who(by),
            note=note,
            incident=await told_of(uow, incident),
            standing=standing_of(incident),
            check_ins=[Called(id=c.id, unit_id=c.unit_id, due_at=c.due_at) for c in called],
        )
        await self._common.say(uow, above.peer, WHISTLED, incident_id, said)
        self._common.changed(uow, incident_id)
        return called

    async def _call(
        self,
        uow: UnitOfWork,
        incident: Incident,
        above: Peering,
        unit_id: str,
        within: timedelta,
        by: Principal,
        note: str | None,
    ) -> CheckIn:
        shared = await uow.shared_directory.find_shared(above.peer, _UNIT + unit_id)
        if shared is None:
            raise NotFoundError(f"{above.peer} shares no department «{unit_id[:64]}» with us")
        now = self._common.clock.now()
        check_in = CheckIn(
            id=new_id(),
            incident_id=incident.id,
            peer=above.peer,
            given=True,
            unit_id=unit_id,
            unit=shared.label,
            called_at=now,
            called_by=by.actor,
            due_at=now + within,
            note=note,
        )
        await uow.shares.put_check_in(check_in)
        uow.record(
            UnitWhistled(
                at=now,
                actor=by.actor,
                incident_id=incident.id,
                check_in_id=check_in.id,
                peer=above.peer,
                unit=check_in.unit,
                due_at=check_in.due_at,
            )
        )
        return check_in

    async def withdraw(
        self,
        uow: UnitOfWork,
        incident_id: str,
        check_in_id: str,
        by: Principal,
        note: str | None = None,
    ) -> CheckIn:
        """They need not come. Raises NotFoundError, NotAllowedError, IllegalMoveError."""
        check_in = await self._rows.get(uow, incident_id, check_in_id)
        if not check_in.given:
            raise NotAllowedError("who whistled takes it back")
        moved = withdrawn(check_in, note)
        await self._rows.put(uow, moved, by.actor)
        said = WithdrawnBody(id=moved.id, by=who(by), note=note)
        await self._common.say(uow, moved.peer, WITHDRAWN, incident_id, said)
        return moved

    # --- the desk of the departments -----------------------------------------------------------------------

    async def check_in(
        self,
        uow: UnitOfWork,
        incident_id: str,
        check_in_id: str,
        by: Principal,
        came_by: str | None = None,
        note: str | None = None,
    ) -> CheckIn:
        """报到: the department is there; `came_by` is who came for it, when it is known. Raises NotFoundError, NotAllowedError (it is another hub's to say),
        IllegalMoveError."""
        check_in = await self._rows.get(uow, incident_id, check_in_id)
        if check_in.given:
            raise NotAllowedError(f"{check_in.peer} says who of its departments came")
        now, came_by = self._common.clock.now(), came_by or check_in.unit
        moved = came(check_in, now, came_by, note)
        await self._rows.put(uow, moved, by.actor)
        said = CheckedInBody(id=moved.id, at=now, by=came_by[:200], note=note)
        await self._common.say(uow, moved.peer, CHECKED_IN, incident_id, said)
        return moved

    # --- what a neighbour says ----------------------------------------------------------------------------

    async def _called_for(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = WhistledBody.model_validate(message.body)
        check_order(peering, Order.WHISTLE)
        incident_id = about(message)
        units = await self._exported(uow, peering, said.check_ins)
        share = await uow.shares.find(incident_id, peering.peer)
        if share is None or not share.is_open:
            await self._sharing.take(
                uow,
                peering,
                incident_id,
                ShareKind.WHISTLED,
                said.turn,
                said.incident,
                said.standing,
                said.note,
            )
        # Taken before the rows that refer to it are written; and its row is ours from here on.
        incident = await uow.incidents.get(incident_id)
        for called, unit in zip(said.check_ins, units, strict=True):
            await self._admit(uow, peering, incident, called, unit, said.note)
        names = ", ".join(unit.name for unit in units)
        await self._common.call(
            uow, incident_id, "tier_whistled", f"{peering.name} ({said.by}) → {names}"
        )
        self._common.changed(uow, incident_id)

    async def _exported(
        self, uow: UnitOfWork, peering: Peering, called: Sequence[Called]
    ) -> Sequence[Unit]:
        """The departments that are called. Raises NotAllowedError for one that we do not share with that hub, NotFoundError for one that is
        no more."""
        shared = {export.subject for export in await uow.shared_directory.exports(peering.peer)}
        for one in called:
            if _UNIT + one.unit_id not in shared:
                raise NotAllowedError(
                    f"the department «{one.unit_id}» is not shared with {peering.peer}"
                )
        return [await uow.directory.get_unit(one.unit_id) for one in called]

    async def _admit(
        self,
        uow: UnitOfWork,
        peering: Peering,
        incident: Incident,
        called: Called,
        unit: Unit,
        note: str | None,
    ) -> None:
        await self._rows.check_new(uow, called.id)
        now, actor = self._common.clock.now(), hub(peering)
        await uow.shares.put_check_in(
            CheckIn(
                id=called.id,
                incident_id=incident.id,
                peer=peering.peer,
                given=False,
                unit_id=unit.id,
                unit=unit.name,
                called_at=now,
                called_by=actor,
                due_at=called.due_at,
                note=note,
            )
        )

    async def _came(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = CheckedInBody.model_validate(message.body)
        check_in = await self._rows.theirs(uow, peering, about(message), said.id, given=True)
        if check_in.came_at is None:
            await self._rows.put(uow, came(check_in, said.at, said.by, said.note), None)

    async def _not_needed(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = WithdrawnBody.model_validate(message.body)
        check_in = await self._rows.theirs(uow, peering, about(message), said.id, given=False)
        if check_in.came_at is None and check_in.state is not CheckInState.WITHDRAWN:
            await self._rows.put(uow, withdrawn(check_in, said.note), None)

    async def _follow_answer(self, uow: UnitOfWork, message: TierMessage) -> None:
        """The hub above could not take it: nobody is waited for."""
        await self._sharing.follow_answer(uow, message)
        if message.state is not MessageState.REFUSED:
            return
        said = WhistledBody.model_validate(message.body)
        for called in said.check_ins:
            check_in = await self._rows.find(uow, called.id)
            if check_in is not None and check_in.came_at is None:
                await self._rows.put(
                    uow, withdrawn(check_in, message.reason), f"hub:{message.peer}"
                )
