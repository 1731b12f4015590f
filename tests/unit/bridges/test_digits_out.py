"""Digits sent to a leg: telephone-events where they were agreed, tones where not."""

import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from fakes.leg_kinds import LaneEnd
from fakes.rtp import DTMF_TYPE, EngineBench, Phone

from bridges.audio.codecs.opus import Opus
from bridges.audio.events import DtmfReceived
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path, max_legs=16) as made:
        yield made


def connect(bench, leg: str, phone: Phone, *, events: bool = True, **direction: bool) -> None:
    remote = phone.remote(**direction)
    kind = DTMF_TYPE if events else None
    bench.engine.connect(leg, replace(remote, audio=replace(remote.audio, dtmf_payload_type=kind)))


def gather(bench, phone: Phone, ticks: int) -> list[bytes]:
    packets = []
    for _ in range(ticks):
        bench.tick()
        phone.listen()
        packets += phone.packets
    return packets


def events_of(packets: list[bytes]) -> list[bytes]:
    return [packet for packet in packets if packet[1] & 0x7F == DTMF_TYPE]


def test_a_digit_is_one_event_whose_last_packet_comes_three_times(bench):
    phone = bench.add("leg", Phone(400.0))
    connect(bench, "leg", phone)
    bench.tick(), phone.listen()
    bench.engine.send_digits("leg", "5")
    packets = gather(bench, phone, 20)
    events = events_of(packets)
    assert [packet[1] >> 7 for packet in events] == [1, 0, 0, 0, 0, 0, 0]
    assert len({packet[4:8] for packet in events}) == 1
    told = [struct.unpack_from("!BBH", packet, 12) for packet in events]
    assert [one[0] for one in told] == [5] * 7
    assert [one[1] >> 7 for one in told] == [0, 0, 0, 0, 1, 1, 1]
    assert {one[1] & 0x3F for one in told} == {10}
    assert [one[2] for one in told] == [160, 320, 480, 640, 800, 800, 800]


def test_voice_goes_on_beside_events_and_no_number_is_missing(bench):
    phone = bench.add("leg", Phone(400.0))
    connect(bench, "leg", phone)
    bench.engine.send_digits("leg", "12")
    packets = gather(bench, phone, 30)
    numbers = [struct.unpack_from("!H", packet, 2)[0] for packet in packets]
    assert {(b - a) & 0xFFFF for a, b in itertools.pairwise(numbers)} == {1}
    voice = [packet for packet in packets if packet[1] & 0x7F == 0]
    assert len(voice) == 30
    first = next(i for i, packet in enumerate(packets) if packet[1] & 0x7F == DTMF_TYPE)
    assert packets[first][4:8] == packets[first - 1][4:8]


