"""Hypothesis strategies for whole domain objects, from their type hints: a new field is covered at once."""

import types
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from commhub.domain.geo import Point, Position
from commhub.domain.people import Endpoint, Scheme

T = TypeVar("T")

# Whatever UTF-8 can say, but no NUL: the store refuses that.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_MOMENTS = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2200, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3.5))]),
)
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.+", min_size=1, max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)

_SIMPLE: dict[object, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(0, 2**31 - 1),
    float: st.floats(0, 1e6),
    datetime: _MOMENTS,
    Endpoint: st.builds(Endpoint, st.sampled_from(Scheme), _NAMES, st.none() | _NAMES),
    Point: st.builds(Point, st.floats(-90, 90), st.floats(-180, 180)),
    Position: st.builds(
        Position, st.builds(Point, st.floats(-90, 90), st.floats(-180, 180)), _MOMENTS
    ),
    type(None): st.none(),
}


def _of(hint: Any) -> st.SearchStrategy[Any]:
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    return _of_generic(get_origin(hint), get_args(hint))


def _of_generic(origin: Any, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in {Union, types.UnionType}:
        return st.one_of(*map(_of, arguments))
    if origin is Mapping:
        return st.dictionaries(TEXT, _JSON, max_size=3)
    if origin is frozenset:
        return st.frozensets(_of(arguments[0]), max_size=3)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(_of(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(_of, arguments))
    raise TypeError(f"no strategy for {origin}")


def objects(kind: type[T], **fixed: object) -> st.SearchStrategy[T]:
    """Objects of a dataclass with every field drawn, but for the `fixed` ones."""
    drawn = {name: _of(hint) for name, hint in get_type_hints(kind).items() if name not in fixed}
    return st.builds(kind, **drawn, **{name: st.just(value) for name, value in fixed.items()})
