"""HTTP of tiers, under /api/v1/tiers: neighbours and how the links to them are."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from commhub.domain.account import Permission
from commhub.domain.tier import Peering, PeeringState, Relation, Tier
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.ports.tiers import TierLinks
from commhub.tiers.pairing import Pairing

PeerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", examples=["street-a"])]

_MANAGE = [needs(Permission.MANAGE_TIERS)]


class PeeringView(BaseModel):
    """A neighbour. `reason` says why the link is down, `code` of which kind that is (`clock-off`), `waiting` how many messages to it are not settled; `skew_s` is how far its clock is
    ahead of ours."""

    peer: str
    name: str
    tier: Tier
    relation: Relation
    state: PeeringState
    key: str
    url: str | None
    uplink_kbps: int
    paired_at: datetime
    up: bool
    reason: str | None
    code: str | None
    waiting: int
    rtt_ms: float | None
    skew_s: float | None
    came_up_at: datetime | None
    went_down_at: datetime | None


class NewTicket(Body):
    """Which lower hub is to pair."""

    peer: PeerName
    hours: Annotated[float, Field(gt=0, le=168)] = 24.0


class TicketView(BaseModel):
    """Shown this once: hand it to whoever runs the lower hub."""

    ticket: str


class Ticket(Body):
    ticket: Annotated[str, Field(max_length=2000)]


class PeeringChange(Body):
    """`uplink_kbps`: what pictures may take together on the way to it, 0 for no bound."""

    uplink_kbps: Annotated[int, Field(ge=0, le=10_000_000)]


class KeyView(BaseModel):
    key: str


def peering_view(peering: Peering, links: TierLinks) -> PeeringView:
    link = links.state_of(peering.peer)
    return PeeringView(
        peer=peering.peer,
        name=peering.name,
        tier=peering.tier,
        relation=peering.relation,
        state=peering.state,
        key=peering.keys[0],
        url=peering.url,
        uplink_kbps=peering.uplink_kbps,
        paired_at=peering.paired_at,
        up=link.up and peering.is_active,
        reason=link.reason if peering.is_active else "the peering is revoked",
        code=link.code if peering.is_active else "revoked",
        waiting=link.waiting,
        rtt_ms=None if link.rtt_s is None else round(link.rtt_s * 1000, 1),
        skew_s=None if link.skew_s is None else round(link.skew_s, 2),
        came_up_at=peering.came_up_at,
        went_down_at=peering.went_down_at,
    )


def build_router(pairing: Pairing, links: TierLinks) -> APIRouter:
    """Neighbours."""
    router = APIRouter(prefix="/tiers", tags=["tiers"])

    @router.get("/peerings", dependencies=[needs(Permission.VIEW)])
    async def peerings() -> Sequence[PeeringView]:
        """All neighbours, revoked ones too, by name."""
        return [peering_view(one, links) for one in await pairing.list()]

    @router.post("/tickets", status_code=201, dependencies=_MANAGE)
    async def invite(body: NewTicket, principal: CurrentPrincipal) -> TicketView:
        """Make a ticket for a lower hub."""
        hours = timedelta(hours=body.hours)
        return TicketView(ticket=await pairing.invite(body.peer, principal, hours))

    @router.post("/peerings", status_code=201, dependencies=_MANAGE)
    async def pair(body: Ticket, principal: CurrentPrincipal) -> PeeringView:
        """Show a ticket to the upper hub that made it."""
        peering = await pairing.pair(body.ticket, principal)
        links.dial(peering.peer)
        return peering_view(peering, links)

    @router.patch("/peerings/{peer}", dependencies=_MANAGE)
    async def change(
        peer: PeerName, body: PeeringChange, principal: CurrentPrincipal
    ) -> PeeringView:
        """Bound what pictures may take on the way to a neighbour."""
        return peering_view(await pairing.limit(peer, body.uplink_kbps, principal), links)

    @router.delete("/peerings/{peer}", dependencies=_MANAGE)
    async def revoke(peer: PeerName, principal: CurrentPrincipal) -> PeeringView:
        """Know that hub no more, at once and for ever."""
        peering = await pairing.revoke(peer, principal)
        links.drop(peer, "the peering was revoked")
        return peering_view(peering, links)

    @router.post("/keys", status_code=201, dependencies=_MANAGE)
    async def renew(principal: CurrentPrincipal) -> KeyView:
        """Begin to use a new key. Every neighbour learns it when it next connects; then the old one is forgotten."""
        return KeyView(key=await pairing.renew_keys(principal))

    return router
