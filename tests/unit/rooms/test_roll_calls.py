"""Roll-call (点调): who is called, what is found of each, and what stays of it."""

from datetime import timedelta

import pytest
from fakes.rooms import CHEN, LI, RoomTown, a_guest, desk

from commhub.domain.call import Cause
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.roll_call import RollCallState
from commhub.domain.room import RoomMode
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.roll_calls import NewRollCall


async def items(town, room, n=1):
    return {item.name: item for item in (await town.feature.roll_calls.get(room.id, n)).items}


async def look(town):
    return await town.feature.roll_calls.look()


async def joined_phone(town, room, packets=100):
    await town.dial(room)
    await town.calls.leg_connected("in-1", "PCMA")
    await town.follow()
    town.media.received["in-1"] = packets


async def test_a_phone_that_is_heard_is_present(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    await joined_phone(town, room)
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=["sip:1001"]), LI)
    assert await look(town) == 1
    town.media.received["in-1"] = 150
    town.clock.advance(0.5)
    assert await look(town) == 0
    item = (await items(town, room))["1001"]
    assert (item.verdict, item.voice, item.picture) == ("present", "good", "not_asked")
    assert (item.round_trip_ms, item.rung) == (12.0, False)
    done = await town.last(incident, "roll_call_done")
    assert (done["present"], done["expected"], done["absent"]) == (1, 1, [])
    assert done["slowest_ms"] == 12.0


async def test_a_phone_that_is_silent_is_faulty_when_the_time_is_up(town):
    room = await town.open()
    await joined_phone(town, room)
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=["sip:1001"]), LI)
    for _ in range(3):
        town.clock.advance(5)
        assert await look(town) == 1
    town.clock.advance(15)
    assert await look(town) == 0
    item = (await items(town, room))["1001"]
    assert (item.verdict, item.voice) == ("faulty", "bad")
    assert item.answered_at is not None


async def test_who_is_away_is_rung_and_present_once_they_answer(town):
    room = await town.open()
    call = await town.feature.roll_calls.start(room.id, NewRollCall(expect=["sip:1002"]), LI)
    (order,) = town.driver.placed
    assert (str(order.endpoint), order.call_id) == ("sip:1002", room.call_id)
    assert call.items[0].rung
    town.clock.advance(6)
    await town.calls.leg_connected(order.leg_id, "PCMA")
    await town.follow()
    town.media.received[order.leg_id] = 1
    await look(town)
    town.media.received[order.leg_id] = 30
    await look(town)
    item = (await items(town, room))["1002"]
    assert item.verdict == "present"
    assert (item.answered_at - item.called_at).total_seconds() == 6


async def test_who_does_not_answer_is_absent_and_named(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    expect = ["sip:1002", "sip:1003"]
    within = timedelta(seconds=10)
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=expect, within=within), LI)
    await town.calls.leg_ended(town.driver.placed[0].leg_id, Cause.BUSY, None)
    await look(town)
    town.clock.advance(10)
    await look(town)
    assert {i.verdict for i in (await items(town, room)).values()} == {"absent"}
    assert (await town.last(incident, "roll_call_done"))["absent"] == ["1002", "1003"]


async def test_a_phone_that_cannot_be_rung_is_absent_and_stops_nobody(town):
    room = await town.open()
    await joined_phone(town, room)
    town.driver.unavailable = True
    expect = ["sip:1002", "sip:1001"]
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=expect), LI)
    await look(town)
    town.media.received["in-1"] += 10
    town.clock.advance(30)
    await look(town)
    found = {name: i.verdict for name, i in (await items(town, room)).items()}
    assert found == {"1002": "absent", "1001": "present"}


