"""Offer and answer (RFC 3264) with the descriptions real phones write."""

import pytest

from commhub.ports.media import RtpAddress
from gateways.sip import sdp
from gateways.sip.errors import SdpError

OURS = RtpAddress("192.0.2.2", 30000)
TERMS = sdp.Terms(codecs=("PCMA", "PCMU", "G722", "opus"), comfort_noise=True, rtcp_mux=True)


def offer(*lines, media="m=audio 4000 RTP/AVP 0 8 101", connection="c=IN IP4 192.0.2.9"):
    body = ["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", connection, "t=0 0", media, *lines]
    return ("\r\n".join(body) + "\r\n").encode()


def answer(body, terms=TERMS):
    return sdp.answer(body, terms, OURS, sdp.Local(7))


def lines_of(agreement):
    return agreement.body.decode().split("\r\n")


def test_our_first_codec_that_the_caller_has_is_taken_with_its_dtmf():
    agreement = answer(offer("a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"))

    audio = agreement.remote.audio
    assert (audio.encoding, audio.payload_type, audio.dtmf_payload_type) == ("PCMA", 8, 101)
    assert agreement.remote.address == RtpAddress("192.0.2.9", 4000)
    assert "m=audio 30000 RTP/AVP 8 101" in lines_of(agreement)
    assert "a=rtpmap:8 PCMA/8000" in lines_of(agreement)
    assert "a=sendrecv" in lines_of(agreement)


def test_the_order_of_the_setting_decides_not_the_callers():
    body = offer("a=rtpmap:97 opus/48000/2", media="m=audio 4000 RTP/AVP 0 9 97")
    wide = sdp.Terms(codecs=("opus", "G722", "PCMU"))

    assert answer(body).remote.audio.encoding == "PCMU"
    assert answer(body, wide).remote.audio.encoding == "opus"


def test_g722_has_a_clock_of_8_kilohertz_with_or_without_its_rtpmap():
    for line in ("a=rtpmap:9 G722/8000", "a=rtpmap:9 G722/16000", "a=x-nothing"):
        audio = answer(offer(line, media="m=audio 4000 RTP/AVP 9")).remote.audio
        assert (audio.encoding, audio.payload_type, audio.clock_rate) == ("G722", 9, 8000)


def test_opus_is_answered_under_the_callers_number_with_dtmf_at_its_own_clock():
    agreement = answer(
        offer(
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 stereo=1;useinbandfec=1",
            "a=rtpmap:101 telephone-event/8000",
            "a=rtpmap:110 telephone-event/48000",
            media="m=audio 4000 RTP/AVP 111 101 110",
        )
    )

    audio = agreement.remote.audio
    assert (audio.encoding, audio.payload_type, audio.clock_rate) == ("opus", 111, 48000)
    assert (audio.dtmf_payload_type, audio.fmtp) == (110, "stereo=1;useinbandfec=1")
    lines = lines_of(agreement)
    assert "m=audio 30000 RTP/AVP 111 110" in lines
    assert "a=rtpmap:111 opus/48000/2" in lines
    assert "a=rtpmap:110 telephone-event/48000" in lines
    (fmtp,) = [line for line in lines if line.startswith("a=fmtp:111 ")]
    assert {"useinbandfec=1", "maxplaybackrate=16000", "stereo=0"} <= set(fmtp[11:].split(";"))


def test_dtmf_of_another_clock_is_better_than_none():
    body = offer(
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        media="m=audio 4000 RTP/AVP 111 101",
    )

    agreement = answer(body)
    assert agreement.remote.audio.dtmf_payload_type == 101
    # The number keeps the meaning the caller gave it (RFC 3264 §6.1).
    assert "a=rtpmap:101 telephone-event/8000" in lines_of(agreement)


def test_comfort_noise_is_agreed_only_with_a_clock_of_8_kilohertz_and_only_if_offered():
    narrow = answer(offer(media="m=audio 4000 RTP/AVP 8 13"))
    wide = answer(offer("a=rtpmap:97 opus/48000/2", media="m=audio 4000 RTP/AVP 97 13"))

    assert narrow.remote.audio.comfort_noise
    assert "m=audio 30000 RTP/AVP 8 13" in lines_of(narrow)
    assert not wide.remote.audio.comfort_noise
    assert not answer(offer()).remote.audio.comfort_noise


def test_our_description_is_exactly_what_the_grammar_says():
    body = sdp.offer(TERMS, OURS, sdp.Local(7, 2)).decode()

    assert body.split("\r\n") == [
        "v=0",
        "o=commhub 7 2 IN IP4 192.0.2.2",
        "s=commhub",
        "c=IN IP4 192.0.2.2",
        "t=0 0",
        "m=audio 30000 RTP/AVP 8 0 9 96 101 102 13",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0;useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=rtpmap:102 telephone-event/48000",
        "a=fmtp:102 0-15",
        "a=rtpmap:13 CN/8000",
        "a=ptime:20",
        "a=maxptime:60",
        "a=rtcp-mux",
        "a=sendrecv",
        "",
    ]


