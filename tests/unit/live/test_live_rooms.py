"""Rooms on the live socket: the list, one room's state as it changes, and who speaks."""

import asyncio
from contextlib import asynccontextmanager, suppress

from fakes.desks import FakeDesk
from fakes.rooms import LI, RoomTown
from fakes.waiting import eventually

from commhub.live.service import LiveConfig, LiveService

QUICK = LiveConfig(state_every_s=0, events_every_s=0, compare_every_s=3600)


@asynccontextmanager
async def a_desk(town):
    """A desk that takes whatever comes."""
    live = LiveService(town.store, town.bus, town.clock, config=QUICK)
    desk = FakeDesk()

    async def take():
        frame = await live.first(None, 0)
        while True:
            desk.take(frame.text)
            frame = await live.after(frame) or live.snapshot()

    tasks = [asyncio.create_task(live.run()), asyncio.create_task(take())]
    try:
        await eventually(lambda: desk.epoch)
        yield desk
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_room_appears_changes_and_goes(store, bus, clock, tmp_path):
    town = RoomTown(store, bus, clock, tmp_path)
    already = await town.open(name="早会")
    async with a_desk(town) as desk:
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
        assert event["value"] == {"room_id": room.id, "source_id": admission.source_id}
        await town.feature.rooms.end(room.id, LI)
        await eventually(lambda: room.id not in desk.state["rooms"])
        assert already.id in desk.state["rooms"]
