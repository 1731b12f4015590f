"""A caller is answered: the audio engine is asked for a place and told of the far end in one order."""

import asyncio

from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError


async def dialled(wire, body):
    """Phone 1001 has dialled 2000, and it rings: the final answer that is to come, and the leg."""
    uri = "sip:2000@commhub.test"
    headers = ("Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp")
    asked = {"uri": uri, "to": "2000", "body": body}
    challenge = await wire.ask(wire.request("INVITE", headers=headers, **asked))
    signed = (*headers, wire.credentials(challenge, "INVITE", uri=uri))
    pending = asyncio.ensure_future(
        wire.ask(wire.request("INVITE", seq=2, headers=signed, **asked))
    )
    await eventually(lambda: wire.calls.offers, within_s=30)
    return pending, wire.calls.offers[0].leg_id


async def test_a_caller_with_an_offer_costs_one_order(wire):
    pending, leg = await dialled(wire, SDP)
    await wire.gateway.answer(leg)
    assert (await pending).status == 200
    assert wire.media.reserved[leg].remote.address.port == 4000
    assert wire.media.reserved[leg].remote == wire.media.connected[leg]


async def test_a_caller_without_an_offer_is_given_a_place_alone(wire):
    pending, leg = await dialled(wire, "")
    await wire.gateway.answer(leg)
    assert b"m=audio" in (await pending).body
    assert wire.media.reserved[leg].remote is None
    assert leg not in wire.media.connected


async def test_a_caller_the_worker_cannot_mix_is_488_and_keeps_no_place(wire, monkeypatch):
    async def cannot(leg_id, remote):
        raise InvalidError("this worker cannot mix that")

    monkeypatch.setattr(wire.media, "connect", cannot)
    pending, leg = await dialled(wire, SDP)
    await wire.gateway.answer(leg)
    assert (await pending).status == 488
    assert wire.media.held() == []
    await eventually(lambda: wire.calls.end_of(leg), within_s=30)
    assert wire.calls.end_of(leg)[0] is Cause.NO_COMMON_CODEC
