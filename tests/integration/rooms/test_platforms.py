"""A room sent to platforms that are no commhub: to an ingest of somebody else's by WHIP (werift answers), and to an MCU that is rung
(baresip stands for it)."""

import asyncio
import json

import pytest
from fakes.baresip import baresip
from fakes.ingest import created, ingest
from fakes.ingest import http as answered
from fakes.meeting import Picture, far_end
from fakes.room import offer
from fakes.servers import free_port
from fakes.strangers import werift
from fakes.waiting import eventually

from commhub.wiring.hub_process import HubProcess

GREY = 60
TOKEN = "of the city"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def ingest_port():
    return free_port()


@pytest.fixture(scope="module")
def hub(tmp_path_factory, ingest_port):
    platforms = [
        {"name": "city-video", "whip_url": f"http://127.0.0.1:{ingest_port}/whip", "token": TOKEN},
        {"name": "city-mcu", "dial": "sip:mcu"},
    ]
    environment = {"COMMHUB_TIERS__PLATFORMS": json.dumps(platforms)}
    with HubProcess(tmp_path_factory.mktemp("rooms") / "hub", environment) as hub:
        yield hub


async def send(desk, meeting, platform, **wish):
    path = f"/rooms/{meeting.id}/uplinks"
    return await asyncio.to_thread(desk.post, path, {"platform": platform, **wish})


async def uplink_of(desk, meeting):
    """What the room sends onward; None when it sends nothing."""
    told = await asyncio.to_thread(desk.get, f"/rooms/{meeting.id}/cascades")
    return told["uplinks"][0] if told["uplinks"] else None


async def test_a_room_tells_to_which_platforms_it_could_be_sent(desk, meeting):
    told = await asyncio.to_thread(desk.get, f"/rooms/{meeting.id}/cascades")
    assert told["platforms"] == [
        {"name": "city-video", "dial": None},
        {"name": "city-mcu", "dial": "sip:mcu"},
    ]


async def test_a_picture_is_pushed_to_an_ingest_until_it_is_ended(desk, http, meeting, ingest_port):
    """It is away at first: the desk reads why, and the hub tries again. Then it is killed, and gets the picture again elsewhere."""
    zhang = await meeting.guest("Zhang")
    async with werift() as cameras:
        camera = cameras.camera()
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        begun = await send(desk, meeting, "city-video", source=source)

        async def is_refused():
            uplink = await uplink_of(desk, meeting)
            return uplink["error"] is not None

        await eventually(is_refused, within_s=60)
        async with ingest(port=ingest_port) as platform:
            for _ in range(2):
                async with werift() as stack:
                    shown = stack.ingest()

                    async def agree(writer, shown=shown):
                        asked = platform.asked[-1]
                        assert asked.headers["authorization"] == f"Bearer {TOKEN}"
                        answer = await shown.answer(asked.body.decode())
                        writer.write(created(answer.encode()))
                        await writer.drain()

                    platform.answers = {"/whip": agree, "/sessions/7": answered(200)}
                    await eventually(lambda: shown.frames > 30, within_s=90)  # noqa: B023 - waited for here
                    assert shown.size == (1920, 1080)
                    stack.kill()
                    shown.forget()
            path = f"/rooms/{meeting.id}/uplinks/{begun['uplink']['id']}"
            await asyncio.to_thread(desk.delete, path)
            assert await uplink_of(desk, meeting) is None
        await camera.close()


async def test_an_mcu_is_rung_with_picture_and_sound_and_is_seen(
    hub, desk, http, meeting, monkeypatch
):
    account = await asyncio.to_thread(
        desk.post, "/fleet/phones", {"name": "mcu", "display_name": "district MCU"}
    )
    zhang = await meeting.guest("Zhang")
    async with (
        far_end(monkeypatch, picture=Picture(grey=GREY), tone=400.0, hears=True) as browser,
        baresip("mcu", account["password"], hub.port("sip"), tone=700, sees=True) as mcu,
    ):
        await mcu.until_registered(within_s=30)
        await offer(http, f"/whip/{meeting.id}", browser, zhang)
        await meeting.source_of("Zhang")
        begun = await send(desk, meeting, "city-mcu")
        assert begun["participant"]["endpoint"] == "sip:mcu"
        await mcu.until("CALL_ESTABLISHED", within_s=60)
        await meeting.source_of("city-mcu")
        await mcu.until_it_shows(GREY)
        await eventually(lambda: browser.hears(700), within_s=60)
