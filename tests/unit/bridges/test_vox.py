"""Voice-operated keying, fed level by level."""

from bridges.audio.config import VoxConfig
from bridges.audio.vox import Vox

FRAME_S = 0.02


def keyed(levels: list[float]) -> list[bool]:
    vox = Vox(VoxConfig(open_dbov=-42, close_dbov=-48, attack_s=0.04, hang_s=0.6))
    return [vox.hear(level, 10 + n * FRAME_S) for n, level in enumerate(levels)]


def test_two_loud_frames_open_and_one_does_not():
    assert keyed([-20, -90, -20, -20, -20]) == [False, False, False, True, True]


def test_it_closes_when_the_hang_time_is_over():
    states = keyed([-20] * 5 + [-90] * 40)
    assert states[5 + 28] is True
    assert states[5 + 30] is False


def test_a_pause_between_words_does_not_close_it():
    assert all(keyed(([-20] * 5 + [-90] * 20) * 4)[1:])


def test_between_the_two_thresholds_it_stays_as_it_is():
    assert not any(keyed([-45] * 50))
    assert all(keyed([-20] * 3 + [-45] * 100)[1:])
