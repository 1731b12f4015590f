"""A radio group in a call: the floor, who is heard, and what is told, with scripted time."""

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone
from fakes.talkgroups import Radio

from bridges.audio.events import FloorMoved, FloorState, FrameOut
from bridges.audio.g711 import Law
from commhub.ports.media import LegShape
from commhub.ports.voice import VoiceFrame

SECOND = 50


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


@pytest.fixture
def radio(bench):
    return Radio(bench, "r12", 1600)


@pytest.fixture
def call(bench):
    """Two phones and the group in one call."""
    phones = bench.add("one", Phone(400)), bench.add("two", Phone(700, Law.PCMA))
    bench.engine.join_group("c1", "radio", "g1")
    return phones


def moves(bench):
    return [(one.event, one.talker) for one in bench.told(FloorMoved)]


def test_a_group_is_idle_at_its_first_use_and_this_is_published(bench):
    bench.engine.join_group("c1", "radio", "g1")
    bench.tick()
    assert bench.outputs == [FloorState("g1", {"state": "idle"})]


def test_a_request_is_granted_with_a_talk_id_and_published(bench, radio):
    radio.say("request")
    bench.tick()
    assert radio.answers == [{"op": "granted", "group": "g1", "talk_id": 101, "limit_s": 60.0}]
    assert bench.told(FloorState)[-1].message == {
        "state": "taken", "talker": "radio:r12", "talk_id": 101, "limit_s": 60.0,
    }  # fmt: skip
    radio.say("release")
    bench.tick()
    assert bench.told(FloorState)[-1].message == {"state": "idle"}
    assert moves(bench) == [("taken", "radio:r12"), ("idle", None)]


def test_every_talk_has_an_id_of_its_own(bench, radio):
    ids = []
    for _ in range(3):
        radio.key()
        ids.append(radio.talk_id)
        radio.say("release")
        bench.tick()
    assert ids == [101, 102, 103]


def test_a_second_radio_is_queued_and_gets_the_floor_after(bench, radio):
    second = Radio(bench, "r13", 1100)
    radio.key()
    second.key()
    assert second.answers == [{"op": "queued", "group": "g1", "position": 1}]
    radio.say("release")
    bench.tick()
    assert second.answers[-1]["op"] == "granted"
    assert second.talk_id == radio.talk_id + 1


def test_an_emergency_takes_the_floor_from_a_radio(bench, radio):
    second = Radio(bench, "r13", 1100)
    radio.key()
    second.say("request", priority="emergency")
    bench.tick()
    assert radio.answers[-1] == {"op": "revoked", "group": "g1", "cause": "preempted"}
    assert second.answers[-1]["op"] == "granted"
    assert moves(bench)[-2:] == [("revoked", "radio:r12"), ("taken", "radio:r13")]


def test_frames_without_a_grant_are_dropped_and_counted(bench, radio):
    radio.key()
    stale = radio.frame()
    radio.say("release")
    bench.inbox.frame_received("r12", "g1", stale)
    bench.inbox.frame_received("r12", "unknown", stale)
    bench.tick()
    radio.key()
    bench.inbox.frame_received("r12", "g1", stale)
    bench.inbox.frame_received("r99", "g1", radio.frame())
    bench.tick()
    assert bench.told(FrameOut) == []
    assert bench.counts.radio_dropped == 4


def test_the_talkers_frames_are_published_once_and_as_they_are(bench, radio):
    radio.key()
    frame = radio.frame(codec="OPUS")
    bench.inbox.frame_received("r12", "g1", frame)
    bench.tick()
    assert bench.told(FrameOut) == [FrameOut("g1", frame)]


def test_the_last_word_before_the_release_is_still_published(bench, radio):
    radio.key()
    radio.speak()
    radio.say("release")
    bench.tick()
    assert len(bench.told(FrameOut)) == 1


