"""Pushes of the picture engine: offers, answers, and a stream that outlives its connections."""

import asyncio
import re
from itertools import pairwise

import pytest
from fakes.cameras import Camera, batch_of
from fakes.clock import ScriptedClock
from fakes.hostile import payload_of
from fakes.offers import WERIFT, chromium
from fakes.pushed_to import PushedTo
from fakes.waiting import eventually

from bridges.transport.port import PortConfig, WebRtcPort
from bridges.video.counts import VideoCounts
from bridges.video.events import PushConnected, PushLost
from bridges.video.forwarder import Forwarder
from bridges.video.outgoing import OUTGOING_LIMIT
from bridges.video.push import Pushes
from bridges.video.sessions import Sessions
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.kit.clock import SystemClock
from commhub.ports.video import SPEAKER, Layer, PublishOrder, PushOrder


class Engine:
    """What a worker has of it."""

    def __init__(self, clock):
        self.clock = clock
        self.told = []
        self.forwarder = Forwarder(clock, VideoCounts())
        self.sessions = Sessions(self.forwarder, clock, self.told.append)
        self.pushes = Pushes(self.forwarder, clock, self.told.append, self.sessions.codec_of)

    def camera(self, source="cam"):
        """A source whose packets the test hands in."""
        camera = Camera()
        camera.handle = self.forwarder.add_source(
            f"s-{source}", source, "r1", camera.streams(), camera
        )
        return camera

    def give(self, camera, **what):
        camera.handle.take_rtp(batch_of(camera.picture(**what)), self.clock.monotonic())
        self.forwarder.flush()
        self.tick()

    def tick(self):
        self.forwarder.tick()
        self.pushes.tick()

    def offer(self, session="p1", source="cam", **order):
        return self.pushes.offer(
            PushOrder(session_id=session, room_id="r1", source_id=source, **order)
        )


async def entered(clock):
    engine = Engine(clock)
    async with WebRtcPort(PortConfig(consent_s=6.0), clock, engine.sessions.vanished) as port:
        engine.sessions.use(port)
        engine.pushes.use(port)
        engine.port = port
        yield engine
        await engine.pushes.close()


@pytest.fixture
async def engine():
    async for made in entered(SystemClock()):
        yield made


@pytest.fixture
async def still():
    """One whose time stands unless the test moves it."""
    async for made in entered(ScriptedClock()):
        yield made


def ssrcs(offer):
    return re.search(r"^a=ssrc-group:FID (\d+) (\d+)", offer, re.MULTILINE).groups()


def port_of(offer):
    return int(re.search(r"^m=video (\d+)", offer, re.MULTILINE).group(1))


# Offers --------------------------------------------------------------------------------------------------------------


async def test_the_offer_has_the_sources_codec_and_profile_and_a_port_of_its_own(still):
    still.sessions.publish(PublishOrder(session_id="s1", room_id="r1", source_id="cam"), chromium())
    offer, other = still.offer(), still.offer("p2")
    assert "a=rtpmap:96 H264/90000" in offer
    assert "profile-level-id=42e01f" in offer
    assert "VP8" not in offer
    assert "x-google" not in offer
    assert len({port_of(offer), port_of(other), still.port.address[1]}) == 3
    assert ssrcs(offer) != ssrcs(other)
    assert still.pushes.ids == ("p1", "p2")


async def test_the_speaker_may_be_anybody_so_every_codec_is_offered(still):
    still.sessions.publish(PublishOrder(session_id="s1", room_id="r1", source_id="cam"), WERIFT)
    assert "H264" not in still.offer()
    assert all(name in still.offer(source=SPEAKER) for name in ("H264", "VP8", "VP9", "AV1"))


async def test_there_are_only_so_many_pushes_and_one_that_ends_makes_room(still):
    for n in range(OUTGOING_LIMIT):
        still.offer(f"p{n}")
    with pytest.raises(ConflictError, match="at most 64"):
        still.offer("one more")
    still.offer("p0")
    still.pushes.release("p0")
    still.offer("one more")


async def test_an_offer_nobody_answers_is_forgotten_after_a_minute(still):
    still.offer()
    still.clock.advance(59)
    still.tick()
    assert "p1" in still.pushes
    still.clock.advance(2)
    still.tick()
    assert still.told == [PushLost("p1", "unanswered")]
    with pytest.raises(NotFoundError):
        still.pushes.answered("p1", "v=0")