async def test_a_camera_is_asked_for_its_picture_which_is_measured(town):
    room = await town.open()
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=["cam:b7"]), LI)
    token = town.commands("live.start")[0].args["token"]
    source = (await town.file(room)).sources[0]
    await town.publish(room, source=source.id, token=token)
    town.video.sees(room.id, source.id, height=0, fps=0)
    assert await look(town) == 1
    town.video.sees(room.id, source.id, fps=29.97, round_trip_ms=41.0)
    assert await look(town) == 0
    item = (await items(town, room))["执法仪7"]
    assert (item.picture, item.height, item.fps, item.round_trip_ms) == ("good", 1080, 30.0, 41.0)
    assert (item.verdict, item.voice) == ("present", "not_asked")


async def test_a_picture_that_stands_still_is_bad(town):
    room = await town.open()
    admission, _ = await town.publish(room, sound=True)
    leg_id = (await town.legs(room))[0].id
    town.video.sees(room.id, admission.source_id, silent_s=9.0)
    await town.feature.roll_calls.start(room.id, NewRollCall(), LI)
    town.media.received[leg_id] = 1
    await look(town)
    town.media.received[leg_id] = 2
    town.clock.advance(30)
    await look(town)
    item = (await items(town, room))["li"]
    assert (item.verdict, item.picture, item.voice) == ("faulty", "bad", "good")


async def test_everybody_invited_is_expected_and_nobody_removed(town):
    room = await town.open()
    await a_guest(town, room)
    gone, _ = await a_guest(town, room, "老吴")
    await town.feature.host.remove(room.id, gone.participant.id, desk())
    await town.feature.invitations.invite(room.id, NewInvitation(to="radio:p1"), LI)
    call = await town.feature.roll_calls.start(room.id, NewRollCall(), LI)
    assert [item.name for item in call.items] == ["li", "老周", "p1"]
    await town.calls.leg_connected(town.driver.placed[0].leg_id, None)
    town.clock.advance(30)
    await look(town)
    assert (await items(town, room))["p1"].verdict == "present"


async def test_one_roll_is_called_at_a_time_and_they_are_numbered(town):
    room = await town.open()
    start = town.feature.roll_calls.start
    await start(room.id, NewRollCall(), LI)
    with pytest.raises(ConflictError):
        await start(room.id, NewRollCall(), CHEN)
    town.clock.advance(60)
    await look(town)
    second = await start(room.id, NewRollCall(), LI)
    assert second.roll_call.n == 2
    assert [f.roll_call.state for f in await town.feature.roll_calls.all(room.id)] == [
        RollCallState.DONE,
        RollCallState.RUNNING,
    ]


async def test_a_new_process_goes_on_with_a_roll_call(town, store, bus, clock, tmp_path):
    room = await town.open()
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=["sip:1002"]), LI)
    again = RoomTown(store, bus, clock, tmp_path)
    assert await again.feature.roll_calls.look() == 1
    clock.advance(30)
    assert await again.feature.roll_calls.look() == 0
    assert (await items(again, room))["1002"].verdict == "absent"


async def test_engines_that_cannot_be_asked_do_not_end_a_roll_call_early(town):
    room = await town.open()
    await joined_phone(town, room)
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=["sip:1001"]), LI)
    town.video.unavailable = True
    assert await look(town) == 1


async def test_a_room_that_ends_ends_its_roll_call(town):
    room = await town.open()
    await town.feature.roll_calls.start(room.id, NewRollCall(expect=["sip:1002"]), LI)
    await town.feature.rooms.end(room.id, LI)
    assert await look(town) == 0


@pytest.mark.parametrize(
    ("expect", "error"),
    [("nobody", NotFoundError), ("sip:1002@b", InvalidError), ("cam:nobody", NotFoundError)],
)
async def test_who_is_not_there_at_all_is_not_expected(town, expect, error):
    room = await town.open()
    with pytest.raises(error):
        await town.feature.roll_calls.start(room.id, NewRollCall(expect=[expect]), LI)
    assert await town.feature.roll_calls.all(room.id) == []


async def test_of_a_wall_no_roll_is_called(town):
    room = await town.open(mode=RoomMode.WALL)
    with pytest.raises(ConflictError):
        await town.feature.roll_calls.start(room.id, NewRollCall(), LI)
