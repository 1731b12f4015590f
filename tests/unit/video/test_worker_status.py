"""What a picture worker says it has: control ends every session that it does not name."""

from fakes.waiting import eventually

from bridges.reach import ClientConfig
from bridges.transport.port import PortConfig
from bridges.video.client import VideoClient
from bridges.video.worker import VideoWorker, VideoWorkerConfig
from commhub.kit.clock import SystemClock
from commhub.ports.video import PlainOrder


async def test_the_picture_of_a_phone_is_one_of_its_sessions(tmp_path):
    config = VideoWorkerConfig(
        name="v0",
        control=f"unix:{tmp_path}/v0.sock",
        webrtc=PortConfig(),
        recordings=tmp_path / "recordings",
    )
    async with VideoWorker(config) as worker:
        client = VideoClient(ClientConfig(address=str(worker.address)), SystemClock())
        async with client:
            await eventually(lambda: client.is_connected)
            await client.reserve_plain(PlainOrder(session_id="leg", room_id="r", source_id="s"))
            assert list((await client.status()).sessions) == ["leg"]
            await client.release("leg")
            assert not (await client.status()).sessions
