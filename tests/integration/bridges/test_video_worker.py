"""The video worker as a process: aiortc's client publishes and views, phones hear the participants, and they the phones."""

import itertools
import socket

import av
import numpy as np
import pytest
from fakes.meeting import Picture, far_end
from fakes.picture_engine import publish, view
from fakes.talking import talking
from fakes.waiting import eventually
from fakes.worker_process import Deaf

from bridges.audio.config import AudioConfig
from bridges.client import MediaClient
from bridges.reach import ClientConfig
from bridges.video.client import VideoClient
from bridges.worker import MediaWorker, WorkerConfig
from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.kit.clock import SystemClock
from commhub.ports.media import MediaOrder, RtpRemote
from commhub.ports.video import Layer, PublishOrder, SoundPlace, VideoCodec
from gateways.webrtc.room_legs import SOUND

pytestmark = pytest.mark.audio

FIRST_PORT = itertools.count(28_000, 100)


@pytest.fixture
async def media(tmp_path):
    port = next(FIRST_PORT)
    audio = AudioConfig(recordings=tmp_path, port_min=port, port_max=port + 99)
    control = f"unix:{tmp_path}/w0.sock"
    async with (
        MediaWorker(WorkerConfig(name="w0", control=control, audio=audio)),
        MediaClient(ClientConfig(address=control), Deaf(), SystemClock()) as client,
    ):
        yield client


async def seat(media, leg):
    """A place for a participant in the call."""
    address = await media.reserve(MediaOrder(call_id="c1", leg_id=leg))
    return SoundPlace(leg_id=leg, address=address, audio=SOUND)


async def connect(media, leg, answered):
    assert answered.audio == SOUND
    remote = RtpRemote(address=answered.audio_from, audio=SOUND, rtcp_mux=True)
    await media.connect(leg, remote)


async def test_a_published_picture_arrives_decoded(video, news, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as camera,
        far_end(monkeypatch) as viewer,
    ):
        answered = await publish(video, camera)
        assert answered.codec is VideoCodec.H264
        assert answered.audio is None
        await view(video, viewer)
        await eventually(lambda: viewer.sees(60, frames=15), within_s=20)
        assert viewer.size == (320, 240)
        assert news.started == [("r1", "cam", VideoCodec.H264, (Layer.MAIN,))]
        status = await video.status()
        assert set(status.sessions) == {"s1", "v1"}
        (source,) = status.sources
        assert (source.source_id, source.codec, source.silent_s < 1) == ("cam", "H264", True)
        await eventually(lambda: news.status is not None and news.status.sources, within_s=5)
        assert news.status.sources[0].layers[0].height == 240


async def test_a_participant_and_a_phone_hear_each_other_and_not_themselves(
    video, media, monkeypatch
):
    async with (
        far_end(monkeypatch, picture=Picture(), tone=400.0, hears=True) as browser,
        talking(media, 700.0, "p1") as phone,
    ):
        place = await seat(media, "b1")
        answered = await publish(video, browser, sound=place, talks=True, hears=True)
        await connect(media, "b1", answered)
        await eventually(lambda: browser.hears(700) and phone.hears(400), within_s=20)
        assert browser.levels(700)[0] >= 20
        assert browser.lacks(400)
        assert phone.lacks(700)
        await video.place_sound("s1", None)
        await eventually(lambda: phone.lacks(400), within_s=10)
        heard = browser.meter.samples
        told = phone.heard
        await eventually(lambda: phone.heard > told + 50, within_s=10)
        # What was under way when the line was cut.
        assert browser.meter.samples - heard < 4000
        assert "s1" in (await video.status()).sessions


async def test_who_publishes_and_views_on_two_connections_is_one_voice_and_one_ear(
    video, media, monkeypatch
):
    async with (
        far_end(monkeypatch, picture=Picture(), tone=400.0) as mouth,
        far_end(monkeypatch, hears=True) as ear,
        talking(media, 700.0, "p1") as phone,
    ):
        place = await seat(media, "b1")
        spoken = await publish(video, mouth, sound=place, talks=True, hears=True)
        heard = await view(video, ear, sound=place, hears=True)
        assert spoken.audio_from == heard.audio_from
        await connect(media, "b1", heard)
        await eventually(lambda: ear.hears(700) and phone.hears(400), within_s=20)
        assert ear.lacks(400)


async def test_whoever_may_not_talk_is_not_heard_whatever_the_offer_says(video, media, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(), tone=400.0, hears=True) as browser,
        talking(media, 700.0, "p1") as phone,
    ):
        place = await seat(media, "b1")
        answered = await publish(video, browser, sound=place, talks=False, hears=True)
        await connect(media, "b1", answered)
        await eventually(lambda: browser.hears(700), within_s=20)
        assert phone.lacks(400)


async def test_a_reloaded_page_takes_the_place_of_its_earlier_self(video, news, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as first,
        far_end(monkeypatch, picture=Picture(grey=180)) as second,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, first)
        await view(video, viewer)
        await eventually(lambda: viewer.sees(60), within_s=20)
        await publish(video, second, "s2")
        await eventually(lambda: viewer.sees(180), within_s=20)
        assert news.lost == [("s1", "replaced")]
        assert set((await video.status()).sessions) == {"s2", "v1"}


