"""HTTP of what neighbours share: /api/v1/tiers/exports is ours, /api/v1/tiers/directory theirs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from commhub.domain.account import Permission
from commhub.domain.tier import Export, ShareRight
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import View
from commhub.ports.store import Store, UnitOfWork
from commhub.tiers.commands import HubCommands, SharedCommand
from commhub.tiers.directory import NewExport, Reach, SharedDirectoryService
from commhub.tiers.presence import Presence

Subject = Annotated[str, Field(max_length=128, examples=["radio:r12", "unit:water"])]


class ExportBody(Body):
    """`peer` «*» lets all neighbours. Rights: call, see (picture, position), command; the last is given upward only."""

    peer: Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,31})$")]
    subject: Subject
    rights: Annotated[list[ShareRight], Field(min_length=1, max_length=3)]
    label: Annotated[str | None, Field(max_length=64)] = None


class CommandBody(Body):
    """As a command to a device of this hub; `incident` puts it on the timeline of both."""

    op: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,31}$", examples=["live.start"])]
    args: dict[str, object] = Field(default_factory=dict, max_length=32)
    expires_in_s: float = Field(300, gt=0, le=3600)
    incident: Annotated[str | None, Field(max_length=64)] = None


class ExportView(View):
    id: str
    peer: str
    subject: str
    label: str
    rights: list[ShareRight]
    created_at: datetime
    created_by: str


class SharedView(View):
    """`address` is what it is named by here. `reachable`: it is online and the link to its hub is up; `reason` says why not."""

    address: str
    peer: str
    subject: str
    label: str
    rights: list[ShareRight]
    endpoint: str | None
    unit: str | None
    online: bool
    reachable: bool
    reason: str | None
    lat: float | None
    lon: float | None
    positioned_at: datetime | None
    updated_at: datetime


def export_view(export: Export) -> ExportView:
    return ExportView(
        id=export.id,
        peer=export.peer,
        subject=export.subject,
        label=export.label,
        rights=sorted(export.rights),
        created_at=export.created_at,
        created_by=export.created_by,
    )


def shared_view(reach: Reach, presence: Presence) -> SharedView:
    shared, link = reach.shared, reach.link
    position = presence.position_of(shared.address)
    reason = None
    if not link.up:
        reason = f"the link to {shared.peer} is down: {link.reason}"
    elif not shared.online:
        reason = "it is not online there"
    return SharedView(
        address=shared.address,
        peer=shared.peer,
        subject=shared.subject,
        label=shared.label,
        rights=sorted(shared.rights),
        endpoint=str(shared.endpoint) if shared.endpoint else None,
        unit=shared.unit,
        online=shared.online,
        reachable=reach.is_reachable,
        reason=reason,
        lat=position.point.lat if position else None,
        lon=position.point.lon if position else None,
        positioned_at=position.at if position else None,
        updated_at=shared.updated_at,
    )


def build_router(
    directory: SharedDirectoryService, presence: Presence, commands: HubCommands, store: Store
) -> APIRouter:
    """Exports, and what comes of the neighbours' exports here."""
    router = APIRouter(prefix="/tiers", tags=["tiers"])
    may_manage = [needs(Permission.MANAGE_DIRECTORY)]

    @router.get("/exports", dependencies=[needs(Permission.VIEW)])
    async def exports() -> Sequence[ExportView]:
        """What neighbours may address of ours."""
        return [export_view(one) for one in await directory.exports()]

    @router.post("/exports", status_code=201, response_model=ExportView, dependencies=may_manage)
    async def share(body: ExportBody, principal: CurrentPrincipal, key: IdempotencyKey) -> Response:
        """Let a neighbour, or all, address it; the same subject again replaces what was let before."""
        new = NewExport(
            peer=body.peer,
            subject=body.subject,
            rights=frozenset(body.rights),
            label=body.label,
        )

        async def produce(uow: UnitOfWork) -> ExportView:
            return export_view(await directory.share(uow, new, principal))

        answer = await key.run(store, body, produce)
        directory.wake()
        return answer

    @router.delete("/exports/{export_id}", status_code=204, dependencies=may_manage)
    async def unshare(export_id: str, principal: CurrentPrincipal) -> None:
        """Let nobody address it any more by this line. Twice is fine."""
        await directory.unshare(export_id, principal)

    @router.get("/directory", dependencies=[needs(Permission.VIEW)])
    async def shared() -> Sequence[SharedView]:
        """What neighbours let us address, by hub and subject."""
        return [shared_view(one, presence) for one in await directory.shared()]

    @router.post(
        "/directory/{address}/commands",
        status_code=202,
        dependencies=[needs(Permission.COMMAND_DEVICE)],
    )
    async def command(
        address: str, body: CommandBody, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Order a device of a lower hub; answers when that hub has handed it to the device's broker."""
        order = SharedCommand(
            address=address,
            op=body.op,
            args=body.args,
            expires_in=timedelta(seconds=body.expires_in_s),
            incident_id=body.incident,
        )

        async def produce() -> dict[str, str]:
            await commands.order(order, principal)
            return {"address": address, "op": body.op}

        return await key.run_after(store, body, produce, status=202)

    return router
