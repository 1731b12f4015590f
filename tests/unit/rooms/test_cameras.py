"""Body cameras on demand: asked to send when somebody watches, stopped when nobody does, and what the engine tells of them."""

import asyncio

import pytest
from fakes.rooms import CHEN, LI, RoomTown, desk
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.domain.call_facts import LegMoved
from commhub.domain.device import DeviceKind
from commhub.domain.errors import InvalidError, NotAllowedError, UnavailableError
from commhub.domain.incident import Stage
from commhub.domain.room import SourceState
from commhub.fleet.service import NewDevice
from commhub.ports.rooms import RoomRight
from commhub.ports.video import Layer, VideoCodec
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.service import RoomWish


async def a_live_camera(town):
    """b7's live view, asked for and sending: its room, its source, and the session that carries it."""
    file = await town.open_live()
    (source,) = file.sources
    with pytest.raises(UnavailableError):
        await town.ask(file.room, source=source.id)
    token = town.commands("live.start")[-1].args["token"]
    _, session = await town.publish(file.room, source=source.id, token=token)
    town.video.sees(file.room.id, source.id)
    return file.room, source, session


async def test_whoever_watches_first_has_the_camera_asked_to_send(town):
    file = await town.open_live()
    (source,) = file.sources
    assert town.commands("live.start") == []
    with pytest.raises(UnavailableError, match="being started"):
        await town.ask(file.room, source=source.id)
    (order,) = town.commands("live.start")
    assert (order.device_id, order.args["source"], order.args["layers"]) == (
        "b7",
        source.id,
        ["main", "sub"],
    )
    assert order.args["whip"] == f"https://hub.test/whip/{file.room.id}?source={source.id}"
    assert (await town.source(source.id)).state is SourceState.STARTING
    claims = town.tokens.read(order.args["token"])
    assert (claims.room_id, claims.source_id, claims.rights) == (
        file.room.id,
        source.id,
        (RoomRight.PUBLISH,),
    )


async def test_whoever_watches_a_camera_hears_it_and_says_nothing(town):
    room, source, _ = await a_live_camera(town)
    token = town.commands("live.start")[-1].args["token"]
    publishes = {"right": RoomRight.PUBLISH, "source": source.id, "token": token}
    spoken = await town.ask(room, **publishes)
    smaller = await town.ask(room, **publishes, layer=Layer.SUB)
    seen = await town.ask(room, source=source.id)
    assert (spoken.own_sound, smaller.own_sound, seen.own_sound) == (True, False, True)
    assert not any(one.may_talk or one.may_hear for one in (spoken, smaller, seen))


async def test_a_camera_in_a_meeting_speaks_as_everybody_there_does(town):
    room = await town.open()
    admission, _ = await town.publish(room)
    assert (admission.may_talk, admission.own_sound) == (True, False)
    assert not (await town.ask(room, source=admission.source_id)).own_sound


async def test_a_cameras_token_shows_that_camera_and_nothing_else(town):
    room, source, _ = await a_live_camera(town)
    token = town.commands("live.start")[-1].args["token"]
    with pytest.raises(NotAllowedError):
        await town.ask(room, source=source.id, token=token)
    with pytest.raises(NotAllowedError):
        await town.ask(room, right=RoomRight.PUBLISH, source="camera", token=token)


async def test_a_camera_is_stopped_some_time_after_the_last_watcher_left(town):
    room, source, session = await a_live_camera(town)
    await town.view(room, source.id, session="v1")
    town.clock.advance(300)
    await town.follow()
    assert town.commands("live.stop") == []
    await town.feature.doors.session_closed("v1", "left")
    town.clock.advance(29)
    await town.follow()
    assert town.commands("live.stop") == []
    town.clock.advance(2)
    await town.follow()
    assert [order.args["source"] for order in town.commands("live.stop")] == [source.id]
    assert (await town.source(source.id)).state is SourceState.IDLE
    assert town.video.told("release") == [(session,)]
    await town.follow()
    assert len(town.commands("live.stop")) == 1


async def test_a_watcher_who_comes_later_starts_it_again(town):
    room, source, _ = await a_live_camera(town)
    town.clock.advance(60)
    await town.follow()
    with pytest.raises(UnavailableError):
        await town.ask(room, source=source.id, by=CHEN)
    assert len(town.commands("live.start")) == 2
    assert (await town.source(source.id)).state is SourceState.STARTING


