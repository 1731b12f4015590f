"""A task card by telephone from end to end: a real baresip is rung by the real gateway, hears the prompt of a real media
worker, and its key accepts the task.
"""

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from fakes import worker_process
from fakes.baresip import baresip
from fakes.servers import free_port
from fakes.town import Town, responder
from fakes.waiting import eventually

from bridges.client import ClientConfig, MediaClient
from commhub.calls.alerts import AlertChannel, AlertConfig, AlertService
from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallService
from commhub.domain.call import LegState
from commhub.domain.errors import UnavailableError
from commhub.domain.message import DeliveryState
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.clock import SystemClock

PASSWORD = "kept-between-us"
ROOT = Path(__file__).parents[3]


class Hub:
    """The heart of the hub with the channel `sip` in service, on the real edge and engine."""

    def __init__(self, store, bus):
        clock = SystemClock()
        self.store, self.bus = store, bus
        self.calls = CallService(store, clock)
        self.alerts = AlertService(self.calls, store, clock, AlertConfig(listen_for_s=5.0))
        self.events = MediaEvents(self.calls, store, clock, alerts=self.alerts)
        self.town = Town(store, clock, channels=[AlertChannel("sip", self.alerts)])

    async def dispatch(self):
        """An incident whose task went to zhang, at 1001."""
        zhang = responder("zhang", endpoints=(Endpoint.parse("sip:1001"),))
        await self.town.settle(zhang, leader=False)
        incident = await self.town.report()
        await self.town.send()
        return incident

    async def legs(self):
        return [leg for state in await self._all() for leg in state.legs]

    async def _all(self):
        return await self.calls.list(live_only=False, before=None, limit=10)

    async def ended(self):
        legs = await self.legs()
        return bool(legs) and all(leg.state is LegState.ENDED for leg in legs)


async def answers(client):
    with suppress(UnavailableError):
        return await client.status()


@pytest.fixture
async def hub(edge, bus, tmp_path):
    control = f"unix:{tmp_path}/worker.sock"
    first_port = 27_000 + free_port() % 20 * 100
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, str(worker_process.__file__), control, str(tmp_path), str(first_port)),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    made, fake, running = Hub(edge.store, bus), edge.media, None
    try:
        async with AsyncExitStack() as stack:
            await edge.stop()
            client = MediaClient(ClientConfig(address=control), made.events, SystemClock())
            edge.media, edge.calls = await stack.enter_async_context(client), made.calls
            await eventually(lambda: answers(client), within_s=20)
            await edge.start()
            await edge.add_account("1001", PASSWORD)
            made.calls.connect(client, {Scheme.SIP: edge.gateway})
            made.alerts.connect(client, made.town.messages)
            await made.calls.resume()
            running = asyncio.create_task(made.alerts.run(bus))
            yield made
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await edge.stop()
    finally:
        edge.media = fake
        worker.kill()
        await worker.wait()


def is_loud(phone):
    """Whether the prompt is heard: the phone itself says nothing into its own ear."""
    heard = phone.heard().astype(float)
    return heard.size > 0 and np.sqrt(np.mean(heard**2)) > 300


@pytest.mark.audio
async def test_a_phone_rings_hears_the_prompt_and_1_accepts_the_task(hub, edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        incident = await hub.dispatch()
        await phone.until("CALL_ESTABLISHED")
        await eventually(lambda: is_loud(phone), within_s=10)
        assert await hub.town.holders(incident) == [("zhang", "dispatched")]

        await phone.command("sndcode", "7")
        await phone.command("sndcode", "1")

        async def accepted():
            return await hub.town.holders(incident) == [("zhang", "accepted")]

        await eventually(accepted, within_s=10)
        await phone.until("CALL_CLOSED")
        await eventually(hub.ended, within_s=10)
    (leg,) = await hub.legs()
    assert leg.connected_at is not None
    kinds = await hub.town.kinds(incident)
    assert {"call_started", "leg_moved", "ack_received", "call_ended"} <= set(kinds)
    ack = await hub.town.last(incident, "ack_received")
    assert (ack.actor, ack.data["source"], ack.data["effect"]) == ("responder:zhang", "sip", "done")


@pytest.mark.audio
async def test_2_gives_the_task_back(hub, edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        incident = await hub.dispatch()
        await phone.until("CALL_ESTABLISHED")
        await eventually(lambda: is_loud(phone), within_s=10)
        await phone.command("sndcode", "2")

        async def returned():
            return await hub.town.holders(incident) == [("zhang", "returned")]

        await eventually(returned, within_s=10)
        await phone.until("CALL_CLOSED")


@pytest.mark.audio
async def test_who_presses_nothing_is_hung_up_and_has_accepted_nothing(hub, edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        incident = await hub.dispatch()
        await phone.until("CALL_ESTABLISHED")
        await phone.until("CALL_CLOSED", within_s=15)
    assert await hub.town.holders(incident) == [("zhang", "dispatched")]


async def test_without_a_phone_the_delivery_fails_at_once_and_the_desk_is_told(hub):
    incident = await hub.dispatch()
    (delivery,) = await hub.town.deliveries(incident)
    assert delivery.state is DeliveryState.FAILED_PERM
    assert "unreachable" in delivery.error
    assert "attention_raised" in await hub.town.kinds(incident)
