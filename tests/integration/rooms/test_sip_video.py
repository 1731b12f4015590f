"""SIP video with a real room system of the poor (baresip with a camera and a screen): it dials a room, is rung into one, sees
who shows something there and is seen by browsers; and what is killed costs it as little as can be."""

import asyncio
import os
import signal
from functools import partial

import pytest
from fakes.baresip import baresip
from fakes.meeting import Picture, far_end
from fakes.room import SDP, Meeting, offer
from fakes.waiting import eventually

GREY = 60
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def account(desk):
    made = desk.post("/fleet/phones", {"name": "3101", "display_name": "room system"})
    return "3101", made["password"]


async def dial(phone, hub, meeting):
    await phone.until_registered(within_s=30)
    await phone.command("dial", f"sip:{meeting.dial}@127.0.0.1:{hub.port('sip')}")
    await phone.until("CALL_ESTABLISHED", within_s=60)


async def test_a_room_system_that_dials_a_room_sees_and_is_seen(
    hub, http, meeting, monkeypatch, account
):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with (
        far_end(monkeypatch, picture=Picture(grey=GREY), tone=400.0, hears=True) as browser,
        far_end(monkeypatch, hears=True) as viewer,
        baresip(*account, hub.port("sip"), tone=700, answer="manual", sees=True) as phone,
    ):
        await offer(http, f"/whip/{meeting.id}", browser, zhang)
        await meeting.source_of("Zhang")
        await dial(phone, hub, meeting)
        source = await meeting.source_of(account[0])
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.frames > 15, within_s=60)
        await phone.until_it_shows(GREY)
        await eventually(lambda: browser.hears(700), within_s=60)
        room = await meeting.now()
        (shown,) = [one for one in room["sources"] if one["id"] == source]
        assert (shown["kind"], shown["codec"]) == ("sip", "H264")
        await phone.command("hangup")

        async def has_ended():
            room = await meeting.now()
            return not any(s["id"] == source and s["state"] == "live" for s in room["sources"])

        await eventually(has_ended, within_s=60)


async def test_a_room_system_is_rung_into_a_meeting_with_its_picture(
    hub, desk, http, meeting, monkeypatch, account
):
    zhang = await meeting.guest("Zhang")
    async with (
        far_end(monkeypatch, picture=Picture(grey=GREY), tone=400.0, hears=True) as browser,
        baresip(*account, hub.port("sip"), tone=700, answer="auto", sees=True) as phone,
    ):
        await phone.until_registered(within_s=30)
        await offer(http, f"/whip/{meeting.id}", browser, zhang)
        await meeting.source_of("Zhang")
        path = f"/rooms/{meeting.id}/invitations"
        await asyncio.to_thread(desk.post, path, {"to": f"sip:{account[0]}"})
        await phone.until("CALL_ESTABLISHED", within_s=60)
        await meeting.source_of(account[0])
        await phone.until_it_shows(GREY)


async def test_pictures_of_a_room_system_outlive_control_and_come_back_after_the_video_worker(
    hub, desk, http, account, monkeypatch
):
    meeting = await Meeting.open(desk)
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with baresip(*account, hub.port("sip"), tone=700, answer="manual", sees=True) as phone:
        async with far_end(monkeypatch, hears=True) as viewer:
            await dial(phone, hub, meeting)
            source = await meeting.source_of(account[0])
            await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
            await eventually(lambda: viewer.frames > 5, within_s=60)
            os.kill(hub.pid_of("control"), signal.SIGKILL)
            frames = viewer.frames
            await eventually(lambda: viewer.frames > frames + 15, within_s=60)
            await asyncio.to_thread(hub.wait_ready)
            assert await meeting.source_of(account[0]) == source
        before = hub.pid_of("worker-v0")
        os.kill(before, signal.SIGKILL)

        def another():
            try:
                return hub.pid_of("worker-v0") != before
            except OSError:
                return False

        await eventually(another, within_s=60)
        async with (
            far_end(monkeypatch, picture=Picture(grey=GREY), tone=400.0, hears=True) as browser,
            far_end(monkeypatch, hears=True) as viewer,
        ):

            async def is_taken(path, who, headers):
                """The rooms hear of the worker's death a moment later: until then, and until the phone is asked again, not."""
                answer = await http.post(
                    path, content=await who.offer(), headers={**SDP, **headers}
                )
                if answer.status_code != 201:
                    return False
                await who.accept(answer.text)
                return True

            await eventually(partial(is_taken, f"/whip/{meeting.id}", browser, zhang), within_s=60)
            view = f"/whep/{meeting.id}/{source}"
            await eventually(partial(is_taken, view, viewer, wang), within_s=60)
            await eventually(lambda: viewer.frames > 5, within_s=60)
            await phone.until_it_shows(GREY)
            assert not phone.happened("CALL_CLOSED")
