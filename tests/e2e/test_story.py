"""The story of an incident, end to end on real protocols, as anybody can run it."""

import subprocess
import sys

import pytest


def script(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "commhub", "demo", "--script", *options],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.audio
def test_the_demo_tells_the_whole_story_and_stops_what_it_started():
    told = script()
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("✓") == 15


@pytest.mark.audio
def test_the_story_plays_on_a_running_demo_too(stage):
    told = script("--url", stage.note.url, "--data", str(stage.hub.folder))
    assert told.returncode == 0, told.stderr
    assert "a street alone" in told.stderr


def test_a_demo_that_is_not_there_is_said_in_one_line(tmp_path):
    told = script("--url", "http://127.0.0.1:9", "--data", str(tmp_path))
    assert told.returncode == 1
    assert "make demo" in told.stderr
