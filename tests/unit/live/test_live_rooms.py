"""Rooms on the live socket: the list, one room's state as it changes, and who speaks."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from functools import partial

from fakes.desks import FakeDesk
from fakes.rooms import LI, WANG, ZHANG, RoomTown, a_guest
from fakes.waiting import eventually
from fakes.web import someone

from commhub.domain.people import Role
from commhub.domain.room import RoomRole
from commhub.live.service import LiveConfig, LiveService
from commhub.rooms import moves
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.people import a_user, unit_of

QUICK = LiveConfig(state_every_s=0, events_every_s=0, compare_every_s=3600)


async def ask_in(town, room, principal):
    """Somebody with an account, asked in as any presenter."""
    async with town.store.begin() as uow:
        one = a_user(room, principal, RoomRole.PRESENTER, None, town.clock.now())
        await moves.add(uow, room, one, LI.actor)


def known_in(page, room):
    return {one["name"] for one in page.state["rooms"][room.id]["participants"]}


@asynccontextmanager
async def desks(town, *principals):
    """A page of each of them, that takes whatever comes."""
    live = LiveService(
        town.store, town.bus, town.clock, unit_of=partial(unit_of, town.store), config=QUICK
    )
    pages = [FakeDesk() for _ in principals]

    async def take(page, principal):
        eyes = await live.eyes_of(principal)
        frame = await live.first(None, 0, eyes)
        while True:
            page.take(frame.text)
            frame = await live.after(frame, eyes) or live.snapshot(eyes)

    tasks = [asyncio.create_task(live.run())]
    tasks += [asyncio.create_task(take(*one)) for one in zip(pages, principals, strict=True)]
    try:
        await eventually(lambda: all(page.epoch for page in pages))
        yield pages
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_room_appears_changes_and_goes(store, bus, clock, tmp_path):
    town = RoomTown(store, bus, clock, tmp_path)
    already = await town.open(name="早会")
    async with desks(town, LI) as (desk,):
        assert [one["name"] for one in desk.state["rooms"].values()] == ["早会"]
        room = await town.open()
        await eventually(lambda: room.id in desk.state["rooms"])
        admission, _ = await town.publish(room)
        shown = await eventually(
            lambda: (
                (one := desk.state["rooms"][room.id])["sources"]
                and one["sources"][0]["state"] == "live"
                and one
            )
        )
        assert shown["participants"][0]["state"] == "joined"
        assert shown["sources"][0]["layers"] == ["main", "sub"]
        # The room's call is one of the live calls.
        assert desk.state["calls"][room.call_id]["room_id"] == room.id
        await town.feature.events.speaker_moved(room.id, admission.source_id)
        (event,) = await eventually(lambda: [e for e in desk.events if e["event"] == "speaker"])
        assert event["value"] == {
            "room_id": room.id,
            "source_id": admission.source_id,
            "participant_id": admission.participant_id,
        }
        await town.feature.rooms.end(room.id, LI)
        await eventually(lambda: room.id not in desk.state["rooms"])
        assert already.id in desk.state["rooms"]


async def test_who_may_not_know_a_room_learns_that_it_is_there_and_no_more(
    store, bus, clock, tmp_path
):
    town = RoomTown(store, bus, clock, tmp_path)
    await town.settle()
    before = await town.open(name="早会")
    await a_guest(town, before, "李来宾")
    root = someone(Role.SYSTEM_ADMIN, name="root")
    async with desks(town, LI, WANG, root) as (desk, wang, admin):
        room = await town.open()
        await a_guest(town, room, "赵来宾")
        admission, _ = await town.publish(room, sound=True)
        await town.feature.events.speaker_moved(room.id, admission.source_id)
        await town.open(name="晚会")
        for page in (desk, wang, admin):
            await eventually(lambda page=page: page.seq and len(page.state["rooms"]) == 3)
        assert [e["event"] for e in desk.events if e["event"] == "speaker"] == ["speaker"]
        assert desk.state["calls"][room.call_id]["legs"]
        for page in (wang, admin):
            for one in page.state["rooms"].values():
                assert (one["participants"], one["sources"]) == ([], [])
            assert page.state["rooms"][room.id]["name"] == "会商"
            assert page.state["calls"][room.call_id]["legs"] == []
            assert [e for e in page.events if e["event"] == "speaker"] == []
            told = json.dumps([page.state, page.events], ensure_ascii=False)
            assert "来宾" not in told
            assert admission.source_id not in told


async def test_a_department_that_is_in_a_room_and_whoever_is_asked_in_learn_who_is_there(
    store, bus, clock, tmp_path
):
    town = RoomTown(store, bus, clock, tmp_path)
    await town.settle()
    async with desks(town, LI, WANG, ZHANG) as (desk, wang, zhang):
        room = await town.open()
        await a_guest(town, room, "赵来宾")
        await eventually(lambda: room.id in zhang.state["rooms"])
        assert zhang.state["rooms"][room.id]["participants"] == []
        # The camera of zhang's department comes, and then wang is asked in.
        await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
        await eventually(lambda: "赵来宾" in known_in(zhang, room))
        assert zhang.state["rooms"][room.id]["sources"]
        assert wang.state["rooms"][room.id]["participants"] == []
        await ask_in(town, room, WANG)
        await eventually(lambda: "赵来宾" in known_in(wang, room))
        assert wang.state["rooms"] == desk.state["rooms"]


async def test_who_waits_sees_nobody_but_themselves(store, bus, clock, tmp_path):
    town = RoomTown(store, bus, clock, tmp_path)
    await town.settle()
    async with desks(town, LI, WANG) as (desk, wang):
        room = await town.open(lobby=True)
        await ask_in(town, room, WANG)
        await a_guest(town, room, "赵来宾")
        assert (await town.ask(room, by=WANG)).waiting
        await eventually(
            lambda: (
                [one["state"] for one in wang.state["rooms"][room.id]["participants"]]
                == ["waiting"]
            )
        )
        assert "赵来宾" in known_in(desk, room)
