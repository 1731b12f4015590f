"""WeCom for tests: the simulator as a process, the hub's side of it, and a core that keeps what it is told."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx
import uvicorn
from fakes.clock import START
from fakes.servers import free_port, listens, running
from fakes.waiting import eventually
from fakes.web import FakePrincipals
from fastapi import FastAPI

from commhub.domain.message import CardAction, Delivery, DeliveryKind, Message, MessageKind
from commhub.http.app import new_app
from commhub.kit.clock import Clock, SystemClock
from commhub.ports.channels import Outgoing
from commhub.ports.inward import NewAck, NewReport, ReportReceipt
from gateways.wecom.callback import build_router
from gateways.wecom.config import WeComConfig

# The key, token and corp of the official example (D/90968), which is public.
CONFIG = WeComConfig(
    corp_id="wx5823bf96d3bd56c7",
    agent_id=1000002,
    secret="a-secret-of-the-app",
    token="QDG6eK",
    aes_key="jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
    timeout_s=5.0,
)


class KeepingAcks:
    """An AcksIn that makes repeats one by their key, as the core does."""

    def __init__(self) -> None:
        self.arrived: list[NewAck] = []
        self.kept: dict[str, NewAck] = {}
        self.failing: Exception | None = None

    async def acknowledge(self, ack: NewAck) -> None:
        self.arrived.append(ack)
        if self.failing is not None:
            raise self.failing
        self.kept.setdefault(ack.event_key, ack)

    @property
    def actions(self) -> list[str]:
        return [ack.action for ack in self.kept.values()]


class KeepingReports:
    """A ReportsIn that makes repeats one by their key."""

    def __init__(self) -> None:
        self.kept: dict[str, NewReport] = {}
        self.failing: Exception | None = None

    async def submit(self, report: NewReport) -> ReportReceipt:
        if self.failing is not None:
            raise self.failing
        repeated = report.idempotency_key in self.kept
        self.kept.setdefault(report.idempotency_key, report)
        return ReportReceipt(report_id=f"report-{len(self.kept)}", repeated=repeated)


def task_card(
    delivery_id: str,
    *,
    recipient: str = "wecom:ZhangSan",
    actions: tuple[CardAction, ...] = (CardAction.ACCEPT, CardAction.RETURN),
    at: datetime = START,
    **changes: Any,
) -> Outgoing:
    """A task card as the outbox hands it over; `changes` go to the message."""
    message = Message(
        id=f"message-of-{delivery_id}",
        dedup_key=f"task:{delivery_id}",
        kind=MessageKind.TASK_CARD,
        title="SOS 求助 · 一级",
        body="执法记录仪 b7 发出 SOS",
        created_at=at,
        fields=(("地点", "人民路 12 号"), ("编号", "20260302-0001")),
        actions=actions,
        link="https://hub.test/incidents/1",
    )
    delivery = Delivery(
        id=delivery_id,
        message_id=message.id,
        channel="wecom",
        recipient=recipient,
        next_at=at,
    )
    return Outgoing(delivery, replace(message, **changes))


def changed(
    outgoing: Outgoing,
    response_code: str | None,
    status: str,
    *actions: str,
    by: str = "",
    expires: datetime | None = None,
) -> Outgoing:
    """The update of a card that was sent."""
    delivery = replace(
        outgoing.delivery,
        id=f"{outgoing.delivery.id}-update",
        kind=DeliveryKind.UPDATE,
        response_code=response_code,
        response_code_expires_at=expires,
        update={"status": status, "actions": list(actions), "by": by},
    )
    return Outgoing(delivery, outgoing.message)


@dataclass(frozen=True, slots=True)
class HubSide:
    """The real callback router under a real server."""

    url: str
    acks: KeepingAcks = field(default_factory=KeepingAcks)
    reports: KeepingReports = field(default_factory=KeepingReports)


def callback_app(
    acks: KeepingAcks, reports: KeepingReports, clock: Clock, config: WeComConfig = CONFIG
) -> FastAPI:
    """An application with the callback router, and nobody who could sign in."""
    app = new_app(principals=FakePrincipals(), clock=clock)
    app.include_router(build_router(config, acks, reports, clock))
    return app


@asynccontextmanager
async def hub_side(port: int) -> AsyncIterator[HubSide]:
    """Serve the callback router on the port until the block ends."""
    side = HubSide(f"http://127.0.0.1:{port}/wecom/callback")
    app = callback_app(side.acks, side.reports, SystemClock())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await eventually(lambda: server.started)
        yield side
        server.should_exit = True


class StandIn:
    """The simulator, by its scripting interface."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self._client = client

    async def do(self, command: str, **body: Any) -> dict[str, Any]:
        response = await self._client.post(f"/do/{command}", json=body)
        response.raise_for_status()
        return dict(response.json())

    async def state(self) -> dict[str, Any]:
        return dict((await self._client.get("/state")).json())

    async def cards(self, user: str = "zhangsan") -> list[dict[str, Any]]:
        phone = (await self.state())["users"].get(user, {"cards": []})
        return list(phone["cards"])


@contextmanager
def stand_in_process(callback_url: str, config: WeComConfig = CONFIG) -> Iterator[str]:
    """Run `python -m simulators.wecom`; its base URL."""
    port = free_port()
    arguments = {
        "--port": port,
        "--callback-url": callback_url,
        "--corp-id": config.corp_id,
        "--secret": config.secret,
        "--agent-id": config.agent_id,
        "--token": config.token,
        "--aes-key": config.aes_key,
    }
    command = [sys.executable, "-m", "simulators.wecom"]
    command += [str(part) for pair in arguments.items() for part in pair]
    with running(command, lambda: listens(port)):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def scripting(url: str) -> AsyncIterator[StandIn]:
    """A client of a running stand-in that has forgotten what was before."""
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        stand_in = StandIn(url, client)
        await stand_in.do("users", known=None)
        await stand_in.do("reset")
        yield stand_in
