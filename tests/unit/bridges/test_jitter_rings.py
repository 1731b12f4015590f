"""Playout: what was sent when, and what is heard when."""

import numpy as np
import pytest

from bridges.audio.counts import Counts
from bridges.audio.g711 import SILENCE, Law
from bridges.audio.rings import AWRY_LIMIT, SLOTS, Rings

FRAME = 160


class Listener:
    """One row of a ring, fed by number: packet n is 160 bytes of the value n."""

    def __init__(self, depth: int = 1, start: int = 0xFFFF_FF00) -> None:
        self.counts = Counts()
        self.rings = Rings(4, depth, self.counts)
        self.rings.reset(2)
        self.tick = 1000
        self.start = start

    def put(self, *numbers: int) -> None:
        rows = np.full(len(numbers), 2)
        stamps = np.array([(self.start + n * FRAME) & 0xFFFFFFFF for n in numbers])
        payloads = np.repeat(np.array(numbers).astype(np.uint8)[:, None], FRAME, axis=1)
        self.rings.put_frames(rows, stamps, payloads, self.tick)

    def hear(self) -> int | None:
        """The value heard in this tick, None for silence; time goes on."""
        out = np.zeros((1, FRAME), np.uint8)
        missing = self.rings.read(np.array([2]), self.tick, out)
        self.tick += 1
        assert len(set(out[0])) == 1
        if missing[0]:
            assert out[0, 0] == SILENCE[Law.PCMU]
            return None
        return int(out[0, 0])


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_packet_is_heard_depth_ticks_after_it_came(depth):
    ear = Listener(depth)
    heard = []
    for n in range(10):
        ear.put(n)
        heard.append(ear.hear())
    assert heard == [None] * depth + list(range(10 - depth))


def test_timestamps_that_wrap_are_one_stream():
    ear = Listener(start=0xFFFFFFFF - 3 * FRAME)
    heard = []
    for n in range(8):
        ear.put(n)
        heard.append(ear.hear())
    assert heard == [None, 0, 1, 2, 3, 4, 5, 6]


def test_the_lowest_of_the_first_batch_is_the_origin():
    ear = Listener(depth=1)
    ear.put(1, 0, 2)
    assert [ear.hear() for _ in range(5)] == [None, 0, 1, 2, None]


def test_a_lost_packet_is_a_silence_and_the_next_one_is_in_time():
    ear = Listener()
    ear.put(0), ear.hear()
    assert ear.hear() == 0
    ear.put(2)
    assert [ear.hear(), ear.hear(), ear.hear()] == [None, 2, None]


def test_swapped_packets_are_heard_in_order():
    ear = Listener(depth=2)
    heard = []
    for batch in ((0,), (2,), (1,), (3,), (4,)):
        ear.put(*batch)
        heard.append(ear.hear())
    assert heard == [None, None, 0, 1, 2]


def test_a_duplicate_is_counted_and_heard_once():
    ear = Listener()
    ear.put(0)
    ear.put(0)
    assert [ear.hear() for _ in range(3)] == [None, 0, None]
    assert ear.counts.duplicate == 1


def test_a_packet_after_its_time_is_counted_as_late_and_dropped():
    ear = Listener()
    for n in (0, 1, 2):
        ear.put(n)
        ear.hear()
    ear.hear(), ear.hear()
    ear.put(3)
    assert ear.hear() is None
    assert ear.counts.late == 1


def test_a_path_that_became_longer_is_followed():
    ear = Listener()
    heard = []
    for n in range(4):
        ear.put(n)
        heard.append(ear.hear())
    heard += [ear.hear() for _ in range(3)]
    for n in range(4, 12):
        ear.put(n)
        heard.append(ear.hear())
    assert heard[-4:] == [8, 9, 10, 11]
    assert ear.counts.late == 1


def test_a_stall_and_its_burst_leave_no_delay():
    ear = Listener()
    heard = []
    for n in range(4):
        ear.put(n)
        heard.append(ear.hear())
    for _ in range(6):
        ear.hear()
    ear.put(*range(4, 11))
    ear.hear()
    for n in range(11, 15):
        ear.put(n)
        heard.append(ear.hear())
    assert heard[-4:] == [10, 11, 12, 13]
    assert ear.counts.late == 5


