"""Meetings and the video wall in real browsers at a whole hub."""

import asyncio
import os
import signal

import httpx
import pytest
from fakes.meeting import Picture, far_end
from fakes.room_pages import GUEST_TONE, invite_guest, open_meeting, people_of

from commhub.wiring.demo.story import until

pytestmark = pytest.mark.audio

NAMES = ["北闸", "东桥", "河口", "南站", "西堤", "水厂", "广场", "码头"]


def test_a_guest_waits_is_let_in_and_both_see_and_hear_each_other(cast, desk, guest, pictures):
    room_id = open_meeting(desk, "防汛会商")
    guest.do("go", path=invite_guest(desk, "李来宾"))
    assert guest.do("value", selector="input[name=guest-name]") == "李来宾"
    guest.do("click", selector=".join .enter:not([disabled])")
    guest.do("sees", text="等候主持人准入")
    assert people_of(cast, room_id)["李来宾"]["state"] == "waiting"
    desk.do("click", selector="[data-name='李来宾'] .admit")
    for page in (desk, guest):
        page.do("decodes", count="1", height="270")
    desk.do("hears", tone=f"{GUEST_TONE:g}")
    guest.do("hears", tone=f"{cast.radio.tone:g}")
    desk.do("picture", file=str(pictures / "meeting.png"))
    assert guest.do("attribute", selector=".picture .watermark", name="data-viewer") == "李来宾"

    # The secret of the link is out of the address bar, and a reloaded page still has it.
    assert "#" not in guest.do("where")
    guest.do("reload")
    guest.do("click", selector=".join .enter:not([disabled])")
    guest.do("decodes", count="1", height="270")

    guest.do("click", selector=".bar .hand")
    until(
        "the hand is up",
        lambda: people_of(cast, room_id)["李来宾"]["hand_raised"],
    )
    desk.do("shows", selector="[data-name='李来宾'] .hand", count="1")
    guest.do("click", selector=".bar .leave")
    guest.do("sees", text="仅观看")
    until("the guest has left", lambda: people_of(cast, room_id)["李来宾"]["state"] == "left")
    desk.do("shows", selector=".tiles .tile", count="1")
    cast.desk.delete(f"/rooms/{room_id}")
    desk.do("sees", text="会议已结束")


def test_a_link_that_was_revoked_says_so(cast, guest, room):
    made = cast.desk.post(f"/rooms/{room['id']}/invitations", {"name": "王来宾"})
    link = httpx.URL(made["link"])
    cast.desk.delete(f"/rooms/{room['id']}/invitations/{made['invitation']['id']}")
    guest.do("go", path=f"{link.path}#{link.fragment}")
    guest.do("sees", text="邀请链接已失效")


def test_a_meeting_comes_back_by_itself_after_the_video_worker_died(stage, cast, desk, guest):
    open_meeting(desk, "应急演练")
    guest.do("go", path=invite_guest(desk, "周来宾"))
    guest.do("click", selector=".join .enter:not([disabled])")
    desk.do("click", selector="[data-name='周来宾'] .admit")
    desk.do("decodes", count="1", height="180")
    os.kill(stage.hub.pid_of("worker-v0"), signal.SIGKILL)
    desk.do("sees", text="连接中断，正在恢复…")
    desk.do("sees", text="连接正常")
    for page in (desk, guest):
        page.do("decodes", count="1", height="180")
    guest.do("hears", tone=f"{cast.radio.tone:g}")


async def test_a_wall_shows_eight_live_sources(stage, cast, desk, room, pictures, monkeypatch):
    async with httpx.AsyncClient(base_url=stage.note.url, timeout=15) as http:
        cameras = [
            far_end(monkeypatch, picture=Picture(grey=40 + 20 * n)) for n in range(len(NAMES))
        ]
        ends = [await camera.__aenter__() for camera in cameras]
        try:
            for name, end in zip(NAMES, ends, strict=True):
                await publish(http, cast, room, name, end)
            await asyncio.to_thread(show_on_the_wall, desk, pictures)
        finally:
            for camera in cameras:
                await camera.__aexit__(None, None, None)


async def publish(http, cast, room, name, end):
    made = await asyncio.to_thread(
        cast.desk.post, f"/rooms/{room['id']}/invitations", {"name": name}
    )
    token = httpx.URL(made["link"]).fragment
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
    answer = await http.post(f"/whip/{room['id']}", content=await end.offer(), headers=headers)
    assert answer.status_code == 201, answer.text
    await end.accept(answer.text)


def show_on_the_wall(desk, pictures):
    desk.do("go", path="/wall")
    desk.do("click", selector="[data-preset='8']")
    for name in NAMES:
        desk.do("click", selector=f".sources button:has-text('{name}')")
    desk.do("shows", selector=".tile .picture[data-phase=live]", count="8")
    assert desk.do("decodes", count="8", height="180") == 8
    desk.do("picture", file=str(pictures / "wall.png"))

    # One picture large: the others are let go, and come back.
    desk.do("click", selector=".tile")
    desk.do("press", key="Enter")
    desk.do("shows", selector=".tile.large .picture[data-layer=main]", count="1")
    desk.do("shows", selector=".tile.large .figures", count="1")
    desk.do("press", key="Escape")
    assert desk.do("decodes", count="8", height="180") == 8

    # A layout is kept, and is there again after a reload.
    desk.do("click", selector=".save")
    desk.do("fill", selector="input[name=layout]", text="汛期八路")
    desk.do("click", selector=".keep")
    desk.do("sees", text="布局「汛期八路」已保存")
    desk.do("reload")
    desk.do("shows", selector=".tile .picture[data-phase=live]", count="8")


def test_a_source_that_ends_is_said_on_the_wall(cast, desk, guest, room):
    made = cast.desk.post(f"/rooms/{room['id']}/invitations", {"name": "孙来宾"})
    link = httpx.URL(made["link"])
    guest.do("go", path=f"{link.path}#{link.fragment}")
    guest.do("click", selector=".join .enter:not([disabled])")
    guest.do("sees", text="连接正常")
    desk.do("go", path="/wall")
    desk.do("click", selector=".sources button:has-text('孙来宾')")
    desk.do("shows", selector=".tile .picture[data-phase=live]", count="1")
    guest.do("click", selector=".bar .leave")
    desk.do("sees", text="画面源已断开")


def test_who_has_no_camera_takes_part_by_voice(cast, desk, guest, room):
    made = cast.desk.post(f"/rooms/{room['id']}/invitations", {"name": "郑来宾"})
    link = httpx.URL(made["link"])
    guest.do("go", path=f"{link.path}#{link.fragment}")
    guest.do("click", selector=".join .el-select")
    guest.do("click", selector=".el-select-dropdown__item:visible:has-text('不使用摄像头')")
    guest.do("sees", text="摄像头已关闭")
    guest.do("click", selector=".join .enter:not([disabled])")
    guest.do("sees", text="连接正常")
    desk.do("go", path=f"/rooms/{room['id']}")
    desk.do("click", selector=".join .enter:not([disabled])")
    desk.do("hears", tone=f"{GUEST_TONE:g}")
    desk.do("shows", selector=".tiles .face", count="1")
    # Switched on in the middle of the meeting, the picture comes on the connection that stands.
    guest.do("click", selector=".bar .camera")
    desk.do("decodes", count="1", height="180")
