"""What a call's recordings sound like: mixed and per leg, by tone."""

import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone

from commhub.ports.media import LegShape, RecordedFile
from simulators.tones import ToneMeter

SECOND = 50
TONES = {"one": 400.0, "two": 700.0, "three": 1100.0}


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return samples, file.getframerate()


def levels(folder: Path, file: RecordedFile, begin_s: float = 0.0) -> dict[str, float]:
    """Of each tone over the noise floor in what follows `begin_s`, in dB."""
    samples, rate = read_wav(folder / file.path)
    meter = ToneMeter()
    assert rate == 8000
    meter.hear(samples[round(begin_s * rate) :])
    found = meter.levels(TONES.values())
    return {leg: found[f"{tone:g}"] for leg, tone in TONES.items()}


def hears(level: float) -> bool:
    return level > -20


def lacks(level: float) -> bool:
    return level < -42


def of_legs(bench: EngineBench) -> dict[str | None, RecordedFile]:
    return {one.leg_id: one for one in bench.stored}


def test_a_call_is_recorded_as_everybody_in_it_sounds(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.engine.record("c1", True)
        bench.engine.record("c1", True)
        bench.run(5)
        for leg in ("one", "two"):
            bench.add(leg, Phone(TONES[leg]))
        bench.run(SECOND + 10)
        bench.engine.release("one")
        bench.engine.release("two")
    (one,) = bench.stored
    found = levels(tmp_path, one)
    assert one.seconds == pytest.approx(1.2, abs=0.05)
    assert hears(found["one"])
    assert hears(found["two"])


def test_each_leg_has_a_file_of_its_own_voice_alone_beside_the_mixed_one(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.engine.record("c1", True, per_leg=True)
        for leg, tone in TONES.items():
            bench.add(leg, Phone(tone))
        bench.run(SECOND + 10)
    files = of_legs(bench)
    assert set(files) == {None, *TONES}
    assert all(hears(level) for level in levels(tmp_path, files[None]).values())
    for leg in TONES:
        found = levels(tmp_path, files[leg])
        assert hears(found.pop(leg))
        assert all(lacks(level) for level in found.values()), leg
    assert len({(one.started_at, one.seconds) for one in files.values()}) == 1


def test_a_leg_that_joins_and_one_that_leaves_are_where_they_were_in_time(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.engine.record("c1", True, per_leg=True)
        for leg in ("one", "two"):
            bench.add(leg, Phone(TONES[leg]))
        bench.run(SECOND)
        bench.add("three", Phone(TONES["three"]))
        bench.run(SECOND)
        bench.remove("two")
        bench.run(SECOND)
    files = of_legs(bench)
    assert files["two"].seconds == pytest.approx(2.0, abs=0.05)
    assert files["three"].seconds == files[None].seconds == pytest.approx(3.0, abs=0.05)
    samples, _ = read_wav(tmp_path / files["three"].path)
    assert not samples[: 8000 - 160].any()
    assert samples[8000 + 480 : 8000 + 640].any()
    assert hears(levels(tmp_path, files["three"], begin_s=2.0)["three"])
    assert lacks(levels(tmp_path, files[None], begin_s=2.0)["two"])


def test_a_leg_that_moves_is_heard_in_the_recordings_of_each_call_while_it_was_there(tmp_path):
    with EngineBench(tmp_path) as bench:
        for call in ("c1", "c2"):
            bench.engine.record(call, True, per_leg=True)
        bench.add("one", Phone(TONES["one"]))
        bench.add("two", Phone(TONES["two"]))
        bench.add("three", Phone(TONES["three"]), call="c2")
        bench.run(SECOND)
        bench.engine.move("two", "c2")
        bench.run(SECOND)
    mixed = {one.call_id: one for one in bench.stored if one.leg_id is None}
    assert hears(levels(tmp_path, mixed["c2"], begin_s=1.0)["two"])
    assert lacks(levels(tmp_path, mixed["c1"], begin_s=1.04)["two"])
    of_two = {one.call_id: one for one in bench.stored if one.leg_id == "two"}
    assert of_two["c1"].seconds == pytest.approx(1.0, abs=0.05)
    assert of_two["c2"].seconds == pytest.approx(2.0, abs=0.05)
    samples, _ = read_wav(tmp_path / of_two["c2"].path)
    assert not samples[:7840].any()


def test_recording_stops_when_told_and_begins_a_new_file_when_told_again(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.add("one", Phone(400))
        for _ in range(2):
            bench.engine.record("c1", True)
            bench.run(10)
            bench.engine.record("c1", False)
            bench.clock.advance(1)
        bench.engine.record("c1", False)
        bench.run(10)
    assert [one.seconds for one in bench.stored] == pytest.approx([0.2, 0.2])
    assert len({one.path for one in bench.stored}) == 2


def test_the_legs_files_begin_and_end_while_the_mixed_one_goes_on(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.add("one", Phone(400))
        for per_leg in (False, True, False):
            bench.engine.record("c1", True, per_leg=per_leg)
            bench.run(10)
    seconds = {one.leg_id: one.seconds for one in bench.stored}
    assert seconds == {None: pytest.approx(0.6), "one": pytest.approx(0.4)}


def test_a_muted_leg_is_silent_in_its_own_recording_too(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.engine.record("c1", True, per_leg=True)
        for leg in ("one", "two"):
            bench.add(leg, Phone(TONES[leg]))
        bench.engine.shape("one", LegShape(muted=True))
        bench.run(SECOND + 10)
    files = of_legs(bench)
    assert lacks(levels(tmp_path, files["one"])["one"])
    assert hears(levels(tmp_path, files["two"])["two"])
