"""Chromium in a meeting at a whole hub: it publishes 1080p and its layers, sees what others publish, and finds its way
back. All measured by its own getStats."""

import asyncio

import pytest
from fakes.lossy import lossy
from fakes.meeting import Picture, far_end
from fakes.room import SDP, counted, offer
from fakes.strangers import chromium
from fakes.waiting import eventually

pytestmark = pytest.mark.audio

VIEWERS = 10
PICTURES = "commhub_bridges_video_total"


async def shows(viewer, height, *, frames=30):
    """Wait until the viewer has decoded so many more pictures, the last of that height; how it was before."""
    before = {}

    async def is_so_tall():
        before.update(await viewer.pictures())
        return before.get("frameHeight") == height

    async def goes_on():
        now = await viewer.pictures()
        return (
            now["frameHeight"] == height and now["framesDecoded"] > before["framesDecoded"] + frames
        )

    await eventually(is_so_tall, within_s=40)
    await eventually(goes_on, within_s=20)
    return before


def freezes(now, before):
    """How often the picture froze between two reports."""
    return now["freezeCount"] - before["freezeCount"]


async def test_chromium_publishes_1080p_that_chromium_and_aiortc_see(http, meeting, monkeypatch):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with chromium() as browser, far_end(monkeypatch) as other:
        camera, viewer = browser.camera(1080), browser.viewer()
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await offer(http, f"/whep/{meeting.id}/{source}", other, wang)
        await shows(viewer, 1080, frames=90)
        seen = await viewer.pictures()
        assert (seen["frameWidth"], seen["freezeCount"], seen["packetsLost"]) == (1920, 0, 0)
        await eventually(lambda: other.size == (1920, 1080), within_s=20)


async def test_ten_viewers_of_a_browser_see_1080p_without_a_freeze(http, meeting):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    # Two cores decode ten pictures of 1080p at ten a second, not at thirty.
    async with chromium(fps=10) as browser, chromium() as audience:
        await offer(http, f"/whip/{meeting.id}", browser.camera(1080, fps=10), zhang)
        source = await meeting.source_of("Zhang")
        viewers = [audience.viewer() for _ in range(VIEWERS)]
        for viewer in viewers:
            await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        for viewer in viewers:
            await shows(viewer, 1080, frames=20)
        before = [await viewer.pictures() for viewer in viewers]

        async def all_go_on():
            now = [await viewer.decoded() for viewer in viewers]
            return all(
                new > old["framesDecoded"] + 40 for new, old in zip(now, before, strict=True)
            )

        await eventually(all_go_on, within_s=30)
        seen = [await viewer.pictures() for viewer in viewers]
        assert [one["frameHeight"] for one in seen] == [1080] * VIEWERS
        assert [one["packetsLost"] for one in seen] == [0] * VIEWERS
        # Joining, ten of them on one machine wait for its processor; watching, they do not.
        frozen = [
            new["freezeCount"] - old["freezeCount"] for new, old in zip(seen, before, strict=True)
        ]
        assert frozen == [0] * VIEWERS


async def test_layers_of_simulcast_go_to_whom_they_suit(http, meeting):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    probes = await counted(http, PICTURES, kind="probes")
    duplicate = await counted(http, PICTURES, kind="duplicate")
    async with chromium(fps=15) as browser:
        camera = browser.camera(1080, fps=15, layers=[1080, 540])
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        large, small = browser.viewer(), browser.viewer()
        await offer(http, f"/whep/{meeting.id}/{source}", large, wang)
        await offer(http, f"/whep/{meeting.id}/{source}?layer=sub", small, wang)
        await shows(large, 1080)
        await shows(small, 540)
        sent = await camera.sent()
        assert [one["frameHeight"] for one in sent] == [1080, 540]
        assert {(await one.pictures())["packetsLost"] for one in (large, small)} == {0}
        # It measures its way by sending again what is there: nobody asked for that.
        assert {one.get("nackCount", 0) for one in sent} == {0}

        async def are_counted():
            return await counted(http, PICTURES, kind="probes") > probes

        await eventually(are_counted)
        assert await counted(http, PICTURES, kind="duplicate") == duplicate


