"""逐级上报, 派发, 退回: an incident is handed to a neighbour, taken there under the same id, and perhaps given back.

Each hub keeps its own row of the incident with its own number, stage, tasks and clocks; what they have in common is the share. It is
offered here with a message in the same transaction, held there in the transaction that takes that message, and held here when the answer
comes, so that at any cut both know as much as they can.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from commhub.domain.account import Principal
from commhub.domain.errors import (
    IllegalMoveError,
    InvalidError,
    NotFoundError,
    RequirementError,
)
from commhub.domain.facts import SYSTEM
from commhub.domain.incident import Incident
from commhub.domain.tier import (
    MessageState,
    Order,
    Peering,
    Relation,
    Share,
    ShareKind,
    ShareState,
    TierMessage,
    check_order,
    move_share,
)
from commhub.domain.tier_facts import IncidentShared, ShareMoved
from commhub.domain.tier_moves import give, receive
from commhub.ports.store import UnitOfWork
from commhub.tiers.bodies import RETURNED, SHARED, ReturnedBody, SharedBody, Standing, Told
from commhub.tiers.common import Common, about, hub, neighbour, standing_of, told_of, who

_MAY: Final[Mapping[ShareKind, Order]] = {
    ShareKind.REPORTED_UP: Order.REPORT_UP,
    ShareKind.ASSIGNED_DOWN: Order.ASSIGN_DOWN,
}


class Sharing:
    """The use cases, and what neighbours say of theirs."""

    def __init__(self, common: Common) -> None:
        self._common = common
        words = common.words
        words.on_message(SHARED, self._given_to_us)
        words.on_message(RETURNED, self._given_back)
        words.on_settled(SHARED, self.follow_answer)

    # --- the desk ------------------------------------------------------------------------------------------

    async def report_up(
        self,
        uow: UnitOfWork,
        incident_id: str,
        by: Principal,
        note: str | None = None,
        peer: str | None = None,
    ) -> Share:
        """逐级上报, to the hub above (which, when there are several). Raises NotFoundError, NotAllowedError, IllegalMoveError."""
        above = await neighbour(uow, peer, Relation.UPPER)
        return await self._give(uow, incident_id, above, ShareKind.REPORTED_UP, by, note)

    async def assign_down(
        self, uow: UnitOfWork, incident_id: str, by: Principal, peer: str, note: str | None = None
    ) -> Share:
        """派发, to a hub below. Raises NotFoundError, NotAllowedError, IllegalMoveError."""
        below = await neighbour(uow, peer, Relation.LOWER)
        return await self._give(uow, incident_id, below, ShareKind.ASSIGNED_DOWN, by, note)

    async def give_back(
        self,
        uow: UnitOfWork,
        incident_id: str,
        by: Principal,
        note: str,
        peer: str | None = None,
    ) -> Share:
        """退回: back to the hub that gave it to us (which, when several did), with the reason. Nobody of ours handles it from then on, unless
        it began here or another hub gave it to us as well. Raises NotFoundError, IllegalMoveError, RequirementError."""
        if not note.strip():
            raise RequirementError("to give an incident back needs a note that says why")
        common = self._common
        incident = await uow.incidents.get(incident_id)
        theirs = [
            share
            for share in await uow.shares.of_incident(incident_id)
            if not share.given and share.state is ShareState.HELD
        ]
        share = _one_of(theirs, peer)
        now = common.clock.now()
        moved = move_share(share, ShareState.RETURNED, now, note)
        await uow.shares.put(moved)
        record_move(uow, share, moved, by.actor, note)
        common.changed(uow, incident_id)
        await common.say(
            uow,
            share.peer,
            RETURNED,
            incident_id,
            ReturnedBody(turn=share.turn, by=who(by), note=note),
        )
        if len(theirs) == 1 and incident.origin != common.us:
            await common.tending.put_down(uow, incident_id, by.actor, note)
        return moved

    async def _give(
        self,
        uow: UnitOfWork,
        incident_id: str,
        peering: Peering,
        kind: ShareKind,
        by: Principal,
        note: str | None,
    ) -> Share:
        common = self._common
        incident = await uow.incidents.get(incident_id)
        if not incident.is_open:
            raise IllegalMoveError(f"the incident is {incident.stage}", stage=incident.stage)
        share = await self.offer(uow, incident, peering, kind, by, note)
        said = SharedBody(
            kind=kind,
            turn=share.turn,
            by=who(by),
            note=note,
            incident=await told_of(uow, incident),
            standing=standing_of(incident),
        )
        await common.say(uow, peering.peer, SHARED, incident_id, said)
        return share

    async def offer(
        self,
        uow: UnitOfWork,
        incident: Incident,
        peering: Peering,
        kind: ShareKind,
        by: Principal,
        note: str | None,
    ) -> Share:
        """The share, offered. The message that offers it there is the caller's. Raises IllegalMoveError."""
        now = self._common.clock.now()
        known = await uow.shares.find(incident.id, peering.peer)
        if known is None:
            share = Share(
                incident_id=incident.id,
                peer=peering.peer,
                kind=kind,
                given=True,
                state=ShareState.OFFERED,
                created_at=now,
                updated_at=now,
                by=by.actor,
                note=note,
                turn=1,
            )
        else:
            share = give(known, kind, now, by.actor, note)
        await uow.shares.put(share)
        uow.record(
            IncidentShared(
                at=now,
                actor=by.actor,
                incident_id=incident.id,
                peer=peering.peer,
                share=kind.value,
                given=True,
                note=note,
            )
        )
        self._common.changed(uow, incident.id)
        return share

    # --- what a neighbour says ----------------------------------------------------------------------------

    async def _given_to_us(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = SharedBody.model_validate(message.body)
        order = _MAY.get(said.kind)
        if order is None:
            raise InvalidError(f"«{said.kind}» is not said by this message")
        check_order(peering, order)
        await self.take(
            uow,
            peering,
            about(message),
            said.kind,
            said.turn,
            said.incident,
            said.standing,
            said.note,
        )

    async def take(
        self,
        uow: UnitOfWork,
        peering: Peering,
        incident_id: str,
        kind: ShareKind,
        turn: int,
        told: Told,
        standing: Standing,
        note: str | None,
    ) -> Incident:
        """Have the incident here, opened now if it is not, and hold it with the neighbour. Raises what adoption raises."""
        common = self._common
        incident, is_new = await self._here(uow, peering, incident_id, kind, told)
        now, actor = common.clock.now(), hub(peering)
        known = await uow.shares.find(incident_id, peering.peer)
        if known is None:
            share = Share(
                incident_id=incident_id,
                peer=peering.peer,
                kind=kind,
                given=False,
                state=ShareState.HELD,
                created_at=now,
                updated_at=now,
                by=actor,
                note=note,
                turn=turn,
            )
        else:
            share = receive(known, kind, turn, peering.relation, now, actor)
            if share.given or turn < known.turn:
                # Our own word was given at the same time, and counts.
                await uow.shares.put(share)
                common.changed(uow, incident_id)
                return incident
        await uow.shares.put(
            replace(
                share,
                note=note or share.note,
                their_number=standing.number,
                their_stage=standing.stage.value,
            )
        )
        uow.record(
            IncidentShared(
                at=now,
                actor=actor,
                incident_id=incident_id,
                peer=peering.peer,
                share=kind.value,
                given=False,
                note=note,
            )
        )
        common.changed(uow, incident_id)
        if not is_new:
            reason = note or f"{peering.name} gives it to us"
            incident = await common.tending.reopen(uow, incident_id, actor, reason)
            await common.call(uow, incident_id, f"tier_{kind}", f"{peering.name}: {reason}")
        return incident

    async def _here(
        self, uow: UnitOfWork, peering: Peering, incident_id: str, kind: ShareKind, told: Told
    ) -> tuple[Incident, bool]:
        try:
            return await uow.incidents.get(incident_id), False
        except NotFoundError:
            report = told.to_report(incident_id, peering.peer, kind)
            adopted = await self._common.adoption.adopt(uow, report, incident_id, told.origin)
            return adopted, True

    async def _given_back(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = ReturnedBody.model_validate(message.body)
        check_order(peering, Order.RETURN)
        incident = await uow.incidents.get(about(message))
        share = await uow.shares.find(incident.id, peering.peer)
        if share is None or share.state is ShareState.REFUSED:
            raise NotFoundError(f"this incident is not shared with {peering.peer}")
        if not share.given or said.turn < share.turn:
            # It was given anew while they gave it back: that counts, and they hear of it.
            return
        if share.state is ShareState.ENDED:
            share = move_share(share, ShareState.HELD, self._common.clock.now())
        await self._move(uow, share, ShareState.RETURNED, hub(peering), said.note)
        await self._common.call(
            uow, incident.id, "tier_returned", f"{peering.name} ({said.by}): {said.note}"
        )

    async def follow_answer(self, uow: UnitOfWork, message: TierMessage) -> None:
        """What we offered was taken there, or refused. Registered for every message that offers."""
        if await uow.shares.find(about(message), message.peer) is None:
            # Of what is not here there is no row to take.
            return
        incident = await uow.incidents.get(about(message))
        share = await uow.shares.find(incident.id, message.peer)
        if share is None:
            return
        if message.state is MessageState.APPLIED:
            if share.state is ShareState.OFFERED:
                await self._move(uow, share, ShareState.HELD, f"hub:{share.peer}")
            return
        if share.state is ShareState.OFFERED:
            await self._move(
                uow, share, ShareState.REFUSED, f"hub:{share.peer}", message.reason or message.code
            )
        await self._common.call(
            uow, incident.id, "tier_refused", f"{message.peer}: {message.reason or message.code}"
        )

    async def _move(
        self,
        uow: UnitOfWork,
        share: Share,
        state: ShareState,
        actor: str,
        note: str | None = None,
    ) -> None:
        moved = move_share(share, state, self._common.clock.now(), note)
        if moved is share:
            return
        await uow.shares.put(moved)
        record_move(uow, share, moved, actor, note)
        self._common.changed(uow, share.incident_id)


def _one_of(shares: list[Share], peer: str | None) -> Share:
    fitting = [share for share in shares if peer in (None, share.peer)]
    if not fitting:
        raise IllegalMoveError("no other hub gave us this incident")
    if len(fitting) > 1:
        names = ", ".join(share.peer for share in fitting)
        raise InvalidError(f"several hubs gave us this incident, say which: {names}")
    return fitting[0]


def record_move(
    uow: UnitOfWork, before: Share, after: Share, actor: str = SYSTEM, note: str | None = None
) -> None:
    """Put it on the timeline of the incident."""
    uow.record(
        ShareMoved(
            at=after.updated_at,
            actor=actor,
            incident_id=after.incident_id,
            peer=after.peer,
            before=before.state.value,
            after=after.state.value,
            note=note,
        )
    )
