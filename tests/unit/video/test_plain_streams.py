"""SIP far ends of the picture engine over real sockets: who is believed, what arrives, in which form, and what is asked for."""

import asyncio
import itertools
import socket
from dataclasses import replace

import pytest
from fakes.clock import ScriptedClock
from fakes.pictures import rtp_stream
from fakes.terminals import Terminal
from fakes.waiting import eventually

from bridges.video import feedback
from bridges.video.codecs import h264
from bridges.video.counts import VideoCounts
from bridges.video.events import KeyframeWanted, SourceStarted
from bridges.video.forwarder import Forwarder
from bridges.video.plain_sessions import PlainConfig, PlainSessions
from bridges.video.reflow import LARGEST_NAL, Reflow
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.ports.media import RtpAddress
from commhub.ports.video import PlainOrder, PlainRemote, VideoCodec, VideoFormat

H264 = VideoFormat(
    codec=VideoCodec.H264,
    payload_type=97,
    fmtp="profile-level-id=42e01f;packetization-mode=1",
    nack=True,
    pli=True,
)
SILENT = replace(H264, nack=False, pli=False)
WHOLE = replace(H264, packetization_mode=0)


@pytest.fixture
def terminals():
    made = [Terminal(), Terminal(), Terminal()]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def told():
    return []


@pytest.fixture
async def sessions(clock, told):
    forwarder = Forwarder(clock, VideoCounts(), told.append)
    made = PlainSessions(forwarder, clock, PlainConfig(port_min=43_000, port_max=43_400))
    made.forwarder = forwarder
    yield made
    made.close()


def join(sessions, name, terminal, video=H264, **how):
    place = sessions.reserve(PlainOrder(session_id=name, room_id="r1", source_id=f"cam-{name}"))
    sessions.connect(name, PlainRemote(address=terminal.address, video=video, **how))
    return place


def tick(sessions, clock, seconds=0.3):
    clock.advance(seconds)
    sessions.tick()
    sessions.forwarder.tick()


async def pictures_arrive(sessions, clock, terminal, count):
    def there():
        tick(sessions, clock, 0.05)
        return len(terminal.read()) >= count

    await eventually(there)


def kinds(packets):
    return [packet[12] & 0x1F for packet in packets]


def stream(frames=30):
    return rtp_stream(VideoCodec.H264, 640, 360, frames, gop=300)


async def test_two_far_ends_see_each_other_and_not_themselves(sessions, clock, terminals, told):
    one, other, _ = terminals
    place, back = join(sessions, "a", one), join(sessions, "b", other)
    tick(sessions, clock)
    one.send(place, stream())
    await pictures_arrive(sessions, clock, other, len(stream()))
    assert one.read() == []
    assert [type(event) for event in told if isinstance(event, SourceStarted)]
    assert {packet[1] & 0x7F for packet in other.got} == {97}
    numbers = [int.from_bytes(packet[2:4], "big") for packet in other.got]
    assert [(b - a) & 0xFFFF for a, b in itertools.pairwise(numbers)] == [1] * (len(numbers) - 1)
    assert back.port % 2 == place.port % 2 == 0


async def test_packets_longer_than_browsers_make_pass(sessions, clock, terminals):
    one, other, _ = terminals
    place = join(sessions, "a", one)
    join(sessions, "b", other)
    tick(sessions, clock)
    first, *rest = stream()[:40]
    long = [replace(p, payload=p.payload.ljust(1480, b"\x80")) for p in rest]
    one.send(place, [first, *long])
    await pictures_arrive(sessions, clock, other, 40)
    assert {len(packet) for packet in other.got[1:]} == {1492}


async def test_a_stranger_is_not_believed_once_the_far_end_was_heard(sessions, clock, terminals):
    one, other, stranger = terminals
    place = join(sessions, "a", one)
    join(sessions, "b", other)
    tick(sessions, clock)
    one.send(place, stream())
    await pictures_arrive(sessions, clock, other, len(stream()))
    other.got.clear()
    stranger.send(place, stream(), ssrc=8)
    await eventually(lambda: sessions.counts.strangers >= len(stream()))
    tick(sessions, clock)
    assert other.read() == []


async def test_a_far_end_behind_a_nat_is_learnt_and_answered_there(sessions, clock, terminals):
    one, other, natted = terminals
    place = join(sessions, "a", one)
    back = join(sessions, "b", other)
    tick(sessions, clock)
    # B's description names a port that its NAT does not use.
    other.send(back, stream()[:10], by=natted.rtp)
    await eventually(lambda: sessions.counts.received >= 8)
    assert sessions.counts.strangers == 2
    tick(sessions, clock)
    one.send(place, stream())
    await pictures_arrive(sessions, clock, natted, len(stream()))
    assert other.read() == []


