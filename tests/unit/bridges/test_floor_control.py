"""The floor by the desk's hand, who may ask for it, and whose words are an emergency's: with ticks."""

import pytest
from fakes.rtp import EngineBench, Phone
from fakes.talkgroups import Radio

from bridges.audio.events import FloorAnswer, FloorMoved, FloorState, FrameOut
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError
from commhub.ports.media import FloorAction, RadioStanding

SECOND = 50


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        made.tick()
        yield made


@pytest.fixture
def r12(bench):
    return Radio(bench, "r12", 1600)


@pytest.fixture
def r13(bench):
    return Radio(bench, "r13", 1100)


@pytest.fixture
def call(bench):
    bench.engine.join_group("c1", "group", "g1")
    return bench.add("one", Phone(400)), bench.add("two", Phone(700))


def standing(device, *groups, emergency=False):
    return RadioStanding(device_id=device, groups=groups, emergency=emergency)


def enroll(bench, *standings, whole=True):
    bench.engine.enroll(standings, whole)


def moves(bench):
    return [(one.event, one.talker) for one in bench.told(FloorMoved)]


def revoke(bench, participant):
    bench.engine.command_floor("g1", FloorAction.REVOKE, participant)


# --- the desk's hand ---------------------------------------------------------------------------------------


def test_a_radio_whose_floor_is_revoked_is_told_and_not_heard_any_more(bench, call, r12):
    r12.key()
    r12.speak()
    bench.run(1, silent=["one", "two"])
    revoke(bench, "radio:r12")
    for _ in range(SECOND):
        r12.speak()
        bench.run(1, silent=["one", "two"])
    assert r12.answers[-1] == {"op": "revoked", "group": "g1", "cause": "dispatcher"}
    assert len(bench.told(FrameOut)) == 1
    assert bench.counts.radio_dropped == SECOND
    assert bench.told(FloorState)[-1].message == {"state": "idle"}
    moved = bench.told(FloorMoved)[1]
    assert (moved.event, moved.talker, moved.cause) == ("revoked", "radio:r12", "dispatcher")


def test_a_revoked_radio_that_asks_again_at_once_is_told_to_wait(bench, r12):
    r12.key()
    revoke(bench, "radio:r12")
    r12.key()
    assert r12.answers[-1] == {"op": "denied", "group": "g1", "cause": "retry_after"}
    bench.run(3 * SECOND)
    r12.key()
    assert r12.answers[-1]["op"] == "granted"


def test_an_emergency_can_be_revoked_too_and_the_next_in_the_queue_gets_the_floor(bench, r12, r13):
    r12.say("request", priority="emergency")
    r13.key()
    revoke(bench, "radio:r12")
    bench.tick()
    assert r13.answers[-1]["op"] == "granted"


def test_a_place_in_the_queue_can_be_revoked(bench, r12, r13):
    r12.key()
    r13.key()
    revoke(bench, "radio:r13")
    bench.tick()
    assert r13.answers[-1] == {"op": "denied", "group": "g1", "cause": "dispatcher"}
    r12.say("release")
    bench.tick()
    assert moves(bench)[-1] == ("idle", None)


def test_a_call_whose_floor_is_revoked_must_fall_silent_before_its_voice_keys_again(bench, call):
    bench.run(SECOND)
    assert moves(bench)[-1] == ("taken", "call:c1")
    revoke(bench, "call:c1")
    bench.run(4 * SECOND)
    assert moves(bench)[-1] == ("idle", None)
    bench.run(SECOND, silent=["one", "two"])
    bench.run(SECOND)
    assert moves(bench)[-1] == ("taken", "call:c1")


def test_a_dispatchers_key_is_let_go_by_the_revoke_and_may_be_pressed_anew(bench, call):
    bench.engine.key_group("c1", "g1", True)
    revoke(bench, "call:c1")
    bench.run(4 * SECOND, silent=["one", "two"])
    assert moves(bench)[-1] == ("idle", None)
    bench.engine.key_group("c1", "g1", True)
    bench.run(1, silent=["one", "two"])
    assert moves(bench)[-1] == ("taken", "call:c1")


def test_a_call_at_its_talk_limit_does_not_take_the_floor_straight_back(tmp_path):
    with EngineBench(tmp_path, talk_limit_s=2.0) as bench:
        bench.tick()
        bench.engine.join_group("c1", "group", "g1")
        bench.add("one", Phone(400)), bench.add("two", Phone(700))
        bench.run(5 * SECOND)
    assert moves(bench) == [("taken", "call:c1"), ("revoked", "call:c1"), ("idle", None)]


def test_the_desk_gives_the_floor_past_the_queue(bench, r12, r13):
    third = Radio(bench, "r14", 2000)
    for radio in (r12, r13, third):
        radio.key()
    bench.engine.command_floor("g1", FloorAction.GRANT, "radio:r14")
    bench.tick()
    assert r12.answers[-1] == {"op": "revoked", "group": "g1", "cause": "dispatcher"}
    assert third.answers[-1]["op"] == "granted"
    assert moves(bench)[-1] == ("taken", "radio:r14")
    third.speak()
    bench.tick()
    assert len(bench.told(FrameOut)) == 1


