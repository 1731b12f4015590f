"""Hostile far ends at a real video worker: refused or bounded, counted, logged once, and nobody else's picture suffers."""

import asyncio
import contextlib
import random
import socket
from itertools import pairwise

import pytest
from aioice import stun
from fakes.hostile import SSRC, Hostile, Shooting, payload_of, rtp
from fakes.meeting import Picture, far_end
from fakes.picture_engine import counts, publish, view
from fakes.waiting import eventually

from bridges.video import feedback

pytestmark = pytest.mark.audio

AMPLIFIES_AT_MOST = 1.5
FLOOD = 2000


@pytest.fixture
async def bystanders(video, monkeypatch):
    """A pair beside the trouble: while the test ran, their picture went on and nothing of it was lost."""
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as camera,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, camera, "bystander", source="theirs")
        await view(video, viewer, "watcher", source="theirs")
        await eventually(lambda: viewer.sees(60), within_s=20)
        yield viewer
        seen = viewer.frames
        await eventually(lambda: viewer.frames > seen + 15, within_s=5)
        assert viewer.sees(60)
        (meter,) = [one for one in (await video.status()).views if one.session_id == "watcher"]
        assert meter.lost == 0


@pytest.fixture
async def hostile():
    """Make hostile far ends; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(*, publishes):
            made = Hostile(publishes=publishes)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
async def pair(video, hostile):
    """A hostile publisher and a viewer of its source that counts every packet."""
    publisher, viewer = hostile(publishes=True), hostile(publishes=False)
    await publish(video, publisher)
    await view(video, viewer)
    return publisher, viewer


async def shoot(shooting, pictures, *, each_s=1 / 30):
    for _ in range(pictures):
        shooting.picture()
        await asyncio.sleep(each_s)


def a_check(ufrag, password):
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{ufrag}:them"
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 1
    request.add_message_integrity(password.encode())
    return bytes(request)


async def grown(video, kind, by):
    """Wait until the worker has counted so much."""

    async def has():
        return (await counts(video))[kind] >= by

    await eventually(has, within_s=10)


async def test_a_flood_of_checks_is_no_amplifier(video, worker, hostile, bystanders):
    camera = hostile(publishes=True)
    answered = await publish(video, camera)
    assert "a=ice-lite" in answered.sdp
    remote = camera._remote
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.setblocking(False)
        flood.connect(camera.goal)
        unknown, forged = a_check("nobody", "x" * 32), a_check(remote.ufrag, "x" * 32)
        truncated = unknown[:30]
        for _ in range(FLOOD // 10):
            for data in (unknown, forged, truncated, b"\x00\x01", b"\x00" * 600) * 2:
                flood.send(data)
            await asyncio.sleep(0)
        await grown(video, "webrtc_forged_checks", FLOOD // 5)
        await grown(video, "webrtc_unknown_checks", FLOOD // 5)
        with pytest.raises(BlockingIOError):
            flood.recv(2048)
        # Nor is who knows the password given more than was asked.
        honest = a_check(remote.ufrag, remote.password)
        flood.send(honest)

        def answer():
            with contextlib.suppress(BlockingIOError):
                return flood.recv(2048)

        assert len(await eventually(answer)) <= AMPLIFIES_AT_MOST * len(honest)
    await eventually(lambda: worker.said.count("kind=webrtc_forged_checks") == 1)


async def test_garbage_of_strangers_and_of_peers_is_dropped(video, worker, pair, bystanders):
    publisher, viewer = pair
    dice = random.Random(8)
    before = await counts(video)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(publisher.goal)
        for n in range(FLOOD):
            data = bytes((n % 256,)) + dice.randbytes(dice.randrange(1600))
            stranger.send(data)
            publisher.throw(data)
            viewer.throw(b"")
            if n % 50 == 0:
                await asyncio.sleep(0)
    await grown(video, "webrtc_strangers", before["webrtc_strangers"] + FLOOD // 2)
    await grown(video, "webrtc_shapeless", before["webrtc_shapeless"] + FLOOD // 4)
    # Sealed, so that it gets further: nonsense behind a good tag.
    for n in range(500):
        publisher.send(rtp(dice.randbytes(dice.randrange(1200)), n, n * 3000))
        broken = bytearray(rtp(dice.randbytes(60), 500 + n, n * 3000))
        broken[0] = 0x80 | dice.randrange(0x40)
        with contextlib.suppress(AssertionError):
            publisher.send(bytes(broken))
        head = bytes((0x80 | dice.randrange(32), 200 + dice.randrange(8)))
        report = head + dice.randbytes(2 + 4 * dice.randrange(1, 100))
        for far in pair:
            far.send(report[: len(report) // 4 * 4], rtcp=True)
        if n % 50 == 0:
            await asyncio.sleep(0)
    await grown(video, "malformed_reports", 100)
    assert "Traceback" not in worker.said
    assert {"s1", "v1"} <= set((await video.status()).sessions)


async def test_a_wrong_tag_or_a_replay_reaches_nobody(video, worker, pair, bystanders):
    publisher, viewer = pair
    shooting = Shooting(publisher)
    await shoot(shooting, 15)
    await eventually(lambda: len(viewer.packets) > 15)
    replayed = publisher.seal(rtp(b"\x41again", shooting.sequence, shooting.timestamp))
    publisher.throw(replayed)
    shooting.sequence += 1
    came = len(viewer.packets)
    await eventually(lambda: len(viewer.packets) > came)
    for n in range(FLOOD):
        broken = bytearray(replayed)
        broken[3] = n & 0xFF
        broken[-1] ^= 0xFF
        publisher.throw(bytes(broken))
        publisher.throw(replayed)
        if n % 50 == 0:
            await asyncio.sleep(0)
    await grown(video, "webrtc_refused_packets", FLOOD)
    assert len(viewer.packets) == came + 1
    # Its own go on as if nothing had been.
    last = shooting.picture()[-1]
    await eventually(lambda: payload_of(viewer.packets[-1]) == last)
    await eventually(lambda: worker.said.count("kind=webrtc_refused_packets") == 1)


async def test_packets_of_1500_bytes_pass_and_longer_ones_are_counted(video, pair, bystanders):
    publisher, viewer = pair
    shooting = Shooting(publisher)
    await shoot(shooting, 3)
    await eventually(lambda: len(viewer.packets) >= 3)
    longest = b"\x41" + bytes(range(256)) * 6
    longest = longest[: 1500 - 12]
    publisher.send(rtp(longest, shooting.sequence, shooting.timestamp, marker=True))
    await eventually(lambda: payload_of(viewer.packets[-1]) == longest)
    before = (await counts(video))["webrtc_shapeless"]
    tail = rtp(longest, shooting.sequence + 1, shooting.timestamp + 3000)
    publisher.throw(publisher.seal(tail) + bytes(400))
    await grown(video, "webrtc_shapeless", before + 1)
    assert payload_of(viewer.packets[-1]) == longest


async def test_a_publisher_that_changes_its_ssrc_is_one_stream_to_its_viewer(
    video, worker, pair, bystanders
):
    publisher, viewer = pair
    await shoot(Shooting(publisher), 15)
    await eventually(lambda: len(viewer.packets) >= 15)
    for place in range(5):
        came = len(viewer.packets)
        other = Shooting(publisher, ssrc=SSRC + 1 + place)
        other.sequence, other.timestamp = 40_000 + 7000 * place, 1_000_000 * place
        await shoot(other, 15)
        await eventually(lambda came=came: len(viewer.packets) > came + 10)
    sequences = [int.from_bytes(one[2:4], "big") for one in viewer.packets]
    assert sequences == [sequences[0] + n & 0xFFFF for n in range(len(sequences))]
    assert len({one[8:12] for one in viewer.packets}) == 1
    stamps = [int.from_bytes(one[4:8], "big") for one in viewer.packets]
    steps = [new - old & 0xFFFFFFFF for old, new in pairwise(stamps)]
    # Time runs on, however the stream's own clock leapt.
    assert max(steps) < 3 * 90_000
    # And one that does nothing else fills no memory: libsrtp keeps a state for each.
    for place in range(200):
        publisher.send(rtp(b"\x41x", place, place, ssrc=place + 1))
    await grown(video, "webrtc_crowded", 150)
    await eventually(lambda: worker.said.count("kind=webrtc_crowded") == 1)


async def test_a_viewer_that_nacks_everything_gets_little_more(video, pair, bystanders):
    publisher, viewer = pair
    shooting = Shooting(publisher)
    await shoot(shooting, 15)
    await eventually(lambda: len(viewer.packets) >= 15)
    ssrc = int.from_bytes(viewer.packets[0][8:12], "big")
    began = viewer.octets
    plain = 0
    for _ in range(60):
        plain += sum(len(one) + 60 for one in shooting.picture())
        highest = int.from_bytes(viewer.packets[-1][2:4], "big")
        for _ in range(20):
            lost = [highest - back & 0xFFFF for back in range(340)]
            viewer.send(feedback.write_nack(1, ssrc, lost), rtcp=True)
        await asyncio.sleep(1 / 30)
    await grown(video, "refused_repairs", 10_000)
    told = await counts(video)
    assert told["repaired"] > 0
    # A quarter of what it gets anyway, a burst of 150 kB, and a trickle.
    assert viewer.octets - began < 1.25 * plain + 150_000 + 25_000 * 5


async def test_a_storm_of_picture_requests_is_one_request_each_half_second(video, pair, bystanders):
    publisher, viewer = pair
    shooting = Shooting(publisher)
    await shoot(shooting, 15)
    await eventually(lambda: len(viewer.packets) >= 15)
    ssrc = int.from_bytes(viewer.packets[0][8:12], "big")
    loop = asyncio.get_running_loop()
    began, asked = loop.time(), publisher.keyframe_requests
    for n in range(90):
        for _ in range(20):
            viewer.send(feedback.write_pli(1, ssrc), rtcp=True)
            viewer.send(feedback.write_fir(1, ssrc, n & 0xFF), rtcp=True)
        shooting.picture()
        await asyncio.sleep(1 / 30)
    took = loop.time() - began
    await eventually(lambda: publisher.keyframe_requests > asked)
    assert publisher.keyframe_requests - asked <= took / 0.5 + 1
