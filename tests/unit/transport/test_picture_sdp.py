"""Offers with a picture: who publishes and views, and what we answer."""

import random

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.sdp import SessionDescription
from fakes.offers import FFMPEG, FINGERPRINT, GSTREAMER, PUBLISHERS, chromium
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.transport.private import RTCCertificate
from bridges.transport.sdp import (
    Extension,
    LocalSide,
    OfferedLayer,
    PublicationAnswer,
    ViewingAnswer,
    read_publication,
    read_viewing,
    write_answer,
)
from bridges.transport.stun import Credentials
from commhub.domain.errors import InvalidError
from commhub.ports.video import VideoCodec

CERTIFICATE = RTCCertificate.generateCertificate()


def local(offer, *, sends=False, receives=False):
    return LocalSide(
        credentials=Credentials("ufrag678", "p" * 32),
        fingerprints=CERTIFICATE.getFingerprints(),
        address=("192.0.2.9", 40000),
        is_server=offer.we_are_server,
        sends=sends,
        receives=receives,
    )


def published(text, *, with_sound=True, **how):
    offer = read_publication(text)
    answer = PublicationAnswer(max_kbps=6000, **how)
    return write_answer(offer, local(offer, receives=with_sound), answer)


def viewed(text, *, with_sound=True, **how):
    offer = read_viewing(text)
    answer = ViewingAnswer(**{"codecs": offer.codecs, "ssrc": 11, "rtx_ssrc": 12} | how)
    return write_answer(offer, local(offer, sends=with_sound), answer)


def section(answer, kind):
    return next("m=" + part for part in answer.split("m=")[1:] if part.startswith(kind))


@pytest.mark.parametrize(
    ("who", "codec", "payload_type", "layers", "sound"),
    [
        ("chromium", VideoCodec.H264, 107, 1, 111),
        ("chromium-simulcast", VideoCodec.H264, 107, 3, 111),
        ("ffmpeg", VideoCodec.H264, 106, 1, 111),
        ("obs", VideoCodec.H264, 96, 1, 111),
        ("gstreamer", VideoCodec.H264, 97, 1, 96),
        ("werift", VideoCodec.VP8, 97, 1, None),
    ],
)
def test_what_each_publisher_offers_is_understood(who, codec, payload_type, layers, sound):
    offer = read_publication(PUBLISHERS[who])
    assert (offer.codecs[0].codec, offer.codecs[0].payload_type) == (codec, payload_type)
    assert len(offer.layers) == layers
    assert (offer.sound.opus_type if offer.sound else None) == sound


@pytest.mark.parametrize("who", PUBLISHERS)
def test_every_answer_is_one_that_a_parser_takes_and_has_all_streams_in_their_order(who):
    offered = SessionDescription.parse(PUBLISHERS[who])
    answer = published(PUBLISHERS[who])
    read = SessionDescription.parse(answer)
    assert [m.kind for m in read.media] == [m.kind for m in offered.media]
    assert "a=ice-lite\r\n" in answer.split("m=")[0]
    assert read.group[0].items == [m.rtp.muxId for m in offered.media]
    for media in read.media:
        assert media.direction == "recvonly"
        assert (media.host, media.port) == ("192.0.2.9", 40000)
        assert media.dtls.fingerprints


def test_a_passive_publisher_is_answered_by_us_as_the_client():
    offer = read_publication(FFMPEG)
    assert not offer.we_are_server
    assert "a=setup:active" in section(published(FFMPEG), "video")


def test_of_h264_the_one_in_fragments_is_asked_for_at_a_high_level_and_a_high_start():
    video = section(published(chromium()), "video")
    assert video.startswith("m=video 40000 UDP/TLS/RTP/SAVPF 107 108\r\n")
    assert "profile-level-id=42e034" in video
    assert "x-google-start-bitrate=4000" in video
    assert "b=AS:6000\r\n" in video
    assert "a=rtpmap:108 rtx/90000" in video
    assert "a=fmtp:108 apt=107" in video