async def test_another_offer_takes_the_place_of_the_first_and_so_does_its_answer(still):
    first = PushedTo()
    await first.read(still.offer())
    second = PushedTo()
    answer = await second.read(still.offer())
    still.pushes.answered("p1", answer)
    assert still.pushes.ids == ("p1",)
    first.close()
    second.close()


# Answers -------------------------------------------------------------------------------------------------------------


async def test_a_bad_answer_is_refused_and_a_good_one_still_taken(engine):
    far = PushedTo()
    answer = await far.read(engine.offer())
    for bad in ("", "v=0", answer.replace("fingerprint", "x"), answer.replace("H264", "H265")):
        with pytest.raises(InvalidError):
            engine.pushes.answered("p1", bad)
    engine.pushes.answered("p1", answer)
    await far.connected()
    far.close()


async def test_an_answer_that_comes_twice_changes_nothing_and_one_to_nothing_is_not_found(still):
    far = PushedTo()
    answer = await far.read(still.offer())
    still.pushes.answered("p1", answer)
    still.pushes.answered("p1", answer)
    with pytest.raises(NotFoundError):
        still.pushes.answered("p1", answer + "a=x\r\n")
    with pytest.raises(NotFoundError):
        still.pushes.answered("p9", answer)
    far.close()


# Streams -------------------------------------------------------------------------------------------------------------


async def seen(engine, camera, far, pictures, **what):
    """Give pictures until the far end has seen so many packets more."""
    before = len(far.packets)
    engine.give(camera, key=True)
    for _ in range(pictures):
        engine.give(camera, **what)
        await asyncio.sleep(1 / 60)
    await eventually(lambda: len(far.packets) >= before + 4 * pictures, within_s=20)


@pytest.mark.parametrize("is_client", [True, False], ids=["active", "passive"])
@pytest.mark.parametrize("is_lite", [True, False], ids=["lite", "full"])
async def test_the_picture_flows_to_every_kind_of_far_end(engine, is_client, is_lite):
    camera = engine.camera()
    far = PushedTo(is_client=is_client, is_lite=is_lite)
    engine.pushes.answered("p1", await far.read(engine.offer()))
    await far.connected()
    await eventually(lambda: (engine.tick(), PushConnected("p1") in engine.told)[1], within_s=20)
    await seen(engine, camera, far, 10)
    numbers = [int.from_bytes(one[2:4], "big") for one in far.packets]
    assert all(after - before & 0xFFFF == 1 for before, after in pairwise(numbers))
    assert {int.from_bytes(one[8:12], "big") for one in far.packets} == {far.ssrc}
    (meter,) = engine.forwarder.view_meters()
    assert meter.session_id == "p1"
    far.close()


async def test_a_far_end_behind_another_address_is_found_by_its_own_checks(engine):
    camera = engine.camera()
    far = PushedTo(is_lite=False, is_hidden=True)
    engine.pushes.answered("p1", await far.read(engine.offer()))
    await far.connected()
    await seen(engine, camera, far, 3)
    far.close()


async def test_the_stream_goes_on_over_a_new_connection(engine):
    camera = engine.camera()
    first, second = PushedTo(), PushedTo()
    engine.pushes.answered("p1", await first.read(engine.offer()))
    await first.connected()
    await seen(engine, camera, first, 5)
    # The old connection goes on until the new one is answered.
    answer = await second.read(engine.offer())
    await seen(engine, camera, first, 5)
    last = first.packets[-1]
    engine.pushes.answered("p1", answer)
    await second.connected()
    await seen(engine, camera, second, 5)
    assert second.ssrc == first.ssrc
    beginning = second.packets[0]
    gap = int.from_bytes(beginning[2:4], "big") - int.from_bytes(last[2:4], "big") & 0xFFFF
    assert gap == 1
    later = int.from_bytes(beginning[4:8], "big") - int.from_bytes(last[4:8], "big") & 0xFFFFFFFF
    assert 0 < later < 20 * 90_000
    assert payload_of(beginning)[0] & 0x1F == 5
    first.close()
    second.close()


async def test_a_stream_that_ended_long_ago_is_another(still):
    first = ssrcs(still.offer())
    far = PushedTo()
    still.pushes.answered("p1", await far.read(still.offer()))
    again = ssrcs(still.offer())
    assert again != first
    still.pushes.release("p1")
    still.clock.advance(29)
    still.tick()
    assert ssrcs(still.offer()) == again
    still.pushes.release("p1")
    still.clock.advance(31)
    still.tick()
    assert ssrcs(still.offer()) != again
    far.close()


