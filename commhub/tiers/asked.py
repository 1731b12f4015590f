"""What asks of neighbours have in common: who asks, and what it is about."""

from commhub.domain.account import Principal
from commhub.domain.tier import Peering
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body


def principal_of(peering: Peering, body: Body) -> Principal:
    """Who asks, for the record: the hub is proved by its link, the person is its word. Nothing follows from roles."""
    person = str(body.get("by") or "")[:64].partition(":")[2]
    name = f"{peering.peer}/{person}" if person else peering.peer
    return Principal(id=f"hub:{peering.peer}", name=name, kind="hub", roles=frozenset())


async def incident_in_common(uow: UnitOfWork, peering: Peering, told: object) -> str | None:
    """The incident a neighbour's call is about, where both have it."""
    if not isinstance(told, str):
        return None
    share = await uow.shares.find(told, peering.peer)
    return told if share is not None and share.is_open else None
