"""Two picture engines as processes: what is published at the lower one is pushed to the upper, and seen there."""

import re
import time
from contextlib import ExitStack

import pytest
import structlog
from fakes.filming import Filming, Screen
from fakes.hostile import Hostile
from fakes.lossy import lossy
from fakes.meeting import Picture, far_end
from fakes.picture_engine import News, Process, counts, publish, push, view
from fakes.strangers import chromium, werift
from fakes.waiting import eventually

from bridges.reach import ClientConfig
from bridges.video.client import VideoClient
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.kit.clock import SystemClock
from commhub.ports.video import Layer, PushOrder, VideoCodec

pytestmark = pytest.mark.audio

log = structlog.get_logger(__name__)

FULL_HD = (1920, 1080)


@pytest.fixture
async def above(tmp_path):
    folder = tmp_path / "above"
    folder.mkdir()
    made = Process(folder)
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
def upper_news():
    return News()


@pytest.fixture
async def upper(above, upper_news):
    """The engine of the tier above."""
    client = VideoClient(ClientConfig(address=above.address, request_timeout_s=10), SystemClock())
    client.deliver_to(upper_news)
    client.deliver_pushes_to(upper_news)
    async with client:
        await eventually(lambda: client.is_connected, within_s=60)
        yield client


@pytest.fixture
async def light():
    """Cameras and screens; they are closed at the end."""
    with ExitStack() as stack:

        def make(kind, *args, **kwargs):
            made = kind(*args, **kwargs)
            stack.callback(made.close)
            return made

        yield make


async def meter_of(video, session):
    return next((one for one in (await video.status()).views if one.session_id == session), None)


# One picture, and how it is there ------------------------------------------------------------------------------------


async def test_1080p_is_seen_above_as_it_was_filmed_and_by_many_over_one_stream(
    video, upper, news, light
):
    camera = light(Filming)
    screen = light(Screen)
    others = [light(Hostile, publishes=False) for _ in range(3)]
    await publish(video, camera)
    await push(video, upper)
    await eventually(lambda: news.connected == ["p1"], within_s=30)
    for n, viewer in enumerate((screen, *others)):
        await view(upper, viewer, f"v{n}", source="up-cam")
    await eventually(lambda: screen.seen.frames >= 90, within_s=90)
    await eventually(lambda: all(len(one.packets) >= 500 for one in others), within_s=60)
    assert screen.seen.size == FULL_HD
    assert screen.seen.gaps == 0
    (below,) = (await video.status()).views
    assert below.session_id == "p1"
    assert below.kbps > 0
    assert (await counts(video))["now_pushing"] == 1
    (source,) = (await upper.status()).sources
    assert (source.views, source.layers[0].height) == (4, 1080)


async def test_what_the_hop_adds_is_measured(video, upper, light):
    """A figure for the log, no verdict: one screen at each engine, the same packets."""
    camera = light(Filming)
    below, above = light(Screen, camera, decodes=False), light(Screen, camera, decodes=False)
    await publish(video, camera)
    await push(video, upper)
    await view(video, below)
    await view(upper, above, source="up-cam")
    await eventually(lambda: min(len(below.delays), len(above.delays)) >= 600, within_s=90)
    # What newcomers are shown of the past is as old as the last key frame.
    below.delays.clear()
    above.delays.clear()
    await eventually(lambda: min(len(below.delays), len(above.delays)) >= 3000, within_s=120)
    for share in (0.5, 0.95):
        there, here = above.delay_ms(share), below.delay_ms(share)
        log.info(
            "delay_of_a_hop",
            share=share,
            below_ms=round(here, 2),
            above_ms=round(there, 2),
            added_ms=round(there - here, 2),
        )
    assert 0 < above.delay_ms(0.5) < 10_000


async def test_two_percent_loss_on_the_hop_is_repaired(video, upper, light):
    camera, screen = light(Filming), light(Screen)
    with lossy(up=50) as path:
        await publish(video, camera)
        await push(video, upper, by=path)
        await view(upper, screen, source="up-cam")
        await eventually(lambda: screen.seen.frames >= 150, within_s=90)
        assert path.lost > 20
        assert screen.seen.gaps == 0, (await counts(video), await counts(upper))
        assert screen.seen.size == FULL_HD
        meter = await meter_of(video, "p1")
        assert meter.repaired >= 20


