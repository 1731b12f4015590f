"""Gain of a leg, fixed and automatic: how loud the others hear it, and that it neither clicks nor saturates."""

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone

from bridges.audio.g711 import Law, decode
from bridges.audio.gain import Gains
from commhub.ports.media import LegShape
from simulators.tones import Tone

SECOND = 50
TONES = {"one": 400.0, "two": 700.0, "three": 1100.0}


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


@pytest.fixture
def legs(bench):
    """Three phones in one call."""
    return {name: bench.add(name, Phone(tone)) for name, tone in TONES.items()}


def level(bench, listener, tone):
    bench.run(SECOND + 20)
    return bench.phones[listener].meter.levels([tone])[f"{tone:g}"]


@pytest.mark.parametrize("gain", [-12.0, -6.0, 6.0])
def test_a_gain_makes_a_leg_that_much_louder_for_the_others(bench, legs, gain):
    before = level(bench, "one", TONES["two"])
    bench.engine.shape("two", LegShape(gain_db=gain))
    assert level(bench, "one", TONES["two"]) - before == pytest.approx(gain, abs=0.5)


def test_a_change_of_gain_is_a_ramp_and_not_a_step(bench, legs):
    bench.run(10, silent=["one", "three"])
    bench.engine.shape("two", LegShape(gain_db=-20))
    heard_samples = []
    for _ in range(5):
        bench.run(1, silent=["one", "three"])
        heard_samples += [decode(p[12:], Law.PCMU) for p in legs["one"].packets]
    jumps = np.abs(np.diff(np.concatenate(heard_samples).astype(int)))
    # The steepest step of a sine of −12 dBFS at 700 Hz, and G.711's own coarseness.
    assert jumps.max() < 32767 * 10 ** (-12 / 20) * 2 * np.pi * 700 / 8000 + 300


@pytest.mark.parametrize("spoken_dbfs", [-35.0, -22.0, -3.0])
def test_an_automatic_gain_brings_soft_and_loud_voices_to_the_target(bench, spoken_dbfs):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    two.tone = Tone(700, spoken_dbfs)
    bench.engine.shape("two", LegShape(limit=True, target_dbov=-20))
    bench.run(6 * SECOND, silent=["one"])
    # A sine's RMS is 3 dB under its peak, and dBFS counts the peak.
    assert one.meter.levels([700])["700"] == pytest.approx(-17, abs=1.5)


def test_an_automatic_gain_leaves_the_room_alone_and_never_saturates(bench):
    gains = Gains(4)
    stage = gains.stage(np.array([2]), {0: LegShape(limit=True, target_dbov=-6, gain_db=20)})
    quiet = np.full((1, 160), 3, np.int16)
    for _ in range(200):
        stage.apply(quiet.copy(), np.array([False]))
    assert gains.automatic_db[2] == 0
    loud = np.tile(np.array([32000, -32000], np.int16), 80)[None]
    for _ in range(20):
        voice = loud.copy()
        stage.apply(voice, np.array([False]))
        assert np.abs(voice.astype(int)).max() < 32767
