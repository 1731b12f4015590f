"""What is legal in rooms, who may see which picture, and what a roll-call makes of what it found."""

import pytest
from fakes.clock import START

from commhub.domain.errors import IllegalMoveError, InvalidError
from commhub.domain.people import Endpoint, Role
from commhub.domain.roll_call import Check, RollCallItem, Verdict, judge
from commhub.domain.room import (
    PARTICIPANT_MOVES,
    SOURCE_MOVES,
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomRole,
    RoomState,
    Source,
    SourceKind,
    SourceState,
    kind_of,
    may_enter,
    move_participant,
    move_source,
    must_wait,
)
from commhub.domain.room_records import check_layout
from commhub.domain.viewing import VIEWING, Scope, may_view, scope_of


def a_room(**given):
    defaults = {"id": "r", "number": "1234", "name": "n", "created_at": START, "created_by": "x"}
    return Room(**defaults | given)


def somebody(**given):
    defaults = {
        "id": "p",
        "room_id": "r",
        "kind": ParticipantKind.GUEST,
        "name": "老周",
        "created_at": START,
    }
    return Participant(**defaults | given)


def a_source(**given):
    defaults = {
        "id": "s",
        "room_id": "r",
        "participant_id": "p",
        "kind": SourceKind.BODYCAM,
        "label": "b7",
        "created_at": START,
    }
    return Source(**defaults | given)


@pytest.mark.parametrize("before", ParticipantState)
@pytest.mark.parametrize("after", ParticipantState)
def test_a_participant_moves_as_the_table_says(before, after):
    one = somebody(state=before)
    if after is before:
        assert move_participant(one, after, START) is one
    elif after in PARTICIPANT_MOVES[before]:
        assert move_participant(one, after, START).state is after
    else:
        with pytest.raises(IllegalMoveError):
            move_participant(one, after, START)


@pytest.mark.parametrize("before", SourceState)
@pytest.mark.parametrize("after", SourceState)
def test_a_source_moves_as_the_table_says(before, after):
    source = a_source(state=before)
    if after is before:
        assert move_source(source, after, START) is source
    elif after in SOURCE_MOVES[before]:
        assert move_source(source, after, START).state is after
    else:
        with pytest.raises(IllegalMoveError):
            move_source(source, after, START)


def test_all_visits_count_for_the_time_somebody_was_there(clock):
    one = move_participant(somebody(), ParticipantState.JOINED, clock.now())
    first = clock.now()
    one = move_participant(one, ParticipantState.LEFT, clock.advance(60))
    one = move_participant(one, ParticipantState.JOINED, clock.advance(600))
    assert one.attended_s(clock.advance(30)) == 90
    assert (one.first_joined_at, one.present_s) == (first, 60)


def test_only_the_host_brings_back_who_was_removed():
    removed = somebody(state=ParticipantState.REMOVED)
    assert PARTICIPANT_MOVES[removed.state] == {ParticipantState.INVITED}
    assert not may_enter(a_room(), removed)


def test_a_locked_room_lets_in_hosts_and_who_was_there():
    locked = a_room(locked=True)
    assert not may_enter(locked, somebody())
    assert may_enter(locked, somebody(first_joined_at=START))
    assert may_enter(locked, somebody(role=RoomRole.HOST))
    assert not may_enter(a_room(state=RoomState.ENDED), somebody(role=RoomRole.HOST))


def test_the_waiting_room_is_for_whoever_was_not_let_in():
    lobby = a_room(lobby=True)
    assert must_wait(lobby, somebody())
    assert not must_wait(lobby, somebody(admitted=True))
    assert not must_wait(lobby, somebody(role=RoomRole.HOST))
    assert not must_wait(a_room(), somebody())


@pytest.mark.parametrize(
    ("address", "kind"),
    [("sip:1001", "phone"), ("tel:+86110", "phone"), ("radio:p1", "radio"), ("cam:b7", "camera")],
)
def test_what_an_address_is_in_a_room(address, kind):
    assert kind_of(Endpoint.parse(address)) == kind


def test_every_role_has_a_line_in_the_table_of_who_may_see():
    assert set(VIEWING) == set(Role)


@pytest.mark.parametrize("role", [Role.DISPATCHER, Role.DUTY_LEADER, Role.COMMANDER])
def test_the_desk_sees_every_department(role):
    assert may_view(a_source(unit_id="u9"), frozenset({role}), None, takes_part=False)


@pytest.mark.parametrize("role", [Role.RESPONDER, Role.VIEWER])
def test_others_see_their_own_department_and_what_is_nobodys(role):
    roles = frozenset({role})
    assert may_view(a_source(unit_id="u1"), roles, "u1", takes_part=False)
    assert may_view(a_source(unit_id=None), roles, "u1", takes_part=False)
    assert not may_view(a_source(unit_id="u2"), roles, "u1", takes_part=False)
    assert not may_view(a_source(unit_id="u2"), roles, None, takes_part=False)


@pytest.mark.parametrize(
    "role", [Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN, Role.INTEGRATION]
)
def test_who_administers_sees_nothing_but_where_they_take_part(role):
    roles = frozenset({role})
    assert not may_view(a_source(), roles, "u1", takes_part=False)
    assert may_view(a_source(unit_id="u2"), roles, None, takes_part=True)


def test_of_several_roles_the_widest_counts():
    assert scope_of(frozenset({Role.VIEWER, Role.COMMANDER})) is Scope.ALL
    assert scope_of(frozenset()) is Scope.INVITED


def an_item(**given):
    defaults = {
        "id": "i",
        "roll_call_id": "c",
        "participant_id": "p",
        "name": "老周",
        "called_at": START,
    }
    return RollCallItem(**defaults | given)


@pytest.mark.parametrize(
    ("found", "early", "late"),
    [
        ({}, Verdict.PENDING, Verdict.ABSENT),
        ({"answered_at": START}, Verdict.PRESENT, Verdict.PRESENT),
        (
            {"answered_at": START, "picture": Check.PENDING, "voice": Check.GOOD},
            Verdict.PENDING,
            Verdict.FAULTY,
        ),
        (
            {"answered_at": START, "picture": Check.GOOD, "voice": Check.GOOD},
            Verdict.PRESENT,
            Verdict.PRESENT,
        ),
        ({"voice": Check.PENDING}, Verdict.PENDING, Verdict.ABSENT),
    ],
)
def test_a_roll_call_waits_for_what_is_not_good_until_its_time_is_up(found, early, late):
    assert judge(an_item(**found), last_chance=False) is early
    assert judge(an_item(**found), last_chance=True) is late


@pytest.mark.parametrize(
    ("columns", "tiles"),
    [
        (1, ()),
        (1, tuple(f"cam:{n}" for n in range(17))),
        (3, ("cam:1",)),
        (0, ("cam:1",)),
        (2, ("cam:1", "cam:1")),
    ],
)
def test_what_no_wall_can_show_is_refused(columns, tiles):
    with pytest.raises(InvalidError):
        check_layout(columns, tiles)


def test_a_wall_may_have_empty_tiles():
    check_layout(4, ("cam:1", "", "", "cam:2"))
