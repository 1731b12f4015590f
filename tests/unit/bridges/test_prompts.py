"""Prompts in calls: who hears them, in which order, how they stop; by tone."""

import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.rtp import EngineBench, Phone, tone_samples

from bridges.audio.events import PlaybackEnded
from bridges.audio.g711 import decode
from bridges.audio.sounds import SoundLibrary, limited
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.recording import BuiltInPrompt
from commhub.ports.media import LegShape, MediaOrder, Playback
from simulators.tones import ToneMeter

SECOND = 50
PROMPT = 1500.0
OTHER = 2100.0
TONES = {"one": 400.0, "two": 700.0, "three": 1100.0}


def put_prompt(bench: EngineBench, name: str, samples: np.ndarray, *, rate: int = 16000) -> None:
    bench.prompts.mkdir(exist_ok=True)
    with wave.open(str(bench.prompts / f"{name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def tone_at_16k(frequency: float, seconds: float) -> np.ndarray:
    # The tone is made for 8 kHz: at twice the rate it is an octave higher.
    return tone_samples(frequency / 2, round(seconds * 16000))


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as bench:
        for leg, tone in TONES.items():
            bench.add(leg, Phone(tone))
        put_prompt(bench, "long", tone_at_16k(PROMPT, 2.0))
        put_prompt(bench, "short", tone_at_16k(OTHER, 0.5))
        put_prompt(bench, "odd", tone_at_16k(PROMPT, 0.3105))
        yield bench


def play(bench: EngineBench, name: str = "long", **given) -> str:
    playback = Playback(**({"id": name, "call_id": "c1", "prompt": name} | given))
    bench.engine.play(playback)
    return playback.id


def forget(bench: EngineBench) -> None:
    for phone in bench.phones.values():
        phone.meter.clear()


def hearing(bench: EngineBench, tone: float) -> set[str]:
    """The legs that hear the tone; every other one must lack it."""
    heard = {leg for leg, phone in bench.phones.items() if phone.hears(tone)}
    for leg in bench.phones.keys() - heard:
        assert bench.phones[leg].lacks(tone), leg
    return heard


def ended(bench: EngineBench) -> list[tuple[str, str]]:
    return [(one.playback_id, one.reason) for one in bench.told(PlaybackEnded)]


def test_a_prompt_to_one_leg_is_heard_by_nobody_else_and_takes_nobodys_voice(bench):
    play(bench, leg_ids=("two",))
    bench.run(SECOND + 10)
    assert hearing(bench, PROMPT) == {"two"}
    assert bench.phones["two"].levels(PROMPT)[0] >= 20
    assert hearing(bench, TONES["one"]) == {"two", "three"}
    assert hearing(bench, TONES["two"]) == {"one", "three"}


def test_a_prompt_to_a_call_is_heard_by_all_of_it_and_by_no_other_call(bench):
    bench.add("else", Phone(1900.0), call="c2")
    play(bench)
    bench.run(SECOND + 10)
    assert hearing(bench, PROMPT) == set(TONES)


def test_the_recording_hears_what_the_whole_call_hears_and_no_whisper(tmp_path):
    meters = {}
    for name, legs in (("all", None), ("single", ("one",))):
        with EngineBench(tmp_path / name) as bench:
            bench.add("one", Phone(400.0))
            put_prompt(bench, "long", tone_at_16k(PROMPT, 2.0))
            bench.engine.record("c1", True, per_leg=True)
            play(bench, leg_ids=legs)
            bench.run(SECOND + 10)
        for one in bench.stored:
            with wave.open(str(tmp_path / name / one.path)) as file:
                meter = ToneMeter()
                meter.hear(np.frombuffer(file.readframes(file.getnframes()), np.int16))
            meters[name, one.leg_id] = meter.levels([PROMPT])[f"{PROMPT:g}"]
    assert meters["all", None] > -20
    assert meters["all", "one"] < -42
    assert meters["single", None] < -42
    assert meters["single", "one"] < -42


def test_a_prompt_ends_by_itself_after_its_length(bench):
    play(bench, "short")
    bench.run(24)
    assert ended(bench) == []
    bench.run(2)
    assert ended(bench) == [("short", "finished")]
    forget(bench)
    bench.run(SECOND)
    assert hearing(bench, OTHER) == set()


def test_prompts_for_the_same_legs_wait_their_turn_and_others_do_not(bench):
    play(bench, "short", id="first", leg_ids=("one", "two"))
    play(bench, "short", id="second", leg_ids=("two", "one"))
    play(bench, "short", id="elsewhere", leg_ids=("three",))
    bench.run(26)
    assert ended(bench) == [("first", "finished"), ("elsewhere", "finished")]
    bench.run(25)
    assert ended(bench)[-1] == ("second", "finished")


def test_a_loop_goes_on_without_a_seam_until_it_is_stopped(bench):
    # Its length is no whole number of ticks: the end and the beginning meet within one.
    play(bench, "odd", loop=True, leg_ids=("one",))
    bench.run(2 * SECOND)
    assert hearing(bench, PROMPT) == {"one"}
    assert ended(bench) == []
    bench.engine.stop_playing("odd")
    bench.run(3)
    assert ended(bench) == [("odd", "stopped")]
    forget(bench)
    bench.run(SECOND)
    assert hearing(bench, PROMPT) == set()


def test_a_prompt_interrupts_a_loop_which_goes_on_afterwards(bench):
    play(bench, "long", loop=True, leg_ids=("one",))
    bench.run(10)
    put_prompt(bench, "notice", tone_at_16k(OTHER, 1.1))
    play(bench, "notice", leg_ids=("one",))
    bench.run(3)
    forget(bench)
    bench.run(SECOND)
    assert hearing(bench, OTHER) == {"one"}
    assert hearing(bench, PROMPT) == set()
    bench.run(5)
    forget(bench)
    bench.run(SECOND)
    assert hearing(bench, PROMPT) == {"one"}
    assert ended(bench) == [("notice", "finished")]


def test_a_new_loop_takes_the_place_of_the_one_before(bench):
    play(bench, "long", loop=True)
    bench.run(10)
    play(bench, "short", loop=True)
    bench.run(3)
    forget(bench)
    bench.run(SECOND)
    assert hearing(bench, OTHER) == set(TONES)
    assert hearing(bench, PROMPT) == set()
    assert ended(bench) == [("long", "stopped")]


def test_stopping_and_giving_way_is_a_fade_and_no_click(bench):
    """No step between two samples is larger than the loudest tone makes by itself."""
    steps: list[int] = []
    phone = bench.phones["one"]
    put_prompt(bench, "hum", tone_at_16k(300.0, 2.0))
    last = 0

    def run(ticks: int) -> None:
        nonlocal last
        for _ in range(ticks):
            bench.tick()
            phone.listen()
            for packet in phone.packets:
                samples = np.concatenate(([last], decode(packet[12:], phone.law).astype(np.int64)))
                last = int(samples[-1])
                steps.append(int(np.max(np.abs(np.diff(samples)))))

    play(bench, "hum", loop=True, leg_ids=("one",))
    run(20)
    steady = max(steps[5:])
    play(bench, "hum", id="again", leg_ids=("one",), loop=True)
    run(10)
    bench.engine.stop_playing("again")
    run(10)
    assert ended(bench) == [("hum", "stopped"), ("again", "stopped")]
    assert steady > 500
    assert max(steps[5:]) <= 1.2 * steady


def test_stopping_what_waits_or_is_not_there_is_fine(bench):
    play(bench, "long")
    play(bench, "short")
    bench.run(2)
    bench.engine.stop_playing("short")
    bench.engine.stop_playing("nobody")
    bench.run(1)
    assert ended(bench) == [("short", "stopped")]


def test_ordered_again_it_goes_on(bench):
    play(bench, "short")
    bench.run(20)
    play(bench, "short")
    bench.run(6)
    assert ended(bench) == [("short", "finished")]
    play(bench, "long")
    with pytest.raises(ConflictError):
        play(bench, "long", leg_ids=("one",))


def test_a_leg_that_is_not_there_yet_does_not_miss_the_beginning(bench):
    bench.engine.reserve(MediaOrder(call_id="c1", leg_id="late"))
    play(bench, "long", leg_ids=("late",))
    bench.run(SECOND)
    assert ended(bench) == []
    late = bench.add("late", Phone(1900.0))
    bench.run(2 * SECOND + 1)
    assert late.hears(PROMPT)
    assert ended(bench) == [("long", "finished")]


def test_what_is_played_ends_with_its_leg_and_with_its_call(bench):
    play(bench, "long", id="to-one", leg_ids=("one",))
    play(bench, "long", id="to-both", leg_ids=("one", "two"), loop=True)
    play(bench, "long", id="to-all", loop=True)
    play(bench, "short", id="waits")
    bench.run(2)
    bench.remove("one")
    bench.run(2)
    assert ended(bench) == [("to-one", "gone")]
    for leg in ("two", "three"):
        bench.remove(leg)
    bench.tick()
    assert sorted(ended(bench)) == [
        ("to-all", "gone"),
        ("to-both", "gone"),
        ("to-one", "gone"),
        ("waits", "gone"),
    ]


def test_a_prompt_to_a_leg_goes_with_it_into_another_call(bench):
    play(bench, "long", leg_ids=("one",), loop=True)
    bench.run(5)
    bench.engine.move("one", "c2")
    forget(bench)
    bench.run(SECOND)
    assert hearing(bench, PROMPT) == {"one"}


def test_a_leg_that_hears_nobody_hears_its_prompt(bench):
    """Hold with music: the leg is deaf and mute, and hears what is played to it."""
    bench.engine.shape("one", LegShape(muted=True, deaf=True))
    play(bench, "long", leg_ids=("one",), loop=True)
    bench.run(SECOND + 10)
    assert hearing(bench, PROMPT) == {"one"}
    assert hearing(bench, TONES["two"]) == {"three"}
    assert hearing(bench, TONES["one"]) == set()


def test_a_quieter_prompt_is_quieter_and_a_louder_one_is_refused(bench):
    play(bench, "long", id="loud", leg_ids=("one",))
    play(bench, "long", id="quiet", leg_ids=("two",), gain_db=-12)
    bench.run(SECOND + 10)
    loud, quiet = (
        bench.phones[leg].meter.levels([PROMPT])[f"{PROMPT:g}"] for leg in ("one", "two")
    )
    assert loud - quiet == pytest.approx(12, abs=0.5)
    for gain in (1.0, -100.0, float("nan")):
        with pytest.raises(InvalidError, match="gain"):
            play(bench, "long", id="no", gain_db=gain)


@pytest.mark.parametrize("prompt", ["nothing", "../../etc/passwd", "", "a.b", "x" * 100])
def test_a_prompt_that_is_not_there_is_refused(bench, prompt):
    with pytest.raises((NotFoundError, InvalidError)):
        play(bench, prompt, id="p")


def test_a_prompt_for_nobody_is_refused(bench):
    with pytest.raises(NotFoundError):
        play(bench, call_id="nobody")
    with pytest.raises(NotFoundError):
        play(bench, leg_ids=("nobody",))
    with pytest.raises(InvalidError):
        play(bench, leg_ids=())
    bench.engine.join_group("c1", "group", "street")
    with pytest.raises(InvalidError, match="radio"):
        play(bench, leg_ids=("group",))


def test_a_file_that_cannot_be_played_ends_as_failed_and_the_next_one_is_played(bench):
    (bench.prompts / "broken.wav").write_bytes(b"RIFF, or so it says")
    put_prompt(bench, "slow", tone_at_16k(PROMPT, 0.5), rate=8000)
    put_prompt(bench, "empty", np.zeros(0))
    for name in ("broken", "slow", "empty", "short"):
        play(bench, name)
    bench.run(30)
    assert ended(bench) == [
        ("broken", "failed"),
        ("slow", "failed"),
        ("empty", "failed"),
        ("short", "finished"),
    ]


# --- sounds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", BuiltInPrompt)
def test_a_built_in_prompt_is_a_sound_at_both_rates_below_the_limit(tmp_path, prompt):
    library = SoundLibrary(None)
    sound = library.request(prompt).result(5)
    library.close()
    assert len(sound.wide) == 2 * len(sound.narrow) > 2 * 0.1 * 8000
    assert np.array_equal(limited(sound.wide), sound.wide)
    for samples in (sound.narrow, sound.wide):
        assert -35 < 20 * np.log10(np.max(np.abs(samples.astype(float))) / 32768) < -10
        # It begins and ends softly.
        assert max(abs(int(samples[0])), abs(int(samples[-1]))) < 600


@pytest.mark.parametrize("prompt", [BuiltInPrompt.RINGBACK, BuiltInPrompt.BUSY])
def test_ringing_and_busy_are_450_hertz(prompt):
    library = SoundLibrary(None)
    sound = library.request(prompt).result(5)
    library.close()
    meter = ToneMeter()
    meter.hear(sound.narrow[:2400])
    levels = meter.levels([450.0, 400.0])
    assert levels["450"] > levels["400"] + 20


def test_music_on_hold_has_no_seam():
    library = SoundLibrary(None)
    sound = library.request("hold").result(5)
    library.close()
    around = np.concatenate((sound.narrow[-200:], sound.narrow[:200])).astype(int)
    steps = np.abs(np.diff(around))
    assert steps[199] <= np.max(np.abs(np.diff(sound.narrow.astype(int))))


def test_a_sound_that_is_too_loud_is_brought_down_as_a_whole():
    square = np.where(np.arange(32000) // 40 % 2, 32767, -32768).astype(np.int16)
    quiet = limited(square)
    rms = np.sqrt(np.mean(quiet.astype(float) ** 2))
    assert 20 * np.log10(rms / 32768) == pytest.approx(-16, abs=0.1)
    click = np.zeros(32000, np.int16)
    click[100] = 32767
    assert np.max(limited(click)) == pytest.approx(32768 * 10 ** (-3 / 20), abs=2)


def test_the_narrow_sound_is_the_wide_one_without_what_would_fold(tmp_path):
    folder = Path(tmp_path)
    samples = tone_at_16k(1000.0, 1.0) + tone_at_16k(6000.0, 1.0)
    with wave.open(str(folder / "both.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())
    library = SoundLibrary(folder)
    narrow = library.request("both").result(5).narrow
    library.close()
    meter = ToneMeter()
    meter.hear(narrow)
    levels = meter.levels([1000.0, 2000.0])
    assert levels["1000"] - levels["2000"] > 40
