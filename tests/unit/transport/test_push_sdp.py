"""What we offer when we push, and which answers are taken."""

import pytest
from aiortc import sdp as aiortc_sdp
from aiortc.rtcdtlstransport import RTCCertificate
from fakes.offers import FINGERPRINT

from bridges.transport.sdp import PushOffer, read_publication, read_push_answer, write_push
from bridges.transport.stun import Credentials
from bridges.video.push_terms import agreed_stream, offered_codecs
from commhub.domain.errors import InvalidError
from commhub.ports.video import VideoCodec

ANSWER = f"""v=0
o=- 1 1 IN IP4 192.0.2.7
s=-
t=0 0
a=group:BUNDLE 0
a=ice-lite
m=video 7000 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 192.0.2.7
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdefghijkl
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=mid:0
a=recvonly
a=rtcp-mux
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=rtpmap:96 H264/90000
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640028
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 transport-cc
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=candidate:1 1 udp 2130706431 192.0.2.7 7000 typ host
a=candidate:2 1 udp 1694498815 198.51.100.7 7001 typ srflx raddr 192.0.2.7 rport 7000
a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active
a=candidate:4 1 udp 2130706430 fe80::1 7000 typ host
a=candidate:5 1 udp 2130706429 3f2a.local 7000 typ host
a=end-of-candidates
""".replace("\n", "\r\n")


def source(codec=VideoCodec.H264, **parameters):
    """A source's codec as its publisher offered it."""
    offer = write_push(push_offer(offered_codecs(None)))
    known = next(one for one in read_publication(offer).codecs if one.codec is codec)
    named = {name.replace("_", "-"): value for name, value in parameters.items()}
    return known.__class__(
        codec=codec,
        payload_type=109,
        parameters=named or known.parameters,
        rtx_type=110,
        feedback=known.feedback,
    )


def push_offer(codecs):
    return PushOffer(
        credentials=Credentials("ours", "o" * 22),
        fingerprints=RTCCertificate.generateCertificate().getFingerprints(),
        address=("203.0.113.5", 4711),
        codecs=codecs,
        ssrc=1111,
        rtx_ssrc=2222,
        name="cam",
    )


def test_the_offer_is_one_that_we_would_take_ourselves():
    text = write_push(push_offer(offered_codecs(source())))
    offer = read_publication(text)
    assert [one.codec for one in offer.codecs] == [VideoCodec.H264]
    (layer,) = offer.layers
    assert (layer.ssrc, layer.rtx_ssrc) == (1111, 2222)
    assert offer.codecs[0].feedback >= {"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"}
    assert offer.dtls.role == "auto"
    (media,) = aiortc_sdp.SessionDescription.parse(text).media
    assert (media.direction, media.rtcp_mux, media.ice_candidates_complete) == ("sendonly",) + (
        True,
    ) * 2
    (candidate,) = media.ice_candidates
    assert (candidate.ip, candidate.port, candidate.type) == ("203.0.113.5", 4711, "host")
    assert "ice-lite" not in text
    assert "a=sendonly" in text


def test_the_profile_of_the_source_is_passed_on_and_what_was_only_between_it_and_us_is_not():
    (codec,) = offered_codecs(
        source(
            profile_level_id="640028",
            packetization_mode=1,
            x_google_start_bitrate=4000,
            sprop_parameter_sets="Z0IAKQ==,aM4=",
        )
    )
    assert dict(codec.parameters) == {
        "profile-level-id": "640028",
        "packetization-mode": 1,
        "sprop-parameter-sets": "Z0IAKQ==,aM4=",
    }
    assert (codec.payload_type, codec.rtx_type) == (96, 97)
    text = write_push(push_offer((codec,)))
    assert "a=fmtp:96 " in text
    assert "640028" in text


def test_of_a_source_nobody_knows_yet_everything_is_offered_that_we_forward():
    offered = offered_codecs(None)
    assert [one.codec for one in offered] == list(VideoCodec)
    numbers = [n for one in offered for n in (one.payload_type, one.rtx_type)]
    assert numbers == list(range(96, 104))
    assert len(read_publication(write_push(push_offer(offered))).codecs) == 4


