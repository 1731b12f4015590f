"""Who hears whom when the desk shapes legs: by tone, at engine level, with scripted time."""

import struct
from itertools import pairwise

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone
from fakes.talkgroups import Radio

from bridges.audio.events import FloorMoved
from bridges.audio.g711 import Law, decode
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.ports.media import PLAIN, LegShape, MediaOrder

SECOND = 50
TONES = {"one": 400.0, "two": 700.0, "three": 1100.0, "four": 1900.0}


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


@pytest.fixture
def legs(bench):
    """Three phones in one call."""
    laws = {"two": Law.PCMA}
    return {
        name: bench.add(name, Phone(TONES[name], laws.get(name, Law.PCMU)))
        for name in ("one", "two", "three")
    }


def heard(bench, *, ticks=SECOND + 20, also=()):
    """Who hears which voices after a while; every voice is either clearly there or clearly not."""
    bench.run(ticks)
    tones = {**TONES, **dict(also)}
    found = {}
    for listener, phone in bench.phones.items():
        found[listener] = {name for name, tone in tones.items() if phone.hears(tone)}
        for name, tone in tones.items():
            assert phone.hears(tone) or phone.lacks(tone), f"{listener} half hears {name}"
    return found


def test_before_any_shape_everybody_hears_everybody_else(bench, legs):
    assert heard(bench) == {
        "one": {"two", "three"},
        "two": {"one", "three"},
        "three": {"one", "two"},
    }


def test_a_listener_hears_all_and_is_heard_by_nobody(bench, legs):
    bench.engine.shape("three", LegShape(muted=True))
    assert heard(bench) == {"one": {"two"}, "two": {"one"}, "three": {"one", "two"}}
    bench.engine.shape("three", PLAIN)
    assert heard(bench)["one"] == {"two", "three"}


def test_a_listener_is_not_heard_for_a_single_packet_at_its_start(bench):
    one = bench.add("one", Phone(400))
    order = MediaOrder(call_id="c1", leg_id="ear", shape=LegShape(muted=True))
    ear = Phone(700)
    address = bench.engine.reserve(order)
    ear.goal = (address.host, address.port)
    bench.phones["ear"] = ear
    bench.engine.connect("ear", ear.remote())
    for _ in range(10):
        bench.run(1, silent=["one"])
        assert all(not decode(packet[12:], Law.PCMU).any() for packet in one.packets)


def test_a_held_leg_neither_hears_nor_is_heard_and_comes_back(bench, legs):
    bench.engine.shape("two", LegShape(muted=True, deaf=True))
    assert heard(bench) == {"one": {"three"}, "two": set(), "three": {"one"}}
    bench.engine.shape("two", PLAIN)
    assert heard(bench)["two"] == {"one", "three"}


def test_a_whisper_is_heard_by_one_alone_and_the_whisperer_hears_all(bench, legs):
    bench.engine.shape("three", LegShape(whispers_to=("one",)))
    assert heard(bench) == {
        "one": {"two", "three"},
        "two": {"one"},
        "three": {"one", "two"},
    }


def test_two_who_whisper_to_each_other_are_a_side_conversation(bench, legs):
    bench.add("four", Phone(TONES["four"]))
    bench.engine.shape("three", LegShape(whispers_to=("four",)))
    bench.engine.shape("four", LegShape(whispers_to=("three",)))
    assert heard(bench) == {
        "one": {"two"},
        "two": {"one"},
        "three": {"one", "two", "four"},
        "four": {"one", "two", "three"},
    }


def test_a_leg_that_hears_some_hears_those_alone(bench, legs):
    bench.engine.shape("one", LegShape(hears=("three",)))
    assert heard(bench) == {"one": {"three"}, "two": {"one", "three"}, "three": {"one", "two"}}


def test_a_whisper_reaches_who_otherwise_hears_nobody_else_but_not_the_deaf(bench, legs):
    bench.engine.shape("three", LegShape(whispers_to=("one", "two")))
    bench.engine.shape("one", LegShape(hears=()))
    bench.engine.shape("two", LegShape(deaf=True))
    found = heard(bench)
    assert (found["one"], found["two"]) == ({"three"}, set())


def test_names_of_legs_that_are_elsewhere_change_nothing_there(bench, legs):
    bench.add("four", Phone(TONES["four"]), call="c2")
    bench.engine.shape("three", LegShape(whispers_to=("four", "nobody", "three")))
    assert heard(bench) == {
        "one": {"two"},
        "two": {"one"},
        "three": {"one", "two"},
        "four": set(),
    }


def test_shapes_of_one_call_change_nothing_in_another_of_the_same_size(bench, legs):
    for n, tone in enumerate((1300, 1500, 1700)):
        bench.add(f"other{n}", Phone(tone), call="c2")
    bench.engine.shape("two", LegShape(muted=True, deaf=True))
    bench.run(SECOND + 20)
    first = bench.phones["other0"]
    assert first.hears(1500)
    assert first.hears(1700)
    assert first.lacks(1300)


