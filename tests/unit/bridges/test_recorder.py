"""The recorder alone: files valid at every moment, whole at the end, aligned in time, never lost by a death."""

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.clock import START, ScriptedClock
from fakes.rtp import tone_samples

from bridges.audio.counts import Counts
from bridges.audio.events import RecordingFailed
from bridges.audio.recorder import Recorder
from bridges.audio.tracks import Piece, Track, TrackWriter, parse_part, part_name
from bridges.audio.wav import WavFile
from commhub.ports.media import RecordedFile

FRAME = 160
MIXED = Track("call-1")


def make_recorder(folder: Path, counts: Counts | None = None) -> tuple[Recorder, list[object]]:
    told: list[object] = []
    return Recorder(folder, ScriptedClock(), counts or Counts(), told.append), told


def write(recorder: Recorder, samples: np.ndarray, *tracks: Track, tick: int = 1) -> int:
    """The same samples for each track, tick by tick; returns the tick after the last."""
    for frame in samples.reshape(-1, FRAME):
        recorder.write(tick, 8000, tracks, np.tile(frame, (len(tracks), 1)))
        tick += 1
    return tick


def read_wav(path: Path, rate: int = 8000) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_a_recording_holds_what_was_written_and_its_hash(tmp_path):
    recorder, told = make_recorder(tmp_path)
    samples = tone_samples(440, 20 * FRAME)
    recorder.start()
    write(recorder, samples, MIXED)
    recorder.stop("call-1")
    recorder.close()
    (one,) = told
    path = tmp_path / one.path
    assert np.array_equal(read_wav(path), samples)
    assert one == RecordedFile(
        call_id="call-1",
        path="2026-03-02/call-1~080000.000000.wav",
        seconds=0.4,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        leg_id=None,
        started_at=START.timestamp(),
        rate=8000,
        size=path.stat().st_size,
    )


def test_a_leg_that_comes_later_begins_with_silence_so_that_all_files_are_aligned(tmp_path):
    recorder, told = make_recorder(tmp_path)
    early, late = Track("call-1", "early"), Track("call-1", "late")
    samples = tone_samples(440, 60 * FRAME)
    recorder.start()
    tick = write(recorder, samples[: 30 * FRAME], MIXED, early)
    tick = write(recorder, samples[30 * FRAME :], MIXED, early, late, tick=tick)
    recorder.close()
    files = {one.leg_id: one for one in told}
    assert {one.started_at for one in told} == {START.timestamp()}
    assert np.array_equal(read_wav(tmp_path / files["early"].path), samples)
    heard = read_wav(tmp_path / files["late"].path)
    assert not heard[: 30 * FRAME].any()
    assert np.array_equal(heard[30 * FRAME :], samples[30 * FRAME :])
    assert files["late"].path == "2026-03-02/call-1~080000.000000~late.wav"


def test_ticks_that_were_missed_are_silence_and_not_a_cut(tmp_path):
    recorder, told = make_recorder(tmp_path)
    samples = tone_samples(440, 10 * FRAME)
    recorder.start()
    tick = write(recorder, samples, MIXED)
    write(recorder, samples, MIXED, tick=tick + 7)
    recorder.close()
    heard = read_wav(tmp_path / told[0].path)
    silence = np.zeros(7 * FRAME, np.int16)
    assert np.array_equal(heard, np.concatenate((samples, silence, samples)))


def test_a_leg_that_leaves_ends_its_own_file_alone(tmp_path):
    recorder, told = make_recorder(tmp_path)
    leg = Track("call-1", "leg")
    recorder.start()
    tick = write(recorder, tone_samples(440, 10 * FRAME), MIXED, leg)
    recorder.stop("call-1", "leg")
    write(recorder, tone_samples(440, 5 * FRAME), MIXED, tick=tick)
    recorder.close()
    assert [(one.leg_id, one.seconds) for one in told] == [("leg", 0.2), (None, 0.3)]


def test_a_call_that_changes_its_band_goes_on_in_another_part(tmp_path):
    recorder, told = make_recorder(tmp_path)
    leg = Track("call-1", "leg")
    recorder.start()
    narrow, wide = np.full((2, 160), 5, np.int16), np.full((2, 320), 6, np.int16)
    other = np.full((1, 160), 7, np.int16)
    for tick in range(1, 11):
        recorder.write(tick, 8000, (MIXED, leg), narrow)
    recorder._clock.advance(0.2)
    for tick in range(11, 41):
        recorder.write(tick, 8000, (Track("call-2"),), other)
        recorder.write(tick, 16000, (MIXED, leg), wide)
    recorder.close()
    parts = sorted(
        (one.started_at - START.timestamp(), one.leg_id or "", one.rate, round(one.seconds, 2))
        for one in told
        if one.call_id == "call-1"
    )
    assert parts == [
        (0.0, "", 8000, 0.2),
        (0.0, "leg", 8000, 0.2),
        (pytest.approx(0.2), "", 16000, 0.6),
        (pytest.approx(0.2), "leg", 16000, 0.6),
    ]
    (wide_part,) = [one for one in told if one.rate == 16000 and one.leg_id is None]
    assert (read_wav(tmp_path / wide_part.path, 16000) == 6).all()