async def test_a_wish_for_a_key_frame_above_reaches_the_camera_below_throttled(video, upper, light):
    camera, screen = light(Filming), light(Screen)
    await publish(video, camera)
    await push(video, upper)
    await view(upper, screen, source="up-cam")
    await eventually(lambda: screen.seen.frames > 5, within_s=60)
    before, began = camera.keyframe_requests, time.monotonic()
    for _ in range(100):
        await upper.request_keyframe("up-cam")
    await eventually(lambda: camera.keyframe_requests > before, within_s=20)
    seen = screen.seen.frames
    await eventually(lambda: screen.seen.frames > seen + 10, within_s=20)
    # One each half second, for as long as this took.
    assert camera.keyframe_requests - before <= 2 * (time.monotonic() - began) + 2


async def test_the_layer_of_a_push_is_changed_on_its_connection(video, upper, light):
    main, sub = light(Filming), light(Filming, 960, 540, 800)
    screen = light(Screen)
    await publish(video, main)
    await publish(video, sub, "s2", layer=Layer.SUB)
    await push(video, upper, best=Layer.SUB)
    await view(upper, screen, source="up-cam")
    await eventually(lambda: screen.seen.size == (960, 540), within_s=60)
    await video.show("p1", "cam", Layer.MAIN)
    await eventually(lambda: screen.seen.size == FULL_HD, within_s=60)
    await video.show("p1", "cam", Layer.SUB)
    await eventually(lambda: screen.seen.size == (960, 540), within_s=60)

    async def is_lighter():
        meter = await meter_of(video, "p1")
        return meter.layer is Layer.SUB and 0 < meter.kbps < 1500

    await eventually(is_lighter, within_s=30)
    assert screen.seen.gaps == 0


async def test_many_pictures_between_the_same_two_engines_both_ways(
    video, upper, news, upper_news, monkeypatch
):
    """A connection is known by its addresses: pushes must not share them."""
    greys = {"a": 60, "b": 120, "c": 180}
    async with (
        far_end(monkeypatch, picture=Picture(grey=greys["a"])) as a,
        far_end(monkeypatch, picture=Picture(grey=greys["b"])) as b,
        far_end(monkeypatch, picture=Picture(grey=greys["c"])) as c,
        far_end(monkeypatch) as sees_a,
        far_end(monkeypatch) as sees_b,
        far_end(monkeypatch) as sees_c,
    ):
        await publish(video, a, "sa", source="a")
        await publish(video, b, "sb", source="b")
        await publish(upper, c, "sc", source="c")
        await push(video, upper, "pa", source="a")
        await push(video, upper, "pb", source="b")
        await push(upper, video, "pc", source="c")
        await eventually(lambda: sorted(news.connected) == ["pa", "pb"], within_s=30)
        await eventually(lambda: upper_news.connected == ["pc"], within_s=30)
        await view(upper, sees_a, "va", source="up-a")
        await view(upper, sees_b, "vb", source="up-b")
        await view(video, sees_c, "vc", source="up-c")
        for viewer, source in ((sees_a, "a"), (sees_b, "b"), (sees_c, "c")):
            await eventually(lambda v=viewer, s=source: v.sees(greys[s]), within_s=40)


# Ends and beginnings -------------------------------------------------------------------------------------------------


async def test_the_engine_above_is_killed_and_has_the_picture_again_when_it_is_back(
    video, upper, above, upper_news, news, light
):
    camera = light(Filming)
    await publish(video, camera)
    offer = await push(video, upper)
    assert offer.codec is VideoCodec.H264
    await eventually(lambda: news.connected == ["p1"], within_s=30)
    await above.kill()
    await eventually(lambda: not upper.is_connected, within_s=20)
    await above.start()
    await eventually(lambda: len(set(upper_news.boots)) == 2, within_s=60)
    # Control knows of it by its link, before the engine below can: it orders the push again over the old one.
    screen = light(Screen, camera)
    again = await push(video, upper)
    await view(upper, screen, source="up-cam")
    await eventually(lambda: screen.seen.frames > 30, within_s=30)
    assert screen.seen.size == FULL_HD
    assert screen.seen.gaps == 0
    assert again.sdp != offer.sdp
    assert set((await video.status()).sessions) == {"s1", "p1"}


