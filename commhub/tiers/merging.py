"""One timeline over all hubs that share an incident: what another hub wrote is merged into ours, and its standing noted on the share.

A line keeps the hub and the place where it was written, so whichever way it comes, and however often, it is one line; and the lines of one
hub come in the order it wrote them.
"""

from collections.abc import Sequence
from dataclasses import replace

from commhub.domain.errors import NotAllowedError
from commhub.domain.facts import TimelineEntry
from commhub.domain.incident import Incident
from commhub.domain.tier import Peering, Share, ShareState, TierMessage
from commhub.domain.tier_facts import TheirStageMoved, TimelineMerged
from commhub.domain.tier_moves import has_ended, settle
from commhub.ports.store import UnitOfWork
from commhub.tiers.bodies import LINES, Line, LinesBody, Standing
from commhub.tiers.common import Common, about, hub
from commhub.tiers.metrics import LINES_LEFT_OUT, LINES_MERGED
from commhub.tiers.sharing import record_move


class Merging:
    """Takes the lines of neighbours."""

    def __init__(self, common: Common) -> None:
        self._common = common
        common.words.on_message(LINES, self._merge)

    async def _merge(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        said = LinesBody.model_validate(message.body)
        incident = await uow.incidents.get(about(message))
        share = await uow.shares.find(incident.id, peering.peer)
        if share is None or share.state is ShareState.REFUSED:
            raise NotAllowedError(f"this incident is not shared with {peering.peer}")
        entries = await self._entries(uow, incident, peering, said.lines)
        await uow.timeline.merge(entries)
        await self._note(uow, incident, share, said.standing, peering)
        if entries:
            LINES_MERGED.inc(len(entries))
            uow.record(
                TimelineMerged(
                    at=self._common.clock.now(),
                    about=incident.id,
                    peer=peering.peer,
                    lines=len(entries),
                    since=min(entry.at for entry in entries),
                )
            )
        self._common.changed(uow, incident.id)

    async def _entries(
        self, uow: UnitOfWork, incident: Incident, peering: Peering, lines: Sequence[Line]
    ) -> list[TimelineEntry]:
        """What is to be merged. Who tells us our own lines is refused; those of a neighbour with whom we share the incident ourselves it
        tells itself, so they are believed from nobody else."""
        if any(line.hub == self._common.us for line in lines):
            raise NotAllowedError(
                f"{peering.peer} brings lines in the name of {self._common.us}", peer=peering.peer
            )
        itself = await self._tells_itself(uow, incident.id) - {peering.peer}
        kept = [line for line in lines if line.hub not in itself]
        LINES_LEFT_OUT.inc(len(lines) - len(kept))
        return [
            TimelineEntry(
                seq=0,
                incident_id=incident.id,
                at=line.at,
                actor=line.actor,
                kind=line.kind,
                data=line.data,
                hub=line.hub,
                origin_seq=line.seq,
                came_by=peering.peer,
            )
            for line in kept
        ]

    async def _tells_itself(self, uow: UnitOfWork, incident_id: str) -> set[str]:
        active = {one.peer for one in await uow.peerings.list() if one.is_active}
        shares = await uow.shares.of_incident(incident_id)
        return {s.peer for s in shares if s.state is not ShareState.REFUSED} & active

    async def _note(
        self,
        uow: UnitOfWork,
        incident: Incident,
        share: Share,
        standing: Standing,
        peering: Peering,
    ) -> None:
        now = self._common.clock.now()
        told = replace(
            share,
            their_number=standing.number,
            their_stage=standing.stage.value,
            their_unit=standing.unit,
            their_person=standing.person,
            their_clocks={name: due.isoformat() for name, due in standing.clocks.items()},
        )
        # Their lines may be quicker than the answer to our offer.
        state = ShareState.HELD if told.state is ShareState.OFFERED else told.state
        after = settle(replace(told, state=state), incident.stage.value, now)
        if after == share:
            return
        await uow.shares.put(replace(after, updated_at=now))
        if after.state is not share.state:
            record_move(uow, share, after, hub(peering))
        if told != share:
            uow.record(
                TheirStageMoved(
                    at=now,
                    actor=hub(peering),
                    incident_id=incident.id,
                    peer=peering.peer,
                    number=standing.number,
                    stage=standing.stage.value,
                    unit=standing.unit,
                    person=standing.person,
                    clocks=told.their_clocks,
                )
            )
        if _closed_there(share, after, incident):
            await self._common.call(
                uow,
                incident.id,
                "tier_over_there",
                f"{peering.name}: {standing.stage}, {standing.number}",
            )


def _closed_there(before: Share, after: Share, incident: Incident) -> bool:
    """Whether what we gave is over there and waits to be looked at here."""
    is_news = has_ended(after.their_stage) and not has_ended(before.their_stage)
    was_given_back = after.state is ShareState.RETURNED
    return is_news and after.given and incident.is_open and not was_given_back
