"""Cameras pulled by RTSP: a real server, a viewer that decodes, and what goes wrong with cameras."""

import asyncio
import os
import random
import signal
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import structlog
from fakes.meeting import far_end
from fakes.servers import FAKES, free_port, is_bound, running, system_python
from fakes.waiting import eventually

from bridges.reach import ClientConfig
from bridges.transport.port import PortConfig
from bridges.video.client import VideoClient
from bridges.video.worker import VideoWorker, VideoWorkerConfig
from commhub.domain.errors import ConflictError, InvalidError
from commhub.kit.clock import SystemClock
from commhub.ports.video import IngestOrder, Layer, VideoCodec, ViewOrder

USER, PASSWORD = "admin", "pass-4711"
GREYS = {"main": (80, (1280, 720)), "sub": (176, (640, 360))}


class News:
    """A control that remembers who came and went."""

    def __init__(self):
        self.started = []
        self.lost = []

    async def source_started(self, room_id, source_id, codec, layers):
        self.started.append((source_id, codec, layers))

    async def session_lost(self, session_id, reason):
        self.lost.append((session_id, reason))

    async def speaker_moved(self, room_id, source_id): ...

    async def measured(self, status): ...

    async def keyframe_wanted(self, session_id):
        raise AssertionError("nobody can ask a pulled camera")

    async def recording_stored(self, recorded): ...

    async def recording_failed(self, source_id, reason): ...

    async def engine_came(self, boot_id): ...


class Relay:
    """The way to the cameras: frozen it carries nothing and says nothing, `cut` ends all connections; of what cameras send, one
    byte of each `garbles` arrives wrong."""

    def __init__(self, target):
        self.flows = asyncio.Event()
        self.flows.set()
        self.accepted = 0
        self.garbles = 0
        self._target = target
        self._open = set()

    async def take(self, reader, writer):
        self.accepted += 1
        self._open.add(asyncio.current_task())
        with suppress(ConnectionError):
            inner = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(
                self._pass(reader, inner[1]), self._pass(inner[0], writer, is_camera=True)
            )

    async def _pass(self, reader, writer, *, is_camera=False):
        dice = random.Random(1)
        try:
            while data := await reader.read(65_536):
                await self.flows.wait()
                if is_camera and self.garbles:
                    garbled = bytearray(data)
                    for _ in range(0, len(data), self.garbles):
                        garbled[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
                    data = bytes(garbled)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    def freeze(self):
        self.flows.clear()

    def thaw(self):
        self.flows.set()

    async def cut(self):
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._open.clear()


@pytest.fixture
async def cameras():
    """The relay before the server, and its port."""
    port = free_port()
    command = [system_python(), str(FAKES / "rtsp_server.py"), str(port), USER, PASSWORD]
    with running(command, lambda: is_bound(port)):
        relay = Relay(port)
        server = await asyncio.start_server(relay.take, "127.0.0.1", 0)
        relay.port = server.sockets[0].getsockname()[1]
        try:
            yield relay
        finally:
            server.close()
            await relay.cut()


@pytest.fixture
def news():
    return News()


@pytest.fixture
async def worker(tmp_path):
    config = VideoWorkerConfig(
        name="v0",
        control=f"unix:{tmp_path}/v0.sock",
        webrtc=PortConfig(),
        recordings=tmp_path / "recordings",
    )
    async with VideoWorker(config) as worker:
        yield worker


@pytest.fixture
async def video(worker, news):
    config = ClientConfig(address=str(worker.address), request_timeout_s=10)
    client = VideoClient(config, SystemClock())
    client.deliver_to(news)
    async with client:
        await eventually(lambda: client.is_connected)
        yield client


def order_of(cameras, path="main", session=None, *, password=PASSWORD, **more):
    return IngestOrder(
        session_id=session or path,
        room_id="r1",
        source_id=more.pop("source", "gate"),
        url=f"rtsp://{USER}:{password}@127.0.0.1:{cameras.port}/{path}",
        **more,
    )


@asynccontextmanager
async def viewing(video, monkeypatch, best=Layer.MAIN):
    async with far_end(monkeypatch) as viewer:
        order = ViewOrder(session_id=f"v-{best}", room_id="r1", source_id="gate", best=best)
        answered = await video.view(order, await viewer.offer())
        await viewer.accept(answered.sdp)
        yield viewer


def shows(viewer, path, frames=10):
    grey, size = GREYS[path]
    return viewer.sees(grey, frames) and viewer.size == size


async def test_a_camera_is_seen_in_its_main_and_its_sub_stream(cameras, video, news, monkeypatch):
    await video.ingest(order_of(cameras))
    await video.ingest(order_of(cameras, "sub", layer=Layer.SUB))
    await eventually(lambda: news.started, within_s=20)
    assert news.started[0][:2] == ("gate", VideoCodec.H264)
    async with (
        viewing(video, monkeypatch) as focused,
        viewing(video, monkeypatch, Layer.SUB) as tile,
    ):
        await eventually(lambda: shows(focused, "main") and shows(tile, "sub"), within_s=30)
    status = await video.status()
    assert set(status.sessions) >= {"main", "sub"}
    (meter,) = status.sources
    assert [(one.layer, one.width, one.height, one.lost) for one in meter.layers] == [
        (Layer.MAIN, 1280, 720, 0),
        (Layer.SUB, 640, 360, 0),
    ]
    assert news.started[-1][2] == (Layer.MAIN, Layer.SUB)


async def test_a_camera_that_stalls_is_told_of_and_comes_back_and_nobody_waits_for_it(
    cameras, video, news, monkeypatch, capfd
):
    await video.ingest(order_of(cameras))
    async with viewing(video, monkeypatch) as viewer:
        await eventually(partial(shows, viewer, "main"), within_s=30)
        cameras.freeze()
        asked = asyncio.get_running_loop().time()
        await video.status()
        assert asyncio.get_running_loop().time() - asked < 2
        await eventually(lambda: news.lost, within_s=20)
        assert news.lost == [("main", "it sends nothing")]
        # Its next tries fail, too, and are not told again.
        before = cameras.accepted
        await eventually(lambda: cameras.accepted >= before + 2, within_s=40)
        assert len(news.lost) == 1
        await cameras.cut()
        cameras.thaw()
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 10, within_s=40)
    assert len(news.started) == 2
    assert PASSWORD not in "".join(capfd.readouterr())