def test_silence_suppression_leaves_a_gap_and_no_delay():
    ear = Listener()
    ear.put(0)
    ear.hear()
    for _ in range(50):
        ear.hear()
    ear.put(51)
    assert [ear.hear(), ear.hear()] == [None, 51]


def test_a_jump_of_the_timestamp_begins_anew():
    ear = Listener()
    ear.put(0)
    ear.hear()
    ear.put(200)
    assert [ear.hear(), ear.hear()] == [0, 200]


def test_a_burst_at_the_start_is_seen_to_wait_too_long():
    """`quality` then shortens the delay without a sound, frame by frame."""
    ear = Listener()
    ear.put(*range(6))
    ear.hear()
    told = []
    for n in range(6, 600):
        ear.put(n)
        ear.hear()
        told += ear.rings.waits.review(ear.tick)[0].tolist()
    assert set(told) == {2}


def test_a_delayed_ring_says_everything_later_and_nothing_twice():
    ear = Listener()
    ear.put(0, 1, 2)
    heard = [ear.hear(), ear.hear()]
    ear.rings.delay(np.array([2]), 1, ear.tick)
    heard += [ear.hear() for _ in range(3)]
    ear.put(4)
    heard += [ear.hear() for _ in range(3)]
    assert heard == [None, 0, None, 1, 2, None, 4, None]


def test_after_a_second_stall_the_words_that_nothing_overtook_are_heard_late():
    ear = Listener()
    heard = []
    for n in range(40):
        stalled = n in (10, 11, 12, 20, 21, 22)
        if not stalled:
            ear.put(*range(n - 3 if n in (13, 23) else n, n + 1))
        heard.append(ear.hear())
    assert [n for n in range(36) if n not in heard] == [10, 11]
    assert heard[23:26] == [20, 21, 22]
    assert heard[-1] == 36


def test_more_crooked_packets_than_are_looked_at_are_counted():
    ear = Listener()
    ear.put(0)
    count = AWRY_LIMIT + 40
    ear.rings.put_frames(
        np.full(count, 2), np.full(count, 77), np.zeros((count, FRAME), np.uint8), ear.tick
    )
    assert ear.counts.late >= 40


def test_packets_of_other_lengths_fill_the_same_time():
    ear = Listener()
    long, half = bytes([7]) * 3 * FRAME, bytes([9]) * (FRAME // 2)
    ear.rings.put(2, 0, long, ear.tick)
    ear.rings.put(2, 3 * FRAME, half, ear.tick)
    ear.rings.put(2, 3 * FRAME + FRAME // 2, half, ear.tick)
    assert [ear.hear() for _ in range(6)] == [None, 7, 7, 7, 9, None]


def test_half_a_frame_is_heard_with_silence_around_it():
    ear = Listener(depth=0)
    ear.rings.put(2, 0, bytes([5]) * (FRAME // 2), ear.tick)
    out = np.zeros((1, FRAME), np.uint8)
    ear.rings.read(np.array([2]), ear.tick, out)
    assert set(out[0, : FRAME // 2]) == {5}
    assert set(out[0, FRAME // 2 :]) == {SILENCE[Law.PCMU]}


def test_a_stream_shifted_by_part_of_a_frame_realigns_after_its_pause():
    ear = Listener()
    ear.put(0)
    ear.hear(), ear.hear(), ear.hear(), ear.hear()
    ear.start += 33
    ear.put(4)
    assert [ear.hear(), ear.hear()] == [None, 4]


def test_nothing_of_a_row_is_heard_after_its_reset():
    ear = Listener()
    ear.put(0)
    ear.hear()
    ear.rings.reset(2, Law.PCMA)
    out = np.zeros((1, FRAME), np.uint8)
    assert ear.rings.read(np.array([2]), ear.tick, out)[0]
    assert set(out[0]) == {SILENCE[Law.PCMA]}


def test_any_timestamp_is_survived():
    ear = Listener()
    random = np.random.default_rng(7)
    for _ in range(500):
        stamps = random.integers(0, 1 << 32, 3)
        rows = random.integers(0, 4, 3)
        ear.rings.put_frames(rows, stamps, np.zeros((3, FRAME), np.uint8), ear.tick)
        ear.tick += int(random.integers(1, 2 * SLOTS))
        ear.rings.read(np.arange(4), ear.tick, np.zeros((4, FRAME), np.uint8))
    assert ear.counts.resynced > 0
