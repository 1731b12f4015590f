"""Who speaks in a meeting, of those whose far ends tell no levels: the live socket says it, and pictures follow."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import pytest
from fakes.baresip import baresip
from fakes.desks import FakeDesk
from fakes.meeting import Picture, far_end
from fakes.phones import simulated_phone
from fakes.room import offer
from fakes.waiting import eventually
from websockets.asyncio.client import connect

GREY = 60
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def accounts(desk):
    made = {}
    for name in ("3111", "3112"):
        made[name] = desk.post("/fleet/phones", {"name": name, "display_name": name})["password"]
    return list(made.items())


@asynccontextmanager
async def live(hub, desk):
    """A desk on the hub's live socket."""
    cookies = "; ".join(f"{name}={value}" for name, value in desk.cookies.items())
    url = hub.url.replace("http", "ws", 1) + "/api/v1/live"
    seen = FakeDesk()
    async with connect(
        url, additional_headers={"Cookie": cookies, "Origin": hub.url}, proxy=None, max_size=None
    ) as socket:
        await socket.send(json.dumps({"op": "hello", "epoch": None, "seq": 0}))

        async def listen():
            async for text in socket:
                seen.take(text)

        listening = asyncio.create_task(listen())
        try:
            yield seen
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


def speaks(seen, meeting):
    """What the live socket said last of the room's speaker."""
    told = [one["value"] for one in seen.events if one["event"] == "speaker"]
    mine = [one for one in told if one["room_id"] == meeting.id]
    return (mine[-1]["source_id"], mine[-1]["participant_id"]) if mine else None


async def participant(meeting, name):
    """The id of who has joined under that name."""

    async def there():
        people = (await meeting.now())["participants"]
        found = [one["id"] for one in people if one["name"] == name and one["state"] == "joined"]
        return found[0] if found else None

    return await eventually(there, within_s=30)


async def test_a_room_system_is_switched_to_when_it_speaks_and_a_phone_is_named_when_it_does(
    hub, desk, http, meeting, monkeypatch, accounts
):
    (system, password), (number, secret) = accounts
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with (
        live(hub, desk) as seen,
        far_end(monkeypatch, picture=Picture(grey=GREY)) as camera,
        far_end(monkeypatch) as viewer,
        baresip(system, password, hub.port("sip"), tone=700, answer="manual", sees=True) as phone,
        simulated_phone(number, secret, hub.port("sip")) as silent,
    ):
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/speaker", viewer, wang)
        await eventually(lambda: viewer.sees(GREY), within_s=30)

        await phone.until_registered(within_s=30)
        await phone.command("dial", f"sip:{meeting.dial}@127.0.0.1:{hub.port('sip')}")
        await phone.until("CALL_ESTABLISHED", within_s=30)
        source, speaker = await meeting.source_of(system), await participant(meeting, system)
        await eventually(lambda: speaks(seen, meeting) == (source, speaker), within_s=30)
        await eventually(lambda: viewer.grey is not None and not viewer.sees(GREY), within_s=30)

        await silent.until(lambda state: state["registered"], within_s=30)
        await silent.do("talk", on=False)
        await silent.do("dial", number=meeting.dial)
        caller = await participant(meeting, number)
        path = f"/rooms/{meeting.id}/participants/{speaker}"
        await asyncio.to_thread(desk.patch, path, {"sound_muted": True})
        await silent.do("talk", on=True)
        await eventually(lambda: speaks(seen, meeting) == (None, caller), within_s=30)
        meters = await asyncio.to_thread(desk.get, f"/rooms/{meeting.id}/meters")
        assert (meters["speaker"], meters["speaking"]) == (None, caller)
        # Nobody else has a picture that spoke, so it stays as it is.
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 10, within_s=30)
        assert not viewer.sees(GREY)

        await silent.do("hangup")
        await eventually(lambda: speaks(seen, meeting) == (None, None), within_s=30)