async def test_what_a_camera_cannot_be_had_for_is_said_once_and_without_its_password(
    cameras, video, news
):
    with structlog.testing.capture_logs() as logs:
        await video.ingest(order_of(cameras, "main", "wrong", password="wrong-0815"))
        await video.ingest(order_of(cameras, "nowhere", source="b"))
        await video.ingest(order_of(cameras, "vp8", source="c"))
        before = cameras.accepted
        await eventually(lambda: len(news.lost) == 3, within_s=20)
        await eventually(lambda: cameras.accepted >= before + 9, within_s=30)
    reasons = dict(news.lost)
    assert "401" in reasons["wrong"]
    assert "404" in reasons["nowhere"]
    assert reasons["vp8"] == "it sends vp8; have it send H.264"
    assert len(news.lost) == 3
    told = [one for one in logs if one["event"] == "pulled_camera_lost"]
    assert len(told) == 3
    assert "wrong-0815" not in str(logs) + str(news.lost)
    assert PASSWORD not in str(logs)


async def test_a_camera_that_sends_nonsense_harms_nobody_and_is_seen_again(
    cameras, worker, video, news, monkeypatch
):
    await video.ingest(order_of(cameras))
    async with viewing(video, monkeypatch) as viewer:
        await eventually(partial(shows, viewer, "main"), within_s=30)
        process = worker._pulls.process_id
        cameras.garbles = 500
        before = worker.counts.received + 200 * worker._pulls.counts.lost
        await eventually(
            lambda: worker.counts.received + 200 * worker._pulls.counts.lost > before + 400,
            within_s=40,
        )
        cameras.garbles = 0
        await cameras.cut()
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 10, within_s=40)
    assert worker._pulls.process_id == process


async def says_nothing(reader, writer):
    await reader.read()


async def goes_on_and_on(reader, writer):
    """A header without an end."""
    with suppress(ConnectionError):
        while True:
            writer.write(b"a" * 4096)
            await writer.drain()


async def describes_nonsense(reader, writer):
    with suppress(ConnectionError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            number = request.partition(b"CSeq: ")[2].partition(b"\r\n")[0]
            body = os.urandom(4000)
            writer.write(b"RTSP/1.0 200 OK\r\nCSeq: " + number + b"\r\n")
            writer.write(b"Content-Type: application/sdp\r\nContent-Length: 4000\r\n\r\n" + body)
            await writer.drain()


@pytest.mark.parametrize("camera", [says_nothing, goes_on_and_on, describes_nonsense])
async def test_a_server_that_is_no_camera_is_given_up_in_time(worker, video, news, camera):
    async def take(reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await camera(reader, writer)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/1"
    try:
        order = IngestOrder(session_id="s", room_id="r1", source_id="gate", url=url)
        await video.ingest(order)
        await eventually(lambda: news.lost, within_s=20)
        assert (await video.status()).sources == []
        assert worker._pulls.counts.crashes == 0
    finally:
        await video.release("s")
        server.close()


async def test_the_process_that_pulls_may_die(cameras, worker, video, news, monkeypatch):
    await video.ingest(order_of(cameras))
    async with viewing(video, monkeypatch) as viewer:
        await eventually(partial(shows, viewer, "main"), within_s=30)
        os.kill(worker._pulls.process_id, signal.SIGKILL)
        await eventually(lambda: news.lost == [("main", "the process that pulls it ended")])
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 10, within_s=30)
    assert worker._pulls.counts.crashes == 1


async def test_a_released_camera_is_pulled_no_more(cameras, worker, video, news):
    order = order_of(cameras)
    await video.ingest(order)
    await eventually(lambda: news.started, within_s=20)
    accepted = cameras.accepted
    await video.ingest(order)
    await video.release("main")
    status = await video.status()
    assert (status.sessions, status.sources) == ([], [])
    assert cameras.accepted == accepted
    assert worker._pulls.numbers()["now_pulled"] == 0
    assert news.lost == []


async def test_addresses_that_are_none_and_cameras_beyond_number_are_refused(
    cameras, video, monkeypatch
):
    for url in ("http://camera/1", "file:///etc/passwd", "rtsp://a b", "rtsp://a\n{}"):
        with pytest.raises(InvalidError):
            await video.ingest(IngestOrder(session_id="s", room_id="r1", source_id="gate", url=url))
    monkeypatch.setattr("bridges.video.ingest.pulls.PULLS_LIMIT", 1)
    await video.ingest(order_of(cameras))
    with pytest.raises(ConflictError):
        await video.ingest(order_of(cameras, "sub"))
