"""Phones in a room: who dials its number, who is rung into it, and what the desk does with their legs."""

import pytest
from fakes.rooms import CHEN, LI, a_guest, desk

from commhub.calls.control import LegWish
from commhub.calls.service import CallRequest
from commhub.domain.call import Cause, Entry, LegState
from commhub.domain.duty import DutyLine, DutyLines
from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.people import Endpoint
from commhub.domain.room import RoomMode, RoomRole
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused
from commhub.rooms.hosting import ParticipantWish
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.service import RoomWish


async def answered(town, leg_id="in-1"):
    await town.calls.leg_connected(leg_id, "PCMA")
    await town.follow()


async def test_who_dials_the_number_is_answered_and_in_the_meeting(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    accepted = await town.dial(room, name="门卫")
    assert accepted == IncomingAccepted(call_id=room.call_id)
    assert town.driver.answered == ["in-1"]
    await answered(town)
    caller = (await town.people(room))["门卫"]
    assert (caller.kind, caller.state, caller.leg_id) == ("phone", "joined", "in-1")
    assert (await town.last(incident, "participant_moved"))["participant"] == "门卫"


async def test_offered_again_after_a_restart_it_is_the_same_leg(town):
    room = await town.open()
    await town.dial(room)
    town.driver.answered.clear()
    assert await town.dial(room) == IncomingAccepted(call_id=room.call_id)
    assert len(await town.legs(room)) == 1
    # The answer was lost with the process: the next one gives it anew.
    await town.calls.resume()
    assert town.driver.answered == ["in-1"]


async def test_a_number_of_no_room_means_what_it_meant(town):
    async with town.store.begin() as uow:
        await uow.sip.put_account(
            SipAccount(name="8999", display_name="x", ha1_md5="", ha1_sha256="")
        )
    offered = IncomingCall(leg_id="in-1", caller=Endpoint.parse("sip:1001"), called="8999")
    accepted = await town.calls.call_offered(offered)
    call = (await town.calls.get(accepted.call_id)).call
    assert call.room_id is None
    assert [str(order.endpoint) for order in town.driver.placed] == ["sip:8999"]


async def test_a_duty_number_stays_one_whatever_rooms_there_are(town, clock):
    room = await town.open()
    town.calls._lines = DutyLines([DutyLine(name="值班", numbers=(room.dial,))])
    accepted = await town.dial(room)
    assert accepted.call_id != room.call_id


async def test_nobody_dials_into_a_room_that_is_over(town):
    room = await town.open()
    await town.feature.rooms.end(room.id, LI)
    assert await town.dial(room) == IncomingRefused(cause=Cause.NOT_FOUND)


async def test_a_locked_room_refuses_a_caller_with_a_cause(town):
    room = await town.open()
    await town.feature.rooms.change(room.id, RoomWish(locked=True), LI)
    assert await town.dial(room) == IncomingRefused(cause=Cause.NOT_ALLOWED)
    assert await town.legs(room) == []
    assert len(await town.people(room)) == 1


async def test_a_wall_has_no_sound_to_dial_into(town):
    room = await town.open(mode=RoomMode.WALL)
    assert await town.dial(room) == IncomingRefused(cause=Cause.NOT_ALLOWED)


async def test_a_caller_waits_with_music_until_the_host_lets_them_in(town):
    room = await town.open(lobby=True)
    await town.dial(room)
    await answered(town)
    assert (await town.states(room))["1001"] == "waiting"
    (leg,) = await town.legs(room)
    assert leg.held
    shapes = [order[2] for order in town.media.orders if order[0] == "shape"]
    assert all(shape.muted and shape.deaf for shape in shapes)
    assert [order[0] for order in town.media.orders].count("play") == 1
    caller = (await town.people(room))["1001"]
    await town.feature.host.let_in(room.id, caller.id, desk())
    assert (await town.states(room))["1001"] == "joined"
    assert not (await town.legs(room))[0].held
    assert town.media.orders[-1][0] == "stop_playing"


async def test_a_caller_who_is_not_let_in_is_hung_up(town):
    room = await town.open(lobby=True)
    await town.dial(room)
    await answered(town)
    caller = (await town.people(room))["1001"]
    await town.feature.host.remove(room.id, caller.id, desk())
    assert town.driver.hung_up == [("in-1", Cause.DESK)]
    assert await town.dial(room, leg_id="in-2") == IncomingRefused(cause=Cause.NOT_ALLOWED)


async def test_a_caller_who_gives_up_waiting_waits_no_more(town):
    room = await town.open(lobby=True)
    await town.dial(room)
    await answered(town)
    await town.calls.leg_ended("in-1", Cause.HUNG_UP, None)
    await town.follow()
    assert (await town.states(room))["1001"] == "left"


async def test_a_caller_who_comes_back_is_the_same_participant(town):
    room = await town.open()
    await town.dial(room)
    await answered(town)
    await town.calls.leg_ended("in-1", Cause.HUNG_UP, None)
    await town.follow()
    await town.dial(room, leg_id="in-2")
    await answered(town, "in-2")
    people = await town.people(room)
    assert list(people) == ["li", "1001"]
    assert people["1001"].leg_id == "in-2"


async def test_two_lines_of_one_number_are_two_people(town):
    room = await town.open()
    for leg_id in ("in-1", "in-2"):
        await town.dial(room, caller="tel:anonymous", leg_id=leg_id)
        await answered(town, leg_id)
    assert [p.leg_id for p in (await town.file(room)).participants] == [None, "in-1", "in-2"]


async def test_one_hangs_up_and_the_meeting_goes_on(town):
    room = await town.open()
    for leg_id in ("in-1", "in-2"):
        await town.dial(room, caller=f"sip:{leg_id}", leg_id=leg_id)
        await answered(town, leg_id)
    await town.calls.leg_ended("in-1", Cause.HUNG_UP, None)
    assert (await town.calls.get(room.call_id)).call.is_live
    assert town.driver.hung_up == []


# --- rung by the host --------------------------------------------------------------------------------------


async def test_a_phone_and_a_radio_group_are_rung_into_the_room(town):
    room = await town.open()
    for address in ("sip:1002", "radio:patrol-1", "desk:me"):
        await town.feature.invitations.invite(room.id, NewInvitation(to=address), LI)
    placed = [(str(order.endpoint), order.call_id) for order in town.driver.placed]
    assert placed == [
        (address, room.call_id) for address in ("sip:1002", "radio:patrol-1", "desk:li")
    ]
    people = await town.people(room)
    assert [(one.kind, one.state) for one in people.values()][1:3] == [
        ("phone", "invited"),
        ("radio", "invited"),
    ]
    await town.calls.leg_connected(town.driver.placed[0].leg_id, "PCMA")
    await town.follow()
    assert (await town.states(room))["1002"] == "joined"


async def test_who_the_host_rings_does_not_wait_in_the_waiting_room(town):
    room = await town.open(lobby=True)
    await town.feature.invitations.invite(room.id, NewInvitation(to="sip:1002"), LI)
    await town.calls.leg_connected(town.driver.placed[0].leg_id, "PCMA")
    await town.follow()
    assert (await town.states(room))["1002"] == "joined"


async def test_rung_twice_is_one_leg_and_one_participant(town):
    room = await town.open()
    for _ in range(2):
        await town.feature.invitations.invite(room.id, NewInvitation(to="sip:1002"), LI)
    assert len(town.driver.placed) == 1
    assert len((await town.file(room)).participants) == 2


async def test_what_cannot_be_called_leaves_no_participant(town):
    room = await town.open()
    for address in ("sip:1002@street-b", "nonsense:1"):
        with pytest.raises(InvalidError):
            await town.feature.invitations.invite(room.id, NewInvitation(to=address), LI)
    assert len((await town.file(room)).participants) == 1


async def test_a_phone_that_cannot_be_rung_is_still_invited(town):
    room = await town.open()
    town.driver.unavailable = True
    await town.feature.invitations.invite(room.id, NewInvitation(to="sip:1002"), LI)
    (leg,) = await town.legs(room)
    assert (leg.state, leg.cause) == (LegState.ENDED, Cause.FAILED)
    assert (await town.states(room))["1002"] == "invited"


async def test_whom_the_desk_adds_to_the_call_is_in_the_room(town):
    room = await town.open()
    leg = await town.calls.add_leg(room.call_id, "sip:1003", LI)
    await town.calls.leg_connected(leg.id, "PCMA")
    await town.follow()
    assert (await town.states(room))["1003"] == "joined"


async def test_who_only_listens_is_no_participant(town):
    room = await town.open()
    leg = await town.calls.add_leg(room.call_id, "sip:1003", LI, entry=Entry.LISTEN)
    await town.calls.leg_connected(leg.id, "PCMA")
    await town.follow()
    assert "1003" not in await town.people(room)


async def test_the_host_mutes_a_phone(town):
    room = await town.open()
    await town.dial(room)
    await answered(town)
    caller = (await town.people(room))["1001"]
    await town.feature.host.change(room.id, caller.id, ParticipantWish(sound_muted=True), desk())
    assert (await town.legs(room))[0].muted
    await town.feature.host.change(room.id, caller.id, ParticipantWish(sound_muted=False), desk())
    assert not (await town.legs(room))[0].muted


async def test_muted_before_the_leg_is_there_it_begins_muted(town):
    room = await town.open()
    invited, _ = await a_guest(town, room)
    guest = invited.participant
    await town.feature.host.change(room.id, guest.id, ParticipantWish(sound_muted=True), desk())
    seat = await town.feature.doors.seat(room.id, guest.id)
    (leg,) = await town.legs(room)
    assert (leg.id, leg.muted) == (seat.leg_id, True)
    assert town.driver.placed[-1].shape.muted


async def test_moving_everybody_away_leaves_the_room_its_call(town):
    room = await town.open()
    await town.dial(room)
    await answered(town)
    other = await town.calls.place(CallRequest(legs=["sip:1009"]), CHEN)
    await town.calls.leg_connected(other.legs[0].id, "PCMA")
    await town.calls.control.move_leg(room.call_id, "in-1", other.call.id, LI)
    assert (await town.calls.get(room.call_id)).call.is_live
    await town.follow()
    assert (await town.states(room))["1001"] == "left"


async def test_a_removed_phone_that_is_rung_into_the_call_is_hung_up(town):
    room = await town.open()
    await town.dial(room)
    await answered(town)
    caller = (await town.people(room))["1001"]
    await town.feature.host.remove(room.id, caller.id, desk())
    await town.calls.leg_ended("in-1", Cause.DESK, None)
    leg = await town.calls.add_leg(room.call_id, "sip:1001", LI)
    await town.follow()
    assert (leg.id, Cause.DESK) in town.driver.hung_up
    again = await town.feature.invitations.invite(room.id, NewInvitation(to="sip:1001"), LI)
    assert again.participant.state == "invited"


async def test_a_hold_of_the_desk_is_not_the_waiting_room(town):
    room = await town.open()
    await town.dial(room)
    await answered(town)
    await town.calls.control.change_leg(room.call_id, "in-1", LegWish(held=True), LI)
    await town.follow()
    assert (await town.states(room))["1001"] == "joined"


async def test_ending_the_room_hangs_everybody_up(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    await town.dial(room)
    await answered(town)
    admission, session = await town.publish(room)
    town.clock.advance(120)
    await town.feature.rooms.end(room.id, LI)
    await town.feature.rooms.end(room.id, LI)
    assert town.driver.hung_up == [("in-1", Cause.CALL_ENDED)]
    assert town.video.told("release") == [(session,)]
    assert not (await town.calls.get(room.call_id)).call.is_live
    assert set((await town.states(room)).values()) == {"left"}
    ended = await town.last(incident, "room_ended")
    assert (ended["attended"], ended["duration_s"]) == (2, 120.0)
    people = await town.people(room)
    assert people["1001"].present_s == 120
    assert people["li"].role is RoomRole.HOST
    assert admission.source_id


async def test_a_number_is_free_again_when_its_room_is_over(town):
    room = await town.open()
    await town.feature.rooms.end(room.id, LI)
    async with town.store.read() as uow:
        assert room.dial not in await uow.rooms.numbers_in_use()
    with pytest.raises(ConflictError):
        await town.feature.rooms.change(room.id, RoomWish(name="x"), LI)
