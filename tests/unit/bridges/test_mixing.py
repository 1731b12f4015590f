"""Who hears whom, measured by tone, with the engine's time scripted."""

import itertools
import struct

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone

from bridges.audio.events import LegSilent
from bridges.audio.g711 import SILENCE, Law
from commhub.ports.media import PLAIN, LegShape

SECOND = 50
TONES = [400.0, 700.0, 1100.0, 1600.0, 2300.0]


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


def assert_each_hears_exactly_the_others(phones: list[Phone], tones: list[float]) -> None:
    for phone, own in zip(phones, tones, strict=True):
        assert phone.lacks(own), own
        for other in tones:
            assert other == own or phone.hears(other), (own, other)


@pytest.mark.parametrize(
    "laws",
    [
        [Law.PCMU] * 3,
        [Law.PCMA] * 3,
        [Law.PCMU, Law.PCMA, Law.PCMU],
        [Law.PCMA, Law.PCMU, Law.PCMA, Law.PCMU],
        [Law.PCMU, Law.PCMA],
        [Law.PCMU] * 5,
    ],
    ids=lambda laws: "-".join(law.name for law in laws),
)
def test_each_leg_hears_the_others_and_not_itself(bench, laws):
    tones = TONES[: len(laws)]
    phones = [
        bench.add(f"leg{i}", Phone(tone, law), near=i % 2 == 0)
        for i, (tone, law) in enumerate(zip(tones, laws, strict=True))
    ]
    bench.run(SECOND + 10)
    assert_each_hears_exactly_the_others(phones, tones)
    assert all(
        phone.levels(tone)[0] >= 20 for phone in phones for tone in tones if not phone.lacks(tone)
    )


def test_calls_do_not_hear_each_other(bench):
    first = [bench.add(f"a{i}", Phone(tone), call="a") for i, tone in enumerate(TONES[:2])]
    second = [bench.add(f"b{i}", Phone(tone), call="b") for i, tone in enumerate(TONES[2:])]
    bench.run(SECOND + 10)
    assert_each_hears_exactly_the_others(first, TONES[:2])
    assert_each_hears_exactly_the_others(second, TONES[2:])


def test_a_leg_alone_hears_silence(bench):
    alone = bench.add("leg", Phone(400, Law.PCMA))
    bench.run(10)
    assert alone.heard == 10
    assert set(alone.packets[0][12:]) == {SILENCE[Law.PCMA]}


def test_legs_come_and_go_and_the_rest_talk_on(bench):
    phones = [bench.add(f"leg{i}", Phone(tone)) for i, tone in enumerate(TONES[:4])]
    bench.run(SECOND)
    heard = phones[0].heard
    bench.remove("leg1")
    bench.run(1)
    late = bench.add("late", Phone(TONES[4], Law.PCMA))
    bench.run(SECOND + 10)
    assert phones[0].heard == heard + SECOND + 11
    rest = [phones[0], phones[2], phones[3], late]
    assert_each_hears_exactly_the_others(rest, [TONES[0], *TONES[2:5]])
    assert phones[0].lacks(TONES[1])


def test_the_voice_of_too_many_is_clipped_and_not_wrapped(bench):
    phones = [bench.add(f"leg{i}", Phone(400 + i)) for i in range(8)]
    loud = np.full(160, 30_000, np.int16)
    from bridges.audio.g711 import decode, encode

    for _ in range(5):
        for phone in phones:
            phone.send(phone.packet(encode(loud, Law.PCMU)))
        bench.tick()
    phones[0].listen()
    assert decode(phones[0].packets[-1][12:], Law.PCMU).min() > 30_000


