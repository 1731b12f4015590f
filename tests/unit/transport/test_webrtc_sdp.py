"""Offers of browsers, and of those who only look like one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.transport.private import RTCCertificate
from bridges.transport.sdp import LocalSide, read_audio_offer, write_audio_answer
from bridges.transport.stun import Credentials
from commhub.domain.errors import InvalidError

FINGERPRINT = ":".join(["AB"] * 32)
OFFER = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qq8o
a=ice-pwd:uO7VYbRjkpTrZTtDLbmQgyTw
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:0 PCMU/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=ice-ufrag:Qq8o
a=ice-pwd:uO7VYbRjkpTrZTtDLbmQgyTw
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=sendonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
""".replace("\n", "\r\n")


def answer_to(text, **local):
    offer = read_audio_offer(text)
    side = {"sends": offer.receives, "receives": offer.sends, "is_server": offer.we_are_server}
    return write_audio_answer(
        offer,
        LocalSide(
            credentials=Credentials("ufrag678", "p" * 32),
            fingerprints=RTCCertificate.generateCertificate().getFingerprints(),
            address=("192.0.2.9", 40000),
            **{**side, **local},
        ),
    )


def test_an_offer_tells_opus_digits_and_direction():
    offer = read_audio_offer(OFFER)
    assert (offer.opus_type, offer.dtmf_type) == (111, 110)
    assert offer.sends
    assert offer.receives
    assert offer.we_are_server


def test_the_answer_takes_the_audio_and_declines_the_rest():
    answer = answer_to(OFFER)
    audio, video = answer.split("m=audio")[1].split("m=video")
    assert "a=ice-lite" in answer.split("m=audio", maxsplit=1)[0]
    assert "a=group:BUNDLE 0\r\n" in answer
    assert audio.startswith(" 40000 UDP/TLS/RTP/SAVPF 111 110\r\n")
    assert "a=candidate:1 1 udp 2130706431 192.0.2.9 40000 typ host" in audio
    assert "a=setup:passive" in audio
    assert "a=rtcp-mux" in audio
    assert "stereo=0" in audio
    assert "a=rtpmap:0 " not in audio
    assert video.startswith(" 0 ")


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_the_answer_is_the_offer_seen_from_the_other_side(offered, answered):
    assert f"a={answered}\r\n" in answer_to(OFFER.replace("a=sendrecv", f"a={offered}"))


def test_an_offer_of_the_same_session_is_known_again_by_its_name():
    again = OFFER.replace("4611731400430051336 2", "4611731400430051336 3")
    other = OFFER.replace("4611731400430051336", "99")
    session = read_audio_offer(OFFER).session
    assert read_audio_offer(again).session == session
    assert read_audio_offer(other).session != session


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        ("a=ice-pwd:uO7VYbRjkpTrZTtDLbmQgyTw\r\n", "", "ice-pwd"),
        ("a=setup:actpass\r\n", "", "setup"),
        ("sha-256", "md5", "fingerprint"),
        ("opus/48000/2", "iLBC/8000", "Opus"),
        ("m=audio 9", "m=audio 0", "no audio"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "SAVPF"),
        ("m=audio", "m=tentacle", "no audio"),
        ("a=setup:actpass", "a=setup:holdconn", "no session description"),
        ("a=fmtp:111", "a=fmtp:112", "no session description"),
        ("c=IN IP4 0.0.0.0", "c=IN IPX 0", "no session description"),
    ],
)
def test_a_bad_offer_is_refused_with_what_is_wrong(was, becomes, reason):
    with pytest.raises(InvalidError, match=reason):
        read_audio_offer(OFFER.replace(was, becomes))


def test_an_endless_offer_is_refused_unread():
    with pytest.raises(InvalidError, match="64 KiB"):
        read_audio_offer(OFFER + "a=x\r\n" * 20_000)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(OFFER) - 1), st.text(max_size=6)), min_size=1, max_size=8)
)
def test_no_damage_to_an_offer_raises_anything_but_a_refusal(cuts):
    text = OFFER
    for at, piece in cuts:
        text = text[:at] + piece + text[at + len(piece) + 1 :]
    try:
        offer = read_audio_offer(text)
    except InvalidError:
        return
    assert 0 <= offer.opus_type < 256
    assert "m=audio" in answer_to(text)


@given(st.text())
def test_no_text_at_all_raises_anything_but_a_refusal(text):
    with pytest.raises(InvalidError):
        read_audio_offer(text)
