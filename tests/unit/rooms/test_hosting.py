"""What the host does with those in a room, and they with themselves; how people are asked in."""

import pytest
from fakes.rooms import CHEN, LI, WANG, ZHANG, a_guest, desk

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from commhub.domain.room import RoomRole, SourceState, clean_name
from commhub.ports.rooms import RoomRight
from commhub.rooms.hosting import ParticipantWish, Who
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.service import RoomWish


def as_guest(invited):
    one = invited.participant
    principal = Principal(id=one.id, name=one.name, kind="guest", roles=frozenset())
    return Who(principal=principal, participant_id=one.id)


async def test_a_guest_controls_nobody_until_they_host(town):
    room = await town.open()
    first, _ = await a_guest(town, room)
    other, _ = await a_guest(town, room, "老吴")
    change, wish = town.feature.host.change, ParticipantWish(sound_muted=True)
    with pytest.raises(NotAllowedError):
        await change(room.id, other.participant.id, wish, as_guest(first))
    with pytest.raises(NotAllowedError):
        await town.feature.host.require(room.id, as_guest(first))
    await change(room.id, first.participant.id, ParticipantWish(role=RoomRole.HOST), desk())
    muted = await change(room.id, other.participant.id, wish, as_guest(first))
    assert muted.sound_muted
    await town.feature.host.require(room.id, as_guest(first))


async def test_somebody_without_calls_controls_nothing(town):
    room = await town.open()
    for who in (WANG, ZHANG):
        with pytest.raises(NotAllowedError):
            await town.feature.host.require(room.id, desk(who))
    await town.feature.host.require(room.id, desk(CHEN))


async def test_a_hand_is_raised_by_oneself_and_lowered_by_the_host(town):
    room = await town.open()
    invited, token = await a_guest(town, room)
    guest, up = invited.participant, ParticipantWish(hand_raised=True)
    with pytest.raises(ConflictError):
        await town.feature.host.change(room.id, guest.id, up, as_guest(invited))
    await town.publish(room, token=token)
    raised = await town.feature.host.change(room.id, guest.id, up, as_guest(invited))
    assert raised.hand_raised
    other, _ = await a_guest(town, room, "老吴")
    down = ParticipantWish(hand_raised=False)
    with pytest.raises(NotAllowedError):
        await town.feature.host.change(room.id, guest.id, down, as_guest(other))
    lowered = await town.feature.host.change(room.id, guest.id, down, desk())
    assert not lowered.hand_raised


async def test_a_hand_goes_down_when_its_owner_goes(town):
    room = await town.open()
    invited, token = await a_guest(town, room)
    _, session = await town.publish(room, token=token)
    await town.feature.host.change(
        room.id, invited.participant.id, ParticipantWish(hand_raised=True), as_guest(invited)
    )
    await town.feature.doors.session_closed(session, "lost")
    assert not (await town.people(room))["老周"].hand_raised


async def test_a_muted_picture_stays_muted_when_it_comes_anew(town):
    room = await town.open()
    admission, session = await town.publish(room, by=CHEN)
    await town.feature.host.change(
        room.id, admission.participant_id, ParticipantWish(picture_muted=True), desk()
    )
    assert town.video.told("mute") == [(admission.source_id, True)]
    await town.feature.doors.session_closed(session, "lost")
    await town.publish(room, by=CHEN, session="again")
    assert town.video.told("mute")[-1] == (admission.source_id, True)
    await town.feature.host.change(
        room.id, admission.participant_id, ParticipantWish(picture_muted=False), desk()
    )
    assert town.video.told("mute")[-1] == (admission.source_id, False)
    assert not (await town.source(admission.source_id)).muted


async def test_one_picture_of_two_is_muted(town):
    room = await town.open()
    camera, _ = await town.publish(room, by=CHEN)
    screen, _ = await town.publish(room, by=CHEN, source="screen")
    await town.feature.host.mute_source(room.id, screen.source_id, desk(), muted=True)
    assert (await town.source(screen.source_id)).muted
    assert not (await town.source(camera.source_id)).muted