def test_a_sub_stream_is_not_asked_to_start_high():
    assert "start-bitrate" not in published(chromium(), starts_high=False)


def test_a_profile_that_is_no_bargain_is_passed_through():
    assert "profile-level-id=42c01f" in published(GSTREAMER)
    assert "profile-level-id=640034" in published(FFMPEG)


def test_feedback_is_agreed_where_it_was_offered_and_one_bandwidth_estimate_only():
    video = section(published(chromium()), "video")
    for wanted in ("nack", "nack pli", "ccm fir", "transport-cc"):
        assert f"a=rtcp-fb:107 {wanted}\r\n" in video
    assert "goog-remb" not in video
    assert "a=extmap:3 http://www.ietf.org/id/draft-holmer" in video
    assert "abs-send-time" not in video
    obs = section(published(PUBLISHERS["obs"]), "video")
    assert "a=rtcp-fb:96 goog-remb\r\n" in obs
    assert "ccm fir" not in obs


def test_simulcast_is_taken_rid_by_rid():
    offer = read_publication(chromium(simulcast=True))
    assert offer.layers == tuple(OfferedLayer(rid=rid) for rid in "fhq")
    assert offer.extensions[Extension.RID] == 10
    video = section(published(chromium(simulcast=True)), "video")
    assert "a=rid:h recv\r\n" in video
    assert "a=simulcast:recv f;h;q\r\n" in video
    assert "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" in video


def test_layers_are_known_by_their_ssrc_where_there_is_no_rid():
    assert read_publication(chromium()).layers == (
        OfferedLayer(ssrc=3735928559, rtx_ssrc=3735928560),
    )
    old = chromium().replace(
        "a=ssrc-group:FID 3735928559 3735928560",
        "a=ssrc-group:SIM 1 2 3\r\na=ssrc-group:FID 1 4\r\na=ssrc-group:FID 3 6",
    )
    assert read_publication(old).layers == (
        OfferedLayer(ssrc=3, rtx_ssrc=6),
        OfferedLayer(ssrc=2),
        OfferedLayer(ssrc=1, rtx_ssrc=4),
    )
    unsaid = chromium(direction="recvonly").replace("a=recvonly", "a=sendonly")
    assert read_publication(unsaid).layers == (OfferedLayer(),)


def test_of_simulcast_alternatives_the_first_and_of_four_layers_three():
    odd = chromium(simulcast=True).replace("send f;h;q", "send f,h;~x;q;nobody")
    assert [layer.rid for layer in read_publication(odd).layers] == ["f", "q"]
    many = (
        chromium(simulcast=True)
        .replace("send f;h;q", "send f;h;q;z")
        .replace("a=rid:q send", "a=rid:q send\r\na=rid:z send pt=107")
    )
    assert [layer.rid for layer in read_publication(many).layers] == ["f", "h", "q"]


def test_sound_that_is_not_wanted_is_inactive_and_what_is_not_bundled_is_declined():
    unwanted = section(published(chromium(), with_sound=False), "audio")
    assert unwanted.startswith("m=audio 40000 ")
    assert "a=inactive" in unwanted
    apart = chromium().replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 1")
    assert read_publication(apart).sound is None
    assert "a=group:BUNDLE 1\r\n" in published(apart)
    assert section(published(apart), "audio").startswith("m=audio 0 ")


def test_the_level_of_the_microphone_is_agreed():
    assert "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level" in section(
        published(chromium()), "audio"
    )


def test_a_stream_that_is_bundle_only_takes_its_transport_from_the_first():
    poor = GSTREAMER.replace("a=bundle-only", "a=bundle-only\r\na=x-poor")
    assert read_publication(poor).sound is not None
    swapped = (
        chromium().replace("m=video 9", "m=video 0").replace("a=mid:1", "a=mid:1\r\na=bundle-only")
    )
    head, tail = swapped.split("m=video")
    for line in ("a=ice-ufrag:Qq8o", "a=setup:actpass", f"a=fingerprint:sha-256 {FINGERPRINT}"):
        tail = tail.replace(f"{line}\r\n", "")
    assert read_publication(head + "m=video" + tail).dtls.role == "auto"