def test_digits_come_one_after_another_with_a_pause(bench):
    phone = bench.add("leg", Phone(400.0))
    connect(bench, "leg", phone)
    bench.engine.send_digits("leg", "1*#d")
    events = events_of(gather(bench, phone, 50))
    stamps = [struct.unpack_from("!I", packet, 4)[0] for packet in events]
    codes = [packet[12] for packet in events]
    assert [code for code, _ in itertools.groupby(codes)] == [1, 10, 11, 15]
    begins = list(dict.fromkeys(stamps))
    assert {(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(begins)} == {9 * 160}


def test_the_engine_understands_the_digits_it_sends(bench):
    phone = bench.add("leg", Phone(400.0))
    connect(bench, "leg", phone)
    bench.engine.send_digits("leg", "0123456789*#ABCD")
    for packet in events_of(gather(bench, phone, 200)):
        head = phone.packet(b"", kind=DTMF_TYPE)
        phone.send(head[:4] + packet[4:8] + head[8:12] + packet[12:])
        bench.tick()
    assert "".join(told.digit for told in bench.told(DtmfReceived)) == "0123456789*#ABCD"


def test_a_wideband_leg_gets_events_at_its_own_clock(bench):
    end = LaneEnd(400.0, Opus())
    end.join(bench, "leg", "c1")
    bench.tick(), end.listen()
    bench.engine.send_digits("leg", "7")
    packets = []
    for _ in range(12):
        bench.tick()
        end.listen()
        packets += end.packets
    events = events_of(packets)
    assert [struct.unpack_from("!H", packet, 14)[0] for packet in events][:5] == [
        960, 1920, 2880, 3840, 4800,
    ]  # fmt: skip
    end.close()


def test_durations_count_in_the_clock_that_the_events_were_agreed_with(bench):
    """A phone may have Opus and yet only telephone-event/8000."""
    end = LaneEnd(400.0, Opus())
    end.stream.audio = replace(end.stream.audio, dtmf_clock_rate=8000)
    end.join(bench, "leg", "c1")
    bench.tick(), end.listen()
    bench.engine.send_digits("leg", "77")
    packets = []
    for _ in range(20):
        bench.tick()
        end.listen()
        packets += end.packets
    events = events_of(packets)
    assert [struct.unpack_from("!H", packet, 14)[0] for packet in events][:5] == [
        160, 320, 480, 640, 800,
    ]  # fmt: skip
    begins = list(dict.fromkeys(struct.unpack_from("!I", packet, 4)[0] for packet in events))
    assert [(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(begins)] == [9 * 960]
    end.close()


@pytest.mark.parametrize("digit", "159D*0#")
def test_without_telephone_events_the_tones_are_heard(bench, digit):
    low = {"1": 697, "5": 770, "9": 852, "D": 941, "*": 941, "0": 941, "#": 941}[digit]
    high = {"1": 1209, "5": 1336, "9": 1477, "D": 1633, "*": 1209, "0": 1336, "#": 1477}[digit]
    phone = bench.add("leg", Phone(400.0))
    talker = bench.add("talker", Phone(2000.0))
    connect(bench, "leg", phone, events=False)
    bench.run(10)
    bench.engine.send_digits("leg", digit)
    samples = []
    from bridges.audio.g711 import decode

    for _ in range(9):
        talker.speak()
        bench.tick()
        phone.listen()
        samples += [decode(packet[12:], phone.law) for packet in phone.packets]
    assert events_of(phone.packets) == []
    tone = np.concatenate(samples[:5]).astype(float)
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 8000))
    found = sorted(int(i) for i in np.argsort(spectrum)[-400:] if spectrum[i] > spectrum.max() / 2)
    assert min(abs(i - low) for i in found) <= 5
    assert min(abs(i - high) for i in found) <= 5
    assert spectrum[1900:2100].max() < spectrum.max() / 30
    rest = np.concatenate(samples[5:]).astype(float)
    assert np.abs(np.fft.rfft(rest, 8000))[1900:2100].max() > 1e5


def test_tones_in_a_wide_call_reach_the_phone(bench):
    phone = bench.add("leg", Phone(400.0))
    connect(bench, "leg", phone, events=False)
    end = LaneEnd(900.0, Opus())
    end.join(bench, "wide", "c1")
    bench.tick()
    bench.engine.send_digits("leg", "5555555")
    for _ in range(60):
        bench.tick()
        phone.listen()
        end.listen()
    assert phone.hears(770)
    assert phone.hears(1336)
    assert end.ear.level(770) < -42
    end.close()


def test_what_cannot_be_sent_is_refused(bench):
    phone = bench.add("leg", Phone(400.0))
    bench.engine.join_group("c1", "radio", "g1")
    for digits in ("", "1 2", "１", "p", "1" * 65):
        with pytest.raises(InvalidError):
            bench.engine.send_digits("leg", digits)
    with pytest.raises(InvalidError):
        bench.engine.send_digits("radio", "1")
    with pytest.raises(NotFoundError):
        bench.engine.send_digits("nobody", "1")
    connect(bench, "leg", phone, receives=False)
    with pytest.raises(ConflictError):
        bench.engine.send_digits("leg", "1")


def test_digits_end_with_the_leg_and_with_hold(bench):
    phone = bench.add("leg", Phone(400.0))
    connect(bench, "leg", phone)
    bench.engine.send_digits("leg", "123")
    gather(bench, phone, 3)
    connect(bench, "leg", phone, receives=False)
    gather(bench, phone, 5)
    connect(bench, "leg", phone)
    assert events_of(gather(bench, phone, 30)) == []
    bench.engine.send_digits("leg", "123")
    gather(bench, phone, 3)
    bench.engine.release("leg")
    bench.tick()
    assert bench.engine._digits._dialling == {}
