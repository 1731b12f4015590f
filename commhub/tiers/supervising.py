"""督办: the hub above wants something of an incident done, or said, by a time; the hub below answers.

The row has the same id at both hubs, and the clocks of both fire it.
"""

from datetime import timedelta
from typing import Final

from commhub.domain.account import Principal
from commhub.domain.errors import IllegalMoveError, InvalidError, NotAllowedError
from commhub.domain.people import Role
from commhub.domain.tier import (
    MessageState,
    Order,
    Peering,
    Relation,
    ShareState,
    Supervision,
    TierMessage,
    check_order,
)
from commhub.domain.tier_facts import SupervisionOrdered
from commhub.domain.tier_moves import answered, lifted
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.tiers.bodies import (
    ANSWERED,
    LIFTED,
    SUPERVISED,
    AnsweredBody,
    LiftedBody,
    SupervisedBody,
)
from commhub.tiers.common import Common, about, hub, neighbour, who
from commhub.tiers.deadlines import Supervisions

_LEAD: Final = frozenset({Role.DUTY_LEADER, Role.COMMANDER})
_LONGEST: Final = timedelta(days=90)


class Supervising:
    """The use cases of both hubs, and what each hears of the other's."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._rows = Supervisions(common)
        words = common.words
        words.on_message(SUPERVISED, self._ordered)
        words.on_message(ANSWERED, self._answered)
        words.on_message(LIFTED, self._lifted)
        words.on_settled(SUPERVISED, self._follow_answer)

    # --- the desk above ------------------------------------------------------------------------------------

    async def supervise(
        self,
        uow: UnitOfWork,
        incident_id: str,
        by: Principal,
        peer: str,
        text: str,
        within: timedelta,
    ) -> Supervision:
        """督办, of an incident that the hub below has. For duty leaders and commanders. Raises NotFoundError, NotAllowedError, InvalidError,
        IllegalMoveError (they do not have it)."""
        _check_leads(by)
        if not timedelta() < within <= _LONGEST:
            raise InvalidError("a supervision is due within 90 days")
        below = await neighbour(uow, peer, Relation.LOWER)
        await uow.incidents.get(incident_id)
        share = await uow.shares.find(incident_id, below.peer)
        if share is None or share.state in {ShareState.REFUSED, ShareState.ENDED}:
            raise IllegalMoveError(f"{below.peer} does not have this incident: assign it first")
        now = self._common.clock.now()
        order = Supervision(
            id=new_id(),
            incident_id=incident_id,
            peer=below.peer,
            given=True,
            text=text,
            ordered_at=now,
            ordered_by=by.actor,
            due_at=now + within,
        )
        await uow.shares.put_supervision(order)
        uow.record(
            SupervisionOrdered(
                at=now,
                actor=by.actor,
                incident_id=incident_id,
                supervision_id=order.id,
                peer=order.peer,
                text=text,
                due_at=order.due_at,
            )
        )
        said = SupervisedBody(id=order.id, text=text, due_at=order.due_at, by=who(by))
        await self._common.say(uow, order.peer, SUPERVISED, incident_id, said)
        self._common.changed(uow, incident_id)
        return order

    async def lift(
        self, uow: UnitOfWork, incident_id: str, supervision_id: str, by: Principal
    ) -> Supervision:
        """It is wanted no more. For duty leaders and commanders. Raises NotFoundError, NotAllowedError, IllegalMoveError."""
        _check_leads(by)
        order = await self._rows.get(uow, incident_id, supervision_id)
        if not order.given:
            raise NotAllowedError(f"{order.peer} ordered it, and {order.peer} lifts it")
        moved = lifted(order)
        await self._rows.put(uow, moved, by.actor)
        said = LiftedBody(id=moved.id, by=who(by))
        await self._common.say(uow, moved.peer, LIFTED, incident_id, said)
        return moved

    # --- the desk below ------------------------------------------------------------------------------------

    async def answer(
        self, uow: UnitOfWork, incident_id: str, supervision_id: str, by: Principal, answer: str
    ) -> Supervision:
        """反馈. Raises NotFoundError, NotAllowedError, IllegalMoveError."""
        order = await self._rows.get(uow, incident_id, supervision_id)
        if order.given:
            raise NotAllowedError(f"{order.peer} answers it")
        if not order.waits:
            raise IllegalMoveError(f"this supervision is {order.state}", stage=order.state)
        now = self._common.clock.now()
        moved = answered(order, now, by.actor, answer)
        await self._rows.put(uow, moved, by.actor)
        said = AnsweredBody(id=moved.id, at=now, by=who(by), answer=answer)
        await self._common.say(uow, moved.peer, ANSWERED, incident_id, said)
        return moved

    # --- what a neighbour says ----------------------------------------------------------------------------

    async def _ordered(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = SupervisedBody.model_validate(message.body)
        check_order(peering, Order.SUPERVISE)
        incident = await uow.incidents.get(about(message))
        share = await uow.shares.find(incident.id, peering.peer)
        if share is None or share.state is ShareState.REFUSED:
            raise NotAllowedError(f"this incident is not shared with {peering.peer}")
        await self._rows.check_new(uow, said.id)
        await uow.shares.put_supervision(
            Supervision(
                id=said.id,
                incident_id=incident.id,
                peer=peering.peer,
                given=False,
                text=said.text,
                ordered_at=self._common.clock.now(),
                ordered_by=f"{hub(peering)} {said.by}",
                due_at=said.due_at,
            )
        )
        await self._common.call(
            uow, incident.id, "tier_supervised", f"{peering.name} ({said.by}): {said.text}"
        )
        self._common.changed(uow, incident.id)

    async def _answered(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = AnsweredBody.model_validate(message.body)
        order = await self._rows.theirs(uow, peering, about(message), said.id, given=True)
        if order.answered_at is None:
            by = f"{hub(peering)} {said.by}"
            await self._rows.put(uow, answered(order, said.at, by, said.answer), None)

    async def _lifted(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = LiftedBody.model_validate(message.body)
        order = await self._rows.theirs(uow, peering, about(message), said.id, given=False)
        if order.waits:
            await self._rows.put(uow, lifted(order), None)

    async def _follow_answer(self, uow: UnitOfWork, message: TierMessage) -> None:
        """The hub below could not take it: it counts as lifted, and the desk is told why."""
        if message.state is not MessageState.REFUSED:
            return
        said = SupervisedBody.model_validate(message.body)
        if await self._rows.find(uow, said.id) is None:
            return
        incident_id = about(message)
        order = await self._rows.get(uow, incident_id, said.id)
        if order.waits:
            await self._rows.put(uow, lifted(order), f"hub:{message.peer}")
        await self._common.call(
            uow, incident_id, "tier_refused", f"{message.peer}: {message.reason or message.code}"
        )


def _check_leads(by: Principal) -> None:
    if not by.roles & _LEAD:
        raise NotAllowedError("to supervise is for duty leaders and commanders")
