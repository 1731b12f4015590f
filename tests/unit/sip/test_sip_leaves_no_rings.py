"""A call that is over is freed at once, and not by the garbage collector, whose walks stop the process."""

import pytest
from fakes.rings import no_rings
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.message import Response


async def forgotten(wire):
    """Until no leg is there, and nothing is kept for retransmissions."""
    layer = wire.gateway._core.layer
    await eventually(lambda: not wire.gateway._legs, within_s=30)
    await eventually(lambda: not layer._clients and not layer._servers, within_s=30)
    await eventually(wire.no_rows, within_s=30)
    wire.sent.clear()


async def rung(wire, phones):
    """A leg to a phone that has answered."""
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 180)
    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    return leg, invite


async def rung_and_left(wire, phones):
    _, invite = await rung(wire, phones)
    wire.say(phones.ask("BYE", invite, 2))
    await forgotten(wire)


async def rung_and_hung_up(wire, phones):
    leg, _ = await rung(wire, phones)
    await wire.gateway.hang_up(leg, Cause.DESK)
    phones.answer(await phones.until("BYE"), 200)
    await forgotten(wire)


async def dialled_and_left(wire, phones):
    """A phone that dials, is answered, and hangs up."""
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp"]
    challenge = await wire.ask(wire.request("INVITE", headers=headers, body=SDP))
    more = [*headers, wire.credentials(challenge, "INVITE")]
    before = len(wire.calls.offers)
    wire.say(wire.request("INVITE", seq=2, headers=more, body=SDP))
    await eventually(lambda: len(wire.calls.offers) > before)
    await wire.gateway.answer(wire.calls.offers[-1].leg_id)
    answered = await eventually(lambda: answer_200(wire))
    for method in ("ACK", "BYE"):
        wire.say(in_dialog(wire, method, answered.recipient.tag, 2 if method == "ACK" else 3))
    await forgotten(wire)


def answer_200(wire):
    found = (a for a in wire.answers() if isinstance(a, Response) and a.status == 200)
    return next((answer for answer in found if answer.cseq.method == "INVITE"), None)


def in_dialog(wire, method, tag, seq):
    text = wire.request(method, seq=seq, uri="sip:commhub@127.0.0.1")
    return text.replace("To: <sip:1001@commhub.test>", f"To: <sip:1001@commhub.test>;tag={tag}")


@pytest.mark.parametrize("call", [rung_and_left, rung_and_hung_up, dialled_and_left])
async def test_a_call_that_is_over(wire, phones, call):
    await phones.register(5062)
    # What the first call of a process makes for all that follow is not what is looked for.
    await call(wire, phones)
    with no_rings():
        await call(wire, phones)
