"""A quick value differs from a frozen dataclass in how it is made, and in nothing else that is asked of it."""

import copy
import pickle
from dataclasses import dataclass, field, fields
from dataclasses import replace as replace_slowly
from datetime import UTC, datetime

import pytest

from commhub.domain.call_facts import LegMoved
from commhub.kit.values import quick, replace
from gateways.sip.once import once


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    name: str
    kind: str = "base"


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Base):
    x: int
    seen: list = field(default_factory=list)
    aside: str = field(default="", compare=False)


@quick
@dataclass(frozen=True)
class Span:
    first: int
    last: int

    def __post_init__(self):
        if self.last < self.first:
            raise ValueError("ends before it begins")


@quick
@dataclass(frozen=True, slots=True)
class Hashed:
    host: str
    port: int = 5060


def test_fields_have_what_was_given_or_their_defaults():
    made = Point(name="a", x=1)
    assert (made.name, made.kind, made.x, made.seen, made.aside) == ("a", "base", 1, [], "")
    assert [one.name for one in fields(made)] == ["name", "kind", "x", "seen", "aside"]


def test_each_value_has_a_default_of_its_own():
    assert Point(name="a", x=1).seen is not Point(name="a", x=1).seen


def test_positions_and_names_both_fill_fields():
    assert Hashed("a", 1) == Hashed(host="a", port=1)
    assert Hashed("a").port == 5060


@pytest.mark.parametrize("arguments", [{}, {"name": "a"}, {"name": "a", "x": 1, "y": 2}])
def test_a_missing_or_unknown_field_is_a_type_error(arguments):
    with pytest.raises(TypeError):
        Point(**arguments)


def test_fields_that_are_named_only_take_no_position():
    with pytest.raises(TypeError):
        Point("a", 1)


def test_what_is_looked_at_when_it_is_made_still_is():
    with pytest.raises(ValueError, match="ends before"):
        Span(2, 1)
    with pytest.raises(ValueError, match="ends before"):
        replace_slowly(Span(1, 2), last=0)


def test_equal_values_are_one_key():
    assert len({Hashed("a"), Hashed("a", 5060), Hashed("b")}) == 2
    assert Point(name="a", x=1, aside="left") == Point(name="a", x=1, aside="right")
    assert Point(name="a", x=1) != Point(name="a", x=2)


def test_copies_and_changed_copies_leave_the_first_alone():
    first = Point(name="a", x=1)
    assert replace_slowly(first, x=2) == Point(name="a", x=2)
    assert first.x == 1
    assert copy.copy(first) == first
    assert pickle.loads(pickle.dumps(first)) == first


def test_no_field_can_be_added():
    with pytest.raises(AttributeError):
        Hashed("a").hostt = "b"


def test_whoever_inherits_without_being_quick_is_made_as_well():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Guarded(Base):
        y: int

    made = Guarded(name="a", y=2)
    assert (made.name, made.kind, made.y) == ("a", "base", 2)
    with pytest.raises(AttributeError):
        made.y = 3


def test_a_quick_fact_of_a_base_that_is_not_is_told_with_its_data():
    names = {one.name for one in fields(LegMoved)} - {"at", "actor", "incident_id"}
    made = LegMoved(at=datetime(2026, 1, 1, tzinfo=UTC), **dict.fromkeys(names, "x"))
    assert (made.kind, made.actor) == ("leg_moved", "system")
    assert made.data == dict.fromkeys(names, "x")


def test_a_changed_one_is_as_the_standard_library_makes_it():
    point = Point(name="a", x=1, seen=[1])
    for changes in ({}, {"x": 2}, {"name": "b", "kind": "c", "seen": [], "aside": "d"}):
        made = replace(point, **changes)
        assert made == replace_slowly(point, **changes)
        assert made.aside == replace_slowly(point, **changes).aside
        assert type(made) is Point
    assert point == Point(name="a", x=1, seen=[1])


def test_a_changed_one_is_checked_as_any_other():
    assert replace(Span(1, 2), last=3) == Span(1, 3)
    with pytest.raises(ValueError, match="ends before"):
        replace(Span(1, 2), last=0)


@pytest.mark.parametrize("value", [Span(1, 2), Hashed("a")])
def test_what_a_value_has_not_cannot_be_changed(value):
    with pytest.raises(TypeError, match="nonsense"):
        replace(value, nonsense=1)


def test_what_was_made_out_of_a_value_is_made_again_for_a_changed_one():
    @quick
    @dataclass(frozen=True)
    class Named:
        first: str
        last: str

        @once
        def whole(self):
            return f"{self.first} {self.last}"

    named = Named("Lin", "Fang")
    assert named.whole == "Lin Fang"
    assert replace(named, first="Li").whole == "Li Fang"


def test_values_that_are_not_quick_are_changed_as_well():
    @dataclass(frozen=True)
    class Slow:
        first: int
        last: int = 0

    assert replace(Slow(1), last=2) == Slow(1, 2)