def test_an_answer_says_where_the_far_end_is_and_who_begins():
    answer = read_push_answer(ANSWER)
    assert answer.ice.candidates == (("192.0.2.7", 7000), ("198.51.100.7", 7001))
    assert (answer.ice.ufrag, answer.ice.password) == ("abcd", "0123456789abcdefghijkl")
    assert not answer.we_are_server
    assert read_push_answer(ANSWER.replace("setup:passive", "setup:active")).we_are_server
    stream = agreed_stream(answer, source(), offered_codecs(source()))
    assert stream.types[VideoCodec.H264].payload == 96
    assert stream.types[VideoCodec.H264].rtx == 97
    assert (stream.extensions.transport_cc, stream.extensions.abs_send_time) == (3, 0)


def test_without_repair_nothing_is_sent_that_repair_would_need():
    bare = "".join(line for line in ANSWER.splitlines(True) if ":97 " not in line)
    stream = agreed_stream(
        read_push_answer(bare.replace("SAVPF 96 97", "SAVPF 96")),
        source(),
        offered_codecs(source()),
    )
    assert stream.rtx_ssrc is None
    assert stream.extensions.transport_cc == 0


def test_a_far_end_that_asks_for_the_path_itself_needs_no_candidate():
    lines = [one for one in ANSWER.splitlines(True) if "candidate" not in one]
    with pytest.raises(InvalidError, match="no candidate"):
        read_push_answer("".join(lines))
    full = "".join(one for one in lines if "ice-lite" not in one)
    assert read_push_answer(full).ice.candidates == ()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("m=video 7000", "m=video x", "session description"),
        ("m=video 7000", "m=video 0", "no video stream that is received"),
        ("a=recvonly", "a=sendonly", "no video stream that is received"),
        ("a=recvonly", "a=inactive", "no video stream that is received"),
        ("m=video", "m=audio", "session description|no video stream"),
        ("a=rtcp-mux", "a=x", "rtcp-mux"),
        ("a=setup:passive", "a=setup:actpass", "neither active nor passive"),
        ("a=setup:passive", "a=x", "a=setup"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5", "fingerprint"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:ab", "ice-ufrag"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:äöüß", "ice-ufrag"),
        ("a=ice-pwd:0123456789abcdefghijkl", "a=ice-pwd:short", "ice-pwd"),
        ("H264/90000", "H265/90000", "none of H264"),
        ("RTP/SAVPF", "RTP/AVPF", "session description|SAVPF"),
        ("a=candidate:1 1 udp", "a=candidate:x", "session description"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_words(before, after, words):
    assert before in ANSWER
    with pytest.raises(InvalidError, match=words):
        read_push_answer(ANSWER.replace(before, after))


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "example.org", "999.1.1.1"]
)
def test_an_address_of_nobody_is_passed_over(address):
    text = ANSWER.replace("431 192.0.2.7 7000", f"431 {address} 7000")
    assert read_push_answer(text).ice.candidates == (("198.51.100.7", 7001),)


def test_an_answer_longer_than_any_or_with_thousands_of_candidates_is_bounded():
    with pytest.raises(InvalidError, match="at most"):
        read_push_answer(ANSWER + "a=x\r\n" * 20_000)
    many = "".join(f"a=candidate:9 1 udp 1 192.0.2.9 {1000 + n} typ host\r\n" for n in range(800))
    assert len(read_push_answer(ANSWER + many).ice.candidates) == 16


def test_an_answer_with_another_codec_than_the_sources_is_refused():
    answer = read_push_answer(ANSWER)
    vp8 = source(VideoCodec.VP8)
    with pytest.raises(InvalidError, match="none of the codecs"):
        agreed_stream(answer, vp8, offered_codecs(vp8))
    with pytest.raises(InvalidError, match="the source is VP8"):
        agreed_stream(answer, vp8, offered_codecs(None))


def test_payload_types_no_rtp_packet_can_have_are_no_answer():
    far = ANSWER.replace("SAVPF 96 97", "SAVPF 200 97").replace(":96 ", ":200 ")
    far = far.replace("apt=96", "apt=200")
    with pytest.raises(InvalidError, match="none of the codecs"):
        agreed_stream(read_push_answer(far), source(), offered_codecs(source()))
