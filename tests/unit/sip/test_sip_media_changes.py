"""What a re-INVITE changes in the voice of a leg: codec, address, direction, keys; and what a restart keeps."""

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