async def test_an_order_that_fails_does_not_undo_the_hosts_word(town):
    room = await town.open()
    admission, _ = await town.publish(room, by=CHEN)
    town.video.unavailable = True
    await town.feature.host.mute_source(room.id, admission.source_id, desk(), muted=True)
    town.video.unavailable = False
    town.video.sees(room.id, admission.source_id)
    await town.feature.events.engine_came("1")
    assert town.video.told("mute") == [(admission.source_id, True)]


async def test_whoever_becomes_a_viewer_shows_nothing_any_more(town):
    room = await town.open()
    admission, session = await town.publish(room, by=CHEN)
    await town.feature.host.change(
        room.id, admission.participant_id, ParticipantWish(role=RoomRole.VIEWER), desk()
    )
    assert town.video.told("release") == [(session,)]
    assert (await town.source(admission.source_id)).state is SourceState.ENDED
    with pytest.raises(NotAllowedError):
        await town.ask(room, right=RoomRight.PUBLISH, source="camera", by=CHEN)


async def test_the_spotlight_is_on_a_source_of_the_room_or_on_nobody(town):
    room, other = await town.open(), await town.open()
    admission, _ = await town.publish(room)
    foreign, _ = await town.publish(other, session="other")
    change = town.feature.rooms.change
    await change(room.id, RoomWish(spotlight=admission.source_id), LI)
    assert town.video.told("spotlight") == [(room.id, admission.source_id)]
    await change(room.id, RoomWish(spotlight=""), LI)
    assert town.video.told("spotlight")[-1] == (room.id, None)
    with pytest.raises(NotFoundError):
        await change(room.id, RoomWish(spotlight=foreign.source_id), LI)


async def test_leaving_ends_ones_own_sessions_and_no_others(town):
    room = await town.open()
    _, mine = await town.publish(room, by=CHEN)
    await town.publish(room)
    await town.feature.host.leave(room.id, desk(CHEN))
    await town.feature.host.leave(room.id, desk(CHEN))
    assert await town.states(room) == {"li": "joined", "chen": "left"}
    assert town.video.told("release") == [(mine,)]


