"""Delay follows the path: it grows when packets are late, shrinks when nobody needs it, and nobody hears it move."""

import numpy as np
import pytest
from fakes.paths import Path, delay_of, speech

from bridges.audio.counts import Counts
from bridges.audio.g711 import DECODE, ENCODE, FRAME, Law
from bridges.audio.legs import LegTable
from bridges.audio.quality import Quality
from bridges.audio.rings import Rings

SECOND = 50


class Ear:
    """One leg's ring and its quality."""

    def __init__(self, *, depth: int = 1, radio: bool = False) -> None:
        self.counts = Counts()
        self.legs = LegTable(4)
        self.row = self.legs.add("leg", 0, 0)
        self.legs.radio[self.row] = radio
        self.rings = Rings(4, depth, self.counts)
        self.rings.reset(self.row)
        self.quality = Quality(
            self.legs, self.rings, self.counts, 8000, lambda _, units: DECODE[Law.PCMU][units]
        )
        self.quality.clear(self.row)
        self.tick = 0
        self.rows = np.array([self.row])

    def put(self, said: np.ndarray, numbers) -> None:
        numbers = np.asarray(numbers)
        if len(numbers):
            frames = said.reshape(-1, FRAME)[numbers]
            self.rings.put_frames(
                np.full(len(numbers), self.row),
                (numbers * FRAME + 0xFFFF_0000) & 0xFFFFFFFF,
                ENCODE[Law.PCMU][frames.view(np.uint16)],
                self.tick,
            )

    def hear(self) -> np.ndarray:
        self.quality.prepare(self.tick)
        units = np.zeros((1, FRAME), np.uint8)
        missing = self.rings.read(self.rows, self.tick, units)
        voice = DECODE[Law.PCMU][units]
        self.quality.mend(self.rows, voice, missing, self.tick)
        self.tick += 1
        return voice[0]

    def over(self, path: Path, said: np.ndarray, ticks: int) -> np.ndarray:
        heard = []
        for _ in range(ticks):
            self.put(said, path.come(self.tick))
            heard.append(self.hear())
        return np.concatenate(heard)

    @property
    def depth_ms(self) -> float:
        return float(self.quality.depth_ms(self.rows)[0])


