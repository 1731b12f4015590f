"""Two picture engines as processes: what is published at the lower one is pushed to the upper, and seen there."""

import pytest
from fakes.meeting import Picture, far_end
from fakes.picture_engine import News, Process, publish, push, view
from fakes.waiting import eventually

from bridges.reach import ClientConfig
from bridges.video.client import VideoClient
from commhub.kit.clock import SystemClock

pytestmark = pytest.mark.audio


@pytest.fixture
async def above(tmp_path):
    folder = tmp_path / "above"
    folder.mkdir()
    made = Process(folder)
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
async def upper(above):
    """The engine of the tier above."""
    client = VideoClient(ClientConfig(address=above.address, request_timeout_s=10), SystemClock())
    client.deliver_to(News())
    async with client:
        yield client


async def test_a_picture_pushed_to_the_tier_above_is_seen_there(video, upper, news, monkeypatch):
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as camera,
        far_end(monkeypatch) as viewer,
    ):
        await publish(video, camera)
        await push(video, upper)
        await eventually(lambda: news.connected == ["p1"], within_s=30)
        await view(upper, viewer, source="up-cam")
        await eventually(lambda: viewer.sees(60, frames=15), within_s=30)
