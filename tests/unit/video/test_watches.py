"""Watches of the picture engine: it views at another's WHEP, and what it sees is a source."""

import re

import pytest
from fakes.cameras import Camera, batch_of
from fakes.clock import ScriptedClock
from fakes.offers import chromium
from fakes.waiting import eventually

from bridges.transport.port import PortConfig, WebRtcPort
from bridges.video.counts import VideoCounts
from bridges.video.events import SessionLost
from bridges.video.forwarder import Forwarder
from bridges.video.outgoing import OUTGOING_LIMIT
from bridges.video.sessions import Sessions
from bridges.video.watching import Watches
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.kit.clock import SystemClock
from commhub.ports.video import Layer, PublishOrder, VideoCodec, ViewOrder

WITHIN_S = 30.0


class Engine:
    """What a worker has of it."""

    def __init__(self, clock):
        self.clock = clock
        self.told = []
        self.counts = VideoCounts()
        self.forwarder = Forwarder(clock, self.counts)
        self.watches = Watches(self.forwarder, clock, self.told.append)
        self.sessions = Sessions(
            self.forwarder, clock, self.told.append, codec_elsewhere=self.watches.codec_of
        )

    def offer(self, session="w1", source="far"):
        return self.watches.offer(PublishOrder(session_id=session, room_id="r1", source_id=source))

    def tick(self):
        self.forwarder.tick()
        self.watches.look()


async def entered(clock):
    engine = Engine(clock)
    async with WebRtcPort(PortConfig(), clock, engine.sessions.vanished) as port:
        port.drained = lambda may_wait: engine.forwarder.flush(may_wait=may_wait)
        engine.sessions.use(port)
        engine.watches.use(port)
        yield engine
        await engine.watches.close()


@pytest.fixture
async def engine():
    async for made in entered(SystemClock()):
        yield made


@pytest.fixture
async def above():
    async for made in entered(SystemClock()):
        yield made


@pytest.fixture
async def still():
    """One whose time stands unless the test moves it."""
    async for made in entered(ScriptedClock()):
        yield made


def show(above, offer, session="v1", **order):
    """The answer of a hub above, at its WHEP."""
    view = ViewOrder(**{"session_id": session, "room_id": "r9", "source_id": "cam", **order})
    return above.sessions.view(view, offer).sdp


async def test_it_offers_to_be_sent_everything_it_forwards(still):
    offer = still.offer()
    assert "a=recvonly" in offer
    assert "a=ssrc" not in offer
    assert all(name in offer for name in ("H264", "VP8", "VP9", "AV1"))
    assert len(re.findall("profile-level-id=(42e034|4d0034|640034)", offer)) == 3


async def test_what_it_sees_above_is_a_source_here_and_loss_on_the_way_is_asked_for(engine, above):
    camera = Camera()
    handle = above.forwarder.add_source("s1", "cam", "r9", camera.streams(), camera)
    engine.watches.answered("w1", show(above, engine.offer()))
    assert engine.watches.codec_of("far").codec is VideoCodec.H264

    async def arrives():
        handle.take_rtp(batch_of(camera.picture(key=True)), above.clock.monotonic())
        above.forwarder.flush()
        above.tick()
        engine.tick()
        meters = {one.source_id: one for one in engine.forwarder.source_meters()}
        return meters.get("far") is not None and engine.counts.received >= 20

    await eventually(arrives, within_s=WITHIN_S)
    (meter,) = engine.forwarder.source_meters()
    assert (meter.room_id, [one.layer for one in meter.layers]) == ("r1", [Layer.MAIN])

    # What this hub needs a whole picture for, it asks the hub above for, which asks its camera.
    engine.forwarder.request_keyframe("far")

    async def is_asked():
        engine.tick()
        above.tick()
        return camera.keyframes

    await eventually(is_asked, within_s=WITHIN_S)

    above.sessions.release("v1")

    async def is_lost():
        engine.tick()
        return [one for one in engine.told if isinstance(one, SessionLost)]

    assert await eventually(is_lost, within_s=WITHIN_S) == [SessionLost("w1", "failed")]
    assert engine.watches.ids == ()


async def test_another_watch_of_the_same_source_takes_its_place(engine, above):
    camera = Camera()
    above.forwarder.add_source("s1", "cam", "r9", camera.streams(), camera)
    engine.watches.answered("w1", show(above, engine.offer()))
    engine.watches.answered("w2", show(above, engine.offer("w2"), "v2"))
    assert engine.told == [SessionLost("w1", "replaced")]
    assert engine.watches.ids == ("w2",)
    engine.watches.release("w2")
    engine.watches.release("w2")
    assert engine.watches.ids == ()
    assert engine.watches.codec_of("far") is None


async def test_an_answer_comes_once_and_only_to_an_offer(still, above):
    with pytest.raises(NotFoundError):
        still.watches.answered("w1", "v=0")
    answer = show(above, still.offer())
    still.watches.answered("w1", answer)
    still.watches.answered("w1", answer)
    with pytest.raises(NotFoundError):
        still.watches.answered("w1", answer.replace("a=mid:0", "a=mid:1"))


@pytest.mark.parametrize(
    "bad",
    [
        lambda answer: "",
        lambda answer: answer.replace("a=sendonly", "a=recvonly"),
        lambda answer: re.sub("a=setup:.*\r\n", "a=setup:actpass\r\n", answer),
        lambda answer: re.sub("a=ice-ufrag:.*\r\n", "", answer),
        lambda answer: re.sub("a=ice-ufrag:.*\r\n", "a=ice-ufrag:?\r\n", answer),
        lambda answer: re.sub("a=fingerprint:.*\r\n", "", answer),
        lambda answer: re.sub("a=rtpmap:.*\r\n", "", answer),
        lambda answer: re.sub("a=candidate:.*\r\n", "", answer),
        lambda answer: answer[: len(answer) // 2],
    ],
)
async def test_an_answer_that_is_none_is_refused_and_another_one_is_taken(still, above, bad):
    answer = show(above, still.offer())
    with pytest.raises(InvalidError):
        still.watches.answered("w1", bad(answer))
    still.watches.answered("w1", answer)
    assert still.watches.ids == ("w1",)


async def test_an_offer_is_good_for_a_minute_and_there_are_so_many_at_most(still):
    for n in range(OUTGOING_LIMIT):
        still.offer(f"w{n}", f"far{n}")
    with pytest.raises(ConflictError):
        still.offer("one too many")
    still.offer("w0", "far0")
    still.clock.advance(61)
    still.watches.look()
    assert still.watches.ids == ()


async def test_who_views_here_what_is_watched_there_is_answered_in_its_codec(engine, above):
    camera = Camera()
    above.forwarder.add_source("s1", "cam", "r9", camera.streams(), camera)
    engine.watches.answered("w1", show(above, engine.offer()))
    view = ViewOrder(session_id="v9", room_id="r1", source_id="far")
    answered = engine.sessions.view(view, chromium(direction="recvonly"))
    assert answered.codec is VideoCodec.H264