def test_barging_in_is_a_leg_that_all_hear_from_then_on(bench, legs):
    bench.remove("three")
    assert heard(bench) == {"one": {"two"}, "two": {"one"}}
    bench.add("three", Phone(TONES["three"]))
    assert heard(bench) == {
        "one": {"two", "three"},
        "two": {"one", "three"},
        "three": {"one", "two"},
    }


def test_a_forced_release_leaves_the_others_talking(bench, legs):
    heard(bench)
    bench.remove("three")
    assert heard(bench) == {"one": {"two"}, "two": {"one"}}


# --- what cannot be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [
        LegShape(gain_db=20.5),
        LegShape(gain_db=float("nan")),
        LegShape(limit=True, target_dbov=0),
        LegShape(hears=tuple(map(str, range(300)))),
    ],
)
def test_a_shape_out_of_range_is_refused_and_the_leg_stays_as_it_was(bench, legs, shape):
    with pytest.raises(InvalidError):
        bench.engine.shape("one", shape)
    with pytest.raises(InvalidError):
        bench.engine.reserve(MediaOrder(call_id="c1", leg_id="new", shape=shape))
    assert heard(bench)["two"] == {"one", "three"}
    assert bench.engine.leg_count == 3


def test_an_unknown_leg_has_no_shape_and_goes_nowhere(bench):
    with pytest.raises(NotFoundError):
        bench.engine.shape("nobody", LegShape(muted=True))
    with pytest.raises(NotFoundError):
        bench.engine.move("nobody", "c2")


def test_a_leg_that_left_takes_its_shape_with_it(bench, legs):
    bench.engine.shape("two", LegShape(muted=True, gain_db=-20))
    bench.remove("two")
    bench.add("two", Phone(TONES["two"]))
    assert heard(bench)["one"] == {"two", "three"}


# --- moving ------------------------------------------------------------------------------------------------


def streams(phone, packets):
    """Sequence numbers, timestamps and sources of what a phone was sent."""
    heads = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    return [h[2] for h in heads], [h[3] for h in heads], {h[4] for h in heads}


def test_a_moved_leg_hears_the_other_call_without_a_gap_in_its_stream(bench, legs):
    bench.add("four", Phone(TONES["four"]), call="c2")
    packets = []
    for n in range(2 * SECOND):
        if n == SECOND:
            address = bench.engine.reserve(MediaOrder(call_id="c1", leg_id="two"))
            bench.engine.move("two", "c2")
            assert bench.engine.reserve(MediaOrder(call_id="c2", leg_id="two")) == address
        bench.run(1)
        packets += legs["two"].packets
    sequences, timestamps, sources = streams(legs["two"], packets)
    assert len(packets) == 2 * SECOND
    assert {(b - a) & 0xFFFF for a, b in pairwise(sequences)} == {1}
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(timestamps)} == {160}
    assert len(sources) == 1
    assert heard(bench) == {
        "one": {"three"},
        "three": {"one"},
        "two": {"four"},
        "four": {"two"},
    }


def test_a_moved_voice_is_heard_in_one_call_or_the_other_in_every_single_tick(bench):
    """No tick of silence and none in both: the voice that leaves one call is in the other at once."""
    mover = Phone(TONES["one"])
    ears = {name: Phone(TONES["two"]) for name in ("here", "there")}
    bench.add("mover", mover, call="c1")
    bench.add("here", ears["here"], call="c1")
    bench.add("there", ears["there"], call="c2")
    bench.add("filler", Phone(TONES["three"]), call="c2")
    for n in range(40):
        if n == 20:
            bench.engine.move("mover", "c2")
        bench.run(1, silent=["here", "there", "filler"])
        loud = [np.abs(decode(ear.packets[0][12:], Law.PCMU)).max() > 5000 for ear in ears.values()]
        if n > 3:
            assert loud == ([True, False] if n < 20 else [False, True])


def test_the_voice_of_a_moved_leg_has_no_jump_beyond_its_own(bench):
    mover, ear = Phone(TONES["two"]), Phone(TONES["one"])
    bench.add("mover", mover, call="c1")
    bench.add("ear", ear, call="c1")
    samples = []
    for n in range(40):
        if n == 20:
            # Both go, one after the other, between two ticks.
            bench.engine.move("mover", "c2")
            bench.engine.move("ear", "c2")
        bench.run(1, silent=["ear"])
        samples += [decode(packet[12:], Law.PCMU) for packet in ear.packets]
    jumps = np.abs(np.diff(np.concatenate(samples[5:]).astype(int)))
    assert jumps.max() < 32767 * 10 ** (-12 / 20) * 2 * np.pi * 700 / 8000 + 300


def test_moving_to_the_call_one_is_in_changes_nothing(bench, legs):
    bench.engine.move("two", "c1")
    bench.engine.move("two", "c1")
    assert heard(bench)["two"] == {"one", "three"}


def test_a_shape_goes_with_its_leg(bench, legs):
    bench.add("four", Phone(TONES["four"]), call="c2")
    bench.engine.shape("two", LegShape(muted=True))
    bench.engine.move("two", "c2")
    found = heard(bench)
    assert found["four"] == set()
    assert found["two"] == {"four"}


