"""The floor arbiter: who may speak, who waits, who is interrupted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.floor import (
    Denied,
    Floor,
    FloorCause,
    Granted,
    Idle,
    Priority,
    Queued,
    Revoked,
    Taken,
    advance,
    grant,
    leave,
    promote,
    release,
    request,
    revoke,
)

NOW = 100.0
EMPTY = Floor(group="g1")


def held_by(talker: str, priority: Priority = Priority.NORMAL) -> Floor:
    return request(EMPTY, talker, priority, NOW)[0]


def with_queue(*waiting: tuple[str, Priority]) -> Floor:
    floor = held_by("talker", Priority.EMERGENCY)
    for participant, priority in waiting:
        floor = request(floor, participant, priority, NOW)[0]
    return floor


def test_a_free_floor_is_granted_and_the_group_is_told():
    floor, effects = request(EMPTY, "radio:r1", Priority.NORMAL, NOW)
    assert floor.talker == "radio:r1"
    assert effects == (Granted("radio:r1", 160.0), Taken("radio:r1", 160.0))


def test_a_second_radio_waits_its_turn():
    floor, effects = request(held_by("radio:r1"), "radio:r2", Priority.NORMAL, NOW)
    assert effects == (Queued("radio:r2", 1),)
    floor, effects = release(floor, "radio:r1", NOW + 5)
    assert floor.talker == "radio:r2"
    assert effects == (Granted("radio:r2", 165.0), Taken("radio:r2", 165.0))


def test_the_last_one_to_release_leaves_it_idle():
    floor, effects = release(held_by("radio:r1"), "radio:r1", NOW)
    assert floor.talker is None
    assert effects == (Idle(),)


def test_asking_again_with_the_floor_renews_nothing():
    floor, effects = request(held_by("radio:r1"), "radio:r1", Priority.NORMAL, NOW + 30)
    assert effects == (Granted("radio:r1", 160.0),)
    assert floor.until == 160.0


def test_a_talker_who_asks_with_a_higher_priority_has_it_from_then_on():
    floor = held_by("call:1", Priority.VOX)
    floor, effects = request(floor, "call:1", Priority.DISPATCHER, NOW)
    assert effects == (Granted("call:1", 160.0),)
    _, effects = request(floor, "radio:r1", Priority.NORMAL, NOW)
    assert effects == (Queued("radio:r1", 1),)


def test_a_talker_who_asks_with_a_lower_priority_keeps_the_higher():
    floor = held_by("call:1", Priority.DISPATCHER)
    assert request(floor, "call:1", Priority.VOX, NOW)[0].priority is Priority.DISPATCHER


@pytest.mark.parametrize(
    ("asking", "talking", "interrupts"),
    [
        (Priority.VOX, Priority.VOX, False),
        (Priority.NORMAL, Priority.VOX, True),
        (Priority.NORMAL, Priority.NORMAL, False),
        (Priority.DISPATCHER, Priority.VOX, True),
        (Priority.DISPATCHER, Priority.NORMAL, True),
        (Priority.DISPATCHER, Priority.DISPATCHER, False),
        (Priority.DISPATCHER, Priority.EMERGENCY, False),
        (Priority.EMERGENCY, Priority.DISPATCHER, True),
        (Priority.EMERGENCY, Priority.EMERGENCY, False),
        (Priority.VOX, Priority.EMERGENCY, False),
    ],
)
def test_who_interrupts_whom(asking, talking, interrupts):
    floor, effects = request(held_by("talker", talking), "asker", asking, NOW)
    assert (floor.talker == "asker") is interrupts
    assert (Revoked("talker", FloorCause.PREEMPTED) in effects) is interrupts


def test_who_is_interrupted_is_told_before_the_next_is_granted():
    _, effects = request(held_by("radio:r1"), "radio:r2", Priority.EMERGENCY, NOW)
    assert effects == (
        Revoked("radio:r1", FloorCause.PREEMPTED),
        Granted("radio:r2", 160.0),
        Taken("radio:r2", 160.0),
    )


def test_voice_detection_never_queues():
    floor, effects = request(held_by("radio:r1"), "call:1", Priority.VOX, NOW)
    assert effects == (Denied("call:1", FloorCause.BUSY),)
    assert floor.queue == ()


def test_a_voice_heard_while_its_key_waits_keeps_the_place_and_is_told_it():
    floor, _ = request(held_by("radio:r1"), "call:1", Priority.NORMAL, NOW)
    after, effects = request(floor, "call:1", Priority.VOX, NOW)
    assert effects == (Queued("call:1", 1),)
    assert after == floor


def test_the_queue_is_by_priority_then_by_time():
    floor = with_queue(
        ("n1", Priority.NORMAL), ("d1", Priority.DISPATCHER), ("n2", Priority.NORMAL),
        ("d2", Priority.DISPATCHER), ("e1", Priority.EMERGENCY),
    )  # fmt: skip
    assert [w.participant for w in floor.queue] == ["e1", "d1", "d2", "n1", "n2"]


def test_asking_again_keeps_the_place_in_the_queue():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    again, effects = request(floor, "n1", Priority.NORMAL, NOW)
    assert effects == (Queued("n1", 1),)
    assert again == floor


def test_asking_again_with_a_higher_priority_moves_forward():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    floor, effects = request(floor, "n2", Priority.DISPATCHER, NOW)
    assert effects == (Queued("n2", 1), Queued("n1", 2))
    assert [w.participant for w in floor.queue] == ["n2", "n1"]


def test_a_full_queue_denies_but_not_those_who_are_in_it():
    floor = with_queue(*((f"n{i}", Priority.NORMAL) for i in range(8)))
    assert request(floor, "n8", Priority.NORMAL, NOW)[1] == (Denied("n8", FloorCause.QUEUE_FULL),)
    assert request(floor, "n7", Priority.NORMAL, NOW)[1] == (Queued("n7", 8),)


def test_releasing_what_one_waits_for_leaves_the_queue_and_the_next_hears_of_it():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    floor, effects = release(floor, "n1", NOW)
    assert effects == (Queued("n2", 1),)
    assert [w.participant for w in floor.queue] == ["n2"]


def test_releasing_what_one_does_not_have_changes_nothing():
    floor = held_by("radio:r1")
    assert release(floor, "radio:r2", NOW) == (floor, ())


def test_a_talker_who_is_gone_frees_the_floor():
    floor, effects = leave(held_by("radio:r1"), "radio:r1", NOW)
    assert floor.talker is None
    assert effects == (Idle(),)


def test_the_talk_limit_passes_the_floor_on():
    floor = request(held_by("radio:r1"), "radio:r2", Priority.NORMAL, NOW)[0]
    assert advance(floor, 159.9) == (floor, ())
    floor, effects = advance(floor, 160.0)
    assert effects[0] == Revoked("radio:r1", FloorCause.TALK_LIMIT)
    assert floor.talker == "radio:r2"
    assert floor.until == 220.0


def test_time_does_nothing_to_an_idle_floor():
    assert advance(EMPTY, 1e9) == (EMPTY, ())


def test_those_who_move_up_when_the_floor_is_passed_on_hear_their_new_place():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    _, effects = release(floor, "talker", NOW)
    assert effects[-1] == Queued("n2", 1)


def test_who_lost_the_floor_to_the_limit_does_not_take_it_straight_back():
    floor, effects = advance(held_by("radio:r1"), 160.0)
    assert effects == (Revoked("radio:r1", FloorCause.TALK_LIMIT), Idle())
    denied = request(floor, "radio:r1", Priority.NORMAL, 162.9)
    assert denied == (floor, (Denied("radio:r1", FloorCause.RETRY_AFTER),))
    assert request(floor, "radio:r2", Priority.NORMAL, 160.0)[0].talker == "radio:r2"
    assert request(floor, "radio:r1", Priority.NORMAL, 163.0)[0].talker == "radio:r1"


@pytest.mark.parametrize("priority", [Priority.DISPATCHER, Priority.EMERGENCY])
def test_neither_the_desk_nor_an_emergency_is_barred(priority):
    floor = advance(held_by("radio:r1"), 160.0)[0]
    assert request(floor, "radio:r1", priority, 160.1)[0].talker == "radio:r1"


@pytest.mark.parametrize("priority", list(Priority))
def test_the_desk_takes_the_floor_from_anybody(priority):
    floor, effects = revoke(held_by("t", priority), "t", FloorCause.DISPATCHER, NOW)
    assert floor.talker is None
    assert effects == (Revoked("t", FloorCause.DISPATCHER), Idle())


def test_the_desk_takes_a_place_in_the_queue_away():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    floor, effects = revoke(floor, "n1", FloorCause.DISPATCHER, NOW)
    assert effects == (Denied("n1", FloorCause.DISPATCHER), Queued("n2", 1))
    assert [w.participant for w in floor.queue] == ["n2"]


def test_taking_from_who_has_nothing_changes_nothing():
    floor = held_by("t")
    assert revoke(floor, "other", FloorCause.DISPATCHER, NOW) == (floor, ())


def test_the_desk_gives_the_floor_past_the_queue_and_past_an_emergency():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    floor, effects = grant(floor, "n2", NOW)
    assert effects == (
        Revoked("talker", FloorCause.DISPATCHER),
        Granted("n2", 160.0),
        Taken("n2", 160.0),
    )
    assert [w.participant for w in floor.queue] == ["n1"]


def test_an_sos_that_opens_raises_who_waits_and_protects_who_talks():
    floor = request(held_by("radio:r1"), "radio:r2", Priority.NORMAL, NOW)[0]
    talking = promote(floor, "radio:r1", Priority.EMERGENCY, NOW)
    assert (talking[0].priority, talking[1]) == (Priority.EMERGENCY, ())
    raised, effects = promote(floor, "radio:r2", Priority.EMERGENCY, NOW)
    assert raised.talker == "radio:r2"
    assert effects[0] == Revoked("radio:r1", FloorCause.PREEMPTED)
    assert promote(floor, "radio:r3", Priority.EMERGENCY, NOW) == (floor, ())


NAMES = [f"p{i}" for i in range(12)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["request", "release", "leave", "advance", "revoke", "grant", "promote"]),
        st.sampled_from(NAMES),
        st.sampled_from(list(Priority)),
        st.floats(0, 40),
    ),
    max_size=60,
)


def take(floor, what, who, priority, now):
    match what:
        case "request":
            return request(floor, who, priority, now)
        case "promote":
            return promote(floor, who, priority, now)
        case "advance":
            return advance(floor, now)
        case "revoke":
            return revoke(floor, who, FloorCause.DISPATCHER, now)
        case "grant":
            return grant(floor, who, now)
        case _:
            return {"release": release, "leave": leave}[what](floor, who, now)


def walk(steps):
    """Every step with the floor before and after it."""
    floor, now = EMPTY, NOW
    for what, who, priority, seconds in steps:
        now += seconds
        before = floor
        floor, effects = take(floor, what, who, priority, now)
        yield before, what, who, priority, now, floor, effects


@given(STEPS)
def test_whatever_happens_the_floor_stays_consistent(steps):
    told = None
    for _, what, who, _, _, floor, effects in walk(steps):
        if what in {"release", "leave", "revoke"}:
            assert floor.talker != who
        for effect in effects:
            if isinstance(effect, Taken):
                told = effect.talker
            elif isinstance(effect, Idle):
                told = None
        waiting = [w.participant for w in floor.queue]
        assert floor.talker == told
        assert floor.talker not in waiting
        assert len(set(waiting)) == len(waiting) <= floor.queue_limit
        assert floor.talker is not None or not waiting
        assert [w.priority for w in floor.queue] == sorted(
            (w.priority for w in floor.queue), reverse=True
        )


@given(STEPS)
def test_every_request_is_answered_to_the_one_who_asked(steps):
    for _, what, who, _, _, floor, effects in walk(steps):
        if what != "request":
            continue
        answers = [e for e in effects if isinstance(e, Granted | Denied | Queued)]
        mine = [e for e in answers if e.participant == who]
        assert len(mine) == 1
        waiting = [w.participant for w in floor.queue]
        match mine[0]:
            case Granted():
                assert floor.talker == who
            case Queued(_, position):
                assert waiting[position - 1] == who
            case Denied():
                assert floor.talker != who
                assert who not in waiting


@given(STEPS)
def test_a_request_only_interrupts_what_it_may(steps):
    for before, what, who, priority, _, floor, _ in walk(steps):
        if what not in {"request", "promote"} or before.talker in {None, floor.talker}:
            continue
        assert floor.talker == who
        assert priority > before.priority
        assert priority is not Priority.NORMAL or before.priority is Priority.VOX


@given(STEPS)
def test_whoever_loses_the_floor_is_told_so_before_the_next_is_told_of_it(steps):
    for before, what, who, _, _, floor, effects in walk(steps):
        lost = before.talker is not None and before.talker != floor.talker
        if not lost or (what in {"release", "leave"} and who == before.talker):
            continue
        revoked = [i for i, e in enumerate(effects) if isinstance(e, Revoked)]
        after = [i for i, e in enumerate(effects) if isinstance(e, Taken | Idle)]
        assert len(revoked) == len(after) == 1
        assert effects[revoked[0]].participant == before.talker
        assert revoked[0] < after[0]


@given(STEPS)
def test_who_waits_always_knows_the_right_place(steps):
    known = {}
    for *_, floor, effects in walk(steps):
        for effect in effects:
            if isinstance(effect, Queued):
                known[effect.participant] = effect.position
        for place, waiting in enumerate(floor.queue):
            assert known[waiting.participant] == place + 1
