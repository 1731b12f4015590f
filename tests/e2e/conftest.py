"""One demo for all end-to-end tests: a whole hub with two media workers and its simulators, in a folder of its own."""

import os
from pathlib import Path

import pytest
from fakes.browser import browser
from fakes.microphones import bursts
from fakes.room_pages import GUEST_TONE

from commhub.wiring.demo.settle import DISPATCHER
from commhub.wiring.demo.stage import Stage, cast_of


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    os.environ["COMMHUB_MEDIA__WORKERS"] = "2"
    stage = Stage(tmp_path_factory.mktemp("demo") / "town", 0, lambda _: None, is_alone=True)
    with stage as note:
        stage.note = note
        yield stage
    del os.environ["COMMHUB_MEDIA__WORKERS"]


@pytest.fixture
def cast(stage):
    cast = cast_of(stage.note, lambda _title, _took: None)
    with cast.desk:
        yield cast


@pytest.fixture
def pictures(tmp_path):
    folder = Path(os.environ.get("COMMHUB_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@pytest.fixture
def microphone(tmp_path, cast):
    """Bursts of a tone of somebody who is not in the call; a steady one is noise to a browser's filters."""
    return bursts(tmp_path / "microphone.wav", cast.radio.tone)


@pytest.fixture
def desk(stage, cast, microphone):
    with browser(stage.note.url, microphone) as page:
        page.do("signIn", name=DISPATCHER, password=stage.note.password)
        yield page


@pytest.fixture
def guest(stage, cast, tmp_path):
    """A browser of somebody without an account, with a voice of its own."""
    assert abs(GUEST_TONE - cast.radio.tone) > 100
    with browser(stage.note.url, bursts(tmp_path / "guest.wav", GUEST_TONE)) as page:
        yield page


@pytest.fixture
def room(cast):
    """A meeting that was opened elsewhere."""
    room = cast.desk.post("/rooms", {"name": "汛情会商"})
    yield room
    cast.desk.delete(f"/rooms/{room['id']}")
