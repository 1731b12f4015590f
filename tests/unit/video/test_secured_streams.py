"""SIP far ends of the picture engine with keys (SDES-SRTP), and on IPv6, over real sockets."""

import base64
import itertools
import socket
from dataclasses import replace

import pytest
from fakes.clock import ScriptedClock
from fakes.pictures import rtp_stream
from fakes.terminals import Terminal, later
from fakes.waiting import eventually

from bridges.video import feedback
from bridges.video.counts import VideoCounts
from bridges.video.forwarder import Forwarder
from bridges.video.plain_sessions import PlainConfig, PlainSessions
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.ports.media import RtpAddress, SrtpKeys
from commhub.ports.video import PlainOrder, PlainRemote, VideoCodec, VideoFormat

H264 = VideoFormat(
    codec=VideoCodec.H264,
    payload_type=97,
    fmtp="profile-level-id=42e01f;packetization-mode=1",
    nack=True,
    pli=True,
)
WHOLE = replace(H264, packetization_mode=0)
STREAM = rtp_stream(VideoCodec.H264, 640, 360, 30, gop=300)


def keys(suite, first=1):
    size = 28 if "GCM" in suite else 30
    local, remote = (base64.b64encode(bytes((n,) * size)).decode() for n in (first, first + 1))
    return SrtpKeys(suite=suite, local_key=local, remote_key=remote)


SHA1, GCM = keys("AES_CM_128_HMAC_SHA1_80"), keys("AEAD_AES_128_GCM", 5)


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def told():
    return []


@pytest.fixture
async def sessions(clock, told):
    forwarder = Forwarder(clock, VideoCounts(), told.append)
    config = PlainConfig(port_min=43_500, port_max=43_900, ipv6_bind_host="::1")
    made = PlainSessions(forwarder, clock, config)
    made.forwarder = forwarder
    yield made
    made.close()


@pytest.fixture
def terminal():
    made = []

    def make(host="127.0.0.1", srtp=None):
        made.append(Terminal(host, srtp))
        return made[-1]

    yield make
    for one in made:
        one.close()


def join(sessions, name, one, srtp=None, video=H264):
    order = PlainOrder(session_id=name, room_id="r1", source_id=f"cam-{name}", ipv6=":" in one.host)
    place = sessions.reserve(order)
    sessions.connect(name, PlainRemote(address=one.address, video=video, srtp=srtp))
    return place


def tick(sessions, clock, seconds=0.3):
    clock.advance(seconds)
    sessions.tick()
    sessions.forwarder.tick()


async def arrive(sessions, clock, one, count):
    def there():
        tick(sessions, clock, 0.05)
        return len(one.read()) >= count

    await eventually(there, within_s=30)


@pytest.mark.parametrize("srtp", [SHA1, GCM], ids=lambda srtp: srtp.suite)
async def test_a_far_end_with_keys_and_one_without_see_each_other(sessions, clock, terminal, srtp):
    secured, plain = terminal(srtp=srtp), terminal()
    place, back = join(sessions, "a", secured, srtp), join(sessions, "b", plain)
    tick(sessions, clock)
    secured.send(place, STREAM)
    await arrive(sessions, clock, plain, len(STREAM))
    assert [packet[12:] for packet in plain.got] == [packet.payload for packet in STREAM]
    plain.send(back, STREAM)
    await arrive(sessions, clock, secured, len(STREAM))
    assert [packet[12:] for packet in secured.got] == [packet.payload for packet in STREAM]
    assert secured.refused == sessions.counts.forged == 0


async def test_reports_and_repairs_are_secured_too(sessions, clock, terminal, told):
    secured, plain = terminal(srtp=SHA1), terminal()
    place, back = join(sessions, "a", secured, SHA1), join(sessions, "b", plain)
    tick(sessions, clock)
    secured.send(place, STREAM)
    plain.send(back, STREAM)
    await arrive(sessions, clock, secured, len(STREAM))
    # Our receiver reports about theirs, our sender reports about ours.
    await eventually(lambda: (tick(sessions, clock), secured.read(), len(secured.told) > 2)[-1])
    assert secured.refused == 0
    lost = int.from_bytes(secured.got[5][2:4], "big")
    ssrc = int.from_bytes(secured.got[5][8:12], "big")
    before = len(secured.got)
    secured.report(place, feedback.write_nack(7, ssrc, [lost]))
    # The packet again as it was: a far end that has it already refuses it as a replay.
    await eventually(lambda: (secured.read(), secured.refused == 1)[-1])
    assert len(secured.got) == before