async def test_a_viewer_above_sees_a_freeze_at_most_when_the_push_is_made_anew(
    video, upper, news, light
):
    camera, screen = light(Filming), light(Screen)
    await publish(video, camera)
    await push(video, upper)
    await view(upper, screen, source="up-cam")
    await eventually(lambda: screen.seen.frames > 15, within_s=60)
    await push(video, upper)
    await eventually(lambda: news.connected == ["p1", "p1"], within_s=30)
    seen = screen.seen.frames
    await eventually(lambda: screen.seen.frames > seen + 30, within_s=30)
    assert screen.seen.gaps == 0
    assert news.pushes_lost == []


async def test_an_engine_above_that_never_comes_back_is_told_of(video, upper, above, news, light):
    await publish(video, light(Filming))
    await push(video, upper)
    await eventually(lambda: news.connected == ["p1"], within_s=30)
    await above.kill()
    await eventually(lambda: news.pushes_lost == [("p1", "vanished")], within_s=40)
    assert "p1" not in (await video.status()).sessions
    assert (await video.status()).views == []


async def test_a_push_that_is_released_flows_no_more_and_says_goodbye(
    video, upper, news, upper_news, light
):
    await publish(video, light(Filming))
    await push(video, upper)
    await eventually(lambda: news.connected == ["p1"], within_s=30)
    await video.release("p1")
    await eventually(lambda: ("up-p1", "failed") in upper_news.lost, within_s=30)
    assert news.pushes_lost == []
    with pytest.raises(NotFoundError):
        await video.push_answered("p1", "v=0")


async def test_a_bad_answer_is_refused_in_words_and_the_right_one_is_taken_after_it(
    video, upper, news, light
):
    await publish(video, light(Filming))
    offer = await video.offer_push(PushOrder(session_id="p1", room_id="r1", source_id="cam"))
    with pytest.raises(InvalidError, match="no video stream that is received"):
        await video.push_answered("p1", offer)
    await push(video, upper)
    await eventually(lambda: news.connected == ["p1"], within_s=30)


# Third parties -------------------------------------------------------------------------------------------------------


async def order_push(video, taker, **order):
    """Offer to one who answers as an ingest does."""
    offer = await video.offer_push(
        PushOrder(session_id="p1", room_id="r1", source_id="cam", **order)
    )
    await video.push_answered("p1", await taker.answer(offer))
    return offer


async def test_werift_as_an_ingest_gets_1080p(video, news, light):
    camera = light(Filming)
    await publish(video, camera)
    async with werift() as stack:
        ingest = stack.ingest()
        await order_push(video, ingest)
        await eventually(lambda: news.connected == ["p1"], within_s=30)
        await eventually(lambda: ingest.frames >= 60, within_s=60)
        assert ingest.size == FULL_HD
        await ingest.close()


async def test_chromium_as_an_ingest_decodes_1080p(video, news, light):
    camera = light(Filming)
    await publish(video, camera)
    async with chromium() as browser:
        ingest = browser.ingest()
        offer = await order_push(video, ingest)
        assert re.search("profile-level-id=42e01f", offer)
        await eventually(lambda: news.connected == ["p1"], within_s=30)

        async def decoded():
            report = await ingest.pictures()
            return report.get("framesDecoded", 0) >= 60 and report

        report = await eventually(decoded, within_s=60)
        assert (report["frameWidth"], report["frameHeight"]) == FULL_HD
        assert report.get("packetsLost", 0) == 0
        meter = await meter_of(video, "p1")
        assert meter.estimate_kbps
        await ingest.close()
