"""Encoders publish into rooms by WHIP, and cameras are fetched into them by RTSP: each in a process of its own."""

import asyncio
from pathlib import Path

from fakes.meeting import far_end
from fakes.room import offer
from fakes.servers import FAKES, free_port, is_bound, running, system_python
from fakes.waiting import eventually


async def is_seen(http, meeting, monkeypatch, *, grey, size):
    """A guest sees the encoder's picture and hears its tone."""
    wang = await meeting.guest("Wang")
    source = await meeting.source_of("Encoder")
    async with far_end(monkeypatch, hears=True) as viewer:
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.sees(grey, frames=15), within_s=30)
        assert viewer.size == size
    async with far_end(monkeypatch, hears=True) as listener:
        await offer(http, f"/whep/{meeting.id}/speaker", listener, wang)
        await eventually(lambda: listener.hears(500), within_s=30)


async def test_gstreamer_publishes_into_a_room(hub, http, meeting, monkeypatch):
    token = (await meeting.guest("Encoder"))["Authorization"].removeprefix("Bearer ")
    url = f"{hub.url}/whip/{meeting.id}"
    command = [system_python(), str(FAKES / "gst_whip.py"), url, token]
    encoder = running(command, lambda: True)
    await asyncio.to_thread(encoder.__enter__)
    try:
        await is_seen(http, meeting, monkeypatch, grey=140, size=(640, 360))
    finally:
        await asyncio.to_thread(encoder.__exit__, None, None, None)


async def test_a_camera_is_fetched_by_rtsp_as_long_as_it_is_in_the_room(
    hub, desk, http, meeting, monkeypatch
):
    port, password = free_port(), "pass-4711"
    server = running(
        [system_python(), str(FAKES / "rtsp_server.py"), str(port), "admin", password],
        lambda: is_bound(port),
    )
    await asyncio.to_thread(server.__enter__)
    try:
        address = f"rtsp://admin:{password}@127.0.0.1:{port}"
        path = f"/rooms/{meeting.id}/sources"
        body = {"label": "East gate", "rtsp": f"{address}/main", "rtsp_sub": f"{address}/sub"}
        made = await asyncio.to_thread(desk.post, path, body)
        assert await meeting.source_of("East gate") == made["id"]
        wang = await meeting.guest("Wang")
        async with far_end(monkeypatch) as viewer:
            await offer(http, f"/whep/{meeting.id}/{made['id']}?layer=sub", viewer, wang)
            await eventually(lambda: viewer.sees(176, frames=10), within_s=30)
            assert viewer.size == (640, 360)
        assert not any(password in line for line in command_lines("bridges.video.ingest"))
        await asyncio.to_thread(desk.delete, f"{path}/{made['id']}")
        assert (await meeting.now())["sources"] == []
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
    assert password not in hub.log.read_text(errors="replace")


def command_lines(of):
    """Those of all processes of that name, of which there is at least one."""
    lines = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(one.read_text(errors="replace"))
        except OSError:
            continue
    found = [line for line in lines if of in line]
    assert found
    return found