@pytest.mark.parametrize(
    ("milliseconds", "codec"), [(20, "PCMA"), (20, "PCMU"), (60, "PCMA"), (40, "PCMU")]
)
def test_phones_hear_the_radio_and_each_other_and_not_themselves(
    bench, call, radio, milliseconds, codec
):
    one, two = call
    radio.key()
    for n in range(SECOND + 20):
        if n % (milliseconds // 20) == 0:
            radio.speak(milliseconds, codec)
        bench.run(1)
    assert one.hears(1600)
    assert two.hears(1600)
    assert one.hears(700)
    assert two.hears(400)
    assert one.lacks(400)
    assert two.lacks(700)


def test_every_call_of_the_group_hears_the_radio(bench, call, radio):
    other = bench.add("other", Phone(2300), call="c2")
    bench.engine.join_group("c2", "radio2", "g1")
    radio.key()
    for _ in range(SECOND + 10):
        radio.speak()
        bench.run(1, silent=["one", "two", "other"])
    assert call[0].hears(1600)
    assert other.hears(1600)


def test_phones_that_speak_key_the_group_and_the_radios_hear_both(bench, call, radio):
    bench.run(SECOND + 10)
    assert ("taken", "call:c1") in moves(bench)
    assert bench.told(FloorMoved)[0].calls == ("c1",)
    assert radio.level(400) > -20
    assert radio.level(700) > -20
    frames = [out.frame for out in bench.told(FrameOut)]
    assert len(frames) >= SECOND
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert {frame.timestamp - frame.sequence * 160 for frame in frames} == {0}
    assert {(frame.codec, frame.duration_ms, frame.talk_id) for frame in frames} == {
        ("PCMA", 20, 101)
    }


def test_the_floor_is_given_back_after_the_hang_time(bench, call):
    bench.run(20)
    bench.run(25, silent=["one", "two"])
    assert moves(bench) == [("taken", "call:c1")]
    bench.run(10, silent=["one", "two"])
    assert moves(bench) == [("taken", "call:c1"), ("idle", None)]


def test_a_radio_interrupts_voice_keying_and_the_phones_get_the_floor_back(bench, call, radio):
    one, _ = call
    bench.run(20)
    radio.key()
    assert ("revoked", "call:c1") in moves(bench)
    for _ in range(SECOND + 10):
        radio.speak()
        bench.run(1)
    assert one.hears(1600)
    radio.say("release")
    bench.run(30)
    assert moves(bench)[-1] == ("taken", "call:c1")


def test_while_a_radio_speaks_the_phones_are_not_sent_to_the_group(bench, call, radio):
    radio.key()
    for _ in range(SECOND + 10):
        radio.speak()
        bench.run(1)
    assert radio.level(400) < -60
    assert radio.level(1600) > -20


def test_the_dispatchers_key_interrupts_a_radio_and_holds_without_a_voice(bench, call, radio):
    radio.key()
    bench.engine.key_group("c1", "g1", True)
    bench.run(3 * SECOND, silent=["one", "two"])
    assert radio.answers[-1]["cause"] == "preempted"
    assert moves(bench)[-1] == ("taken", "call:c1")
    radio.key()
    assert radio.answers[-1]["op"] == "queued"
    bench.engine.key_group("c1", "g1", False)
    bench.tick()
    assert radio.answers[-1]["op"] == "granted"


def test_a_key_pressed_over_voice_keying_is_not_interrupted_by_a_radio(bench, call, radio):
    bench.run(20)
    bench.engine.key_group("c1", "g1", True)
    radio.key()
    assert radio.answers[-1]["op"] == "queued"


def test_an_emergency_interrupts_the_dispatcher_who_gets_it_back_after(bench, call, radio):
    bench.tick()
    bench.engine.key_group("c1", "g1", True)
    bench.tick()
    radio.say("request", priority="emergency")
    bench.tick()
    assert radio.answers[-1]["op"] == "granted"
    bench.run(5, silent=["one", "two"])
    radio.say("release")
    bench.run(30, silent=["one", "two"])
    assert moves(bench)[-1] == ("taken", "call:c1")


def test_the_talk_limit_revokes(tmp_path):
    with EngineBench(tmp_path, talk_limit_s=2.0) as bench:
        radio = Radio(bench, "r12", 1600)
        radio.key()
        for _ in range(2 * SECOND + 5):
            radio.speak()
            bench.tick()
        assert radio.answers[-1] == {"op": "revoked", "group": "g1", "cause": "talk_limit"}
        assert len(bench.told(FrameOut)) == pytest.approx(2 * SECOND, abs=2)


def test_a_radio_that_says_nothing_loses_the_floor(bench, radio):
    radio.key()
    for _ in range(5 * SECOND):
        bench.tick()
    assert radio.answers[-1] == {"op": "revoked", "group": "g1", "cause": "left"}
    assert moves(bench)[-2:] == [("revoked", "radio:r12"), ("idle", None)]


def test_the_last_will_of_the_talker_frees_the_floor(bench, radio):
    second = Radio(bench, "r13", 1100)
    radio.key()
    second.key()
    bench.inbox.device_left("r12")
    bench.tick()
    assert second.answers[-1]["op"] == "granted"


def test_the_end_of_the_call_frees_the_floor(bench, call):
    bench.run(20)
    bench.engine.release("radio")
    bench.run(1)
    assert moves(bench) == [("taken", "call:c1"), ("idle", None)]


def test_two_calls_of_a_group_hear_each_other_through_it(bench, call):
    other = bench.add("other", Phone(2300), call="c2")
    bench.engine.join_group("c2", "radio2", "g1")
    bench.run(SECOND + 20, silent=["other"])
    assert other.hears(400)
    assert other.hears(700)
    assert call[0].lacks(400)


def test_a_call_with_two_groups_patches_them(bench, radio):
    bench.add("one", Phone(400))
    bench.engine.join_group("c1", "leg1", "g1")
    bench.engine.join_group("c1", "leg2", "g2")
    far = Radio(bench, "r20", 2300, group="g2")
    radio.key()
    for _ in range(SECOND + 20):
        radio.speak()
        bench.run(1, silent=["one"])
    assert far.level(1600) > -20
    assert [move for move in moves(bench) if move[0] == "taken"] == [
        ("taken", "radio:r12"),
        ("taken", "call:c1"),
    ]


def test_a_muted_group_is_not_heard_in_the_call(bench, call, radio):
    bench.engine.shape("radio", LegShape(muted=True))
    radio.key()
    for _ in range(SECOND + 10):
        radio.speak()
        bench.run(1)
    assert call[0].lacks(1600)


def test_a_group_that_a_call_left_is_not_heard_there(bench, call, radio):
    bench.engine.release("radio")
    radio.key()
    for _ in range(SECOND + 10):
        radio.speak()
        bench.run(1)
    assert call[0].lacks(1600)
    assert len(bench.told(FrameOut)) == SECOND + 10


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"op": "request"},
        {"op": "grab", "group": "g1"},
        {"op": "request", "group": "g1", "priority": "highest"},
        {"op": "request", "group": 7},
        {"op": "request", "group": "a/#"},
    ],
    ids=str,
)
def test_what_is_no_floor_message_is_counted_and_changes_nothing(bench, message):
    bench.inbox.floor_received("r12", message)
    bench.tick()
    assert bench.counts.radio_malformed == 1
    assert bench.outputs == []


