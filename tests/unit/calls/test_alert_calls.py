"""A task card by telephone: a phone rings, its keys are the card's buttons, and a restart forgets nothing of it."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.objects import a_delivery, a_message
from fakes.waiting import eventually

from commhub.calls.alerts import AlertChannel, AlertConfig, AlertService
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import Cause
from commhub.domain.message import Ack
from commhub.domain.people import Scheme
from commhub.kit.ids import new_id
from commhub.ports.channels import Outgoing, Refused, Sent, TryLater


class Acks:
    """Keeps answers as the inbox does: an ack row with its effect."""

    def __init__(self, store):
        self.store = store
        self.effect = "done"
        self.taken = []

    async def acknowledge(self, ack):
        self.taken.append(ack)
        async with self.store.begin() as uow:
            delivery = await uow.messages.get_delivery(ack.delivery_id)
            await uow.messages.add_ack(
                Ack(
                    id=new_id(),
                    message_id=delivery.message_id,
                    actor=ack.actor,
                    action=ack.action,
                    source=ack.channel,
                    at=ack.at,
                    effect=self.effect,
                )
            )


class Scene:
    """Everything of one hub, and the phone's side of it by `CallsIn`."""

    def __init__(self, store, clock, bus):
        self.store, self.clock, self.bus = store, clock, bus
        self.media, self.driver, self.acks = RememberingMedia(), FakeDriver(), Acks(store)
        self.delivery = None
        self.make()

    def make(self):
        """Another process on the same store."""
        self.calls = CallService(self.store, self.clock)
        self.calls.connect(self.media, {Scheme.SIP: self.driver})
        self.alerts = AlertService(self.calls, self.store, self.clock, AlertConfig(settle_s=0.3))
        self.alerts.connect(self.media, self.acks)
        self.channel = AlertChannel("sip", self.alerts)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.alerts.run(self.bus))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def outgoing(self, recipient="sip:1001"):
        message = a_message()
        delivery = a_delivery(message.id, channel="sip", recipient=recipient)
        async with self.store.begin() as uow:
            await uow.messages.add(message, [delivery])
        self.delivery = delivery
        return Outgoing(delivery, message)

    async def send(self, then=None, **given):
        """Send a delivery; `then` is what the phone does meanwhile."""
        outgoing = await self.outgoing(**given)
        sending = asyncio.create_task(self.channel.send(outgoing))
        await eventually(lambda: self.driver.placed)
        if then is not None:
            await then(self.leg)
        return await sending

    @property
    def leg(self):
        return self.driver.placed[-1].leg_id

    async def pick_up(self):
        await self.calls.leg_ringing(self.leg)
        await self.calls.leg_connected(self.leg, "PCMA")

    def played(self):
        return [order[1] for order in self.media.orders if order[0] == "play"]

    async def until_played(self, count=1):
        await eventually(lambda: len(self.played()) >= count)
        return self.played()[count - 1]


@pytest.fixture
def scene(store, clock, bus):
    return Scene(store, clock, bus)


async def test_who_presses_1_has_accepted_and_hears_it(scene):
    async with scene.running():
        assert isinstance(await scene.send(scene.calls.leg_ringing), Sent)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        asked = await scene.until_played()
        assert (asked.prompt, asked.loop, asked.leg_ids) == ("attention", True, (scene.leg,))

        await scene.alerts.dtmf_received(scene.leg, "1")
        confirmed = await scene.until_played(2)
        assert (confirmed.prompt, confirmed.loop) == ("join", False)
        (ack,) = scene.acks.taken
        assert (ack.channel, ack.action, ack.actor) == ("sip", "accept", "sip:1001")
        assert ack.delivery_id == scene.delivery.id
        assert ("stop_playing", asked.id) in scene.media.orders

        await scene.alerts.playback_ended(confirmed.id, confirmed.call_id)
        await eventually(lambda: scene.driver.hung_up)
        assert scene.driver.hung_up[0] == (scene.leg, Cause.DESK)