def test_closing_finishes_every_recording(tmp_path):
    recorder, told = make_recorder(tmp_path)
    recorder.start()
    write(recorder, tone_samples(440, FRAME), Track("a"), Track("b"), Track("b", "leg"))
    recorder.close()
    assert sorted((one.call_id, one.leg_id or "") for one in told) == [
        ("a", ""),
        ("b", ""),
        ("b", "leg"),
    ]
    assert not list(tmp_path.glob("*/*.part"))


def test_stopping_what_is_not_recorded_does_nothing(tmp_path):
    recorder, told = make_recorder(tmp_path)
    recorder.start()
    recorder.stop("call-1")
    recorder.stop("call-1", "leg")
    recorder.close()
    assert told == []
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_told_until_it_is_acknowledged(tmp_path):
    recorder, told = make_recorder(tmp_path)
    recorder.start()
    write(recorder, tone_samples(440, FRAME), MIXED, Track("call-1", "leg"))
    recorder.close()
    assert sorted(recorder.untold(), key=str) == sorted(told, key=str)
    again, _ = make_recorder(tmp_path)
    for one in told:
        again.told(one.path)
    assert list(again.untold()) == []
    again.told(told[0].path)


def test_an_acknowledgement_reaches_no_file_outside(tmp_path):
    outside = tmp_path / "precious.json"
    outside.write_text("{}")
    recorder, _ = make_recorder(tmp_path / "recordings")
    recorder.start()
    recorder.told("../precious")
    recorder.close()
    assert outside.exists()


def test_a_note_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    recorder, told = make_recorder(tmp_path)
    recorder.start()
    write(recorder, tone_samples(440, FRAME), MIXED)
    recorder.close()
    (tmp_path / "2026-03-02" / "broken.wav.json").write_text("{")
    (tmp_path / "2026-03-02" / "other.wav.json").write_text(json.dumps({"what": 1}))
    assert list(recorder.untold()) == told


# --- when the disk does not ------------------------------------------------------------------------------


def test_a_track_the_disk_does_not_take_is_told_once_and_costs_no_other(tmp_path):
    counts = Counts()
    recorder, told = make_recorder(tmp_path, counts)
    recorder.start()
    bad = Track("x" * 64, "y/z")
    write(recorder, tone_samples(440, 100 * FRAME), bad, MIXED)
    recorder.close()
    failed, stored = told
    assert failed == RecordingFailed(
        bad.call_id, "y/z", "the id of this call or leg cannot name a file"
    )
    assert (stored.call_id, stored.seconds) == ("call-1", 2.0)
    assert counts.recorder_unwritten == 100


