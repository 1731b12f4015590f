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
    leave,
    release,
    request,
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
    assert effects == (Queued("n2", 1),)
    assert [w.participant for w in floor.queue] == ["n2", "n1"]


def test_a_full_queue_denies_but_not_those_who_are_in_it():
    floor = with_queue(*((f"n{i}", Priority.NORMAL) for i in range(8)))
    assert request(floor, "n8", Priority.NORMAL, NOW)[1] == (Denied("n8", FloorCause.QUEUE_FULL),)
    assert request(floor, "n7", Priority.NORMAL, NOW)[1] == (Queued("n7", 8),)


def test_releasing_what_one_waits_for_leaves_the_queue():
    floor = with_queue(("n1", Priority.NORMAL), ("n2", Priority.NORMAL))
    floor, effects = release(floor, "n1", NOW)
    assert effects == ()
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


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["request", "release", "leave", "advance"]),
        st.sampled_from([f"p{i}" for i in range(12)]),
        st.sampled_from(list(Priority)),
        st.floats(0, 40),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_the_floor_stays_consistent(steps):
    floor, now, told = EMPTY, NOW, None
    for what, who, priority, seconds in steps:
        now += seconds
        if what == "request":
            floor, effects = request(floor, who, priority, now)
            assert effects
        elif what == "advance":
            floor, effects = advance(floor, now)
        else:
            floor, effects = {"release": release, "leave": leave}[what](floor, who, now)
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
