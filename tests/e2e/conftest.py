"""One demo for all end-to-end tests: a whole hub with two media workers and its simulators, in a folder of its own."""

import os

import pytest

from commhub.wiring.demo.stage import Stage, cast_of


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    os.environ["COMMHUB_MEDIA__WORKERS"] = "2"
    stage = Stage(tmp_path_factory.mktemp("demo") / "town", 0, lambda _: None)
    with stage as note:
        stage.note = note
        yield stage
    del os.environ["COMMHUB_MEDIA__WORKERS"]


@pytest.fixture
def cast(stage):
    cast = cast_of(stage.note, lambda _title, _took: None)
    with cast.desk:
        yield cast