async def test_each_step_of_the_host_is_on_the_audit_and_the_timeline(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    admission, _ = await town.publish(room, by=CHEN)
    one = admission.participant_id
    await town.feature.host.change(room.id, one, ParticipantWish(sound_muted=True), desk())
    await town.feature.host.remove(room.id, one, desk())
    await town.feature.host.remove(room.id, one, desk())
    await town.feature.host.let_in(room.id, one, desk())
    for action in ("room.change_participant", "room.remove", "room.let_in"):
        (row,) = await town.audited(action)
        assert (row.actor, row.subject) == ("user:li", room.id)
    assert (await town.last(incident, "participant_changed"))["change"] == {"sound_muted": True}


# --- asked in ----------------------------------------------------------------------------------------------


async def test_a_responder_is_sent_a_link_by_wecom(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    invited = await town.feature.invitations.invite(room.id, NewInvitation(to="zhang"), LI)
    await town.town.send()
    (sent,) = town.town.wecom.sent
    assert sent.delivery.recipient == "wecom:zhang"
    assert sent.message.link == invited.link
    assert room.dial in sent.message.body
    assert invited.participant.name == "zhang-name"
    token = town.tokens.read(invited.link.partition("#")[2])
    assert (token.id, token.participant_id) == (
        invited.invitation.id,
        invited.participant.id,
    )
    assert invited.link.startswith(f"https://hub.test/meet/{room.id}#")


async def test_an_invitation_to_a_drill_says_so(town):
    incident = await town.incident(drill=True)
    room = await town.open(incident_id=incident.id)
    await town.feature.invitations.invite(room.id, NewInvitation(to="wecom:zhang"), LI)
    await town.town.send()
    assert town.town.wecom.sent[0].message.title.startswith("【演练】")


async def test_whoever_is_asked_again_is_the_same_guest_with_another_link(town):
    room = await town.open()
    invite = town.feature.invitations.invite
    first = await invite(room.id, NewInvitation(to="zhang"), LI)
    second = await invite(room.id, NewInvitation(to="wecom:zhang"), LI)
    assert first.participant.id == second.participant.id
    assert first.invitation.id != second.invitation.id


async def test_a_revoked_link_opens_nothing_and_the_other_one_does(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    invited, token = await a_guest(town, room)
    _, good = await a_guest(town, room, "老吴")
    for _ in range(2):
        await town.feature.invitations.revoke(room.id, invited.invitation.id, LI)
    with pytest.raises(NotAllowedError, match="revoked"):
        await town.ask(room, token=token)
    assert (await town.ask(room, token=good)).name == "老吴"
    assert (await town.kinds(incident)).count("invitation_revoked") == 1
    with pytest.raises(NotFoundError):
        await town.feature.invitations.revoke(room.id, "nobody", LI)


async def test_a_link_that_was_used_shows_when(town):
    room = await town.open()
    await a_guest(town, room)
    _, token = await a_guest(town, room, "老吴")
    town.clock.advance(60)
    await town.ask(room, token=token)
    links = await town.feature.invitations.all(room.id)
    assert [link.used_at for link in links] == [None, town.clock.now()]


@pytest.mark.parametrize("to", ["nobody", "user:nobody", "cam:nobody"])
async def test_nobody_is_asked_who_is_not_there(town, to):
    room = await town.open()
    with pytest.raises(NotFoundError):
        await town.feature.invitations.invite(room.id, NewInvitation(to=to), LI)
    assert len((await town.file(room)).participants) == 1


async def test_a_guest_has_a_name(town):
    room = await town.open()
    with pytest.raises(InvalidError):
        await town.feature.invitations.invite(room.id, NewInvitation(), LI)


async def test_a_room_that_is_over_asks_nobody_in(town):
    room = await town.open()
    await town.feature.rooms.end(room.id, LI)
    for new in (NewInvitation(name="老周"), NewInvitation(to="sip:1002")):
        with pytest.raises(ConflictError):
            await town.feature.invitations.invite(room.id, new, LI)


async def test_a_guest_says_at_the_door_who_they_are_and_not_later(town):
    room = await town.open(lobby=True)
    invited, token = await a_guest(town, room, "来宾")
    guest, change = invited.participant, town.feature.host.change
    named = await change(
        room.id, guest.id, ParticipantWish(name="  李\u202e 静\n（水务局） "), as_guest(invited)
    )
    assert named.name == "李 静 （水务局）"
    # Waiting, they may still mend it.
    assert (await town.ask(room, token=token)).waiting
    await change(room.id, guest.id, ParticipantWish(name="李静"), as_guest(invited))
    await town.feature.host.let_in(room.id, guest.id, desk())
    admission, _ = await town.publish(room, token=token)
    assert (await town.source(admission.source_id)).label == "李静"
    with pytest.raises(ConflictError):
        await change(room.id, guest.id, ParticipantWish(name="陈晨"), as_guest(invited))
    assert (await town.people(room))["李静"].id == guest.id


async def test_a_picture_has_the_name_of_a_guest_who_came_back_by_another(town):
    room = await town.open()
    invited, token = await a_guest(town, room, "来宾")
    admission, session = await town.publish(room, token=token)
    await town.feature.doors.session_closed(session, "left")
    wish = ParticipantWish(name="李静")
    await town.feature.host.change(room.id, invited.participant.id, wish, as_guest(invited))
    await town.publish(room, token=token)
    assert (await town.source(admission.source_id)).label == "李静"


async def test_nobody_names_somebody_else(town):
    room = await town.open()
    first, _ = await a_guest(town, room)
    other, _ = await a_guest(town, room, "老吴")
    wish = ParticipantWish(name="王强")
    for who in (as_guest(other), desk(), desk(WANG)):
        with pytest.raises(NotAllowedError):
            await town.feature.host.change(room.id, first.participant.id, wish, who)


@pytest.mark.parametrize("name", ["\u200b\u2066", " \n\t", "——", "名" * 65, "́́́"])
async def test_a_name_that_is_none_is_refused(town, name):
    room = await town.open()
    invited, _ = await a_guest(town, room)
    with pytest.raises(InvalidError):
        await town.feature.host.change(
            room.id, invited.participant.id, ParticipantWish(name=name), as_guest(invited)
        )


def test_a_name_stays_in_its_line():
    assert clean_name("e\u0301mile") == "émile"
    assert clean_name("z" + "\u0335" * 40 + "algo") == "z\u0335\u0335algo"
