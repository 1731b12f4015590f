"""What a neighbour says of joined rooms is read as what a stranger sends."""

import pytest

from commhub.domain.errors import InvalidError
from commhub.rooms.cascade.said import JoinAsk, Standing, StartAsk, ToldSource, whep_of

SOURCE = {"source": "s1", "origin": "street/s1", "via": ["street"], "label": "门口"}
START = {"room": "r", "source": "s", "layer": 0, "whip": "/whip/r?source=s", "token": "t"}
JOIN = {"room": "r", "name": "会商", "hubs": ["city"], "beyond": []}


def test_what_is_written_is_read_again():
    told = ToldSource.read(SOURCE, "street")
    assert ToldSource.read(dict(told.body()), "street") == told
    asked = StartAsk.read(START)
    assert StartAsk.read(asked.body()) == asked
    join = JoinAsk.read(JOIN)
    assert JoinAsk.read(join.body()) == join
    standing = Standing(room="a", theirs="b", wants=("c",), voice=True)
    assert Standing.read_all({"joins": [standing.body()]}) == [standing]


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "elsewhere"},
        {"origin": "city/s1"},
        {"via": []},
        {"via": ["street"] * 17},
        {"via": ["street", "city"]},
        {"via": ["../etc"]},
        {"label": None},
        {"source": "x" * 65},
        {"source": {"a": 1}},
    ],
)
def test_a_picture_that_is_none_is_refused(change):
    with pytest.raises(InvalidError):
        ToldSource.read({**SOURCE, **change}, "street")


@pytest.mark.parametrize(
    "change",
    [
        {"whip": "https://elsewhere.example/whip/r?source=s"},
        {"whip": "/whip/r/../../api/v1/accounts?source=s"},
        {"whip": "//elsewhere/whip/r?source=s"},
        {"token": ""},
        {"token": None},
        {"layer": 7},
        {"layer": "main"},
        {"watchers": "many"},
        {"room": ""},
    ],
)
def test_a_wish_for_a_picture_that_is_none_is_refused(change):
    with pytest.raises(InvalidError):
        StartAsk.read({**START, **change})


@pytest.mark.parametrize(
    "change", [{"hubs": ["City!"]}, {"hubs": "city"}, {"name": "  "}, {"beyond": ["x"] * 65}]
)
def test_a_join_that_is_none_is_refused(change):
    with pytest.raises(InvalidError):
        JoinAsk.read({**JOIN, **change})


def test_a_picture_is_viewed_at_the_hub_that_was_asked_and_nowhere_else():
    assert whep_of({"whep": "/whep/r/s"}) == "/whep/r/s"
    assert whep_of({}) is None
    with pytest.raises(InvalidError):
        whep_of({"whep": "https://elsewhere.example/whep/r/s"})