async def test_a_wish_for_a_key_frame_reaches_the_camera_throttled(engine):
    camera = engine.camera()
    far = PushedTo()
    engine.pushes.answered("p1", await far.read(engine.offer()))
    await far.connected()
    await seen(engine, camera, far, 3)
    before = camera.keyframes
    for _ in range(20):
        far.want_keyframe()
    await eventually(lambda: camera.keyframes > before, within_s=20)
    assert camera.keyframes == before + 1
    far.close()


async def test_what_was_lost_is_sent_again_by_rtx(engine):
    camera = engine.camera()
    far = PushedTo()
    engine.pushes.answered("p1", await far.read(engine.offer()))
    await far.connected()
    await seen(engine, camera, far, 3)
    lost = far.packets[2]
    far.miss(int.from_bytes(lost[2:4], "big"))
    (repair,) = await eventually(lambda: far.repairs, within_s=20)
    assert payload_of(repair)[:2] == lost[2:4]
    assert payload_of(repair)[2:] == payload_of(lost)
    far.close()


async def test_a_push_is_switched_to_another_source_on_its_connection(engine):
    door, yard = engine.camera("door"), engine.camera("yard")
    far = PushedTo()
    engine.pushes.answered("p1", await far.read(engine.offer(source="door")))
    await far.connected()
    await seen(engine, door, far, 3)
    engine.pushes.show("p1", "yard", Layer.SUB)
    await seen(engine, yard, far, 3)
    assert {int.from_bytes(one[8:12], "big") for one in far.packets} == {far.ssrc}
    with pytest.raises(NotFoundError):
        engine.pushes.show("p9", "yard", Layer.MAIN)
    far.close()


async def test_a_source_whose_codec_was_not_agreed_needs_another_offer(still):
    still.sessions.publish(PublishOrder(session_id="s1", room_id="r1", source_id="vp8"), WERIFT)
    far = PushedTo()
    still.pushes.answered("p1", await far.read(still.offer(source="later")))
    with pytest.raises(InvalidError, match="not agreed for VP8"):
        still.pushes.show("p1", "vp8", Layer.MAIN)
    far.close()


# Ends ----------------------------------------------------------------------------------------------------------------


async def test_a_far_end_that_says_goodbye_is_lost_at_once(engine):
    far = PushedTo()
    engine.pushes.answered("p1", await far.read(engine.offer()))
    await far.connected()
    await eventually(lambda: (engine.tick(), engine.told)[1], within_s=20)
    await far.say_goodbye()
    await eventually(
        lambda: (engine.tick(), PushLost("p1", "failed") in engine.told)[1], within_s=20
    )
    assert "p1" not in engine.pushes
    far.close()


async def test_a_far_end_that_ends_the_old_connection_for_the_new_one_is_not_lost(engine):
    camera = engine.camera()
    first, second = PushedTo(), PushedTo()
    engine.pushes.answered("p1", await first.read(engine.offer()))
    await first.connected()
    await seen(engine, camera, first, 3)
    answer = await second.read(engine.offer())
    await first.say_goodbye()
    await eventually(lambda: (engine.tick(), not engine.forwarder.view_meters())[1], within_s=20)
    engine.pushes.answered("p1", answer)
    await second.connected()
    await seen(engine, camera, second, 3)
    assert second.ssrc == first.ssrc
    assert not [one for one in engine.told if isinstance(one, PushLost)]
    first.close()
    second.close()


async def test_a_far_end_that_falls_silent_is_lost_when_its_consent_ends(engine):
    far = PushedTo()
    engine.pushes.answered("p1", await far.read(engine.offer()))
    await far.connected()
    far.close()
    await eventually(lambda: PushLost("p1", "vanished") in engine.told, within_s=40)
    assert engine.forwarder.view_meters() == ()


async def test_a_far_end_that_never_answers_a_check_is_lost(still):
    far = PushedTo()
    answer = await far.read(still.offer())
    far.close()
    still.pushes.answered("p1", answer)
    still.clock.advance(7)
    await eventually(lambda: still.told == [PushLost("p1", "vanished")], within_s=20)


async def test_what_is_released_is_gone_with_its_port_and_an_unknown_one_is_fine(still):
    far = PushedTo()
    still.pushes.answered("p1", await far.read(still.offer()))
    still.offer()
    still.pushes.release("p1")
    still.pushes.release("p1")
    still.pushes.release("nobody")
    assert still.pushes.ids == ()
    assert still.forwarder.view_meters() == ()
    await eventually(lambda: not still.pushes._ending)
    assert still.told == []
    far.close()