def test_the_floor_of_a_group_nobody_used_and_a_call_that_is_given_it_are_refused(bench, r12):
    with pytest.raises(NotFoundError):
        bench.engine.command_floor("elsewhere", FloorAction.REVOKE, "radio:r12")
    r12.key()
    with pytest.raises(InvalidError):
        bench.engine.command_floor("g1", FloorAction.GRANT, "call:c1")
    enroll(bench, standing("r12", "g1"))
    with pytest.raises(NotAllowedError):
        bench.engine.command_floor("g1", FloorAction.GRANT, "radio:stranger")


# --- the queue ---------------------------------------------------------------------------------------------


def test_who_waits_is_told_each_new_place_and_so_is_the_desk(bench, r12, r13):
    third = Radio(bench, "r14", 2000)
    for radio in (r12, r13, third):
        radio.key()
    assert bench.told(FloorMoved)[-1].queue == ("radio:r13", "radio:r14")
    r13.say("release")
    bench.tick()
    assert third.answers[-1] == {"op": "queued", "group": "g1", "position": 1}
    last = bench.told(FloorMoved)[-1]
    assert (last.event, last.talker, last.queue) == ("queue", "radio:r12", ("radio:r14",))
    r12.say("release")
    bench.tick()
    taken = bench.told(FloorMoved)[-1]
    assert (taken.event, taken.talker, taken.queue) == ("taken", "radio:r14", ())


def test_the_last_will_of_one_who_waits_takes_it_out_of_the_queue(bench, r12, r13):
    r12.key()
    r13.key()
    bench.inbox.device_left("r13")
    r12.say("release")
    bench.tick()
    assert moves(bench)[-1] == ("idle", None)


# --- who is who --------------------------------------------------------------------------------------------


def test_a_radio_asks_for_the_floor_of_another_group_and_is_no_member(bench, r12):
    enroll(bench, standing("r12", "g2"))
    r12.key()
    assert r12.answers == [{"op": "denied", "group": "g1", "cause": "not_member"}]
    assert bench.counts.floor_strangers == 1
    assert moves(bench) == []


def test_a_stranger_is_no_member_once_the_hub_has_told_who_is_who(bench, r12, r13):
    r12.key()
    assert r12.answers[-1]["op"] == "granted"
    enroll(bench, standing("r13", "g1"))
    bench.tick()
    assert r12.answers[-1] == {"op": "revoked", "group": "g1", "cause": "not_member"}
    r13.key()
    assert r13.answers[-1]["op"] == "granted"


def test_a_device_whose_credential_is_revoked_loses_the_floor_and_its_place(bench, r12, r13):
    enroll(bench, standing("r12", "g1"), standing("r13", "g1"))
    r12.key()
    r13.key()
    enroll(bench, standing("r13"), whole=False)
    enroll(bench, standing("r12"), whole=False)
    bench.tick()
    assert r12.answers[-1]["cause"] == "not_member"
    assert r13.answers[-1] == {"op": "denied", "group": "g1", "cause": "not_member"}
    r12.speak()
    bench.tick()
    assert bench.told(FrameOut) == []


def test_a_device_that_only_says_emergency_waits_like_any_other(bench, r12, r13):
    enroll(bench, standing("r12", "g1"), standing("r13", "g1"))
    r12.key()
    r13.say("request", priority="emergency")
    bench.tick()
    assert r13.answers[-1] == {"op": "queued", "group": "g1", "position": 1}


def test_a_device_with_an_open_sos_interrupts_without_saying_so(bench, r12, r13):
    enroll(bench, standing("r12", "g1"), standing("r13", "g1", emergency=True))
    r12.key()
    r13.key()
    assert r12.answers[-1]["cause"] == "preempted"
    assert r13.answers[-1]["op"] == "granted"


def test_a_request_that_comes_before_its_sos_is_raised_when_the_hub_knows(bench, r12, r13):
    enroll(bench, standing("r12", "g1"), standing("r13", "g1"))
    r12.key()
    r13.say("request", priority="emergency")
    bench.tick()
    enroll(bench, standing("r13", "g1", emergency=True), whole=False)
    bench.tick()
    assert r12.answers[-1]["cause"] == "preempted"
    assert r13.answers[-1]["op"] == "granted"


def test_the_dispatcher_does_not_interrupt_a_talker_whose_sos_opens_while_it_talks(
    bench, call, r12
):
    r12.key()
    enroll(bench, standing("r12", "g1", emergency=True))
    bench.engine.key_group("c1", "g1", True)
    bench.run(10, silent=["one", "two"])
    assert moves(bench)[-1][0] == "queue"
    assert bench.told(FloorMoved)[-1].talker == "radio:r12"


def test_after_the_sos_is_over_the_device_is_one_among_others(bench, r12, r13):
    enroll(bench, standing("r12", "g1"), standing("r13", "g1", emergency=True))
    enroll(bench, standing("r13", "g1"), whole=False)
    r12.key()
    r13.say("request", priority="emergency")
    bench.tick()
    assert r13.answers[-1]["op"] == "queued"


def test_before_the_hub_said_who_is_who_a_devices_own_word_counts(bench, r12, r13):
    r12.key()
    r13.say("request", priority="emergency")
    bench.tick()
    assert r13.answers[-1]["op"] == "granted"


def test_a_device_that_comes_late_finds_the_talker_retained(bench, r12):
    r12.key()
    retained = [one.message for one in bench.told(FloorState) if one.group == "g1"]
    assert retained[-1]["talker"] == "radio:r12"
    assert retained[-1]["talk_id"] == r12.talk_id
    assert all(one.device_id == "r12" for one in bench.told(FloorAnswer))