@pytest.mark.parametrize("lost", ["down", "up"])
async def test_a_picture_recovers_from_two_percent_loss_by_retransmission(http, meeting, lost):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with chromium(fps=15) as browser:
        with lossy(**{lost: 50}) as path:
            camera, viewer = browser.camera(1080, fps=15), browser.viewer()
            await offer(
                http, f"/whip/{meeting.id}", camera, zhang, by=path if lost == "up" else None
            )
            source = await meeting.source_of("Zhang")
            whep = f"/whep/{meeting.id}/{source}"
            await offer(http, whep, viewer, wang, by=path if lost == "down" else None)
            before = await shows(viewer, 1080, frames=15)

            async def has_lost_enough():
                return path.lost > 40 and await viewer.decoded() > before["framesDecoded"] + 100

            await eventually(has_lost_enough, within_s=40)
            seen = await viewer.pictures()
            assert seen["frameHeight"] == 1080
            mended = seen if lost == "down" else (await camera.sent())[0]
            name = "retransmittedPacketsReceived" if lost == "down" else "retransmittedPacketsSent"
            assert mended[name] >= path.lost * 0.8
            assert freezes(seen, before) <= 2


async def test_ice_is_restarted_and_the_picture_goes_on(http, meeting):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with chromium(fps=15) as browser:
        camera, viewer = browser.camera(540, fps=15), browser.viewer()
        resource = await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        watched = await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        before = await shows(viewer, 540)
        for path, who, headers in ((resource, camera, zhang), (watched, viewer, wang)):
            answer = await http.post(
                path, content=await who.restarted(), headers={**SDP, **headers}
            )
            assert answer.status_code == 201, answer.text
            await who.accept(answer.text)
        after = await shows(viewer, 540, frames=45)
        # The same stream under the same keys: nothing began anew.
        assert after["ssrc"] == before["ssrc"]
        assert after["packetsLost"] == 0
        assert freezes(after, before) == 0
        assert await meeting.source_of("Zhang") == source


async def test_a_browser_that_changes_its_network_is_found_again(http, meeting):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with chromium(fps=15) as browser:
        with lossy() as path:
            camera, viewer = browser.camera(540, fps=15), browser.viewer()
            await offer(http, f"/whip/{meeting.id}", camera, zhang, by=path)
            source = await meeting.source_of("Zhang")
            await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang, by=path)
            await shows(viewer, 540)
            path.move()
            await shows(viewer, 540, frames=30)
            assert {await camera.state(), await viewer.state()} == {"connected"}
            assert await meeting.source_of("Zhang") == source


async def test_a_browser_that_is_killed_leaves_the_meeting_in_time(http, meeting, monkeypatch):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with (
        chromium(fps=15) as doomed,
        far_end(monkeypatch, picture=Picture(grey=60)) as other,
        far_end(monkeypatch) as viewer,
    ):
        await offer(http, f"/whip/{meeting.id}", doomed.camera(540, fps=15), zhang)
        await meeting.source_of("Zhang")
        await offer(http, f"/whip/{meeting.id}", other, wang)
        source = await meeting.source_of("Wang")
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.sees(60), within_s=20)
        doomed.kill()

        async def has_left():
            people = {one["name"]: one["state"] for one in (await meeting.now())["participants"]}
            return people["Zhang"] == "left" and people["Wang"] == "joined"

        await eventually(has_left, within_s=45)
        live = [one["label"] for one in (await meeting.now())["sources"] if one["state"] == "live"]
        assert live == ["Wang"]
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 15)


async def test_pictures_go_on_while_control_is_killed(hub, http, meeting):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with chromium(fps=15) as browser:
        camera, viewer = browser.camera(540, fps=15), browser.viewer()
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        before = await shows(viewer, 540)
        hub.kill("control")
        await shows(viewer, 540, frames=60)
        await asyncio.to_thread(hub.wait_ready)
        assert await meeting.source_of("Zhang") == source
        after = await viewer.pictures()
        assert after["packetsLost"] == 0
        assert freezes(after, before) == 0