def delay_at(heard, said, path, tick, *, span=SECOND // 2, longest=3200):
    """The delay in ms of what is heard at the end of `tick`, and how like the clean voice it is."""
    piece = heard[(tick - span) * FRAME : tick * FRAME]
    end = int(path.spoken(tick))
    samples, alike = delay_of(piece, said[end - len(piece) - longest : end], longest)
    return samples / 8, alike


def roughest(samples) -> int:
    return int(np.abs(np.diff(samples.astype(int))).max())


@pytest.fixture(scope="module")
def said():
    return speech(90)


def test_a_clean_path_is_heard_as_it_was_spoken(said):
    ear, path = Ear(), Path(1000)
    heard = ear.over(path, said, 900)
    coded = DECODE[Law.PCMU][ENCODE[Law.PCMU][said.view(np.uint16)]]
    begin = int(np.flatnonzero(heard)[0])
    first = int(np.flatnonzero(coded)[0])
    assert (heard[begin:] == coded[first : first + len(heard) - begin]).all()
    assert ear.depth_ms == 20
    assert ear.counts.concealed == 0


def test_jitter_makes_the_delay_longer_at_once_and_then_nothing_is_late(said):
    ear, path = Ear(), Path(4000, jitter_s=0.06)
    path.arrives[0] = 0.01
    path = _again(path)
    heard = ear.over(path, said, 2 * SECOND)
    late = ear.counts.late
    heard = np.concatenate((heard, ear.over(path, said, 40 * SECOND)))
    assert 0 < late < 40
    assert ear.counts.late - late < 0.01 * 40 * SECOND
    delay, alike = delay_at(heard, said, path, 40 * SECOND)
    assert 60 <= delay <= 120
    assert alike > 0.95
    assert roughest(heard) <= 1.25 * roughest(said)


def test_the_delay_goes_back_when_the_path_calms_down(said):
    ear = Ear()
    path = Path(4500, jitter_s=0.06)
    calm = Path(4500)
    late_half = np.arange(4500) >= 1000
    path.arrives[late_half] = calm.arrives[late_half]
    path = _again(path)
    heard = ear.over(path, said, 950)
    before, _ = delay_at(heard, said, path, 950)
    assert before > 60
    heard = np.concatenate((heard, ear.over(path, said, 30 * SECOND)))
    assert ear.depth_ms <= 40
    delay, alike = delay_at(heard, said, path, 950 + 30 * SECOND)
    assert delay <= 60
    assert alike > 0.99
    assert roughest(heard) <= 1.25 * roughest(said)


def _again(path: Path) -> Path:
    path._order = np.argsort(path.arrives, kind="stable")
    return path


@pytest.mark.parametrize("ppm", [200, -200, 1000, -1000])
def test_a_clock_that_drifts_makes_no_delay_grow_and_no_sound(said, ppm):
    ear, path = Ear(), Path(4500, drift_ppm=ppm)
    ticks = 80 * SECOND
    heard = ear.over(path, said, ticks)
    for tick in range(10 * SECOND, ticks, 10 * SECOND):
        delay, alike = delay_at(heard, said, path, tick)
        assert 10 <= delay <= 80
        assert alike > 0.9
    assert ear.counts.concealed == 0
    assert roughest(heard) <= 1.25 * roughest(said)


def test_a_burst_after_a_stall_leaves_no_delay(said):
    ear, path = Ear(), Path(4000)
    stalled = (path.arrives > 10.0) & (path.arrives < 10.2)
    path.arrives[stalled] = 10.2
    path = _again(path)
    heard = ear.over(path, said, 20 * SECOND)
    assert round(ear.depth_ms) == 20
    delay, alike = delay_at(heard, said, path, 20 * SECOND)
    assert delay <= 40
    assert alike > 0.99


def test_stalls_that_come_again_and_again_leave_no_delay_either(said):
    ear, path = Ear(), Path(4000)
    for second in (10.0, 11.0, 12.0):
        stalled = (path.arrives > second) & (path.arrives < second + 0.15)
        path.arrives[stalled] = second + 0.15
    path = _again(path)
    ear.over(path, said, 13 * SECOND)
    assert ear.depth_ms > 60
    ear.over(path, said, 25 * SECOND)
    assert ear.depth_ms <= 40


def test_no_more_than_200_ms_are_waited_for(said):
    ear, path = Ear(), Path(4000, jitter_s=0.6)
    ear.over(path, said, 60 * SECOND)
    assert ear.depth_ms <= 220


def test_depth_0_is_kept_on_a_path_that_allows_it(said):
    ear, path = Ear(depth=0), Path(4000)
    heard = ear.over(path, said, 20 * SECOND)
    assert ear.depth_ms == 0
    delay, _ = delay_at(heard, said, path, 20 * SECOND)
    assert delay <= 20


def test_after_a_pause_the_delay_is_what_the_path_was_seen_to_need(said):
    ear, path = Ear(), Path(4000, jitter_s=0.06)
    paused = (path.arrives > 20) & (path.arrives < 22)
    path.arrives[paused] = np.inf
    path = _again(path)
    ear.over(path, said, 20 * SECOND)
    before = ear.depth_ms
    ear.over(path, said, 3 * SECOND)
    assert abs(ear.depth_ms - before) <= 20
    assert before > 25


def test_comfort_noise_fills_the_silence_it_announced_at_its_level(said):
    ear = Ear()
    for n in range(100):
        ear.put(said, [n])
        ear.hear()
    ear.quality.comfort(ear.row, (100 * FRAME + 0xFFFF_0000) & 0xFFFFFFFF, 50, ear.tick)
    ear.hear()
    noise = np.concatenate([ear.hear() for _ in range(100)]).astype(float)
    level = 20 * np.log10(np.sqrt((noise**2).mean()) / 32768)
    assert abs(level + 50) < 1
    assert ear.counts.concealed == 0
    ear.put(said, [300])
    ear.hear()
    assert ear.hear().astype(float).std() > 0
    for _ in range(5):
        ear.hear()
    assert not ear.hear().any()


def test_a_voice_after_comfort_noise_comes_in_unchanged(said):
    ear = Ear()
    ear.put(said, [0])
    ear.hear(), ear.hear()
    ear.quality.comfort(ear.row, (FRAME + 0xFFFF_0000) & 0xFFFFFFFF, 60, ear.tick)
    for _ in range(30):
        ear.hear()
    ear.put(said, [60])
    ear.hear()
    coded = DECODE[Law.PCMU][ENCODE[Law.PCMU][said.view(np.uint16)]].reshape(-1, FRAME)
    assert (ear.hear() == coded[60]).all()


def test_noise_that_names_overload_is_kept_at_a_bearable_level():
    ear = Ear()
    ear.quality.comfort(ear.row, 0, 0, ear.tick)
    assert np.abs(ear.hear()).max() < 32768 * 10 ** (-30 / 20) * 6


def test_between_two_talks_a_radio_says_nothing(said):
    ear = Ear(radio=True)
    for n in range(20):
        ear.put(said, [n])
        ear.hear()
    ear.hear()
    assert not ear.hear().any()
    assert ear.counts.concealed == 0


def test_a_hole_in_a_radios_talk_is_concealed(said):
    ear = Ear(radio=True, depth=2)
    for n in range(60):
        if n != 30:
            ear.put(said, [n])
        ear.hear()
    assert ear.counts.concealed == 1