def test_a_muted_leg_is_not_heard_and_still_hears(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.engine.shape("one", LegShape(muted=True))
    bench.run(SECOND + 10)
    assert one.hears(700)
    assert two.lacks(400)
    bench.engine.shape("one", PLAIN)
    bench.run(SECOND + 10)
    assert two.hears(400)


def test_a_leg_on_hold_gets_nothing_and_comes_back_where_it_was(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(10)
    before = struct.unpack("!BBHII", one.packets[-1][:12])
    bench.engine.connect("one", one.remote(sends=False, receives=False))
    bench.run(25)
    assert one.heard == 10
    bench.engine.connect("one", one.remote())
    bench.run(1)
    after = struct.unpack("!BBHII", one.packets[-1][:12])
    assert after[2] == (before[2] + 1) & 0xFFFF
    assert after[3] == (before[3] + 26 * 160) & 0xFFFFFFFF
    assert after[4] == before[4]
    assert after[1] == before[1] | 0x80
    bench.run(SECOND + 10)
    assert two.hears(400)
    assert one.hears(700)


def test_hold_by_address_zero_is_hold(bench):
    one = bench.add("one", Phone(400))
    bench.run(3)
    held = one.remote()
    from dataclasses import replace

    bench.engine.connect(
        "one",
        replace(held, address=replace(held.address, host="0.0.0.0")),
    )
    bench.run(3)
    assert one.heard == 3
    bench.engine.connect("one", one.remote())
    bench.run(3)
    assert one.heard == 6


def test_headers_are_continuous_and_only_the_first_packet_is_marked(bench):
    one = bench.add("one", Phone(400))
    heads = []
    for _ in range(20):
        bench.run(1)
        heads.append(struct.unpack("!BBHII", one.packets[0][:12]))
    assert [head[1] & 0x80 for head in heads] == [0x80] + [0] * 19
    assert {head[4] for head in heads} == {heads[0][4]}
    assert {(b[2] - a[2]) & 0xFFFF for a, b in itertools.pairwise(heads)} == {1}
    assert {(b[3] - a[3]) & 0xFFFFFFFF for a, b in itertools.pairwise(heads)} == {160}


def test_coming_and_going_of_others_does_not_disturb_a_legs_headers(bench):
    one = bench.add("one", Phone(400))
    heads = []
    for step in range(12):
        if step % 3 == 1:
            bench.add(f"x{step}", Phone(700), call=f"c{step % 2}")
        if step % 3 == 2:
            bench.remove(f"x{step - 1}")
        bench.run(1)
        heads += [struct.unpack("!BBHII", packet[:12]) for packet in one.packets]
    assert len(heads) == 12
    assert {(b[2] - a[2]) & 0xFFFF for a, b in itertools.pairwise(heads)} == {1}
    assert sum(head[1] >> 7 for head in heads) == 1


def test_both_laws_from_one_phone_are_heard(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(5)
    one.law = Law.PCMA
    for _ in range(SECOND + 10):
        one.send(one.packet())
        two.speak()
        bench.tick()
        two.listen()
    assert two.hears(400)


def test_a_wrong_payload_type_is_counted_and_not_heard(bench):
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700))
    bench.run(2)
    for _ in range(10):
        one.send(one.packet(kind=97))
        bench.tick()
    two.listen()
    assert bench.counts.unwanted == 10
    assert set(two.packets[-1][12:]) == {SILENCE[Law.PCMU]}


def test_losses_are_counted_per_leg(bench):
    one = bench.add("one", Phone(400))
    for n in range(100):
        packet = one.packet()
        if n % 10 != 5:
            one.send(packet)
        bench.tick()
    (meter,) = bench.engine.snapshot().meters()
    assert (meter.received, meter.lost, meter.sent) == (90, 10, 100)


def test_levels_are_measured_per_leg(bench):
    bench.add("loud", Phone(400))
    bench.add("quiet", Phone(700))
    bench.run(30, silent=["quiet"])
    levels = {m.leg_id: m.level_dbov for m in bench.engine.snapshot().meters()}
    assert levels["loud"] == pytest.approx(-15, abs=1)
    assert levels["quiet"] < -60


def test_a_leg_that_goes_silent_is_told_once_a_spell(bench):
    bench.add("one", Phone(400))
    bench.run(SECOND)
    bench.run(12 * SECOND, silent=["one"])
    (told,) = bench.told(LegSilent)
    assert told.leg_id == "one"
    assert told.seconds >= 10
    bench.run(2 * SECOND)
    bench.run(12 * SECOND, silent=["one"])
    assert len(bench.told(LegSilent)) == 2


def test_a_leg_on_hold_owes_no_voice(bench):
    one = bench.add("one", Phone(400))
    bench.engine.connect("one", one.remote(sends=False))
    bench.run(12 * SECOND, silent=["one"])
    assert bench.told(LegSilent) == []
    assert bench.engine.snapshot().meters()[0].silent_s == 0


def test_time_that_was_skipped_is_skipped_in_the_timestamps(bench):
    one = bench.add("one", Phone(400))
    bench.run(2)
    first = struct.unpack("!BBHII", one.packets[-1][:12])
    bench.engine.skip(7)
    bench.run(1)
    second = struct.unpack("!BBHII", one.packets[-1][:12])
    assert (second[2] - first[2]) & 0xFFFF == 1
    assert (second[3] - first[3]) & 0xFFFFFFFF == 8 * 160
    assert bench.counts.missed_ticks == 7
