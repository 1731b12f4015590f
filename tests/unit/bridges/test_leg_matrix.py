"""Each kind of leg against each other kind: who hears whom, measured by tone, and nobody hears themselves."""

import itertools

import pytest
from fakes.leg_kinds import KINDS, FarEnd
from fakes.rtp import EngineBench

from bridges.audio.config import RadioCodec
from bridges.audio.events import FrameOut

TICKS = 70
HEARD_DB = 20.0
ABSENT_DBFS = -42.0
"""30 dB under a tone spoken at −12 dBFS."""


def talk(bench: EngineBench, everybody: list[FarEnd], speakers: list[FarEnd], ticks: int) -> None:
    for _ in range(ticks):
        for speaker in speakers:
            speaker.speak()
        bench.tick()
        for end in everybody:
            end.listen()


def assert_heard(bench: EngineBench, speaking: str, hearing: str) -> None:
    speaker, listener = KINDS[speaking](700.0), KINDS[hearing](1900.0)
    ends = [speaker, listener]
    try:
        for number, end in enumerate(ends):
            end.join(bench, f"leg{number}", "c1")
        speaker.begin()
        talk(bench, ends, [speaker], TICKS)
        assert listener.ear.over_floor(700) >= HEARD_DB
        assert listener.ear.level(700) > -20
        assert speaker.ear.level(700) < ABSENT_DBFS
    finally:
        for end in ends:
            end.close()


@pytest.mark.parametrize("hearing", KINDS)
@pytest.mark.parametrize("speaking", KINDS)
def test_who_speaks_is_heard_and_does_not_hear_itself(tmp_path, speaking, hearing):
    with EngineBench(tmp_path, max_legs=32) as bench:
        assert_heard(bench, speaking, hearing)


@pytest.mark.parametrize("codec", RadioCodec)
@pytest.mark.parametrize("speaking", KINDS)
def test_a_radio_hears_everybody_in_the_codec_of_its_group(tmp_path, speaking, codec):
    with EngineBench(tmp_path, max_legs=32, radio_codec=codec) as bench:
        assert_heard(bench, speaking, "radio-Opus")
        duration_ms = {RadioCodec.OPUS: 60, RadioCodec.PCMA: 20}[codec]
        frames = [out.frame for out in bench.told(FrameOut) if out.group == "g-leg1"]
        assert {(frame.codec, frame.duration_ms) for frame in frames} == {(codec, duration_ms)}
        clock = {RadioCodec.OPUS: 48, RadioCodec.PCMA: 8}[codec]
        steps = {b.timestamp - a.timestamp for a, b in itertools.pairwise(frames)}
        assert steps == {clock * duration_ms}


def test_all_kinds_in_one_call_hear_the_one_who_speaks(tmp_path):
    with EngineBench(tmp_path, max_legs=32) as bench:
        ends = [KINDS[kind](1000.0 + 50 * i) for i, kind in enumerate(KINDS)]
        speaker = KINDS["Opus"](700.0)
        ends.append(speaker)
        try:
            for number, end in enumerate(ends):
                end.join(bench, f"leg{number}", "c1")
            talk(bench, ends, [speaker], TICKS)
            heard = {
                kind: end.ear.over_floor(700) >= HEARD_DB
                for kind, end in zip(KINDS, ends, strict=False)
            }
            assert heard == dict.fromkeys(KINDS, True)
            assert speaker.ear.level(700) < ABSENT_DBFS
        finally:
            for end in ends:
                end.close()
