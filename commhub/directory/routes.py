"""HTTP of the directory, under /api/v1/directory."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from commhub.directory.service import DirectoryService
from commhub.domain.account import Permission
from commhub.domain.errors import NotFoundError
from commhub.domain.people import Endpoint, Loop, Responder, Unit
from commhub.http.auth import needs
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import EndpointView, ResponderView, UnitView
from commhub.kit.ids import new_id
from commhub.ports.store import Store, UnitOfWork

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Word = Annotated[str, Field(min_length=1, max_length=64)]
Address = Annotated[str, Field(max_length=128, examples=["wecom:zhangsan"])]


class UnitBody(Body):
    """A unit; without an id a new one."""

    id: Id | None = None
    name: Word
    team: Word
    loop: Loop = Loop.COMMUNITY


class ResponderBody(Body):
    """A responder; without an id a new one. `endpoints` in the order the responder prefers."""

    id: Id | None = None
    name: Word
    unit_id: Id
    skills: list[Word] = Field(default_factory=list, max_length=64)
    grids: list[Word] = Field(default_factory=list, max_length=256)
    endpoints: list[Address] = Field(default_factory=list, max_length=32)
    on_duty: bool = True
    leads: bool = False
    capacity: int = Field(3, ge=1, le=1000)


async def _responder_of(uow: UnitOfWork, body: ResponderBody) -> Responder:
    """The body as a responder, who keeps the position that is known. Raises InvalidError for an address."""
    responder_id = body.id or new_id()
    try:
        position = (await uow.directory.get_responder(responder_id)).position
    except NotFoundError:
        position = None
    return Responder(
        id=responder_id,
        name=body.name,
        unit_id=body.unit_id,
        skills=frozenset(body.skills),
        grids=frozenset(body.grids),
        endpoints=tuple(dict.fromkeys(Endpoint.parse(text) for text in body.endpoints)),
        on_duty=body.on_duty,
        leads=body.leads,
        capacity=body.capacity,
        position=position,
    )


def build_router(service: DirectoryService, store: Store) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/directory", tags=["directory"])
    may_manage = needs(Permission.MANAGE_DIRECTORY)
    may_view = needs(Permission.VIEW)

    @router.get("/units", dependencies=[may_view])
    async def list_units() -> list[UnitView]:
        return [UnitView.model_validate(unit) for unit in await service.units()]

    @router.post("/units", status_code=201, response_model=UnitView, dependencies=[may_manage])
    async def put_unit(body: UnitBody, key: IdempotencyKey) -> Response:
        """Insert or replace by id."""

        async def produce(uow: UnitOfWork) -> UnitView:
            unit = Unit(id=body.id or new_id(), name=body.name, team=body.team, loop=body.loop)
            return UnitView.model_validate(await service.put_unit(uow, unit))

        return await key.run(store, body, produce)

    @router.get("/responders", dependencies=[may_view])
    async def list_responders() -> list[ResponderView]:
        return [ResponderView.model_validate(r) for r in await service.responders()]

    @router.post(
        "/responders", status_code=201, response_model=ResponderView, dependencies=[may_manage]
    )
    async def put_responder(body: ResponderBody, key: IdempotencyKey) -> Response:
        """Insert or replace by id."""

        async def produce(uow: UnitOfWork) -> ResponderView:
            responder = await _responder_of(uow, body)
            return ResponderView.model_validate(await service.put_responder(uow, responder))

        return await key.run(store, body, produce)

    @router.get("/endpoints", dependencies=[may_view])
    async def list_endpoints() -> list[EndpointView]:
        """The address book."""
        return [EndpointView.model_validate(entry) for entry in await service.endpoints()]

    return router
