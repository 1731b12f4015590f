"""Who may read what of a room: those in it, the desk, and a department that is in it; nobody else."""

import pytest
from fakes.rooms import LI, WANG, ZHANG, a_file, a_guest
from fakes.web import app_of, client_of, someone

from commhub.domain.people import Role
from commhub.domain.room import RoomMode, RoomRole
from commhub.rooms import inside_routes, moves, record_routes, routes
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.people import a_user

ROOT = someone(Role.SYSTEM_ADMIN, name="root")
CHEN = someone(Role.COMMANDER, name="chen")
KEYS = {"li": LI, "wang": WANG, "zhang": ZHANG, "root": ROOT, "chen": CHEN}
RECORDS = ("minutes", "minutes/export", "roll-calls", "roll-calls/1", "recordings")


@pytest.fixture
def app(town):
    feature = town.feature
    return app_of(
        routes.build_router(feature),
        record_routes.build_router(feature),
        inside_routes.build_router(feature),
        keys=KEYS,
        clock=town.clock,
    )


@pytest.fixture
async def room(app, town):
    """A meeting with a recording, minutes and a roll-call, in which the camera of zhang's department is."""
    room = await town.open(name="会商")
    admission, _ = await town.publish(room)
    await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
    await town.feature.events.recording_stored(a_file(town, room, admission.source_id))
    async with client_of(app, key="li") as client:
        await client.put(f"rooms/{room.id}/minutes", json={"text": "一", "based_on": 0})
        assert (await client.post(f"rooms/{room.id}/roll-calls", json={})).status_code == 201
    return room


async def statuses(app, key, room):
    async with client_of(app, key=key) as client:
        return {path: (await client.get(f"rooms/{room.id}/{path}")).status_code for path in RECORDS}


async def shown(app, key, path):
    async with client_of(app, key=key) as client:
        return (await client.get(path)).json()


@pytest.mark.parametrize("key", ["wang", "root"])
async def test_another_department_learns_that_there_is_a_room_and_not_who_is_in_it(app, room, key):
    one = await shown(app, key, f"rooms/{room.id}")
    (listed,) = (await shown(app, key, "rooms"))["items"]
    assert one == listed
    assert one["name"] == "会商"
    assert one["participants"] == []
    assert one["sources"] == []
    assert set((await statuses(app, key, room)).values()) == {403}


async def test_minutes_and_roll_calls_are_for_those_in_the_meeting(app, town, room):
    assert set((await statuses(app, "wang", room)).values()) == {403}
    async with client_of(app, key="zhang") as client:
        later = {"text": "二", "based_on": 1}
        assert (await client.put(f"rooms/{room.id}/minutes", json=later)).status_code == 200
    now = town.clock.now()
    async with town.store.begin() as uow:
        wang = a_user(room, WANG, RoomRole.PRESENTER, "u2", now)
        await moves.add(uow, room, wang, LI.actor)
    assert set((await statuses(app, "wang", room)).values()) == {200}
    async with client_of(app, key="li") as client:
        await client.delete(f"rooms/{room.id}/participants/{wang.id}")
    assert (await statuses(app, "wang", room))["minutes"] == 403


@pytest.mark.parametrize("key", ["li", "chen", "zhang"])
async def test_the_desk_and_a_department_in_the_meeting_read_all_of_it(app, room, key):
    assert set((await statuses(app, key, room)).values()) == {200}
    one = await shown(app, key, f"rooms/{room.id}")
    assert {person["name"] for person in one["participants"]} == {"li", "执法仪7"}
    assert len(one["sources"]) == (1 if key == "zhang" else 2)


async def test_who_may_not_write_minutes_of_another_department(app, town):
    room = await town.open()
    async with client_of(app, key="zhang") as client:
        attempt = await client.put(f"rooms/{room.id}/minutes", json={"text": "", "based_on": 0})
    assert attempt.status_code == 403


async def test_recordings_are_those_of_pictures_one_might_have_watched(app, town):
    room = await town.open(mode=RoomMode.WALL)
    async with client_of(app, key="li") as client:
        made = {}
        for unit in ("u1", "u2", None):
            body = {"label": str(unit), "rtsp": "rtsp://10.0.0.9/1", "unit": unit}
            answer = await client.post(f"rooms/{room.id}/sources", json=body)
            made[unit] = answer.json()["id"]
            town.video.sees(room.id, made[unit])
            file = a_file(town, room, made[unit], f"{unit}.mp4")
            await town.feature.events.recording_stored(file)

    async def seen_by(key):
        listed = await shown(app, key, f"rooms/{room.id}/recordings")
        return {one["source_id"] for one in listed}

    async def sources_for(key):
        return {one["id"] for one in (await shown(app, key, f"rooms/{room.id}"))["sources"]}

    assert await seen_by("li") == set(made.values())
    assert await seen_by("wang") == await sources_for("wang") == {made["u2"], made[None]}
    assert await seen_by("zhang") == {made["u1"], made[None]}
    assert await sources_for("root") == set()
    assert (await statuses(app, "root", room))["recordings"] == 403
    await town.feature.events.measured(await town.video.status())
    meters = await shown(app, "wang", f"rooms/{room.id}/meters")
    assert {one["source_id"] for one in meters["sources"]} == {made["u2"], made[None]}


async def test_to_watch_a_camera_makes_nobody_one_of_its_department(app, town):
    live = (await town.open_live()).room
    async with client_of(app, key="wang") as client:
        opened = await client.post("rooms/live", json={"camera": "b7"})
    assert (opened.json()["id"], opened.json()["participants"]) == (live.id, [])
    assert opened.json()["sources"] == []
    assert len((await shown(app, "zhang", f"rooms/{live.id}"))["sources"]) == 1


async def test_who_waits_sees_no_meters(app, town):
    room = await town.open(lobby=True)
    admission, _ = await town.publish(room)
    town.video.sees(room.id, admission.source_id)
    await town.feature.events.measured(await town.video.status())
    _, token = await a_guest(town, room)
    async with client_of(app, key=token) as guest:
        await guest.post(f"rooms/{room.id}/enter")
        assert (await guest.get(f"rooms/{room.id}/meters")).json()["sources"] == []
        (me,) = (await guest.get(f"rooms/{room.id}")).json()["participants"]
    assert me["state"] == "waiting"
