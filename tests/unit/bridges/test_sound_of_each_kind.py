"""Prompts and recordings against each kind of leg: what is played is heard, what is said is recorded."""

import itertools
import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.leg_kinds import KINDS, Ear, FarEnd
from fakes.rtp import EngineBench

from bridges.audio.events import PlaybackEnded
from commhub.domain.errors import InvalidError
from commhub.ports.media import Playback, RecordedFile

TICKS = 70
ABSENT_DBFS = -42.0
PEOPLE = [kind for kind in KINDS if not kind.startswith("radio")]


def run(bench: EngineBench, ends: list[FarEnd], speakers: list[FarEnd], ticks: int) -> None:
    for _ in range(ticks):
        for speaker in speakers:
            speaker.speak()
        bench.tick()
        for end in ends:
            end.listen()


def heard(folder: Path, file: RecordedFile) -> Ear:
    """A recording, as an ear hears it."""
    ear = Ear()
    with wave.open(str(folder / file.path)) as wav:
        assert wav.getframerate() == file.rate
        ear.take(np.frombuffer(wav.readframes(wav.getnframes()), np.int16), file.rate)
    return ear


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_prompt_is_heard_by_each_kind_of_leg_and_by_its_neighbour_not(tmp_path, kind):
    with EngineBench(tmp_path, max_legs=32) as bench:
        listener, neighbour = KINDS[kind](1900.0), KINDS["PCMU"](1100.0)
        ends = [listener, neighbour]
        try:
            for number, end in enumerate(ends):
                end.join(bench, f"leg{number}", "c1")
            bench.engine.play(
                Playback(id="p", call_id="c1", prompt="ringback", leg_ids=("leg0",), loop=True)
            )
            run(bench, ends, [], 49)
            assert listener.ear.over_floor(450) >= 20
            assert listener.ear.level(450) > -24
            assert neighbour.ear.level(450) < ABSENT_DBFS
        finally:
            for end in ends:
                end.close()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("radio")])
def test_a_radio_group_is_nobody_to_play_a_prompt_to(tmp_path, kind):
    with EngineBench(tmp_path, max_legs=32) as bench:
        KINDS[kind](1900.0).join(bench, "leg0", "c1")
        with pytest.raises(InvalidError, match="radio group"):
            bench.engine.play(Playback(id="p", call_id="c1", prompt="beep", leg_ids=("leg0",)))
        assert bench.told(PlaybackEnded) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_kind_of_leg_says_is_in_its_own_recording_and_in_the_mixed_one(tmp_path, kind):
    with EngineBench(tmp_path, max_legs=32) as bench:
        speaker, neighbour = KINDS[kind](700.0), KINDS["PCMU"](1100.0)
        ends = [speaker, neighbour]
        try:
            bench.engine.record("c1", True, per_leg=True)
            for number, end in enumerate(ends):
                end.join(bench, f"leg{number}", "c1")
            speaker.begin()
            run(bench, ends, [speaker, neighbour], TICKS)
        finally:
            for end in ends:
                end.close()
    files = {one.leg_id: heard(tmp_path, one) for one in bench.stored}
    assert set(files) == {None, "leg0", "leg1"}
    assert files["leg0"].over_floor(700) >= 20
    assert files["leg0"].level(700) > -20
    assert files["leg0"].level(1100) < ABSENT_DBFS
    assert files["leg1"].level(700) < ABSENT_DBFS
    assert min(files[None].level(700), files[None].level(1100)) > -20


def test_a_call_that_becomes_wide_is_recorded_on_in_a_part_at_the_wide_rate(tmp_path):
    with EngineBench(tmp_path, max_legs=32) as bench:
        first, second, wide = KINDS["PCMU"](700.0), KINDS["PCMA"](1100.0), KINDS["G722"](1900.0)
        try:
            bench.engine.record("c1", True)
            first.join(bench, "leg0", "c1")
            second.join(bench, "leg1", "c1")
            run(bench, [first, second], [first, second], 60)
            wide.join(bench, "leg2", "c1")
            run(bench, [first, second, wide], [first, second, wide], 60)
            bench.engine.release("leg2")
            run(bench, [first, second], [first, second], 60)
        finally:
            for end in (first, second, wide):
                end.close()
    parts = sorted(bench.stored, key=lambda one: (one.started_at, one.rate))
    assert [one.rate for one in parts][:2] == [8000, 16000]
    assert sum(one.seconds for one in parts) == pytest.approx(3.6, abs=0.1)
    for one in parts:
        assert heard(tmp_path, one).level(700) > -20
    assert heard(tmp_path, parts[1]).level(1900) > -20
    for before, after in itertools.pairwise(parts):
        gap = after.started_at - before.started_at - before.seconds
        assert gap == pytest.approx(0, abs=0.021)


def test_a_prompt_goes_on_when_the_call_becomes_wide(tmp_path):
    with EngineBench(tmp_path, max_legs=32) as bench:
        phone, wide = KINDS["PCMU"](700.0), KINDS["Opus"](1100.0)
        try:
            phone.join(bench, "leg0", "c1")
            bench.engine.play(Playback(id="p", call_id="c1", prompt="ringback", loop=True))
            run(bench, [phone], [], 5)
            wide.join(bench, "leg1", "c1")
            run(bench, [phone, wide], [], 44)
            assert phone.ear.level(450) > -24
            assert wide.ear.level(450) > -24
            # Five seconds of ringing: silent now, and back when its time comes.
            run(bench, [phone, wide], [], 5 * 50 - 49)
            run(bench, [phone, wide], [], 49)
            assert phone.ear.level(450) > -24
        finally:
            for end in (phone, wide):
                end.close()
