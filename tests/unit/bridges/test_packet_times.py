"""Packets of 10 to 60 ms out of ticks of 20 ms, and into them."""

import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from fakes.leg_kinds import FarEnd, G711End, LaneEnd
from fakes.rtp import EngineBench
from hypothesis import given
from hypothesis import strategies as st

from bridges.audio import packet_times
from bridges.audio.codecs.g722 import G722
from bridges.audio.codecs.opus import Opus
from bridges.audio.g711 import Law

PTIMES = [10, 20, 30, 40, 60]


@given(st.sampled_from(PTIMES), st.integers(0, 1000), st.sampled_from([8, 16]))
def test_packets_cover_time_without_gap_or_overlap(ptime_ms, first, per_ms):
    period = packet_times.period(ptime_ms)
    assert period <= packet_times.LONGEST_TICKS
    spans = [
        ((tick - tick % period) * 20 * per_ms + start, (tick - tick % period) * 20 * per_ms + end)
        for tick in range(first, first + 12)
        for start, end in packet_times.due(ptime_ms, tick % period, per_ms)
    ]
    assert all(end - start == ptime_ms * per_ms for start, end in spans)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    # No packet is sent before its last sample, and none waits longer than for that.
    for tick in range(first, first + 12):
        now = (tick % period + 1) * 20 * per_ms
        for _, end in packet_times.due(ptime_ms, tick % period, per_ms):
            assert now - 20 * per_ms < end <= now


@pytest.mark.parametrize(
    ("wanted", "possible", "given"),
    [
        (20, (10, 20, 40, 60), 20),
        (30, (10, 20, 40, 60), 20),
        (50, (10, 20, 30, 40, 60), 40),
        (5, (10, 20), 10),
        (120, (10, 20, 60), 60),
    ],
)
def test_what_is_not_possible_is_the_next_shorter(wanted, possible, given):
    assert packet_times.fitting(wanted, possible) == given


def ends_of(ptime_ms: int) -> list[tuple[FarEnd, int]]:
    """Far ends that want this packet time, and the clock of their timestamps."""
    made: list[tuple[FarEnd, int]] = [
        (G711End(500.0, Law.PCMU, ptime_ms), 8),
        (G711End(900.0, Law.PCMA, ptime_ms), 8),
        (LaneEnd(1300.0, G722(), ptime_ms), 8),
    ]
    if ptime_ms != 30:
        made.append((LaneEnd(1700.0, Opus(), ptime_ms), 48))
    return made


def heads(packets: list[bytes]) -> list[tuple[int, int]]:
    return [struct.unpack_from("!HI", packet, 2) for packet in packets]


def talk(bench: EngineBench, ends: list[FarEnd], ticks: int) -> list[list[bytes]]:
    """Everybody speaks and listens; what each got."""
    got: list[list[bytes]] = [[] for _ in ends]
    for _ in range(ticks):
        for end in ends:
            end.speak()
        bench.tick()
        for end, packets in zip(ends, got, strict=True):
            end.listen()
            packets.extend(end.phone.packets if isinstance(end, G711End) else end.packets)
    return got


def assert_evenly(packets: list[bytes], step: int) -> None:
    numbers, stamps = zip(*heads(packets), strict=True)
    assert {(b - a) & 0xFFFF for a, b in itertools.pairwise(numbers)} == {1}
    assert {(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(stamps)} == {step}
    assert [packet[1] >> 7 for packet in packets] == [1] + [0] * (len(packets) - 1)


@pytest.mark.parametrize("ptime_ms", PTIMES)
def test_each_leg_gets_its_packet_time_and_is_heard_with_it(tmp_path, ptime_ms):
    tones = (500, 900, 1300, 1700)
    with EngineBench(tmp_path, max_legs=16) as bench:
        made = ends_of(ptime_ms)
        ends = [end for end, _ in made]
        try:
            for n, end in enumerate(ends):
                end.join(bench, f"leg{n}", "c")
            for (_, clock), packets in zip(made, talk(bench, ends, 66), strict=True):
                assert len(packets) == pytest.approx(66 * 20 / ptime_ms, abs=2)
                assert_evenly(packets, ptime_ms * clock)
            for own, end in zip(tones, ends, strict=False):
                assert end.ear.level(own) < -42
                heard = [end.ear.over_floor(tone) for tone in tones[: len(ends)] if tone != own]
                assert min(heard) >= 20
        finally:
            for end in ends:
                end.close()


@pytest.mark.parametrize("ptime_ms", PTIMES)
def test_coming_and_going_of_others_moves_no_packet(tmp_path, ptime_ms):
    """A plan is made anew under a packet that is not whole yet."""
    with EngineBench(tmp_path, max_legs=16) as bench:
        steady, talker = G711End(500.0, Law.PCMU, ptime_ms), G711End(700.0, Law.PCMU)
        others = [G711End(900.0, Law.PCMA) for _ in range(6)]
        packets: list[bytes] = []
        try:
            steady.join(bench, "steady", "c")
            talker.join(bench, "talker", "c")
            for tick in range(60):
                if tick % 10 == 3:
                    others[tick // 10].join(bench, f"other{tick}", "d")
                talker.speak()
                bench.tick()
                steady.listen()
                packets += steady.phone.packets
            stamps = [stamp for _, stamp in heads(packets)]
            steps = {(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(stamps)}
            assert steps == {ptime_ms * 8}
            heard = np.concatenate(steady.ear.samples)[160 * 6 :].astype(float)
            natural = 2 * np.pi * 700 / 8000 * 8231
            assert np.abs(np.diff(heard)).max() < 1.3 * natural
        finally:
            for end in (steady, talker, *others):
                end.close()


def test_a_far_end_may_change_its_packet_time(tmp_path):
    with EngineBench(tmp_path, max_legs=16) as bench:
        one, two = G711End(500.0, Law.PCMU, 20), G711End(900.0, Law.PCMU, 20)
        try:
            one.join(bench, "one", "c")
            two.join(bench, "two", "c")
            sizes = []
            for ptime_ms in (20, 60, 10, 30):
                one._ptime_ms = ptime_ms
                remote = one.phone.remote()
                remote = replace(remote, audio=replace(remote.audio, ptime_ms=ptime_ms))
                bench.engine.connect("one", remote)
                one.sizes.clear()
                for _ in range(60):
                    one.speak()
                    two.speak()
                    bench.tick()
                    one.listen()
                    two.listen()
                sizes.append(one.sizes.copy())
                assert two.ear.over_floor(500) >= 20
                assert one.ear.over_floor(900) >= 20
            assert sizes == [{160}, {480}, {80}, {240}]
        finally:
            one.close()
            two.close()
