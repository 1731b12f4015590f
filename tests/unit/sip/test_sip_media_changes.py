"""What a re-INVITE changes in the voice of a leg: codec, address, direction, keys; and what a restart keeps."""

import asyncio
import base64

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.errors import InvalidError
from commhub.ports.media import RtpAddress
from gateways.sip.descriptions import read
from gateways.sip.sdes import read_crypto

KEY, OTHER_KEY = (base64.b64encode(bytes([n]) * 30).decode() for n in (1, 2))
PHONE = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"


def secure(key):
    line = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"
    return PHONE + f"m=audio 4000 RTP/SAVP 8\r\n{line}"


async def reinvite(wire, phones, invite, seq, body):
    """The phone's re-INVITE; our final answer, acknowledged."""
    answer = await wire.ask(phones.ask("INVITE", invite, seq, body=body))
    wire.say(phones.ask("ACK", invite, seq))
    return answer


def keys_in(answer):
    (media,) = read(answer.body).media
    return [read_crypto(value).key for value in media.crypto]


async def test_codec_address_and_direction_change_together(wire, phones, talking):
    leg, invite = talking
    body = PHONE.replace("192.0.2.10\r\nt", "192.0.2.44\r\nt") + (
        "m=audio 4400 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=sendonly\r\na=ptime:40\r\n"
    )
    answer = await reinvite(wire, phones, invite, 2, body)

    remote = wire.gateway._core.media.connected[leg]
    assert answer.status == 200
    assert remote.address == RtpAddress("192.0.2.44", 4400)
    assert (remote.audio.encoding, remote.audio.ptime_ms) == ("opus", 40)
    assert (remote.sends, remote.receives) == (True, False)
    assert b"a=recvonly" in answer.body
    await eventually(lambda: wire.calls.states(leg)[-1] == "held")
    assert wire.calls.told("connected", leg)[-1][2] == "opus"


async def test_a_leg_becomes_secure_changes_its_key_and_keeps_ours(wire, phones, talking):
    leg, invite = talking
    first = await reinvite(wire, phones, invite, 2, secure(KEY))
    second = await reinvite(wire, phones, invite, 3, secure(OTHER_KEY))

    (ours,) = keys_in(first)
    assert keys_in(second) == [ours]
    srtp = wire.gateway._core.media.connected[leg].srtp
    assert (srtp.local_key, srtp.remote_key) == (ours, OTHER_KEY)


async def test_our_key_outlives_a_restart_of_the_hub(wire, phones, talking):
    leg, invite = talking
    (ours,) = keys_in(await reinvite(wire, phones, invite, 2, secure(KEY)))

    await wire.restart()
    again = await reinvite(wire, phones, invite, 3, secure(KEY))

    assert keys_in(again) == [ours]
    assert wire.gateway._core.media.connected[leg].srtp.local_key == ours


async def test_an_empty_reinvite_of_a_secure_leg_is_answered_with_a_secure_offer(
    wire, phones, talking
):
    leg, invite = talking
    (ours,) = keys_in(await reinvite(wire, phones, invite, 2, secure(KEY)))

    offer = await wire.ask(phones.ask("INVITE", invite, 3))
    (media,) = read(offer.body).media
    lines = [read_crypto(value) for value in media.crypto]
    (kept,) = [line for line in lines if line.key == ours]
    assert media.protocol == "RTP/SAVP"
    accepted = secure(OTHER_KEY).replace("crypto:1", f"crypto:{kept.tag}")
    wire.say(phones.ask("ACK", invite, 3, body=accepted))
    connected = wire.gateway._core.media.connected
    await eventually(lambda: connected[leg].srtp.remote_key == OTHER_KEY)
    assert connected[leg].srtp.local_key == ours


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (PHONE + "m=audio 4000 RTP/AVP 18\r\n", 488, "no common audio format"),
        (PHONE + "m=audio 4000 RTP/SAVP 8\r\n", 488, "keys in the description"),
        (PHONE + "m=audio seventy RTP/AVP 8\r\n", 400, "is no port"),
        (PHONE + "m=audio 1 RTP/AVP 8\r\n" * 17, 400, "16 media"),
    ],
)
async def test_a_description_we_cannot_take_is_refused_in_words_and_changes_nothing(
    wire, phones, talking, body, status, words
):
    leg, invite = talking
    before = wire.gateway._core.media.connected[leg]
    answer = await reinvite(wire, phones, invite, 2, body)

    assert answer.status == status
    assert words in answer.get("Warning")
    assert wire.gateway._core.media.connected[leg] is before


NEW = RtpAddress("127.0.0.1", 31_000)
RENEWED = SDP.replace("m=audio 4000", "m=audio 4002")


