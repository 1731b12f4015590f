"""What all use cases between tiers start from: who we are, the ports of other features, and how something is said to a neighbour.

Whoever changes what is shared of an incident has taken the incident's row first, here as everywhere; neighbours are read without being
locked, because the taking of a message locks its neighbour before any incident.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from commhub.domain.account import Principal
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError
from commhub.domain.incident import Incident, Stage
from commhub.domain.tier import Peering, Relation, TierMessage
from commhub.domain.tier_facts import SharesChanged
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.inside import Adoption, Attention, Tending
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import TierLinks, TierWords
from commhub.tiers.bodies import Said, Standing, Told

_TO_US = {Relation.UPPER: "above", Relation.LOWER: "below"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """`us` is this hub's name. `attention`, `tending` and `adoption` are what incidents and reports do for tiers."""

    us: str
    store: Store
    clock: Clock
    links: TierLinks
    words: TierWords
    attention: Attention
    tending: Tending
    adoption: Adoption

    async def say(
        self, uow: UnitOfWork, peer: str, kind: str, incident_id: str, said: Said
    ) -> None:
        """Queue a durable message; `links.wake` follows the commit."""
        now = self.clock.now()
        await uow.peerings.queue(
            TierMessage(
                id=new_id(),
                peer=peer,
                kind=kind,
                body=said.body,
                created_at=now,
                incident_id=incident_id,
            )
        )

    def changed(self, uow: UnitOfWork, incident_id: str) -> None:
        """What the incident has in common with others is another now."""
        uow.record(SharesChanged(at=self.clock.now(), about=incident_id))

    async def call(self, uow: UnitOfWork, incident_id: str, code: str, text: str) -> None:
        """Have the desk look at the incident."""
        await self.attention.raise_attention(uow, incident_id, code, text)


def who(principal: Principal) -> str:
    """Who did it, as the other hub's people read it."""
    return (principal.display_name or principal.name)[:200]


def hub(peering: Peering) -> str:
    """The actor of what a neighbour does here."""
    return f"hub:{peering.peer}"


def about(message: TierMessage) -> str:
    """The incident a message is of. Raises InvalidError."""
    if message.incident_id is None:
        raise InvalidError(f"«{message.kind}» is of an incident")
    return message.incident_id


async def neighbour(uow: UnitOfWork, peer: str | None, relation: Relation) -> Peering:
    """The active neighbour of that name that stands so to us; without a name the only one. Raises NotFoundError, InvalidError (there
    are several), NotAllowedError (it stands otherwise, or is revoked)."""
    if peer is None:
        return await _only(await uow.peerings.list(), relation)
    found = await uow.peerings.find(peer)
    if found is None:
        raise NotFoundError(f"there is no neighbour «{peer[:64]}»", peer=peer)
    if not found.is_active:
        raise NotAllowedError(f"the peering with {peer} is revoked", peer=peer)
    if found.relation is not relation:
        raise NotAllowedError(
            f"{peer} is {_TO_US[found.relation]} us: this goes to a hub that is {_TO_US[relation]}",
            peer=peer,
        )
    return found


async def _only(peerings: Sequence[Peering], relation: Relation) -> Peering:
    fitting = [one for one in peerings if one.is_active and one.relation is relation]
    if not fitting:
        raise NotFoundError(f"no hub {_TO_US[relation]} us is paired with us")
    if len(fitting) > 1:
        names = ", ".join(one.peer for one in fitting)
        raise InvalidError(f"say which hub: {names}")
    return fitting[0]


async def told_of(uow: UnitOfWork, incident: Incident) -> Told:
    """The incident for a hub that does not have it. Raises InvalidError for one without a report."""
    reports = await uow.reports.of_incident(incident.id)
    if not reports:
        raise InvalidError("the incident has no report to be told", incident_id=incident.id)
    return Told.of(incident, reports[0])


@dataclass(frozen=True, slots=True)
class Names:
    """What people call our departments and responders, by their ids."""

    units: Mapping[str, str]
    people: Mapping[str, str]

    @classmethod
    async def load(cls, uow: UnitOfWork) -> "Names":
        return cls(
            units={unit.id: unit.name for unit in await uow.directory.units()},
            people={person.id: person.name for person in await uow.directory.responders()},
        )


NOBODY = Names({}, {})


def standing_of(incident: Incident, names: Names = NOBODY) -> Standing:
    """How it stands here. The accept clock runs while it is dispatched and nobody has taken it."""
    clocks: dict[str, datetime] = {}
    if incident.accept_by is not None and incident.stage is Stage.DISPATCHED:
        clocks["accept"] = incident.accept_by
    return Standing(
        number=incident.number,
        stage=incident.stage,
        unit=_called(names.units, incident.unit_id),
        person=_called(names.people, incident.responder_id),
        clocks=clocks,
    )


def _called(names: Mapping[str, str], key: str | None) -> str | None:
    return None if key is None else names.get(key, key)[:200]
