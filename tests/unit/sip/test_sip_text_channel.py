"""Texts from the dispatch model to phones (MESSAGE, RFC 3428): what is sent, and what each answer means for the delivery."""

import asyncio

import pytest
from fakes.clock import START
from fakes.objects import a_delivery, a_message
from fakes.waiting import eventually

from commhub.ports.channels import Outgoing, Refused, Sent, TryLater, Unknown
from gateways.sip.text_channel import MOST_BYTES, SipTextChannel


@pytest.fixture
def channel(wire):
    channel = SipTextChannel()
    wire.gateway.carry(channel)
    return channel


def outgoing(recipient="sip:1001", **message):
    message = a_message(**message)
    delivery = a_delivery(message.id, START, channel="sip_text", recipient=recipient)
    return Outgoing(delivery, message)


async def answered(channel, phones, status, *, sends=None, headers=()):
    """What comes of a text that the phone answers so."""
    seen = len(phones.got("MESSAGE"))
    sending = asyncio.create_task(channel.send(sends or outgoing()))
    text = await phones.until("MESSAGE", count=seen + 1)
    phones.answer(text, status, contact=False, headers=headers)
    return await sending


async def test_a_phone_is_shown_the_text_with_its_rows_and_the_link(channel, phones):
    await phones.register(5062)
    sends = outgoing(
        title="占道经营", body="人民路口", fields=(("时限", "30 分钟"),), link="https://hub/i/1"
    )
    assert await answered(channel, phones, 200, sends=sends) == Sent()
    (text,) = phones.got("MESSAGE")
    assert text.body.decode() == "占道经营\n人民路口\n时限：30 分钟\nhttps://hub/i/1"
    assert text.get("Content-Type") == "text/plain;charset=UTF-8"
    assert text.uri == "sip:1001@192.0.2.10:5062"
    assert text.get("Contact") == ""


async def test_a_long_text_is_cut_so_that_it_fits_a_datagram(channel, phones, wire):
    await phones.register(5062)
    sends = outgoing(body="很长" * 1000, link="https://hub/i/1")
    assert await answered(channel, phones, 202, sends=sends) == Sent()
    (text,) = phones.got("MESSAGE")
    assert len(text.body) <= MOST_BYTES
    assert text.body.decode().endswith("…\nhttps://hub/i/1")
    assert len(bytes(text)) <= 1300


async def test_a_repeat_is_the_same_message_and_a_phone_that_had_it_says_so(channel, phones):
    await phones.register(5062)
    sends = outgoing()
    assert isinstance(await answered(channel, phones, 503, sends=sends), TryLater)
    assert await answered(channel, phones, 482, sends=sends) == Sent()
    first, second = phones.got("MESSAGE")
    assert (first.call_id, first.cseq, first.sender.tag) == (
        second.call_id,
        second.cseq,
        second.sender.tag,
    )


@pytest.mark.parametrize("status", [404, 405, 415, 488, 501, 603])
async def test_a_phone_that_takes_no_texts_is_not_asked_again(channel, phones, status):
    await phones.register(5062)
    outcome = await answered(channel, phones, status)
    assert isinstance(outcome, Refused)
    assert str(status) in outcome.reason


@pytest.mark.parametrize("status", [480, 486, 500, 503, 600])
async def test_a_phone_that_cannot_now_is_asked_later(channel, phones, status):
    await phones.register(5062)
    outcome = await answered(channel, phones, status, headers=[("Retry-After", "40 (busy)")])
    assert isinstance(outcome, TryLater)
    assert outcome.after_s == 40.0


async def test_a_phone_that_says_nothing_may_have_it(channel, phones):
    await phones.register(5062)
    assert isinstance(await channel.send(outgoing()), Unknown)


async def test_of_several_phones_one_that_takes_it_is_enough(channel, phones):
    await phones.register(5062, 5064)
    sending = asyncio.create_task(channel.send(outgoing()))
    phones.answer(await phones.until("MESSAGE", 5062), 415, 5062, contact=False)
    phones.answer(await phones.until("MESSAGE", 5064), 200, 5064, contact=False)
    assert await sending == Sent()


async def test_nobody_to_tell(channel, wire):
    assert isinstance(await channel.send(outgoing("sip:1001")), TryLater)
    assert isinstance(await channel.send(outgoing("sip:4711")), Refused)
    assert isinstance(await channel.send(outgoing("sip:1001@street-a")), Refused)
    assert wire.sent == []


async def test_before_the_edge_is_there_a_text_waits():
    assert isinstance(await SipTextChannel().send(outgoing()), TryLater)


async def test_a_sender_that_stops_waiting_disturbs_nobody(channel, phones, wire):
    await phones.register(5062)
    sending = asyncio.create_task(channel.send(outgoing()))
    text = await phones.until("MESSAGE")
    sending.cancel()
    await asyncio.wait([sending])
    phones.answer(text, 200, contact=False)
    layer = wire.gateway._core.layer
    await eventually(lambda: not layer._clients)
