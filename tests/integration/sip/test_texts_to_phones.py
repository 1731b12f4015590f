"""Texts from the dispatch model to real phones: SIPp over each transport, which reads them, baresip and linphone."""

import asyncio

import pytest
from fakes.baresip import baresip
from fakes.clock import START
from fakes.linphone import linphone
from fakes.objects import a_delivery, a_message
from fakes.sipp_phones import PASSWORD, registered
from fakes.waiting import eventually
from fakes.whole_hub import signed_in, whole_hub

from commhub.domain.message import DeliveryState
from commhub.ports.channels import Outgoing, Sent, TryLater
from gateways.sip.text_channel import SipTextChannel


@pytest.fixture
def channel(edge):
    channel = SipTextChannel()
    edge.gateway.carry(channel)
    return channel


def text():
    message = a_message(title="积水", body="water in the underpass", link="https://hub/i/1")
    return Outgoing(
        a_delivery(message.id, START, channel="sip_text", recipient="sip:1001"), message
    )


@pytest.mark.parametrize("over", ["udp", "tcp", "tls"])
async def test_a_phone_takes_it_over_each_transport(edge, channel, over):
    async with registered(edge, "told_by_text", over=over) as peer:
        assert await channel.send(text()) == Sent()
        await peer.finish()


async def test_baresip_takes_it(edge, channel):
    async with baresip("1001", PASSWORD, edge.port) as peer:
        await peer.until_registered()
        assert await channel.send(text()) == Sent()


async def test_linphone_takes_it(edge, channel):
    async with linphone("1001", PASSWORD, edge.port) as peer:
        await peer.until_registered()
        assert await channel.send(text()) == Sent()


async def test_nobody_is_there(edge, channel):
    assert isinstance(await channel.send(text()), TryLater)


async def test_a_dispatcher_writes_to_a_phone(tmp_path):
    async with (
        whole_hub(tmp_path / "hub", {"COMMHUB_SIP__TEXTS": "true"}) as hub,
        signed_in(hub) as desk,
    ):
        phone = {"name": "1001", "display_name": "岗亭"}
        made = await asyncio.to_thread(desk.post, "/fleet/phones", phone)
        async with linphone("1001", made["password"], hub.port("sip")) as peer:
            await peer.until_registered()
            words = {"recipients": ["sip:1001"], "title": "积水", "body": "water in the underpass"}
            await asyncio.to_thread(desk.post, "/messages", words)

            async def is_accepted():
                (sent,) = (await asyncio.to_thread(desk.get, "/messages"))["items"]
                return sent["deliveries"][0]["state"] == DeliveryState.ACCEPTED

            await eventually(is_accepted, within_s=30)
            assert peer.said("water in the underpass")