async def test_a_camera_nobody_came_to_see_is_stopped_too(town):
    file = await town.open_live()
    with pytest.raises(UnavailableError):
        await town.ask(file.room, source=file.sources[0].id)
    town.clock.advance(31)
    await town.follow()
    assert len(town.commands("live.stop")) == 1


async def test_a_recorded_camera_goes_on_unwatched(town):
    room, source, _ = await a_live_camera(town)
    await town.feature.recordings.switch(room.id, LI, on=True)
    town.clock.advance(600)
    await town.follow()
    assert town.commands("live.stop") == []
    assert town.video.told("record") == [(source.id, True)]


async def test_a_camera_in_the_spotlight_goes_on(town):
    room, source, _ = await a_live_camera(town)
    await town.feature.rooms.change(room.id, RoomWish(spotlight=source.id), LI)
    town.clock.advance(600)
    await town.follow()
    assert town.commands("live.stop") == []


async def test_a_camera_asked_into_a_meeting_sends_as_long_as_somebody_is_there(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
    token = town.commands("live.start")[-1].args["token"]
    source = (await town.file(room)).sources[0]
    admission, _ = await town.publish(room, source=source.id, token=token, sound=True)
    assert admission.may_talk
    _, mine = await town.publish(room, session="mine")
    town.clock.advance(600)
    await town.follow()
    assert town.commands("live.stop") == []
    await town.feature.doors.session_closed(mine, "left")
    await town.follow()
    assert len(town.commands("live.stop")) == 1
    assert "执法仪7" in await town.people(room)


async def test_a_camera_asked_twice_is_one_participant(town):
    room = await town.open()
    for _ in range(2):
        await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
    assert len((await town.file(room)).participants) == 2


async def test_a_radio_or_a_revoked_camera_shows_nothing(town):
    async with town.store.begin() as uow:
        await town.fleet.admit(
            uow, NewDevice(id="r1", kind=DeviceKind.RADIO, name="对讲1"), "user:x"
        )
    with pytest.raises(InvalidError):
        await town.open_live("r1")
    await town.fleet.revoke("b7", "user:chen")
    with pytest.raises(InvalidError):
        await town.open_live("b7")


async def test_a_broker_that_is_down_does_not_keep_the_camera_from_being_asked_again(town):
    file = await town.open_live()
    (source,) = file.sources
    town.control.is_down = True
    with pytest.raises(UnavailableError):
        await town.ask(file.room, source=source.id)
    town.control.is_down = False
    with pytest.raises(UnavailableError):
        await town.ask(file.room, source=source.id)
    assert len(town.commands("live.start")) == 1


async def test_a_camera_whose_connection_was_lost_can_be_asked_again(town):
    room, source, session = await a_live_camera(town)
    await town.feature.events.session_lost(session, "silent")
    lost = await town.source(source.id)
    assert (lost.state, lost.ended_at) == (SourceState.IDLE, None)
    with pytest.raises(UnavailableError):
        await town.ask(room, source=source.id)
    assert len(town.commands("live.start")) == 2


async def test_removing_a_camera_stops_it(town):
    room = await town.open()
    invited = await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
    await town.feature.host.remove(room.id, invited.participant.id, desk())
    assert len(town.commands("live.stop")) == 1
    again = await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
    assert again.participant.state == "invited"


async def test_ending_the_room_stops_its_cameras(town):
    room, source, _ = await a_live_camera(town)
    await town.feature.rooms.end(room.id, LI)
    assert [order.args["source"] for order in town.commands("live.stop")] == [source.id]
    # The next live view is another room.
    assert (await town.open_live()).room.id != room.id


# --- the engine --------------------------------------------------------------------------------------------


async def test_a_source_that_is_told_again_only_gets_its_layers(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    admission, _ = await town.publish(room)
    before = await town.kinds(incident)
    layers = (Layer.LOW, Layer.MAIN, Layer.SUB)
    await town.feature.events.source_started(room.id, admission.source_id, VideoCodec.H264, layers)
    assert (await town.source(admission.source_id)).layers == ("main", "sub", "low")
    assert await town.kinds(incident) == before


async def test_an_engine_that_forgot_everything_ends_what_it_had(town):
    room = await town.open()
    admission, session = await town.publish(room)
    await town.view(room, admission.source_id, session="v1", by=CHEN)
    town.video.sessions.clear()
    town.video.boot_id = "2"
    await town.feature.events.engine_came("2")
    assert set((await town.states(room)).values()) == {"left"}
    assert (await town.source(admission.source_id)).state is SourceState.ENDED
    async with town.store.read() as uow:
        assert await uow.rooms.live_sessions() == []
        assert (await uow.rooms.find_session(session)).reason == "lost"


async def test_an_engine_that_only_lost_its_connection_ends_nothing_and_is_told_all_again(town):
    room = await town.open(recording=True)
    admission, session = await town.publish(room)
    await town.feature.rooms.change(room.id, RoomWish(spotlight=admission.source_id), LI)
    await town.feature.host.mute_source(room.id, admission.source_id, desk(), muted=True)
    town.video.sees(room.id, admission.source_id)
    town.video.orders.clear()
    await town.feature.events.engine_came("1")
    assert await town.states(room) == {"li": "joined"}
    assert town.video.orders == [
        ("mute", admission.source_id, True),
        ("spotlight", room.id, admission.source_id),
        ("record", admission.source_id, True),
    ]
    assert (await town.feature.doors.find_session(session)).session_id == session


async def test_a_picture_that_began_while_nobody_heard_of_it_is_live(town):
    room = await town.open()
    admission, _ = await town.publish(room, live=False)
    town.video.sees(room.id, admission.source_id)
    await town.feature.events.engine_came("1")
    assert (await town.source(admission.source_id)).state is SourceState.STARTING
    town.video.sees(room.id, admission.source_id, started=True)
    await town.feature.events.engine_came("1")
    source = await town.source(admission.source_id)
    assert (source.state, source.codec, source.layers) == (SourceState.LIVE, "H264", ("main",))


async def test_an_engine_that_cannot_be_asked_ends_nothing(town):
    room = await town.open()
    await town.publish(room)
    town.video.unavailable = True
    await town.feature.events.engine_came("2")
    assert await town.states(room) == {"li": "joined"}


async def test_a_new_process_finds_who_left_while_nobody_followed(
    town, store, bus, clock, tmp_path
):
    room = await town.open()
    await town.dial(room)
    await town.calls.leg_connected("in-1", "PCMA")
    await town.follow()
    _, session = await town.publish(room)
    # The engine and the phones went on; whoever followed them did not.
    await town.calls.leg_ended("in-1", Cause.HUNG_UP, None)
    again = RoomTown(store, bus, clock, tmp_path)
    again.video.sessions[session] = None
    await again.feature.events.engine_came("1")
    assert await again.states(room) == {"li": "joined", "1001": "left"}


async def test_a_closed_incident_proposes_the_end_of_its_rooms_once(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    await town.close_incident(incident, Stage.CLOSED)
    for _ in range(2):
        await town.follow()
    assert (await town.room(room)).end_proposed_at == town.clock.now()
    assert (await town.room(room)).is_open
    assert (await town.kinds(incident)).count("room_end_proposed") == 1
    await town.close_incident(incident, Stage.REOPENED)
    await town.follow()
    assert (await town.room(room)).end_proposed_at is None


async def test_what_happens_to_legs_is_followed_by_itself(town):
    room = await town.open()
    following = asyncio.create_task(town.feature.follower.run())
    try:
        await asyncio.sleep(0)
        await town.dial(room)
        await town.calls.leg_connected("in-1", "PCMA")

        async def is_in():
            return (await town.states(room)).get("1001") == "joined"

        await eventually(is_in)
    finally:
        following.cancel()


async def test_on_a_busy_hub_rooms_are_compared_all_the_same(town):
    room, _, _ = await a_live_camera(town)
    town.clock.advance(61)
    town.feature.follower._calls = {"some-call"}
    await town.feature.follower.step()
    assert len(town.commands("live.stop")) == 1
    assert (await town.file(room)).sources[0].state is SourceState.IDLE


async def test_the_legs_of_a_call_that_is_no_rooms_wake_nobody_twice(town):
    room = await town.open()
    await town.dial(room)
    sound = (await town.room(room)).call_id

    def a_leg_of(call_id):
        return LegMoved(
            at=town.clock.now(), call_id=call_id, leg_id="leg", endpoint="sip:1001", state="ringing"
        )

    follower = town.feature.follower
    assert follower.concerns(a_leg_of("a-call"))
    await follower.follow_calls({"a-call", sound})
    assert not follower.concerns(a_leg_of("a-call"))
    assert follower.concerns(a_leg_of(sound))