def test_an_emptied_call_ends_its_recording_and_the_other_call_has_its_own(bench, legs):
    bench.add("four", Phone(TONES["four"]), call="c2")
    bench.engine.record("c1", True)
    bench.engine.record("c2", True)
    bench.run(SECOND)
    for leg in ("one", "two", "three"):
        bench.engine.move(leg, "c2")
    bench.run(SECOND)
    bench.engine.record("c2", False)
    bench.recorder.close()
    seconds = {one.call_id: one.seconds for one in bench.stored}
    assert seconds["c1"] == pytest.approx(1, abs=0.1)
    assert seconds["c2"] == pytest.approx(2, abs=0.1)
    assert heard(bench)["four"] == {"one", "two", "three"}


def test_all_legs_of_a_call_moved_is_two_calls_merged(bench, legs):
    bench.add("four", Phone(TONES["four"]), call="c2")
    for leg in ("one", "two", "three"):
        bench.engine.move(leg, "c2")
    everybody = set(TONES)
    assert heard(bench) == {name: everybody - {name} for name in TONES}


# --- groups ------------------------------------------------------------------------------------------------


def speak(bench, radio, ticks=SECOND + 20, silent=()):
    for _ in range(ticks):
        radio.speak()
        bench.run(1, silent=silent)


@pytest.fixture
def group(bench, legs):
    bench.engine.join_group("c1", "group", "g1")
    return Radio(bench, "r12", 1600)


def test_a_muted_group_is_not_heard_and_a_deaf_one_is_not_spoken_to(bench, legs, group):
    bench.engine.shape("group", LegShape(muted=True, deaf=True))
    bench.run(SECOND)
    assert bench.told(FloorMoved) == []
    group.key()
    speak(bench, group)
    assert legs["one"].lacks(1600)
    bench.engine.shape("group", PLAIN)
    speak(bench, group)
    assert legs["one"].hears(1600)


def test_a_leg_that_hears_phones_only_does_not_hear_the_radio(bench, legs, group):
    bench.engine.shape("one", LegShape(hears=("two", "three")))
    group.key()
    speak(bench, group)
    assert legs["one"].lacks(1600)
    assert legs["one"].hears(700)
    assert legs["two"].hears(1600)
    bench.engine.shape("one", LegShape(hears=("group",)))
    speak(bench, group)
    assert legs["one"].hears(1600)
    assert legs["one"].lacks(700)


def test_a_whisper_to_a_group_is_heard_by_its_radios_alone(bench, legs, group):
    bench.engine.shape("three", LegShape(whispers_to=("group",)))
    bench.run(2 * SECOND, silent=["one", "two"])
    assert group.level(TONES["three"]) > -20
    assert legs["one"].lacks(TONES["three"])


def test_a_group_that_hears_one_leg_is_keyed_by_that_one_alone(bench, legs, group):
    bench.engine.shape("group", LegShape(hears=("three",)))
    bench.run(SECOND, silent=["three"])
    assert bench.told(FloorMoved) == []
    bench.run(2 * SECOND)
    assert group.level(TONES["three"]) > -20
    assert group.level(TONES["one"]) < -42


def test_a_group_that_whispers_is_heard_by_one_leg_alone(bench, legs, group):
    bench.engine.shape("group", LegShape(whispers_to=("two",)))
    group.key()
    speak(bench, group)
    assert legs["two"].hears(1600)
    assert legs["one"].lacks(1600)


def test_a_group_louder_by_its_gain(bench, legs, group):
    group.key()
    speak(bench, group, silent=["one", "two", "three"])
    before = legs["one"].meter.levels([1600])["1600"]
    bench.engine.shape("group", LegShape(gain_db=6))
    speak(bench, group, silent=["one", "two", "three"])
    assert legs["one"].meter.levels([1600])["1600"] - before == pytest.approx(6, abs=0.5)


def test_a_group_moves_to_another_call_while_its_radio_speaks(bench, legs, group):
    four = bench.add("four", Phone(TONES["four"]), call="c2")
    group.key()
    speak(bench, group, 20, silent=list(TONES))
    bench.engine.move("group", "c2")
    for _ in range(SECOND + 20):
        group.speak()
        bench.run(1, silent=list(TONES))
        # From the very next tick on: what waited in the ring came along.
        assert np.abs(decode(four.packets[-1][12:], Law.PCMU)).max() > 5000
    assert legs["one"].lacks(1600)
    assert {one.call_id for one in bench.engine.snapshot().meters() if one.leg_id == "group"} == {
        "c2"
    }


def test_two_groups_of_one_call_are_patched_both_ways(bench):
    bench.engine.join_group("c1", "left", "g1")
    bench.engine.join_group("c1", "right", "g2")
    here, there = Radio(bench, "r1", 1600), Radio(bench, "r2", 2300, group="g2")
    here.key()
    speak(bench, here)
    assert there.level(1600) > -20
    here.say("release")
    bench.run(SECOND)
    there.key()
    speak(bench, there)
    assert here.level(2300) > -20