async def our_reinvite(phones, leg, address=NEW, count=2):
    """Tell the gateway of another address; the re-INVITE it sends."""
    await phones.wire.gateway.readdress(leg, address)
    return await phones.until("INVITE", count=count)


async def test_a_new_address_of_ours_is_told_by_a_re_invite(wire, phones, talking):
    leg, invite = talking
    again = await our_reinvite(phones, leg)
    phones.answer(again, 200, body=RENEWED)

    (media,) = read(again.body).media
    assert (media.host, media.port) == (NEW.host, NEW.port)
    assert again.cseq.sequence == invite.cseq.sequence + 1
    assert again.recipient.tag == "far5062"
    ack = await phones.until("ACK", count=2)
    assert ack.cseq.sequence == again.cseq.sequence
    connected = wire.gateway._core.media.connected
    await eventually(lambda: connected[leg].address.port == 4002)
    await eventually(lambda: wire.calls.states(leg)[-1] == "connected")

    await wire.gateway.hang_up(leg, Cause.DESK)
    bye = await phones.until("BYE")
    assert bye.cseq.sequence == again.cseq.sequence + 1


async def test_a_200_to_our_re_invite_that_comes_again_is_acknowledged_again(phones, talking):
    leg, _ = talking
    again = await our_reinvite(phones, leg)
    phones.answer(again, 200, body=RENEWED)
    await phones.until("ACK", count=2)
    phones.answer(again, 200, body=RENEWED)

    third = await phones.until("ACK", count=3)
    assert third.cseq.sequence == again.cseq.sequence


async def test_the_address_the_phone_knows_is_not_told_again(wire, phones, talking):
    leg, _ = talking
    page = (await wire.rows())[leg].state
    await wire.gateway.readdress(leg, RtpAddress(*page["address"]))
    for _ in range(20):
        await asyncio.sleep(0)

    assert len(phones.got("INVITE")) == 1


async def test_two_re_invites_at_once_are_told_491_and_ours_goes_again(
    wire, phones, talking, monkeypatch
):
    leg, invite = talking
    quick = {True: (0.05, 0.1), False: (0.0, 0.05)}
    monkeypatch.setattr("gateways.sip.renewal._AGAIN_AFTER_S", quick)
    ours = await our_reinvite(phones, leg)
    theirs = await wire.ask(phones.ask("INVITE", invite, 2, body=SDP))
    wire.say(phones.ask("ACK", invite, 2))
    assert theirs.status == 491

    phones.answer(ours, 491)
    again = await phones.until("INVITE", count=3)
    phones.answer(again, 200, body=RENEWED)
    connected = wire.gateway._core.media.connected
    await eventually(lambda: connected[leg].address.port == 4002)


async def test_an_address_that_changes_twice_is_told_twice(wire, phones, talking):
    leg, _ = talking
    first = await our_reinvite(phones, leg)
    await wire.gateway.readdress(leg, RtpAddress("127.0.0.1", 31_002))
    phones.answer(first, 200, body=RENEWED)

    second = await phones.until("INVITE", count=3)
    assert read(second.body).media[0].port == 31_002


@pytest.mark.parametrize("status", [481, 488, 500])
async def test_a_phone_that_refuses_our_re_invite_has_lost_its_voice(wire, phones, talking, status):
    leg, _ = talking
    phones.answer(await our_reinvite(phones, leg), status)

    await phones.until("BYE")
    await eventually(lambda: wire.calls.end_of(leg))
    cause, detail = wire.calls.end_of(leg)
    assert cause is Cause.MEDIA_LOST
    assert str(status) in detail


async def test_a_phone_that_is_still_ringing_is_told_when_it_answers(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    await wire.gateway.readdress(leg, NEW)
    phones.answer(invite, 200, body=SDP)

    again = await phones.until("INVITE", count=2)
    assert read(again.body).media[0].port == NEW.port


async def test_a_secure_leg_keeps_its_key_at_another_address(wire, phones, talking):
    leg, invite = talking
    (ours,) = keys_in(await reinvite(wire, phones, invite, 2, secure(KEY)))

    again = await our_reinvite(phones, leg)
    assert ours in keys_in(again)


async def test_a_codec_the_worker_cannot_mix_is_488_and_the_leg_goes_on(wire, phones, talking):
    leg, invite = talking
    media = wire.gateway._core.media
    before, connect = media.connected[leg], media.connect

    async def cannot(leg_id, remote):
        raise InvalidError("this worker cannot mix that")

    media.connect = cannot
    answer = await reinvite(wire, phones, invite, 2, SDP)
    media.connect = connect

    assert answer.status == 488
    assert "cannot mix" in answer.get("Warning")
    assert media.connected[leg] is before
    wire.say(phones.ask("BYE", invite, 3))
    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.HUNG_UP