async def test_who_presses_2_gives_it_back(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        await scene.alerts.dtmf_received(scene.leg, "2")
        await scene.until_played(2)
        assert [ack.action for ack in scene.acks.taken] == ["return"]


async def test_other_keys_and_a_second_press_do_nothing(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        for digit in "9*#0A1211":
            await scene.alerts.dtmf_received(scene.leg, digit)
        await scene.until_played(2)
        await eventually(scene.alerts._inbox.empty)
        assert [ack.action for ack in scene.acks.taken] == ["accept"]


async def test_who_is_too_late_hears_that_it_was_refused(scene):
    scene.acks.effect = "late"
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        await scene.alerts.dtmf_received(scene.leg, "1")
        assert (await scene.until_played(2)).prompt == "leave"


async def test_a_key_before_anybody_picked_up_means_nothing(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        await scene.alerts.dtmf_received(scene.leg, "1")
        await eventually(scene.alerts._inbox.empty)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        await scene.until_played()
        assert scene.acks.taken == []


async def test_nobody_presses_anything_and_the_call_ends(scene, clock):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        await scene.until_played()
        clock.advance(61)
        await eventually(lambda: scene.driver.hung_up)
        assert scene.acks.taken == []


async def test_a_phone_that_cannot_be_rung_leaves_it_to_the_next_channel(scene):
    async def gone(leg):
        await scene.calls.leg_ended(leg, Cause.UNREACHABLE, "no phone is registered")

    async with scene.running():
        outcome = await scene.send(gone)
    assert outcome == Refused(reason="unreachable: no phone is registered")


async def test_a_busy_phone_is_rung_again_later(scene):
    async def busy(leg):
        await scene.calls.leg_ended(leg, Cause.BUSY, "486 Busy Here")

    async with scene.running():
        outcome = await scene.send(busy)
        assert isinstance(outcome, TryLater)
        assert outcome.after_s == 30
        again = Outgoing(scene.delivery, a_message(id=scene.delivery.message_id))
        assert isinstance(await scene.channel.send(again), Sent)
    assert len(scene.driver.placed) == 2


async def test_a_phone_that_is_slow_to_ring_is_sent_all_the_same(scene):
    async with scene.running():
        assert isinstance(await scene.send(), Sent)


async def test_an_address_that_is_none_is_refused(scene):
    outgoing = await scene.outgoing(recipient="tel:+8613800000000")
    outcome = await scene.channel.send(outgoing)
    assert isinstance(outcome, Refused)
    assert scene.driver.placed == []


async def test_the_same_delivery_twice_rings_once(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        again = Outgoing(scene.delivery, a_message(id=scene.delivery.message_id))
        assert isinstance(await scene.channel.send(again), Sent)
    assert len(scene.driver.placed) == 1


async def test_a_task_that_somebody_else_has_stops_ringing(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        message = a_message(id=scene.delivery.message_id)
        change = replace(scene.delivery, update={"status": "已转派", "actions": []})
        await scene.channel.update(Outgoing(change, message))
        assert scene.driver.hung_up == [(scene.leg, Cause.DESK)]


async def test_a_card_that_still_asks_goes_on_ringing(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        change = replace(scene.delivery, update={"status": "待接单", "actions": ["accept"]})
        await scene.channel.update(Outgoing(change, a_message(id=scene.delivery.message_id)))
        assert scene.driver.hung_up == []


async def test_a_restart_in_the_middle_of_the_prompt_goes_on_asking(scene):
    async with scene.running():
        await scene.send(scene.calls.leg_ringing)
        await scene.calls.leg_connected(scene.leg, "PCMA")
        asked = await scene.until_played()
    scene.make()
    async with scene.running():
        assert (await scene.until_played(2)).id == asked.id
        await scene.alerts.dtmf_received(scene.leg, "1")
        await scene.until_played(3)
    assert [ack.action for ack in scene.acks.taken] == ["accept"]


async def test_keys_in_other_calls_mean_nothing(scene):
    async with scene.running():
        person = Principal(id="1", name="li", kind="user", roles=frozenset())
        await scene.calls.place(CallRequest(legs=("sip:1002",)), person)
        await scene.pick_up()
        await scene.alerts.dtmf_received(scene.leg, "1")
        await eventually(scene.alerts._inbox.empty)
        assert scene.acks.taken == []
        assert scene.played() == []


async def test_calls_without_a_card_cost_not_a_look(scene, store, monkeypatch):
    async with scene.running():
        reads = []
        monkeypatch.setattr(store, "read", lambda: reads.append(1) or pytest.fail("a look"))
        person = Principal(id="1", name="li", kind="user", roles=frozenset())
        await scene.calls.place(CallRequest(legs=("sip:1002",)), person)
        await scene.pick_up()
        await scene.calls.leg_ended(scene.leg, Cause.HUNG_UP, None)
        await eventually(scene.alerts._inbox.empty)
        assert reads == []