class FullDisk:
    """Takes nothing while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        monkeypatch.setattr(WavFile, "write", self._write(WavFile.write))

    def _write(self, really):
        def written(file, samples, at):
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            really(file, samples, at)

        return written


def test_a_disk_that_was_full_costs_what_came_meanwhile_and_no_more(tmp_path, monkeypatch):
    disk, counts = FullDisk(monkeypatch), Counts()
    failed, ended = [], []
    writer = TrackWriter(
        tmp_path, counts, opened=lambda _: None, ended=ended.append, failed=failed.append
    )

    def speak(first: int, count: int) -> None:
        for tick in range(first, first + count):
            writer.take(
                Piece(tick, START.timestamp(), 8000, (MIXED,), np.full((1, FRAME), 9, np.int16))
            )
        writer.write_out()

    speak(0, 25)
    disk.full = True
    speak(25, 50)
    disk.full = False
    speak(75, 25)
    writer.close()
    assert failed == [RecordingFailed("call-1", None, "No space left on device")]
    assert counts.recorder_unwritten == 50
    (one,) = ended
    samples = read_wav(one.file.path)
    assert (
        samples.reshape(-1, FRAME).any(axis=1) == [True] * 25 + [False] * 50 + [True] * 25
    ).all()
    one.file.close()


def test_what_waits_for_a_slow_disk_is_bounded_and_what_is_dropped_is_counted(tmp_path):
    counts = Counts()
    recorder, told = make_recorder(tmp_path, counts)
    big = np.zeros((10, 1 << 20), np.int16)
    tracks = tuple(Track("call-1", f"leg{n}") for n in range(10))
    for tick in range(5):
        # Not started: nothing takes anything from the queue.
        recorder.write(tick, 8000, tracks, big)
    assert counts.recorder_dropped == 20
    recorder.start()
    recorder.close()
    assert len(told) == 10


def test_the_writer_keeps_up_with_five_hundred_files(tmp_path):
    """Ten seconds of 500 tracks, as fast as they come: in less time than they last."""
    counts = Counts()
    recorder, told = make_recorder(tmp_path, counts)
    tracks = (MIXED, *(Track("call-1", f"leg{n}") for n in range(499)))
    frame = np.tile(tone_samples(440, FRAME), (500, 1))
    recorder.start()
    began = time.monotonic()
    for tick in range(500):
        recorder.write(tick, 8000, tracks, frame.copy())
        while recorder._bytes_in - recorder._bytes_out > 30 << 20:
            threading.Event().wait(0.001)
    recorder.close()
    assert time.monotonic() - began < 10
    assert counts.recorder_dropped == counts.recorder_unwritten == 0
    assert len(told) == 500
    assert {round(one.seconds, 2) for one in told} == {10.0}


# --- when the writer dies --------------------------------------------------------------------------------


def _record_until_killed(folder: Path, ready: "multiprocessing.synchronize.Event") -> None:
    recorder, _ = make_recorder(folder)
    recorder.start()
    write(recorder, tone_samples(440, 8000 * 3), MIXED, Track("call-1", "leg"))
    while recorder._queue.qsize():
        pass
    ready.set()
    signal.pause()


def test_a_killed_writer_loses_at_most_a_second_and_the_next_one_finishes_its_files(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_record_until_killed, args=(tmp_path, ready))
    child.start()
    assert ready.wait(10)
    parts = list(tmp_path.glob("*/*.part"))
    assert len(parts) == 2
    for part in parts:
        assert len(read_wav(part)) >= 2 * 8000
    other, told_by_other = make_recorder(tmp_path)
    other.start()
    other.close()
    assert told_by_other == [], "a recording in progress belongs to its writer"
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    recorder, told = make_recorder(tmp_path)
    recorder.start()
    recorder.close()
    assert sorted(one.leg_id or "" for one in told) == ["", "leg"]
    for one in told:
        samples = read_wav(tmp_path / one.path)
        assert one.call_id == "call-1"
        assert one.started_at == START.timestamp()
        assert one.seconds == len(samples) / 8000 >= 2
        assert np.array_equal(samples, tone_samples(440, 8000 * 3)[: len(samples)])
        assert one.sha256 == hashlib.sha256((tmp_path / one.path).read_bytes()).hexdigest()


def test_an_empty_part_and_a_file_of_another_name_are_no_recordings(tmp_path):
    day = tmp_path / "2026-03-02"
    day.mkdir()
    empty = day / "call-1~080000.000000.wav.part"
    empty.touch()
    strange = day / "holiday.wav.part"
    strange.write_bytes(bytes(100))
    recorder, told = make_recorder(tmp_path)
    recorder.start()
    recorder.close()
    assert told == []
    assert not empty.exists()
    assert strange.exists()


@pytest.mark.parametrize("track", [MIXED, Track("0197a-b", "leg.2_x")])
def test_a_files_name_says_what_is_in_it(track):
    at = START.timestamp() + 0.123456
    found, found_at = parse_part(Path("/r") / part_name(track, at))
    assert found == track
    assert found_at == pytest.approx(at, abs=1e-6)


# --- the file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_wav_file_is_valid_after_every_write(tmp_path, rate):
    file = WavFile.create(tmp_path / "a.wav", rate)
    assert len(read_wav(file.path, rate)) == 0
    for n in range(3):
        file.write(bytes(320), n * FRAME)
        assert len(read_wav(file.path, rate)) == (n + 1) * FRAME
    file.sync()
    file.close()
    file.sync()


def test_half_a_sample_at_the_end_is_cut_off_and_the_rate_is_kept(tmp_path):
    path = tmp_path / "a.wav"
    file = WavFile.create(path, 16000)
    file.write(bytes(320), 0)
    file.close()
    with path.open("ab") as torn:
        torn.write(b"\x01")
    again = WavFile.reopen(path)
    assert again.rate == 16000
    again.finish()
    again.close()
    assert path.stat().st_size == 44 + 320


def test_a_file_is_nobody_elses_while_it_is_written(tmp_path):
    path = tmp_path / "a.wav"
    file = WavFile.create(path, 8000)
    with pytest.raises(BlockingIOError):
        WavFile.reopen(path)
    file.close()
    WavFile.reopen(path).close()
    with pytest.raises(FileNotFoundError):
        WavFile.reopen(tmp_path / "b.wav")
