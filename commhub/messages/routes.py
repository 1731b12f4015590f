"""HTTP of messages, under /api/v1/messages."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from commhub.domain.account import Permission
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import AckView, DeliveryView, MessageView, Page
from commhub.messages.service import Draft, MessageFile, MessageService
from commhub.ports.store import Store, UnitOfWork

Recipient = Annotated[str, Field(min_length=1, max_length=128, examples=["wecom:zhangsan"])]


class NewMessage(Body):
    """A text to people. A recipient is an endpoint or a responder's id, who is told on the first channel that
    reaches them and on the others when that one fails."""

    recipients: list[Recipient] = Field(min_length=1, max_length=200)
    title: str = Field(min_length=1, max_length=120)
    body: str = Field(max_length=4000)
    incident: str | None = Field(None, max_length=64)


def view_of(file: MessageFile) -> MessageView:
    """A message with its deliveries and answers as JSON. What a link's fragment says is its recipient's alone."""
    link = file.message.link
    return MessageView.model_validate(file.message).model_copy(
        update={
            "link": link and link.partition("#")[0],
            "deliveries": [DeliveryView.model_validate(d) for d in file.deliveries],
            "acks": [AckView.model_validate(ack) for ack in file.acks],
        }
    )


def build_router(service: MessageService, store: Store) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/messages", tags=["messages"])

    @router.post(
        "", status_code=201, response_model=MessageView, dependencies=[needs(Permission.MESSAGE)]
    )
    async def send_message(
        body: NewMessage, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Queue a text. Answers once it is safe; its deliveries say how each of them fared."""
        draft = Draft(tuple(body.recipients), body.title, body.body, body.incident)

        async def produce(uow: UnitOfWork) -> MessageView:
            return view_of(await service.send_within(uow, draft, principal))

        response = await key.run(store, body, produce)
        service.wake()
        return response

    @router.get("", dependencies=[needs(Permission.VIEW)])
    async def list_messages(
        page: PageQuery,
        incident: Annotated[
            str | None, Query(max_length=64, description="of this incident")
        ] = None,
    ) -> Page[MessageView]:
        files = await service.list(incident, page.before, page.fetch)
        return page.of(files, view_of, key=lambda file: file.message.id)

    return router
