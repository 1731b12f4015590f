"""werift in a meeting: a WebRTC stack that shares no line with the hub's publishes 1080p, and views it."""

import pytest
from fakes.meeting import far_end
from fakes.room import offer
from fakes.strangers import werift
from fakes.waiting import eventually

from commhub.ports.video import VideoCodec

pytestmark = pytest.mark.audio


@pytest.mark.parametrize("codec", [VideoCodec.H264, VideoCodec.VP8])
async def test_werift_publishes_and_views_1080p(http, meeting, codec, monkeypatch):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with werift() as stack, far_end(monkeypatch) as other:
        camera, viewer = stack.camera(codec), stack.viewer(codec)
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.frames >= 60, within_s=30)
        assert viewer.size == (1920, 1080)
        assert viewer.gaps == 0
        await offer(http, f"/whep/{meeting.id}/{source}", other, wang)
        await eventually(lambda: other.size == (1920, 1080) and other.frames > 15, within_s=20)
        await viewer.close()
        await camera.close()

        async def has_left():
            return not [one for one in (await meeting.now())["sources"] if one["state"] == "live"]

        await eventually(has_left, within_s=45)