def test_our_own_offer_could_be_answered_by_ourselves():
    offered = sdp.offer(TERMS, OURS, sdp.Local(7))
    theirs = sdp.answer(offered, TERMS, RtpAddress("192.0.2.9", 4000), sdp.Local(8))

    agreement = sdp.accept(theirs.body, TERMS, offered)
    assert agreement.remote.address == RtpAddress("192.0.2.9", 4000)
    assert agreement.remote.audio == theirs.remote.audio
    assert agreement.remote.rtcp_mux


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
        "m=audio 30000 RTP/AVP 8",
        "m=video 0 RTP/AVP 99",
    ]


def test_a_connection_of_the_media_wins_over_the_sessions():
    agreement = answer(offer("c=IN IP4 192.0.2.77"))

    assert agreement.remote.address.host == "192.0.2.77"


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [
        (["a=ptime:30"], 30),
        (["a=ptime:20.0"], 20),
        (["a=ptime:7"], 20),
        (["a=ptime:0"], 20),
        (["a=ptime:many"], 20),
        (["a=ptime:" + "9" * 5000], 20),
        (["a=ptime:60", "a=maxptime:40"], 40),
        (["a=maxptime:10"], 10),
        (["a=maxptime:0"], 20),
        (["a=maxptime:5"], 10),
    ],
)
def test_packets_are_as_long_as_the_far_end_wants_within_what_we_send(lines, ptime):
    agreement = answer(offer(*lines))

    assert agreement.remote.audio.ptime_ms == ptime
    assert f"a=ptime:{ptime}" in lines_of(agreement)


@pytest.mark.parametrize(
    ("lines", "rtcp", "mux"),
    [
        ([], None, False),
        (["a=rtcp:4001"], None, False),
        (["a=rtcp:5001"], RtpAddress("192.0.2.9", 5001), False),
        (["a=rtcp:5001 IN IP4 192.0.2.9"], RtpAddress("192.0.2.9", 5001), False),
        (["a=rtcp:5001 IN IP4 192.0.2.10"], None, False),
        (["a=rtcp:5001 IN IP4 phone.example"], None, False),
        (["a=rtcp:0"], None, False),
        (["a=rtcp:99999"], None, False),
        (["a=rtcp-mux", "a=rtcp:5001"], None, True),
    ],
)
def test_where_they_want_their_reports(lines, rtcp, mux):
    agreement = answer(offer(*lines))

    assert (agreement.remote.rtcp, agreement.remote.rtcp_mux) == (rtcp, mux)
    assert ("a=rtcp-mux" in lines_of(agreement)) is mux


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


@pytest.mark.parametrize(
    "body",
    [
        offer(media="\r\n".join(["m=audio 4000 RTP/AVP 8"] * 1000)),
        offer(media="m=audio 4000 RTP/AVP " + " ".join(map(str, range(1000)))),
        offer(*["a=x"] * 5000),
        offer(media="m=audio 99999999999999999999 RTP/AVP 8"),
    ],
)
def test_what_nobody_means_is_refused_in_words(body):
    with pytest.raises(SdpError) as refused:
        answer(body)

    assert refused.value.status == 400
    assert str(refused.value)


def test_a_payload_type_of_a_thousand_million_is_no_payload_type():
    many = offer("a=rtpmap:1000000000 PCMA/8000", media="m=audio 4000 RTP/AVP 1000000000 0")

    assert answer(many).remote.audio.encoding == "PCMU"


def test_their_answer_to_our_offer_is_read_and_its_first_codec_counts():
    offered = sdp.offer(TERMS, OURS, sdp.Local(7))
    agreement = sdp.accept(offer(media="m=audio 4000 RTP/AVP 9 8"), TERMS, offered)

    assert agreement.remote.audio.encoding == "G722"
    assert agreement.body is None


@pytest.mark.parametrize(
    "body",
    [
        offer(media="m=audio 4000 RTP/AVP 18"),
        offer(media="m=audio 0 RTP/AVP 8"),
        offer(media="m=audio 4000 RTP/SAVP 8"),
        offer(media="m=video 4000 RTP/AVP 8"),
    ],
)
def test_an_answer_that_takes_nothing_we_offered_is_none(body):
    with pytest.raises(SdpError):
        sdp.accept(body, TERMS, sdp.offer(TERMS, OURS, sdp.Local(7)))


def test_an_offer_of_ours_in_a_running_session_keeps_its_m_lines():
    theirs = b"v=0\r\nc=IN IP4 192.0.2.9\r\nm=video 5000 RTP/AVP 99\r\nm=audio 4000 RTP/AVP 8\r\n"
    ours = answer(theirs)

    again = sdp.offer(TERMS, OURS, sdp.Local(7, 2), ours.body)
    media = [line for line in again.decode().split("\r\n") if line.startswith("m=")]
    assert media == [
        "m=video 0 RTP/AVP 99",
        "m=audio 30000 RTP/AVP 8 0 9 96 101 102 13",
    ]
    assert sdp.accept(theirs, TERMS, again).index == 1


def test_an_ipv6_address_is_written_and_read():
    body = offer(connection="c=IN IP6 2001:db8::9")
    agreement = sdp.answer(body, TERMS, RtpAddress("2001:db8::2", 30000), sdp.Local(7))

    assert agreement.remote.address.host == "2001:db8::9"
    assert "c=IN IP6 2001:db8::2" in lines_of(agreement)
