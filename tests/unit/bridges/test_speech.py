"""Who speaks, told of watched legs only: beginning, end and a sign of life, however much is said."""

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone
from fakes.talkgroups import Radio

from bridges.audio.events import VoiceHeard
from bridges.audio.g711 import Law, encode
from commhub.domain.errors import NotFoundError
from commhub.ports.media import LegShape, MediaOrder

SECOND = 50


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


def heard(bench, leg):
    return [one for one in bench.told(VoiceHeard) if one.leg_id == leg]


def begins_and_ends(bench, leg):
    """What was told, without the signs of life in between."""
    told = [one.speaks for one in heard(bench, leg)]
    return [now for n, now in enumerate(told) if n == 0 or told[n - 1] != now]


def test_beginning_and_end_of_a_voice_are_told_with_its_level(bench):
    bench.add("ann", Phone(400))
    bench.add("bob", Phone(700, Law.PCMA))
    bench.engine.watch("ann", True)
    bench.run(SECOND, silent=["ann"])
    assert heard(bench, "ann") == []
    bench.run(SECOND)
    (begun,) = heard(bench, "ann")
    assert begun.speaks
    assert -30 < begun.level_dbov < -5
    bench.run(2 * SECOND, silent=["ann"])
    assert heard(bench, "ann")[-1] == VoiceHeard("ann", False, -127.0)
    assert begins_and_ends(bench, "ann") == [True, False]


def test_nobody_is_told_of_legs_that_are_not_watched_or_no_longer(bench):
    bench.add("ann", Phone(400))
    bench.add("bob", Phone(700))
    bench.run(2 * SECOND)
    assert bench.told(VoiceHeard) == []
    bench.engine.watch("ann", True)
    bench.engine.watch("ann", True)
    bench.run(2 * SECOND)
    bench.engine.watch("ann", False)
    told = len(heard(bench, "ann"))
    bench.run(2 * SECOND)
    assert len(heard(bench, "ann")) == told > 0
    assert heard(bench, "bob") == []


def test_who_goes_on_speaking_is_told_of_once_a_second(bench):
    for n in range(5):
        bench.add(f"leg{n}", Phone(400 + 100 * n))
        bench.engine.watch(f"leg{n}", True)
    bench.run(20 * SECOND)
    for n in range(5):
        assert 18 <= len(heard(bench, f"leg{n}")) <= 21


def test_a_cough_is_no_voice_and_a_pause_between_words_no_end(bench):
    bench.add("ann", Phone(400))
    bench.add("bob", Phone(700))
    bench.engine.watch("ann", True)
    bench.engine.watch("bob", True)
    for _ in range(5):
        bench.run(10, silent=["bob"])
        bench.run(SECOND, silent=["ann", "bob"])
    assert heard(bench, "ann") == []
    bench.run(SECOND)
    for _ in range(5):
        bench.run(20, silent=["bob"])
        bench.run(SECOND // 2)
    assert begins_and_ends(bench, "bob") == [True]


def test_a_noisy_line_is_nobody_and_whoever_speaks_over_it_is_heard(bench):
    phone = bench.add("ann", Phone(400))
    bench.engine.watch("ann", True)
    noise = np.random.default_rng(1)

    def line(seconds, voice):
        for _ in range(seconds * SECOND):
            hiss = noise.normal(0, 250, 160)
            said = hiss + (phone.tone.take(160) if voice else 0)
            payload = encode(np.clip(said, -32768, 32767).astype(np.int16), Law.PCMU)
            phone.send(phone.packet(payload))
            bench.tick()
            phone.listen()

    line(60, voice=False)
    bench.outputs.clear()
    line(10, voice=False)
    assert heard(bench, "ann") == []
    line(2, voice=True)
    assert begins_and_ends(bench, "ann") == [True]
    line(2, voice=False)
    assert begins_and_ends(bench, "ann") == [True, False]


def test_a_muted_leg_is_not_heard_to_speak(bench):
    bench.add("ann", Phone(400))
    bench.engine.watch("ann", True)
    bench.run(2 * SECOND)
    bench.engine.shape("ann", LegShape(muted=True))
    bench.run(2 * SECOND)
    assert begins_and_ends(bench, "ann") == [True, False]


def test_a_voice_goes_on_while_others_come_and_go_and_in_another_call(bench):
    bench.add("ann", Phone(400))
    bench.engine.watch("ann", True)
    bench.run(SECOND)
    bench.add("bob", Phone(700))
    bench.engine.watch("bob", True)
    bench.run(SECOND)
    bench.remove("bob")
    bench.run(SECOND)
    bench.engine.move("ann", "c2")
    bench.run(SECOND)
    assert begins_and_ends(bench, "ann") == [True]


def test_a_radio_that_has_the_floor_is_heard_to_speak_as_its_groups_leg(bench):
    bench.add("ann", Phone(400))
    bench.engine.join_group("c1", "radio", "g1")
    bench.engine.watch("radio", True)
    radio = Radio(bench, "r12", 1600)
    radio.key()
    for _ in range(2 * SECOND):
        radio.speak()
        bench.run(1, silent=["ann"])
    radio.say("release")
    bench.run(3 * SECOND, silent=["ann"])
    assert begins_and_ends(bench, "radio") == [True, False]


def test_a_leg_may_be_watched_before_it_is_connected_and_no_unknown_one(bench):
    bench.engine.reserve(MediaOrder(call_id="c1", leg_id="ann"))
    bench.engine.watch("ann", True)
    bench.add("ann", Phone(400))
    bench.run(SECOND)
    assert begins_and_ends(bench, "ann") == [True]
    with pytest.raises(NotFoundError):
        bench.engine.watch("nobody", True)
    bench.engine.watch("nobody", False)
