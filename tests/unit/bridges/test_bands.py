"""Narrow and wide: the filters between them, and calls that change from one to the other while somebody speaks."""

import numpy as np
import pytest
from fakes.leg_kinds import G711End, LaneEnd
from fakes.rtp import EngineBench

from bridges.audio.codecs.g722 import G722
from bridges.audio.codecs.opus import Opus
from bridges.audio.g711 import Law
from bridges.audio.resample import Downsampler, Upsampler

ONE = np.zeros(1, np.int64)


def sine(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(int(rate * seconds)) / rate
    return (16000 * np.sin(2 * np.pi * frequency * times)).astype(np.int16)


def in_ticks(change, samples: np.ndarray, frame: int) -> np.ndarray:
    """All of it, 20 ms at a time."""
    lines = samples.reshape(-1, 1, frame)
    return np.concatenate([change(ONE, line)[0] for line in lines])


def amplitude(samples: np.ndarray, frequency: float, rate: int) -> float:
    """Of one frequency, after the filter has filled, over a full-scale 16000, in dB."""
    samples = samples[rate // 10 :].astype(float)
    turns = np.exp(-2j * np.pi * frequency * np.arange(len(samples)) / rate)
    return 20 * np.log10(max(abs(samples @ turns) * 2 / len(samples) / 16000, 1e-6))


@pytest.mark.parametrize("frequency", [50, 300, 1000, 2000, 3000, 3400])
def test_the_telephone_band_passes_both_ways_without_ripple(frequency):
    up = in_ticks(Upsampler(1).up, sine(frequency, 8000), 160)
    down = in_ticks(Downsampler(1).down, sine(frequency, 16000), 320)
    assert amplitude(up, frequency, 16000) == pytest.approx(0, abs=0.1)
    assert amplitude(down, frequency, 8000) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("frequency", [300, 1000, 2000, 3000, 3400])
def test_images_are_fifty_db_down_on_the_way_up(frequency):
    up = in_ticks(Upsampler(1).up, sine(frequency, 8000), 160)
    assert amplitude(up, 8000 - frequency, 16000) < -50


@pytest.mark.parametrize("frequency", [4600, 5000, 6000, 7000, 7900])
def test_what_does_not_fit_is_fifty_db_down_on_the_way_down(frequency):
    down = in_ticks(Downsampler(1).down, sine(frequency, 16000), 320)
    assert amplitude(down, 8000 - frequency, 8000) < -50


def test_rows_are_streams_of_their_own():
    rows = np.array([2, 0])
    both, alone = Upsampler(3), Upsampler(3)
    first, second = sine(500, 8000).reshape(-1, 160), sine(900, 8000).reshape(-1, 160)
    for one, two in zip(first, second, strict=True):
        together = both.up(rows, np.stack((one, two)))
        np.testing.assert_array_equal(together[0], alone.up(rows[:1], one[None])[0])


def test_the_loudest_samples_do_not_wrap():
    loud = np.tile(np.array([32767, 32767, -32768, -32768], np.int16), 40)[None]
    up = Upsampler(1).up(ONE, loud)
    assert up.max() == 32767
    assert up.min() == -32768


def jumps(samples: np.ndarray) -> float:
    return float(np.abs(np.diff(samples.astype(float))).max())


@pytest.mark.parametrize("frequency", [200.0, 440.0, 1000.0])
@pytest.mark.parametrize("codec", [G722, Opus])
def test_a_wideband_leg_that_comes_and_goes_makes_no_gap_and_no_click(tmp_path, codec, frequency):
    with EngineBench(tmp_path, max_legs=8) as bench:
        speaker, listener = G711End(frequency, Law.PCMU), G711End(1.0, Law.PCMU)
        guests = [LaneEnd(3000.0, codec()) for _ in range(6)]
        try:
            speaker.join(bench, "speaker", "c")
            listener.join(bench, "listener", "c")
            for tick in range(200):
                if tick >= 20 and tick % 30 == 20:
                    guests[tick // 30].join(bench, f"guest{tick // 30}", "c")
                elif tick >= 20 and tick % 30 == 5:
                    bench.engine.release(f"guest{tick // 30 - 1}")
                speaker.speak()
                bench.tick()
                listener.listen()
            heard = np.concatenate(listener.ear.samples)[20 * 160 :]
            assert len(heard) == 180 * 160
            # What the sine itself does from sample to sample, and the steps of μ-law.
            natural = jumps(np.concatenate(listener.ear.samples)[3 * 160 : 18 * 160])
            assert jumps(heard) <= 1.15 * natural
            power = (heard.reshape(-1, 160).astype(float) ** 2).mean(axis=1)
            assert power.min() > 0.25 * np.median(power)
        finally:
            for end in (speaker, listener, *guests):
                end.close()


def test_a_call_is_narrow_again_when_its_last_wideband_leg_left(tmp_path):
    with EngineBench(tmp_path, max_legs=8) as bench:
        ends = [G711End(400.0, Law.PCMU), LaneEnd(700.0, Opus())]
        try:
            for number, end in enumerate(ends):
                end.join(bench, f"leg{number}", "c")
            bench.tick()
            assert [len(stage.plan) for stage in bench.engine._mixdown.stages] == [0, 2]
            bench.engine.release("leg1")
            bench.tick()
            assert [len(stage.plan) for stage in bench.engine._mixdown.stages] == [1, 0]
        finally:
            for end in ends:
                end.close()


def test_a_wideband_voice_reaches_a_wideband_leg_whole(tmp_path):
    """6 kHz is beyond any telephone; G.722 and Opus carry it."""
    with EngineBench(tmp_path, max_legs=8) as bench:
        speaker, listener = LaneEnd(6000.0, G722()), LaneEnd(300.0, Opus())
        try:
            speaker.join(bench, "speaker", "c")
            listener.join(bench, "listener", "c")
            for _ in range(60):
                speaker.speak()
                bench.tick()
                listener.listen()
            heard = np.concatenate(listener.ear.samples)[-8000:]
            spectrum = np.abs(np.fft.rfft(heard * np.hanning(8000)))
            assert abs(int(spectrum.argmax()) * 2 - 6000) <= 4
            (meter,) = (m for m in bench.engine.snapshot().meters() if m.leg_id == "speaker")
            assert meter.level_dbov == pytest.approx(-15, abs=2)
        finally:
            speaker.close()
            listener.close()
