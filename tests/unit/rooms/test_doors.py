"""Who comes into a room, as whom, and what of it they may send, see and hear."""

import pytest
from fakes.rooms import CHEN, HOUR, LI, WANG, ZHANG, a_guest, desk
from fakes.web import someone

from commhub.domain.call import Cause
from commhub.domain.errors import (
    ConflictError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.incident import Stage
from commhub.domain.people import Role
from commhub.domain.room import ParticipantState, RoomMode, RoomRole, SourceKind, SourceState
from commhub.domain.room_facts import SpeakerMoved
from commhub.ports.rooms import Asking, RoomRight, RoomSession, RoomToken
from commhub.ports.video import Layer
from commhub.rooms.service import RoomWish

PUBLISH = RoomRight.PUBLISH


def a_token(room, *rights, **more):
    claims = {
        "id": "obs-1",
        "room_id": room.id,
        "rights": rights or (PUBLISH,),
        "expires_at": 4_000_000_000,
        "made_by": "user:li",
    }
    return RoomToken(**claims | more)


async def test_a_room_has_a_call_a_number_and_its_host(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    assert (len(room.number), room.dial) == (4, f"8{room.number}")
    (host,) = (await town.file(room)).participants
    assert (host.role, host.account, host.state) == (
        RoomRole.HOST,
        "user:li",
        ParticipantState.INVITED,
    )
    call = (await town.calls.get(room.call_id)).call
    assert (call.room_id, call.incident_id, call.is_live) == (room.id, incident.id, True)
    assert await town.kinds(incident) == ["room_opened"]


async def test_a_room_of_an_incident_that_is_over_is_refused(town):
    incident = await town.incident(stage=Stage.CLOSED)
    with pytest.raises(ConflictError):
        await town.open(incident_id=incident.id)


async def test_a_room_of_a_drill_is_a_drill(town):
    incident = await town.incident(drill=True)
    assert (await town.open(incident_id=incident.id)).drill


async def test_nobody_is_there_by_asking(town):
    room = await town.open()
    admission = await town.ask(room, right=PUBLISH, source="camera")
    assert (await town.states(room))["li"] == "invited"
    assert (admission.may_talk, admission.may_hear, admission.waiting) == (True, True, False)


async def test_who_publishes_is_there_until_the_session_ends(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    admission, session = await town.publish(room)
    assert (await town.states(room))["li"] == "joined"
    source = await town.source(admission.source_id)
    assert (source.state, source.codec, source.layers) == (
        SourceState.LIVE,
        "H264",
        ("main", "sub"),
    )
    await town.feature.doors.session_closed(session, "left")
    assert (await town.states(room))["li"] == "left"
    assert (await town.source(source.id)).state is SourceState.ENDED
    moved = ["participant_moved", "source_moved"]
    assert await town.kinds(incident) == [
        "room_opened",
        "source_moved",
        *moved,
        "source_moved",
        "participant_moved",
    ]


async def test_coming_back_is_being_the_same_participant_with_the_same_source(town):
    room = await town.open()
    first, session = await town.publish(room)
    await town.feature.doors.session_closed(session, "left")
    town.clock.advance(60)
    again, _ = await town.publish(room, session="second")
    assert (again.participant_id, again.source_id) == (first.participant_id, first.source_id)
    assert (await town.states(room))["li"] == "joined"


async def test_a_screen_is_a_second_source_without_a_voice(town):
    room = await town.open()
    camera, _ = await town.publish(room)
    screen, _ = await town.publish(room, source="screen")
    assert screen.is_screen
    assert not screen.may_talk
    assert screen.participant_id == camera.participant_id
    assert (await town.source(screen.source_id)).kind is SourceKind.SCREEN


async def test_a_sub_stream_brings_no_second_voice(town):
    room = await town.open()
    sub = await town.ask(room, right=PUBLISH, source="camera", layer=Layer.SUB)
    assert not sub.may_talk
    assert sub.max_kbps < 8_000


async def test_the_participants_leg_is_in_the_rooms_call_and_one(town):
    room = await town.open()
    admission = await town.ask(room, right=PUBLISH, source="camera")
    first = await town.feature.doors.seat(room.id, admission.participant_id)
    second = await town.feature.doors.seat(room.id, admission.participant_id)
    assert first == second
    (leg,) = await town.legs(room)
    assert (leg.id, str(leg.endpoint), leg.call_id) == (
        first.leg_id,
        f"room:{admission.participant_id}",
        room.call_id,
    )


async def test_a_meeting_whose_call_the_desk_ended_gets_another(town):
    room = await town.open()
    admission = await town.ask(room, right=PUBLISH, source="camera")
    await town.calls.end(room.call_id, LI)
    seat = await town.feature.doors.seat(room.id, admission.participant_id)
    assert seat.call_id != room.call_id
    assert (await town.room(room)).call_id == seat.call_id


async def test_a_room_that_nobody_is_in_goes_on(town):
    room = await town.open()
    _, session = await town.publish(room, sound=True)
    (leg,) = await town.legs(room)
    await town.feature.doors.session_closed(session, "left")
    await town.calls.leg_ended(leg.id, Cause.HUNG_UP, None)
    assert (await town.calls.get(room.call_id)).call.is_live
    await town.follow()
    assert (await town.states(room))["li"] == "left"


# --- who may -----------------------------------------------------------------------------------------------


async def test_the_desk_takes_part_in_any_meeting_and_others_only_invited(town):
    room = await town.open()
    assert (await town.ask(room, by=CHEN)).name == "chen"
    for outsider in (WANG, ZHANG):
        with pytest.raises(NotAllowedError, match="not invited"):
            await town.ask(room, by=outsider)


async def test_a_room_nobody_has_or_that_is_over_is_not_found(town):
    room = await town.open()
    await town.feature.rooms.end(room.id, LI)
    with pytest.raises(NotFoundError):
        await town.ask(room)
    with pytest.raises(NotFoundError):
        await town.feature.doors.admit(
            Asking(room="nobody", right=RoomRight.VIEW, source="speaker", principal=LI)
        )


async def test_a_token_opens_its_room_by_its_rights_and_no_other(town):
    room, other = await town.open(), await town.open()
    token = town.tokens.sign(a_token(room))
    assert (await town.ask(room, right=PUBLISH, source="camera", token=token)).name == "obs-1"
    with pytest.raises(NotAllowedError, match="does not allow"):
        await town.ask(room, token=token)
    with pytest.raises(NotAllowedError, match="another room"):
        await town.ask(other, right=PUBLISH, source="camera", token=token)


async def test_one_token_is_one_participant(town):
    room = await town.open()
    token = town.tokens.sign(a_token(room))
    once = await town.ask(room, right=PUBLISH, source="camera", token=token)
    twice = await town.ask(room, right=PUBLISH, source="camera", token=token)
    assert once.participant_id == twice.participant_id


async def test_a_token_for_one_source_shows_no_other(town):
    room = await town.open()
    mine, _ = await town.publish(room)
    token = town.tokens.sign(a_token(room, RoomRight.VIEW, source_id=mine.source_id))
    assert (await town.ask(room, source=mine.source_id, token=token)).source_id == mine.source_id
    with pytest.raises(NotAllowedError, match="another source"):
        await town.ask(room, token=token)


async def test_a_token_for_a_lower_layer_gives_no_better_one(town):
    room = await town.open()
    mine, _ = await town.publish(room)
    token = town.tokens.sign(a_token(room, RoomRight.VIEW, layer=Layer.SUB))
    assert (await town.ask(room, source=mine.source_id, token=token, layer=Layer.SUB)).layer == 1
    with pytest.raises(NotAllowedError, match="lower layer"):
        await town.ask(room, source=mine.source_id, token=token)


async def test_viewers_show_nothing(town):
    room = await town.open()
    _, token = await a_guest(town, room, role=RoomRole.VIEWER)
    assert (await town.ask(room, token=token)).may_hear
    with pytest.raises(NotAllowedError):
        await town.ask(room, right=PUBLISH, source="camera", token=token)


async def test_nobody_publishes_as_somebody_elses_source(town):
    room = await town.open()
    mine, _ = await town.publish(room)
    with pytest.raises(NotFoundError):
        await town.ask(room, right=PUBLISH, source=mine.source_id, by=CHEN)


async def test_a_locked_room_keeps_its_people_and_takes_no_new_ones(town):
    room = await town.open()
    _, session = await town.publish(room, by=CHEN)
    await town.feature.rooms.change(room.id, RoomWish(locked=True), LI)
    await town.feature.doors.session_closed(session, "lost")
    await town.publish(room, by=CHEN, session="again")
    _, token = await a_guest(town, room)
    with pytest.raises(NotAllowedError, match="locked"):
        await town.ask(room, token=token)


async def test_a_removed_guest_does_not_come_back_by_the_link(town):
    room = await town.open()
    invited, token = await a_guest(town, room)
    admission, session = await town.publish(room, token=token)
    await town.feature.host.remove(room.id, invited.participant.id, desk())
    assert session in [one for (one,) in town.video.told("release")]
    with pytest.raises(NotAllowedError):
        await town.ask(room, token=token)
    with pytest.raises(NotAllowedError):
        await town.feature.doors.session_opened(
            RoomSession(
                session_id="late",
                room_id=room.id,
                participant_id=admission.participant_id,
                right=PUBLISH,
                source_id=admission.source_id,
            )
        )


# --- the waiting room --------------------------------------------------------------------------------------


async def test_a_guest_waits_until_the_host_lets_them_in(town):
    incident = await town.incident()
    room = await town.open(lobby=True, incident_id=incident.id)
    invited, token = await a_guest(town, room)
    assert (await town.ask(room, token=token)).waiting
    assert (await town.states(room))["老周"] == "waiting"
    await town.feature.host.let_in(room.id, invited.participant.id, desk())
    admission = await town.ask(room, right=PUBLISH, source="camera", token=token)
    assert not admission.waiting
    await town.publish(room, token=token)
    assert (await town.states(room))["老周"] == "joined"
    assert (await town.last(incident, "participant_moved"))["state"] == "joined"


async def test_who_is_not_let_in_has_nothing_more_to_ask(town):
    room = await town.open(lobby=True)
    invited, token = await a_guest(town, room)
    await town.ask(room, token=token)
    await town.feature.host.remove(room.id, invited.participant.id, desk())
    with pytest.raises(NotAllowedError):
        await town.ask(room, token=token)


async def test_a_waiting_guest_has_no_seat(town):
    room = await town.open(lobby=True)
    invited, token = await a_guest(town, room)
    await town.ask(room, token=token)
    with pytest.raises(NotAllowedError):
        await town.feature.doors.seat(room.id, invited.participant.id)


async def test_without_a_waiting_room_nobody_waits_in_it(town):
    room = await town.open(lobby=True)
    _, token = await a_guest(town, room)
    await town.ask(room, token=token)
    await town.feature.rooms.change(room.id, RoomWish(lobby=False), LI)
    assert (await town.states(room))["老周"] == "invited"
    assert not (await town.ask(room, token=token)).waiting


# --- sessions ----------------------------------------------------------------------------------------------


async def test_sessions_are_found_by_id_and_by_leg_until_they_end(town):
    room = await town.open()
    admission, session = await town.publish(room, sound=True)
    doors = town.feature.doors
    (leg,) = await town.legs(room)
    found = await doors.find_session(session)
    assert (found.source_id, found.leg_id, found.right) == (admission.source_id, leg.id, PUBLISH)
    assert [one.session_id for one in await doors.sessions_of(leg.id)] == [session]
    await doors.session_closed(session, "left")
    await doors.session_closed(session, "left")
    assert await doors.sessions_of(leg.id) == []
    with pytest.raises(NotFoundError):
        await doors.find_session(session)
    await doors.session_closed("never-heard-of", "left")


async def test_of_two_streams_of_a_source_the_last_one_ends_it(town):
    room = await town.open()
    admission, main = await town.publish(room)
    await town.publish(room, session="sub", layer=Layer.SUB)
    await town.feature.doors.session_closed(main, "lost")
    assert (await town.source(admission.source_id)).state is SourceState.LIVE
    await town.feature.doors.session_closed("sub", "lost")
    assert (await town.source(admission.source_id)).state is SourceState.ENDED


async def test_a_session_that_is_said_again_began_when_it_began(town):
    room = await town.open()
    admission, session = await town.publish(room)
    began = town.clock.now()
    town.clock.advance(100)
    await town.publish(room, session=session)
    async with town.store.read() as uow:
        assert (await uow.rooms.find_session(session)).opened_at == began
    assert len(await town.audited("room.publish")) == 1
    assert admission.source_id


async def test_whether_an_id_is_a_rooms(town):
    room = await town.open()
    assert await town.feature.doors.is_room(room.id)
    assert not await town.feature.doors.is_room(room.call_id)
    await town.feature.rooms.end(room.id, LI)
    assert await town.feature.doors.is_room(room.id)


# --- pictures of departments -------------------------------------------------------------------------------


async def test_a_cameras_picture_is_for_its_own_department_and_the_desk(town):
    file = await town.open_live()
    (source,) = file.sources
    assert source.unit_id == "u1"
    await _comes(town, file, source)
    assert (await town.ask(file.room, source=source.id, by=LI)).source_id == source.id
    assert (await town.ask(file.room, source=source.id, by=ZHANG)).source_id == source.id
    with pytest.raises(NotAllowedError, match="another department"):
        await town.ask(file.room, source=source.id, by=WANG)


async def test_who_watches_is_on_the_audit_and_not_on_the_timeline(town):
    file = await town.open_live()
    (source,) = file.sources
    await _comes(town, file, source)
    await town.view(file.room, source.id, by=ZHANG)
    (row,) = await town.audited("room.view")
    assert (row.actor, row.subject) == ("user:zhang", source.id)


async def test_an_administrator_watches_nobody(town):
    file = await town.open_live()
    (source,) = file.sources
    await _comes(town, file, source)
    with pytest.raises(NotAllowedError):
        await town.ask(file.room, source=source.id, by=someone(Role.SYSTEM_ADMIN, name="root"))


async def test_in_a_live_view_nobody_speaks(town):
    file = await town.open_live()
    with pytest.raises(InvalidError):
        await town.ask(file.room)


async def test_the_live_view_of_a_camera_is_one_room(town):
    first, second = await town.open_live(), await town.open_live(by=CHEN)
    assert first.room.id == second.room.id
    assert (first.room.mode, first.room.call_id) == (RoomMode.LIVE, None)


async def test_only_cameras_have_a_live_view(town):
    with pytest.raises(NotFoundError):
        await town.open_live("nobody")


async def test_a_picture_that_has_not_come_is_to_be_asked_for_again(town):
    room = await town.open()
    admission, _ = await town.publish(room, live=False)
    with pytest.raises(UnavailableError):
        await town.ask(room, source=admission.source_id, by=CHEN)


async def _comes(town, file, source):
    """The camera sends, as it was asked to."""
    with pytest.raises(UnavailableError):
        await town.ask(file.room, source=source.id)
    token = town.commands("live.start")[-1].args["token"]
    await town.publish(file.room, source=source.id, token=token)


async def test_the_speaker_is_told_to_the_desks_and_kept_nowhere(town):
    room = await town.open()
    admission, _ = await town.publish(room)
    with town.bus.subscribe() as facts:
        for _ in range(2):
            await town.feature.events.speaker_moved(room.id, admission.source_id)
        await town.feature.events.speaker_moved(room.id, None)
        told = [await facts.get() for _ in range(2)]
    assert [(type(one), one.source_id) for one in told] == [
        (SpeakerMoved, admission.source_id),
        (SpeakerMoved, None),
    ]
    assert told[0].incident_id is None


async def test_an_invitation_is_good_for_its_time(town):
    room = await town.open()
    _, token = await a_guest(town, room)
    claims = town.tokens.read(token)
    town.clock.advance(25 * HOUR.total_seconds())
    assert town.tokens.read(token) is None
    with pytest.raises(NotAllowedError, match="time is over"):
        await town.feature.doors.admit(
            Asking(room=room.id, right=RoomRight.VIEW, source="speaker", token=claims)
        )