async def test_who_holds_us_gets_nothing_and_goes_on_from_a_key_frame(sessions, clock, terminals):
    one, other, _ = terminals
    place = join(sessions, "a", one)
    join(sessions, "b", other)
    tick(sessions, clock)
    join(sessions, "b", other, receives=False)
    tick(sessions, clock)
    one.send(place, stream())
    await eventually(lambda: sessions.counts.received >= len(stream()))
    tick(sessions, clock)
    assert other.read() == []
    join(sessions, "b", other)
    again = [replace(p, sequence=p.sequence + len(stream()) & 0xFFFF) for p in stream()]
    tick(sessions, clock)
    one.send(place, again)
    await pictures_arrive(sessions, clock, other, len(stream()) // 2)


async def test_a_wish_by_signalling_asks_the_shown_source_by_rtcp(sessions, clock, terminals):
    one, other, _ = terminals
    place = join(sessions, "a", one)
    join(sessions, "b", other)
    tick(sessions, clock)
    one.send(place, stream())
    await pictures_arrive(sessions, clock, other, len(stream()))
    one.read()
    one.told.clear()
    sessions.refresh("b")
    await eventually(lambda: (one.read(), one.told)[1])
    assert feedback.read(one.told[0]).keyframes == [7]


@pytest.mark.parametrize("video", [replace(H264, pli=False, fir=True), SILENT])
async def test_a_source_is_asked_by_what_it_agreed_to(sessions, clock, terminals, told, video):
    one, other, _ = terminals
    place = join(sessions, "a", one, video)
    join(sessions, "b", other)
    tick(sessions, clock)
    one.send(place, stream())
    await pictures_arrive(sessions, clock, other, len(stream()))
    one.read()
    one.told.clear()
    told.clear()
    clock.advance(1.0)
    for _ in range(3):
        sessions.refresh("b")
    if video.fir:
        await eventually(lambda: (one.read(), one.told)[1])
        assert feedback.read(one.told[0]).keyframes == [7]
        assert KeyframeWanted("a") not in told
    else:
        assert told == [KeyframeWanted("a")]


async def test_a_far_end_that_takes_no_split_nal_units_gets_whole_ones(sessions, clock, terminals):
    one, other, third = terminals
    place = join(sessions, "a", one)
    join(sessions, "b", other, WHOLE)
    join(sessions, "c", third)
    tick(sessions, clock)
    one.send(place, stream())
    await pictures_arrive(sessions, clock, third, len(stream()))
    nal_units = sum(
        1 if p[12] & 0x1F < 24 else bool(p[13] & 0x40) for p in third.got if p[12] & 0x1F != 24
    )
    await pictures_arrive(sessions, clock, other, nal_units)
    assert 28 in kinds(third.got)
    assert set(kinds(other.got)) <= {1, 5, 6, 7, 8}
    numbers = [int.from_bytes(packet[2:4], "big") for packet in other.got]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    missed = other.got[-1]
    ssrc = int.from_bytes(missed[8:12], "big")
    back = sessions.reserve(sessions._sessions["b"].order)
    other.got.clear()
    other.report(back, feedback.write_nack(1, ssrc, [numbers[-1]]))
    await eventually(lambda: missed in other.read())


async def test_a_nal_unit_no_datagram_holds_is_left_out_and_the_next_is_not(terminals):
    sent = []
    reflow = Reflow(sent.append)
    head = b"\x80\x61%b\0\0\0\1\0\0\0\2"
    part = b"\x7c\x05" + bytes(1400)
    for number in range(LARGEST_NAL // 1400 + 2):
        first = b"\x7c\x85" + part[2:] if number == 0 else part
        reflow.take(head % number.to_bytes(2, "big") + first)
    end = number + 1
    reflow.take(head % end.to_bytes(2, "big") + b"\x7c\x45end")
    reflow.take(head % (end + 1).to_bytes(2, "big") + b"\x61next")
    reflow.close()
    assert reflow.left_out == 1
    assert [packet[12:] for packet in sent] == [b"\x61next"]


async def test_what_is_wrong_is_refused_and_nothing_stays_behind(sessions, terminals):
    place = join(sessions, "a", terminals[0])
    with pytest.raises(NotFoundError):
        sessions.connect("nobody", PlainRemote(address=terminals[0].address, video=H264))
    with pytest.raises(InvalidError, match="other IP version"):
        sessions.connect("a", PlainRemote(address=RtpAddress("::1", 9), video=H264))
    terminals[0].rtp.sendto(b"garbage", (place.host, place.port))
    terminals[0].rtcp.sendto(b"\x80\xc9", (place.host, place.port + 1))
    await eventually(lambda: sessions.counts.shapeless == 2)
    sessions.release("a")
    sessions.release("a")
    assert sessions.ids == ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((place.host, place.port))
    await asyncio.sleep(0)


async def test_parameter_sets_that_are_only_in_the_description_reach_who_watches(
    sessions, clock, terminals
):
    one, other, _ = terminals
    bare = [
        packet
        for packet in stream()
        if not {7, 8} & set(h264.unit_kinds(memoryview(packet.payload)))
    ]
    assert len(bare) < len(stream())
    begun = bare[0].sequence
    bare = [replace(packet, sequence=begun + n & 0xFFFF) for n, packet in enumerate(bare)]
    sets = "Z0LAH9oBQBboQAAAAwBAAAAPI8YMqA==,aM48gA=="
    said = replace(H264, fmtp=f"{H264.fmtp};sprop-parameter-sets={sets}")
    place = join(sessions, "a", one, said)
    join(sessions, "b", other)
    tick(sessions, clock)
    one.send(place, bare)
    # One key frame: one packet more than was sent.
    await pictures_arrive(sessions, clock, other, len(bare) + 1)
    first = other.read()[0][12:]
    assert h264.unit_kinds(memoryview(first)) == (7, 8)