async def test_what_is_forged_or_in_the_clear_is_refused_and_counted(sessions, clock, terminal):
    secured, plain, forger = terminal(srtp=GCM), terminal(), terminal(srtp=keys(GCM.suite, 9))
    place = join(sessions, "a", secured, GCM)
    join(sessions, "b", plain)
    tick(sessions, clock)
    forger.send(place, STREAM)
    terminal().send(place, STREAM)
    forger.report(place, feedback.write_pli(7, 1))
    await eventually(lambda: sessions.counts.forged >= 2 * len(STREAM) + 1)
    tick(sessions, clock)
    assert plain.read() == []
    secured.send(place, STREAM)
    await arrive(sessions, clock, plain, len(STREAM))


async def test_other_keys_are_taken_over_and_no_number_is_used_twice_under_one(
    sessions, clock, terminal
):
    secured, plain = terminal(srtp=GCM), terminal()
    place, back = join(sessions, "a", secured, GCM), join(sessions, "b", plain)
    tick(sessions, clock)
    secured.send(place, STREAM)
    plain.send(back, STREAM)
    await arrive(sessions, clock, secured, len(STREAM))
    first = {packet[8:12] for packet in secured.got}
    # Another format under the same keys is another stream of ours, so it has another SSRC.
    join(sessions, "a", secured, GCM, WHOLE)
    plain.send(back, later(STREAM, 100))
    await arrive(sessions, clock, secured, len(STREAM) + 1)
    assert {packet[8:12] for packet in secured.got} > first
    other = keys(GCM.suite, 20)
    secured.agree(other)
    secured.got.clear()
    join(sessions, "a", secured, other)
    plain.send(back, later(STREAM, 200))
    await arrive(sessions, clock, secured, 1)
    plain.read()
    plain.got.clear()
    secured.send(place, later(STREAM, 100))
    await arrive(sessions, clock, plain, 1)


async def test_a_far_end_of_mode_0_gets_large_nal_units_sealed(sessions, clock, terminal):
    secured, plain = terminal(srtp=GCM), terminal()
    join(sessions, "a", secured, GCM, WHOLE)
    back = join(sessions, "b", plain)
    tick(sessions, clock)
    large = rtp_stream(VideoCodec.H264, 1920, 1080, 3, gop=300)
    plain.send(back, large)
    await arrive(sessions, clock, secured, 3)
    assert secured.refused == 0
    assert {packet[12] & 0x1F for packet in secured.got} <= {1, 5, 6, 7, 8, 9}


async def test_keys_that_are_none_change_nothing(sessions, clock, terminal):
    one, other = terminal(), terminal()
    place = join(sessions, "a", one)
    join(sessions, "b", other)
    with pytest.raises(InvalidError):
        join(sessions, "a", one, replace(GCM, local_key="none"))
    tick(sessions, clock)
    one.send(place, STREAM)
    await arrive(sessions, clock, other, len(STREAM))


async def test_a_far_end_on_ipv6_and_one_on_ipv4_see_each_other(sessions, clock, terminal):
    six, four = terminal("::1", SHA1), terminal()
    place, back = join(sessions, "a", six, SHA1), join(sessions, "b", four)
    assert (place.host, back.host) == ("::1", "127.0.0.1")
    tick(sessions, clock)
    six.send(place, STREAM)
    await arrive(sessions, clock, four, len(STREAM))
    four.send(back, STREAM)
    await arrive(sessions, clock, six, len(STREAM))
    numbers = [int.from_bytes(packet[2:4], "big") for packet in six.got]
    assert {(b - a) & 0xFFFF for a, b in itertools.pairwise(numbers)} == {1}
    await eventually(lambda: (tick(sessions, clock), six.read(), six.told)[-1])
    stranger = terminal("::1", SHA1)
    stranger.send(place, later(STREAM, 500), ssrc=8)
    await eventually(lambda: sessions.counts.strangers >= len(STREAM))


async def test_the_other_ip_version_is_refused_and_a_session_may_change_to_it(
    sessions, clock, terminal
):
    one = terminal()
    join(sessions, "a", one)
    with pytest.raises(InvalidError, match="other IP version"):
        sessions.connect("a", PlainRemote(address=RtpAddress("::1", 9), video=H264))
    six, other = terminal("::1"), terminal()
    place = join(sessions, "a", six)
    join(sessions, "b", other)
    tick(sessions, clock)
    six.send(place, STREAM)
    await arrive(sessions, clock, other, len(STREAM))


async def test_without_an_address_of_its_own_no_ipv6_is_promised(clock):
    made = PlainSessions(Forwarder(clock, VideoCounts()), clock, PlainConfig())
    order = PlainOrder(session_id="a", room_id="r", source_id="s", ipv6=True)
    with pytest.raises(UnavailableError):
        made.reserve(order)
    assert made.ids == ()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
