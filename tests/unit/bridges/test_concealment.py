"""Missing packets: a dip, not a click, and nothing where silence was meant."""

import numpy as np
import pytest

from bridges.audio.concealment import LONGEST_RUN, Concealer
from bridges.audio.history import PAST, History

RATES = {8000: 160, 16000: 320}


def voice(count: int, rate: int, pitch: float = 130.0) -> np.ndarray:
    """A vowel: harmonics of a pitch, weaker upwards."""
    time = np.arange(count) / rate
    made = sum(np.sin(2 * np.pi * pitch * n * time + n) / n for n in range(1, 12))
    return (6000 * made).astype(np.int16)


class Repair:
    """One concealer that hears `said` (legs×samples), frame by frame, without the `lost` (leg, frame)."""

    def __init__(self, rate: int, legs: int = 1) -> None:
        self.frame = RATES[rate]
        self.history = History(legs, self.frame)
        self.concealer = Concealer(legs, self.history, rate)
        self.rows = np.arange(legs)
        self.made_up = 0

    def hear(self, said, lost=(), meant=()) -> np.ndarray:
        heard = np.zeros_like(said)
        for n in range(said.shape[1] // self.frame):
            span = slice(n * self.frame, (n + 1) * self.frame)
            missing = np.array([(leg, n) in lost for leg in self.rows])
            silent = np.array([(leg, n) in meant for leg in self.rows])
            frames = said[:, span].copy()
            frames[missing] = 0
            self.history.begin()
            self.made_up += len(self.concealer.repair(self.rows, frames, missing, silent))
            self.history.put(self.rows, frames)
            heard[:, span] = frames
        return heard


def likeness(one, other) -> float:
    one, other = one.astype(float), other.astype(float)
    return float(one @ other / np.sqrt((one @ one) * (other @ other) + 1))


@pytest.mark.parametrize("rate", RATES)
def test_a_lost_frame_of_a_steady_voice_is_nearly_what_was_lost(rate):
    said = voice(rate, rate)[None]
    repair = Repair(rate)
    heard = repair.hear(said, {(0, 20)})
    gap = slice(20 * repair.frame, 21 * repair.frame)
    assert likeness(heard[0, gap], said[0, gap]) > 0.9
    assert repair.made_up == 1
    assert (heard[0, : 20 * repair.frame] == said[0, : 20 * repair.frame]).all()
    assert (heard[0, 22 * repair.frame :] == said[0, 22 * repair.frame :]).all()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("run", [1, 2, 3, 8])
def test_no_sample_jumps_more_than_the_voice_itself_does(rate, run):
    said = voice(rate, rate)[None]
    repair = Repair(rate)
    heard = repair.hear(said, {(0, 15 + n) for n in range(run)})
    assert np.abs(np.diff(heard[0].astype(int))).max() <= 1.2 * np.abs(np.diff(said[0])).max()


def test_a_long_gap_fades_to_silence_within_60_ms():
    said = voice(8000, 8000)[None]
    heard = Repair(8000).hear(said, {(0, n) for n in range(10, 30)})
    level = [np.abs(heard[0, n * 160 : (n + 1) * 160]).max() for n in range(9, 14)]
    assert level[0] > 0.8 * np.abs(said).max()
    assert level == sorted(level, reverse=True)
    assert not heard[0, 13 * 160 : 30 * 160].any()


def test_no_more_than_60_ms_are_made_up():
    repair = Repair(8000)
    repair.hear(voice(8000, 8000)[None], {(0, n) for n in range(10, 30)})
    assert repair.made_up == LONGEST_RUN


def test_a_silence_that_is_meant_stays_silent_and_comes_back_unchanged():
    said = voice(8000, 8000)[None]
    gap = {(0, n) for n in range(10, 20)}
    heard = Repair(8000).hear(said, gap, gap)
    assert not heard[0, 1600:3200].any()
    assert (heard[0, 3200:] == said[0, 3200:]).all()


def test_a_leg_that_never_spoke_is_given_no_voice():
    repair = Repair(8000)
    heard = repair.hear(voice(3200, 8000)[None], {(0, 0), (0, 1)})
    assert not heard[0, :320].any()
    assert repair.made_up == 0


def test_a_cleared_leg_has_nothing_to_repeat():
    repair = Repair(8000)
    repair.hear(voice(3200, 8000)[None])
    repair.concealer.clear(0)
    assert not repair.hear(voice(160, 8000)[None], {(0, 0)}).any()


def test_each_leg_is_repaired_by_its_own_voice():
    said = np.stack([voice(8000, 8000, pitch) for pitch in (90, 120, 150, 190)])
    repair = Repair(8000, legs=4)
    heard = repair.hear(said, {(leg, 10 + 3 * leg) for leg in range(4)} | {(0, 22), (3, 22)})
    for leg in range(4):
        gap = slice((10 + 3 * leg) * 160, (11 + 3 * leg) * 160)
        assert likeness(heard[leg, gap], said[leg, gap]) > 0.85
    assert repair.made_up == 6


def test_the_loudest_voice_does_not_wrap_around():
    said = np.where(np.arange(8000) % 61 < 30, 32767, -32768).astype(np.int16)[None]
    heard = Repair(8000).hear(said, {(0, n) for n in (10, 11, 20, 30, 33)})
    assert np.abs(heard.astype(int)).max() <= 32768
    assert np.abs(np.diff(heard[0, 1590:1610].astype(int))).max() <= 65535


def test_half_of_all_packets_lost_is_survived():
    dice = np.random.default_rng(1)
    lost = {(leg, n) for leg in range(3) for n in range(50) if dice.random() < 0.5}
    said = np.stack([voice(8000, 8000, pitch) for pitch in (90, 120, 150)])
    repair = Repair(8000, legs=3)
    heard = repair.hear(said, lost)
    assert 0 < repair.made_up <= len(lost)
    assert likeness(heard[0], said[0]) > 0.3


def history_of(rows, count: int) -> History:
    history = History(2, 4)
    for n in range(count):
        history.begin()
        history.put(rows, np.full((1, 4), n, np.int16))
    return history


def test_the_line_has_the_last_frames_oldest_first():
    rows = np.array([1])
    history = history_of(rows, 8)
    assert history.line(rows)[0].tolist() == [n for n in range(7 - PAST, 8) for _ in range(4)]
    assert (history.past(rows) == history.line(rows)[:, :-4]).all()


def test_a_frame_withdrawn_and_inserted_again_is_where_it_was():
    rows = np.array([1])
    history = history_of(rows, 8)
    before = history.line(rows)
    history.insert(rows, history.withdraw(rows))
    assert (history.line(rows)[0, 4:] == before[0, 4:]).all()