def test_an_overlong_frame_is_forwarded_and_not_played(bench, call, radio):
    radio.key()
    payload = bytes(8000)
    frame = VoiceFrame("PCMA", 200, radio.talk_id, 0, 0, payload)
    bench.inbox.frame_received("r12", "g1", frame)
    bench.run(3)
    assert bench.counts.radio_undecodable == 1
    assert bench.counts.failed_ticks == 0


def test_a_flood_of_frames_drops_the_oldest_and_counts(bench, radio):
    radio.key()
    for _ in range(9000):
        radio.bench.inbox.frame_received("r12", "g1", radio.frame())
    bench.tick()
    assert bench.counts.radio_overflow == 9000 - 8192
    assert len(bench.told(FrameOut)) == 8192


def test_radio_legs_have_meters(bench, call, radio):
    radio.key()
    for _ in range(20):
        radio.speak()
        bench.run(1, silent=["one", "two"])
    (meter,) = (m for m in bench.engine.snapshot().meters() if m.leg_id == "radio")
    assert meter.received == 20
    assert meter.call_id == "c1"
    assert meter.level_dbov == pytest.approx(-15, abs=1)


def test_an_idle_group_makes_room_for_a_new_one(bench):
    from bridges.audio.floors import MAX_GROUPS

    for n in range(MAX_GROUPS + 5):
        bench.inbox.floor_received("r12", {"op": "release", "group": f"g{n}"})
    bench.tick()
    assert bench.counts.radio_malformed == 0
    assert len(bench.engine._groups._floors.groups) == MAX_GROUPS
    assert np.all([g.floor.talker is None for g in bench.engine._groups._floors.groups.values()])
