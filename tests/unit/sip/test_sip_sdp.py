"""Offer and answer (RFC 3264) with the descriptions real phones write."""

import pytest

from commhub.ports.media import RtpAddress
from gateways.sip import sdp
from gateways.sip.errors import SdpError

OURS = RtpAddress("192.0.2.2", 30000)
CODECS = ("PCMA", "PCMU")


def offer(*lines, media="m=audio 4000 RTP/AVP 0 8 101", connection="c=IN IP4 192.0.2.9"):
    body = ["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", connection, "t=0 0", media, *lines]
    return ("\r\n".join(body) + "\r\n").encode()


def answer(body):
    return sdp.answer(body, CODECS, OURS, sdp.Local(7))


def lines_of(agreement):
    return agreement.body.decode().split("\r\n")


def test_the_callers_first_codec_of_ours_is_taken_with_its_dtmf():
    agreement = answer(offer("a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"))

    audio = agreement.remote.audio
    assert (audio.encoding, audio.payload_type, audio.dtmf_payload_type) == ("PCMU", 0, 101)
    assert agreement.remote.address == RtpAddress("192.0.2.9", 4000)
    assert "m=audio 30000 RTP/AVP 0 101" in lines_of(agreement)
    assert "a=rtpmap:0 PCMU/8000" in lines_of(agreement)
    assert "a=sendrecv" in lines_of(agreement)


def test_our_description_is_exactly_what_the_grammar_says():
    body = sdp.offer(CODECS, OURS, sdp.Local(7, 2)).decode()

    assert body.split("\r\n") == [
        "v=0",
        "o=commhub 7 2 IN IP4 192.0.2.2",
        "s=commhub",
        "c=IN IP4 192.0.2.2",
        "t=0 0",
        "m=audio 30000 RTP/AVP 8 0 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "sends", "receives"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", True, False),
        ("recvonly", "sendonly", False, True),
        ("inactive", "inactive", False, False),
    ],
)
def test_the_direction_is_mirrored(theirs, ours, sends, receives):
    agreement = answer(offer(f"a={theirs}"))

    assert f"a={ours}" in lines_of(agreement)
    assert (agreement.remote.sends, agreement.remote.receives) == (sends, receives)
    assert agreement.held is not receives


def test_the_old_hold_by_an_address_of_zeros_is_hold():
    agreement = answer(offer(connection="c=IN IP4 0.0.0.0"))

    assert agreement.held
    assert "a=recvonly" in lines_of(agreement)


def test_a_direction_for_the_session_holds_for_its_voice():
    body = offer().replace(b"t=0 0\r\n", b"t=0 0\r\na=sendonly\r\n")

    assert answer(body).held


def test_a_dynamic_payload_type_for_our_codec_is_kept():
    agreement = answer(offer("a=rtpmap:96 pcma/8000", media="m=audio 4000 RTP/AVP 96"))

    assert (agreement.remote.audio.encoding, agreement.remote.audio.payload_type) == ("PCMA", 96)


def test_other_media_are_refused_in_their_place():
    body = offer() + b"m=video 5000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
    body = body.replace(b"m=audio", b"m=text 11 RTP/AVP 98\r\nm=audio", 1)

    media = [line for line in lines_of(answer(body)) if line.startswith("m=")]
    assert media == [
        "m=text 0 RTP/AVP 98",
        "m=audio 30000 RTP/AVP 0",
        "m=video 0 RTP/AVP 99",
    ]


def test_a_connection_of_the_media_wins_over_the_sessions():
    agreement = answer(offer("c=IN IP4 192.0.2.77"))

    assert agreement.remote.address.host == "192.0.2.77"


@pytest.mark.parametrize(("text", "ptime"), [("30", 30), ("20.0", 20), ("7", 20), ("many", 20)])
def test_an_odd_ptime_is_twenty(text, ptime):
    assert answer(offer(f"a=ptime:{text}")).remote.audio.ptime_ms == ptime


def test_lone_line_feeds_and_missing_lines_are_read():
    agreement = answer(b"v=0\nc=IN IP4 192.0.2.9\nm=audio 4000 RTP/AVP 8\n")

    assert agreement.remote.audio.encoding == "PCMA"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not an sdp",
        offer(media="m=audio 4000 RTP/AVP 18"),
        offer(media="m=audio 0 RTP/AVP 8"),
        offer(media="m=audio 4000 RTP/SAVP 8"),
        offer(media="m=video 4000 RTP/AVP 8"),
        offer(media="m=audio seventy RTP/AVP 8"),
        offer(media="m=audio 99999 RTP/AVP 8"),
        offer(media="m=audio"),
        offer(connection="c=IN IP4 phone.example"),
        offer(connection="s=nothing"),
        offer("a=rtpmap:96 PCMA/16000", media="m=audio 4000 RTP/AVP 96"),
    ],
)
def test_what_cannot_be_spoken_is_not_agreed(body):
    with pytest.raises(SdpError):
        answer(body)


def test_their_answer_to_our_offer_is_read():
    agreement = sdp.accept(offer(media="m=audio 4000 RTP/AVP 8"), CODECS)

    assert agreement.remote.audio.encoding == "PCMA"
    assert agreement.body is None


def test_an_ipv6_address_is_written_and_read():
    body = offer(connection="c=IN IP6 2001:db8::9")
    agreement = sdp.answer(body, CODECS, RtpAddress("2001:db8::2", 30000), sdp.Local(7))

    assert agreement.remote.address.host == "2001:db8::9"
    assert "c=IN IP6 2001:db8::2" in lines_of(agreement)
