"""Sessions of the picture engine without packets: what an offer becomes, restarts, replacements, sound lines."""

import asyncio
import socket

import pytest
from fakes.clock import ScriptedClock
from fakes.offers import PUBLISHERS, WERIFT, chromium
from fakes.waiting import eventually

from bridges.transport.port import PortConfig, WebRtcPort
from bridges.video.counts import VideoCounts
from bridges.video.forwarder import Forwarder
from bridges.video.sessions import Sessions
from bridges.video.sound import SoundCounts, SoundLines, SoundPlug, level_of, mid_extension
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.ports.media import AudioFormat, RtpAddress
from commhub.ports.video import Layer, PublishOrder, SoundPlace, VideoCodec, ViewOrder

OPUS = AudioFormat(encoding="opus", payload_type=111, clock_rate=48000)
VIEWING = chromium(direction="recvonly")


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def told():
    return []


@pytest.fixture
async def sessions(clock, told):
    made = Sessions(Forwarder(clock, VideoCounts()), clock, told.append)
    async with WebRtcPort(PortConfig(), clock, made.vanished) as port:
        made.use(port)
        made.port = port
        yield made
        made.close()


@pytest.fixture
def engine():
    """Where the audio engine would listen."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def place_at(sock, leg="l1"):
    return SoundPlace(
        leg_id=leg, address=RtpAddress("127.0.0.1", sock.getsockname()[1]), audio=OPUS
    )


def publish(sessions, text, session="s1", source="cam", **order):
    return sessions.publish(
        PublishOrder(session_id=session, room_id="r1", source_id=source, **order), text
    )


def view(sessions, text=VIEWING, session="v1", source="cam", **order):
    return sessions.view(
        ViewOrder(session_id=session, room_id="r1", source_id=source, **order), text
    )


def ufrag(answered):
    return next(line for line in answered.sdp.split("\r\n") if line.startswith("a=ice-ufrag"))


@pytest.mark.parametrize("who", PUBLISHERS)
async def test_every_known_publisher_gets_an_answer(sessions, who):
    answered = publish(sessions, PUBLISHERS[who])
    assert answered.codec is (VideoCodec.VP8 if who == "werift" else VideoCodec.H264)
    assert sessions.numbers() == {"publishing": 1, "viewing": 0}


async def test_the_same_far_end_restarts_its_ice_and_keeps_its_keys(sessions, told):
    first = publish(sessions, chromium())
    (peer,) = sessions.port._by_ufrag.values()
    again = publish(sessions, chromium())
    assert ufrag(first) != ufrag(again)
    assert list(sessions.port._by_ufrag.values()) == [peer]
    assert told == []


async def test_another_far_end_of_the_same_session_begins_anew(sessions, told):
    publish(sessions, chromium())
    (peer,) = sessions.port._by_ufrag.values()
    publish(sessions, chromium().replace("4611731400430051336", "99"))
    (other,) = sessions.port._by_ufrag.values()
    assert other is not peer
    assert sessions.ids == ("s1",)
    assert told == []


async def test_a_restart_of_a_view_keeps_its_stream_and_may_show_another_source(sessions):
    first, again = view(sessions), view(sessions, source="other")
    ssrc = [line for line in first.sdp.split("\r\n") if line.startswith("a=ssrc")]
    assert ssrc
    assert all(line in again.sdp for line in ssrc)


async def test_a_camera_publishes_main_and_sub_stream_as_two_sessions_of_one_source(sessions, told):
    publish(sessions, WERIFT)
    publish(sessions, WERIFT, "s2", layer=Layer.SUB)
    assert set(sessions.ids) == {"s1", "s2"}
    publish(sessions, WERIFT, "s3", layer=Layer.SUB)
    assert set(sessions.ids) == {"s1", "s3"}
    assert [(one.session_id, one.reason) for one in told] == [("s2", "replaced")]


async def test_a_viewer_that_cannot_decode_the_source_is_told_so(sessions):
    publish(sessions, WERIFT)
    h264_only = VIEWING.replace("VP8/90000", "VP8X/90000")
    with pytest.raises(InvalidError, match="VP8"):
        view(sessions, h264_only)
    view(sessions, h264_only, source="later")
    with pytest.raises(InvalidError, match="VP8"):
        sessions.show("v1", "cam", Layer.MAIN)
    with pytest.raises(NotFoundError):
        sessions.show("s1", "cam", Layer.MAIN)


async def test_the_codec_of_the_source_stands_first_in_a_viewers_answer(sessions):
    publish(sessions, chromium())
    answered = view(sessions)
    assert "m=video" in answered.sdp
    assert answered.sdp.split("m=video")[1].split()[2] == "107"
    assert answered.codec is VideoCodec.H264


async def test_who_never_checks_in_is_lost(sessions, clock, told):
    publish(sessions, chromium())
    clock.advance(16)
    sessions.port.end_vanished()
    assert [(one.session_id, one.reason) for one in told] == [("s1", "vanished")]
    assert sessions.ids == ()


async def test_sound_has_a_place_only_where_it_is_ordered_and_offered(sessions, engine):
    silent = publish(sessions, chromium())
    assert silent.audio is silent.audio_from is None
    place = place_at(engine)
    spoken = publish(sessions, chromium(), "s2", "b", sound=place, talks=True)
    assert spoken.audio == OPUS
    assert spoken.audio_from.host == "127.0.0.1"
    assert "m=audio 0" not in spoken.sdp
    # Chromium only sends here, so nothing can be heard.
    deaf = publish(sessions, chromium(), "s3", "c", sound=place, hears=True)
    assert deaf.audio is None
    mute = publish(sessions, WERIFT, "s4", "d", sound=place, talks=True)
    assert mute.audio is None


async def test_sessions_of_one_leg_share_a_line_and_the_last_one_ends_it(sessions, engine):
    place = place_at(engine)
    spoken = publish(sessions, chromium(), sound=place, talks=True)
    heard = view(sessions, sound=place, hears=True)
    assert spoken.audio_from == heard.audio_from
    sessions.release("s1")
    again = view(sessions, session="v2", sound=place, hears=True)
    assert again.audio_from == heard.audio_from
    sessions.release("v1")
    sessions.release("v2")
    assert sessions._lines._lines == {}


def directions_of_sound(answered):
    (stream,) = (part for part in answered.sdp.split("m=") if part.startswith("audio"))
    return {"sendrecv", "sendonly", "recvonly", "inactive"} & set(
        stream.replace("a=", "").split("\r\n")
    )


async def test_a_pictures_own_sound_needs_no_place_at_the_audio_engine(sessions):
    spoken = publish(sessions, chromium(), own_sound=True)
    heard = view(sessions, own_sound=True)
    assert directions_of_sound(spoken) == {"recvonly"}
    assert directions_of_sound(heard) == {"sendonly"}
    assert spoken.audio is spoken.audio_from is heard.audio is heard.audio_from is None
    assert sessions._lines._lines == {}
    assert directions_of_sound(view(sessions, session="v2")) == {"inactive"}


async def test_a_pictures_own_sound_goes_to_those_who_watch_it_now(sessions):
    publish(sessions, chromium(), own_sound=True)
    view(sessions, own_sound=True)
    (one,) = (session for session in sessions._sessions.values() if session.layers)
    voice = rtp(one.sound_type)
    sessions._take_voice(one, voice)
    assert sessions.sound_counts.own == 1
    sessions.show("v1", "other", Layer.MAIN)
    sessions._take_voice(one, voice)
    sessions.show("v1", "cam", Layer.MAIN)
    sessions._take_voice(one, voice)
    assert sessions.sound_counts.own == 2
    assert sessions.place_sound("v1", None) is None
    sessions.release("v1")
    sessions._take_voice(one, voice)
    assert sessions.sound_counts.own == 2


async def test_a_line_goes_where_the_engine_moved_to_from_the_same_port(sessions, engine):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        before = publish(sessions, chromium(), sound=place_at(engine), talks=True).audio_from
        assert sessions.place_sound("s1", place_at(elsewhere)) == before
        assert sessions.place_sound("s1", None) is None
        assert sessions.place_sound("s1", place_at(elsewhere)) is not None
    with pytest.raises(NotFoundError):
        sessions.place_sound("s9", None)


# Sound lines ----------------------------------------------------------------------------------------------------


class Ear:
    """A far end that keeps what it is sent."""

    outlet = None

    def __init__(self):
        self.packets = []

    def send(self, packet, *, is_rtcp=False):
        self.packets.append((packet, is_rtcp))


def rtp(payload_type, ssrc=7, payload=b"voice"):
    return bytes((0x80, payload_type)) + bytes(6) + ssrc.to_bytes(4, "big") + payload


@pytest.fixture
async def lines():
    made = SoundLines(SoundCounts())
    yield made
    made.close()


async def test_each_session_has_opus_under_its_own_number(lines, engine):
    mouth, ear = Ear(), Ear()
    line = lines.plug("s1", place_at(engine), SoundPlug(mouth, 96, talks=True, hears=False))
    lines.plug("v1", place_at(engine), SoundPlug(ear, 109, talks=False, hears=True))
    line.speak("s1", rtp(0x80 | 96))
    packet, source = engine.recvfrom(2048)
    assert packet == rtp(0x80 | 111)
    assert source == (line.address.host, line.address.port)
    engine.sendto(rtp(111, ssrc=9), source)
    engine.sendto(b"\x80\xc8" + bytes(26), source)
    await eventually(lambda: len(ear.packets) == 2)
    assert ear.packets == [(rtp(109, ssrc=9), False), (b"\x80\xc8" + bytes(26), True)]
    assert mouth.packets == []


@pytest.mark.parametrize(
    ("number", "mid", "block"),
    [
        (1, "0", b"\xbe\xde\x00\x01\x100\x00\x00"),
        (14, "aud", b"\xbe\xde\x00\x01\xe2aud"),
        (4, "sound", b"\xbe\xde\x00\x02\x44sound\x00\x00"),
        (4, "sixteen-letters!", b"\xbe\xde\x00\x05\x4fsixteen-letters!\x00\x00\x00"),
        (4, "", b""),
        (4, "seventeen-letters", b""),
        (0, "0", b""),
        (15, "0", b""),
        (-1, "0", b""),
    ],
)
def test_the_mid_of_a_stream_is_one_element_or_nothing(number, mid, block):
    assert mid_extension(number, mid) == block


async def heard(lines, engine, packet, mid):
    """A packet of the mix as a session hears it that has 109 for Opus."""
    ear = Ear()
    line = lines.plug("v1", place_at(engine), SoundPlug(ear, 109, talks=False, hears=True, mid=mid))
    engine.sendto(packet, (line.address.host, line.address.port))
    await eventually(lambda: ear.packets)
    return ear.packets


MID = b"\xbe\xde\x00\x01\x100\x00\x00"


async def test_the_mix_says_its_mid_where_one_was_agreed(lines, engine):
    marked = b"\x90" + rtp(109)[1:12] + MID + b"voice"
    assert await heard(lines, engine, rtp(111), MID) == [(marked, False)]


async def test_the_mid_stands_behind_the_contributing_sources_of_a_packet(lines, engine):
    sources = b"\x00\x00\x00\x01\x00\x00\x00\x02"
    packet = b"\x82" + rtp(111)[1:12] + sources + b"voice"
    marked = b"\x92" + rtp(109)[1:12] + sources + MID + b"voice"
    assert await heard(lines, engine, packet, MID) == [(marked, False)]


async def test_extensions_padding_and_marker_of_a_packet_stay_its_own(lines, engine):
    own = b"\xbe\xde\x00\x01\x50\x7f\x00\x00"
    packet = b"\xb0\xef" + rtp(111)[2:12] + own + b"voice\x00\x02"
    told = b"\xb0\xed" + packet[2:]
    assert await heard(lines, engine, packet, MID) == [(told, False)]


async def test_without_a_mid_only_the_payload_type_is_another(lines, engine):
    assert await heard(lines, engine, rtp(111), mid_extension(0, "0")) == [(rtp(109), False)]


async def test_reports_have_no_mid(lines, engine):
    report = b"\x80\xc8" + bytes(26)
    assert await heard(lines, engine, report, MID) == [(report, True)]


async def test_who_may_not_talk_is_not_passed_on(lines, engine):
    line = lines.plug("v1", place_at(engine), SoundPlug(Ear(), 96, talks=False, hears=True))
    line.speak("v1", rtp(96))
    line.speak("nobody", rtp(96))
    with pytest.raises(BlockingIOError):
        engine.recv(2048)


async def test_a_stranger_is_not_heard_on_a_line(lines, engine):
    ear = Ear()
    line = lines.plug("v1", place_at(engine), SoundPlug(ear, 96, talks=False, hears=True))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(rtp(111), (line.address.host, line.address.port))
    engine.sendto(rtp(111, ssrc=5), (line.address.host, line.address.port))
    await eventually(lambda: ear.packets)
    assert ear.packets == [(rtp(96, ssrc=5), False)]


async def test_an_engine_that_is_away_costs_only_its_packets(lines, engine):
    line = lines.plug("s1", place_at(engine), SoundPlug(Ear(), 96, talks=True, hears=True))
    engine.close()
    for _ in range(5):
        line.speak("s1", rtp(96))
        await asyncio.sleep(0)
    assert line.plugs


async def test_reports_of_other_streams_stay_with_the_picture(lines, engine):
    line = lines.plug("s1", place_at(engine), SoundPlug(Ear(), 96, talks=True, hears=True))
    line.speak("s1", rtp(96, ssrc=7))
    engine.recv(2048)
    line.report(frozenset({8}), b"\x80\xc9" + bytes(6))
    line.report(frozenset({7, 8}), b"\x80\xc9" + bytes(6))
    assert engine.recv(2048) == b"\x80\xc9" + bytes(6)
    with pytest.raises(BlockingIOError):
        engine.recv(2048)


def test_the_level_of_a_microphone_is_read_where_it_stands():
    def packet(extension, profile=b"\xbe\xde"):
        padded = extension + bytes(-len(extension) % 4)
        words = (len(padded) // 4).to_bytes(2, "big")
        return b"\x90\x6f" + bytes(10) + profile + words + padded + b"voice"

    assert level_of(packet(b"\x10\xa5"), 1) == -0x25
    assert level_of(packet(b"\x31ab\x00\x10\x7f"), 1) == -127
    assert level_of(packet(b"\x31ab\xf0\x00\x10\x7f"), 1) is None
    assert level_of(packet(b"\x10\xa5", b"\x10\x00"), 1) is None
    assert level_of(packet(b"\x10\xa5")[:15], 1) is None
    assert level_of(rtp(111), 1) is None
    assert level_of(packet(b"\x10\xa5"), 0) is None
