"""A video worker's process and a control at it."""

import pytest
from fakes.picture_engine import News, Process
from fakes.waiting import eventually

from bridges.reach import ClientConfig
from bridges.video.client import VideoClient
from commhub.kit.clock import SystemClock


@pytest.fixture
async def worker(tmp_path):
    made = Process(tmp_path)
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
def news():
    return News()


@pytest.fixture
async def video(worker, news):
    config = ClientConfig(address=worker.address, request_timeout_s=10)
    client = VideoClient(config, SystemClock())
    client.deliver_to(news)
    client.deliver_pushes_to(news)
    async with client:
        # On a busy machine a process takes longer to come than an order may wait.
        await eventually(lambda: client.is_connected, within_s=60)
        yield client
