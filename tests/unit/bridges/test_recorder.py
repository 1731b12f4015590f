"""Recordings: valid at every moment, whole at the end, never lost by a death."""

import hashlib
import json
import multiprocessing
import os
import signal
import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.clock import ScriptedClock
from fakes.rtp import EngineBench, Phone, tone_samples

from bridges.audio.counts import Counts
from bridges.audio.events import RecordingStored
from bridges.audio.recorder import Recorder
from bridges.audio.wav import WavFile
from simulators.tones import ToneMeter

SECOND = 50
FRAME_BYTES = 320


def make_recorder(folder: Path) -> tuple[Recorder, list[RecordingStored]]:
    stored: list[RecordingStored] = []
    return Recorder(folder, ScriptedClock(), Counts(), stored.append), stored


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_a_recording_holds_what_was_written_and_its_hash(tmp_path):
    recorder, stored = make_recorder(tmp_path)
    samples = tone_samples(440, 20 * 160)
    recorder.start()
    for frame in samples.reshape(-1, 160):
        recorder.write("call-1", frame.tobytes())
    recorder.stop("call-1")
    recorder.close()
    (one,) = stored
    path = tmp_path / one.path
    assert np.array_equal(read_wav(path), samples)
    assert one.seconds == pytest.approx(0.4)
    assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert one.path == "2026-03-02/call-1-080000000000.wav"


def test_closing_finishes_every_recording(tmp_path):
    recorder, stored = make_recorder(tmp_path)
    recorder.start()
    for call in ("a", "b"):
        recorder.write(call, bytes(FRAME_BYTES))
    recorder.close()
    assert sorted(one.call_id for one in stored) == ["a", "b"]


def test_stopping_what_is_not_recorded_does_nothing(tmp_path):
    recorder, stored = make_recorder(tmp_path)
    recorder.start()
    recorder.stop("call-1")
    recorder.close()
    assert stored == []
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_told_until_it_is_acknowledged(tmp_path):
    recorder, (stored) = make_recorder(tmp_path)
    recorder.start()
    recorder.write("call-1", bytes(FRAME_BYTES))
    recorder.close()
    assert list(recorder.untold()) == stored
    again, _ = make_recorder(tmp_path)
    assert list(again.untold()) == stored
    again.told(stored[0].path)
    assert list(again.untold()) == []
    again.told(stored[0].path)


def test_an_acknowledgement_reaches_no_file_outside(tmp_path):
    outside = tmp_path / "precious.json"
    outside.write_text("{}")
    recorder, _ = make_recorder(tmp_path / "recordings")
    recorder.start()
    recorder.told("../precious")
    recorder.close()
    assert outside.exists()


def test_a_note_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    recorder, stored = make_recorder(tmp_path)
    recorder.start()
    recorder.write("call-1", bytes(FRAME_BYTES))
    recorder.close()
    (tmp_path / "2026-03-02" / "broken.wav.json").write_text("{")
    (tmp_path / "2026-03-02" / "other.wav.json").write_text(json.dumps({"what": 1}))
    assert list(recorder.untold()) == stored


def test_a_disk_that_fails_costs_one_recording_and_not_the_others(tmp_path):
    recorder, stored = make_recorder(tmp_path)
    recorder.start()
    # Longer than a file name may be: opening it fails.
    recorder.write("x" * 300, bytes(FRAME_BYTES))
    recorder.write("call-1", bytes(FRAME_BYTES))
    recorder.stop("x" * 300)
    recorder.close()
    assert [one.call_id for one in stored] == ["call-1"]


def _record_until_killed(folder: Path, ready: "multiprocessing.synchronize.Event") -> None:
    recorder, _ = make_recorder(folder)
    recorder.start()
    for frame in tone_samples(440, 8000 * 3).reshape(-1, 160):
        recorder.write("call-1", frame.tobytes())
    while recorder._queue.qsize():
        pass
    ready.set()
    signal.pause()


def test_a_killed_writer_loses_at_most_a_second_and_the_next_one_finishes_the_file(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_record_until_killed, args=(tmp_path, ready))
    child.start()
    assert ready.wait(10)
    (part,) = tmp_path.glob("*/*.part")
    assert len(read_wav(part)) >= 2 * 8000
    other, told_by_other = make_recorder(tmp_path)
    other.start()
    other.close()
    assert told_by_other == [], "a recording in progress belongs to its writer"
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    recorder, stored = make_recorder(tmp_path)
    recorder.start()
    recorder.close()
    (one,) = stored
    samples = read_wav(tmp_path / one.path)
    assert one.call_id == "call-1"
    assert one.seconds == len(samples) / 8000 >= 2
    assert np.array_equal(samples, tone_samples(440, 8000 * 3)[: len(samples)])
    assert one.sha256 == hashlib.sha256((tmp_path / one.path).read_bytes()).hexdigest()


def test_a_wav_file_is_valid_after_every_flush(tmp_path):
    file = WavFile(tmp_path / "a.wav")
    assert len(read_wav(file.path)) == 0
    for n in range(1, 4):
        file.append(bytes(320))
        file.flush()
        assert len(read_wav(file.path)) == n * 160
    file.close()


def test_half_a_sample_at_the_end_is_cut_off(tmp_path):
    path = tmp_path / "a.wav"
    file = WavFile(path)
    file.append(bytes(320))
    file.close()
    with path.open("ab") as torn:
        torn.write(b"\x01")
    again = WavFile(path)
    again.finish()
    again.close()
    assert path.stat().st_size == 44 + 320


def test_a_call_is_recorded_as_everybody_in_it_sounds(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.engine.record("c1", True)
        bench.engine.record("c1", True)
        bench.run(5)
        bench.add("one", Phone(400)), bench.add("two", Phone(700))
        bench.run(SECOND + 10)
        bench.engine.release("one")
        bench.engine.release("two")
    (one,) = bench.stored
    meter = ToneMeter()
    meter.hear(read_wav(tmp_path / one.path))
    levels = meter.levels([400, 700])
    assert one.seconds == pytest.approx(1.2, abs=0.05)
    assert levels["400"] > -20
    assert levels["700"] > -20


def test_recording_stops_when_told_and_begins_a_new_file_when_told_again(tmp_path):
    with EngineBench(tmp_path) as bench:
        bench.add("one", Phone(400))
        for _ in range(2):
            bench.engine.record("c1", True)
            bench.run(10)
            bench.engine.record("c1", False)
            bench.clock.advance(1)
        bench.engine.record("c1", False)
        bench.run(10)
    assert [one.seconds for one in bench.stored] == pytest.approx([0.2, 0.2])
    assert len({one.path for one in bench.stored}) == 2