async def test_a_view_is_switched_without_a_new_stream(video, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as one,
        far_end(monkeypatch, picture=Picture(grey=180)) as other,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, one, source="a")
        await publish(video, other, "s2", source="b")
        await view(video, viewer, source="a")
        await eventually(lambda: viewer.sees(60), within_s=20)
        await video.show("v1", "b", Layer.MAIN)
        await eventually(lambda: viewer.sees(180), within_s=20)
        with pytest.raises(NotFoundError):
            await video.show("v9", "b", Layer.MAIN)


async def test_a_recording_is_stored_as_it_came_and_told_of(video, worker, news, monkeypatch):
    async with far_end(monkeypatch, picture=Picture(grey=60)) as camera:
        await publish(video, camera)
        await eventually(lambda: news.started, within_s=20)
        with pytest.raises(NotFoundError):
            await video.record("nobody", on=True)
        await video.record("cam", on=True)
        assert (await video.status()).sources[0].recording
        await eventually(lambda: any(worker.recordings.glob("*/*.part")), within_s=10)
        sent = camera.picture.sent
        await eventually(lambda: camera.picture.sent > sent + 30, within_s=10)
        await video.record("cam", on=False)
        await eventually(lambda: news.recorded, within_s=10)
    (stored,) = news.recorded
    assert (stored.room_id, stored.source_id) == ("r1", "cam")
    with av.open(str(worker.recordings / stored.path)) as file:
        frames = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    assert frames[0].shape == (240, 320)
    assert abs(float(np.median(frames[-1])) - 60) < 12
    assert abs(len(frames) - 15 * stored.seconds) <= 4
    await eventually(lambda: not list(worker.recordings.glob("*/*.json")))


async def test_a_view_may_come_before_its_source(video, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as camera,
        far_end(monkeypatch) as viewer,
    ):
        await view(video, viewer)
        await publish(video, camera)
        await eventually(lambda: viewer.sees(60), within_s=20)


async def test_who_vanishes_is_told_of_and_who_says_goodbye_too(video, news, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture()) as camera,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, camera)
        await view(video, viewer)
        await eventually(lambda: camera.is_connected and viewer.is_connected, within_s=20)
        await viewer.close()
        await eventually(lambda: any(one == "v1" for one, _ in news.lost), within_s=15)
    await eventually(lambda: any(one == "s1" for one, _ in news.lost), within_s=15)
    assert not (await video.status()).sessions


async def test_an_offer_that_never_comes_alive_is_lost_in_time(video, news, monkeypatch):
    async with far_end(monkeypatch, picture=Picture()) as camera:
        order = PublishOrder(session_id="s1", room_id="r1", source_id="cam")
        await video.publish(order, await camera.offer())
    await eventually(lambda: news.lost == [("s1", "vanished")], within_s=15)


async def test_a_restart_of_the_worker_is_noticed_and_far_ends_offer_again(
    video, worker, news, monkeypatch
):
    async with far_end(monkeypatch, picture=Picture()) as camera:
        await publish(video, camera)
        await eventually(lambda: camera.is_connected, within_s=20)
    await worker.kill()
    await eventually(lambda: not video.is_connected)
    await worker.start()
    await eventually(lambda: len(set(news.boots)) == 2, within_s=20)
    assert not (await video.status()).sessions
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as again,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, again)
        await view(video, viewer)
        await eventually(lambda: viewer.sees(60), within_s=20)


async def test_pictures_go_on_while_control_is_restarted(video, worker, news, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as camera,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, camera)
        await view(video, viewer)
        await eventually(lambda: viewer.sees(60), within_s=20)
        await video.__aexit__(None, None, None)
        seen = viewer.frames
        await eventually(lambda: viewer.frames > seen + 10, within_s=10)
        client = VideoClient(ClientConfig(address=worker.address), SystemClock())
        client.deliver_to(news)
        async with client:
            assert set((await client.status()).sessions) == {"s1", "v1"}
        assert len(set(news.boots)) == 1
        await video.__aenter__()


async def test_a_bad_offer_is_refused_in_words_and_nobody_else_is_disturbed(video, monkeypatch):
    order = PublishOrder(session_id="s1", room_id="r1", source_id="cam")
    with pytest.raises(InvalidError, match="session description"):
        await video.publish(order, "v=1 nonsense")
    async with far_end(monkeypatch, picture=Picture()) as camera:
        text = await camera.offer()
        bare = "\r\n".join(line for line in text.split("\r\n") if "fingerprint" not in line)
        with pytest.raises(InvalidError, match="fingerprint"):
            await video.publish(order, bare)
    assert not (await video.status()).sessions


async def test_strangers_and_forged_checks_get_no_answer_at_all(video, worker, monkeypatch):
    async with far_end(monkeypatch, picture=Picture()) as camera:
        answered = await publish(video, camera)
        line = next(line for line in answered.sdp.split("\r\n") if line.startswith("m=video"))
        goal = ("127.0.0.1", int(line.split()[1]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            flood.setblocking(False)
            for n in range(500):
                flood.sendto(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + n.to_bytes(12, "big"), goal)
                flood.sendto(b"\x80\x60" + n.to_bytes(2, "big") + bytes(40), goal)
            await eventually(lambda: camera.is_connected, within_s=20)
            await video.status()
            with pytest.raises(BlockingIOError):
                flood.recv(2048)


async def test_without_a_worker_orders_are_unavailable(video, worker, monkeypatch):
    await worker.kill()
    await eventually(lambda: not video.is_connected)
    client = VideoClient(ClientConfig(address=worker.address, request_timeout_s=0.2), SystemClock())
    async with client:
        with pytest.raises(UnavailableError):
            await client.status()