def test_a_viewer_may_be_shown_any_codec_it_knows():
    offer = read_viewing(chromium(direction="recvonly"))
    assert [one.codec for one in offer.codecs] == ["VP8", "H264", "H264", "AV1", "VP9"]
    video = section(viewed(chromium(direction="recvonly")), "video")
    assert video.startswith("m=video 40000 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 45 46 98 99\r\n")
    assert "a=sendonly" in video
    assert "a=ssrc-group:FID 11 12" in video
    assert "a=ssrc:11 cname:commhub" in video
    assert "a=msid:commhub video" in video
    assert "profile-level-id=42e01f" in video


def test_a_viewer_without_retransmissions_is_told_of_one_stream():
    plain = (
        PUBLISHERS["werift"].replace("a=sendonly", "a=recvonly").replace("rtx/90000", "ulp/90000")
    )
    video = section(viewed(plain, rtx_ssrc=None), "video")
    assert "FID" not in video
    assert "a=ssrc:12" not in video


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        (f"a=fingerprint:sha-256 {FINGERPRINT}\r\n", "", "fingerprint"),
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        ("a=setup:actpass\r\n", "", "setup"),
        ("a=ice-ufrag:Qq8o\r\n", "", "ice-ufrag"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVPF", "SAVPF"),
        ("a=sendonly", "a=recvonly", "no video stream that is sent"),
        ("m=video 9", "m=video 0", "no video stream that is sent"),
        ("m=video 9", "m=application 9", "no video stream that is sent"),
        ("90000", "8000", "none of H264"),
        ("a=simulcast", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 9 + "a=simulcast", "8 streams"),
        ("a=setup:actpass", "a=setup:holdconn", "no session description"),
    ],
)
def test_an_offer_that_lacks_something_is_refused_with_what_it_is(was, becomes, reason):
    with pytest.raises(InvalidError, match=reason):
        read_publication(chromium(simulcast=True).replace(was, becomes))


def test_who_only_sends_cannot_view():
    with pytest.raises(InvalidError, match="no video stream that is received"):
        read_viewing(chromium())


async def test_a_real_client_takes_our_answers():
    publisher, viewer = RTCPeerConnection(), RTCPeerConnection()
    try:
        publisher.addTrack(VideoStreamTrack())
        await publisher.setLocalDescription(await publisher.createOffer())
        text = publisher.localDescription.sdp.replace("sendrecv", "sendonly")
        await publisher.setRemoteDescription(RTCSessionDescription(published(text), "answer"))
        h264 = [c for c in RTCRtpSender.getCapabilities("video").codecs if "H264" in c.mimeType]
        viewer.addTransceiver("audio", direction="recvonly")
        transceiver = viewer.addTransceiver("video", direction="recvonly")
        transceiver.setCodecPreferences(h264)
        await viewer.setLocalDescription(await viewer.createOffer())
        answer = viewed(viewer.localDescription.sdp, with_sound=False)
        await viewer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert transceiver.receiver.track is not None
    finally:
        await publisher.close()
        await viewer.close()


@settings(max_examples=300)
@given(st.sampled_from(sorted(PUBLISHERS)), st.randoms(use_true_random=False))
def test_no_damage_to_an_offer_raises_anything_but_a_refusal(who, chance: random.Random):
    text = list(PUBLISHERS[who])
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(text))
        text[at] = chance.choice(["", "\r\n", ":", ";", " ", "0", "999999999999", "é", "a=", "-"])
    damaged = "".join(text)
    for read, write in ((read_publication, published), (read_viewing, viewed)):
        try:
            read(damaged)
        except InvalidError:
            continue
        assert "m=video" in write(damaged)
