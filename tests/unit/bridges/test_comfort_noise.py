"""Silence that is not sent (RFC 3389), both ways, through the engine."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone

from bridges.audio.g711 import DECODE, Law
from simulators.tones import Tone

SECOND = 50
NOISE = 13


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


@pytest.fixture
def ear(bench):
    """A leg that agreed on comfort noise; it says nothing itself."""
    phone = bench.add("ear", Phone(400))
    remote = phone.remote()
    bench.engine.connect("ear", replace(remote, audio=replace(remote.audio, comfort_noise=True)))
    return phone


def listen(bench, ear, ticks, *, silent=("ear", "two")):
    """(tick, type, marked, timestamp, payload) of every packet the ear was sent."""
    found = []
    for tick in range(ticks):
        bench.run(1, silent=silent)
        for packet in ear.packets:
            stamp = struct.unpack_from("!I", packet, 4)[0]
            found.append((tick, packet[1] & 0x7F, packet[1] >> 7, stamp, packet[12:]))
    return found


def test_a_silent_mix_is_told_once_and_then_nothing_is_sent(bench, ear):
    bench.add("two", Phone(700))
    found = listen(bench, ear, 10 * SECOND)
    kinds = [kind for _, kind, *_ in found]
    assert kinds.count(NOISE) == 1
    assert kinds == [0] * (len(kinds) - 1) + [NOISE]
    assert 8 <= len(kinds) <= 20
    assert len(found[-1][4]) == 1


def test_a_door_is_kept_open_by_a_packet_every_15_seconds_at_least(bench, ear):
    bench.add("two", Phone(700))
    ticks = [tick for tick, *_ in listen(bench, ear, 100 * SECOND)]
    assert np.diff([*ticks, 100 * SECOND]).max() <= 15 * SECOND
    assert len(ticks) < 40


def test_a_voice_ends_the_silence_at_once_with_a_mark_and_its_own_time(bench, ear):
    bench.add("two", Phone(700))
    before = listen(bench, ear, 4 * SECOND)
    after = listen(bench, ear, SECOND, silent=("ear",))
    assert [kind for _, kind, *_ in after[-40:]] == [0] * 40
    voice = next(one for one in after if one[1] == 0)
    assert voice[0] <= 2
    assert voice[2] == 1
    assert [marked for _, _, marked, *_ in after if marked] == [1]
    ticks = 4 * SECOND + voice[0] - before[0][0]
    assert (voice[3] - before[0][3]) & 0xFFFFFFFF == 160 * ticks
    bench.run(SECOND, silent=("ear",))
    assert ear.hears(700)


def test_the_numbers_of_packets_go_on_without_a_gap(bench, ear):
    bench.add("two", Phone(700))
    numbers = []
    for n in range(8):
        for _ in range(SECOND):
            bench.run(1, silent=("ear",) if n % 2 else ("ear", "two"))
            numbers += [struct.unpack_from("!H", packet, 2)[0] for packet in ear.packets]
    assert set(np.diff(np.array(numbers)) & 0xFFFF) == {1}


def test_the_background_is_told_at_its_level_and_again_when_it_changed(bench, ear):
    two = bench.add("two", Phone(700))
    levels = []
    for dbfs in (-57, -67):
        two.tone = Tone(700, level_dbfs=dbfs)
        found = listen(bench, ear, 3 * SECOND, silent=("ear",))
        levels.append([payload[0] for _, kind, _, _, payload in found if kind == NOISE][-1])
    # A sine of 0 dBFS has −3 dBov.
    assert levels[0] == pytest.approx(60, abs=2)
    assert levels[1] == pytest.approx(70, abs=3)


def test_who_did_not_agree_is_sent_every_frame(bench, ear):
    two = bench.add("two", Phone(700))
    listen(bench, ear, 4 * SECOND)
    assert two.heard == 4 * SECOND


def test_a_far_ends_silence_is_heard_at_the_level_it_told(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(SECOND)
    one.send(one.packet(bytes([45]), kind=NOISE))
    for _ in range(4):
        bench.run(1, silent=["one"])
    heard = []
    for _ in range(SECOND):
        bench.run(1, silent=["one"])
        heard.append(two.packets[-1][12:])
    samples = DECODE[Law.PCMU][np.frombuffer(b"".join(heard), np.uint8)].astype(float)
    assert 20 * np.log10(samples.std() / 32768) == pytest.approx(-45, abs=1.5)
    assert bench.counts.concealed == 0


def test_a_cut_off_noise_packet_is_malformed(bench):
    one = bench.add("one", Phone(400))
    bench.run(1)
    one.send(one.packet(b"", kind=NOISE))
    bench.run(1)
    assert bench.counts.malformed == 1
