"""One frozen dataclass, one table: what becomes a row, and what a row becomes.

A field is the column of its name; a Point is `lat` and `lon`; a Position is these and `position_at`. All
other conversions belong to the column types, so that WHERE clauses share them.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_type_hints

from sqlalchemy import Column, Table

from commhub.domain.geo import Point, Position

T = TypeVar("T")

Row = dict[str, object]


def _point(lat: float | None, lon: float | None) -> Point | None:
    return None if lat is None or lon is None else Point(lat, lon)


class Rows(Generic[T]):
    """The two ways between `kind` and a row of `table`. `columns` is what to select, in reading order."""

    def __init__(self, kind: type[T], table: Table) -> None:
        hints = get_type_hints(kind)
        self.table = table
        self._make: Callable[..., T] = kind
        self._point = next((n for n, t in hints.items() if t == Point | None), None)
        self._position = next((n for n, t in hints.items() if t == Position | None), None)
        self._names = tuple(n for n in hints if n not in {self._point, self._position})
        self._values: Callable[[T], tuple[object, ...]] = attrgetter(*self._names)
        self._extra: tuple[str, ...] = ()
        if self._point or self._position:
            self._extra = ("lat", "lon")
        if self._position:
            self._extra = ("lat", "lon", "position_at")
        self.columns: tuple[Column[Any], ...] = tuple(
            table.c[name] for name in (*self._names, *self._extra)
        )

    def to_row(self, thing: T) -> Row:
        row: Row = dict(zip(self._names, self._values(thing), strict=True))
        if self._point:
            point: Point | None = getattr(thing, self._point)
            row["lat"], row["lon"] = (point.lat, point.lon) if point else (None, None)
        if self._position:
            position: Position | None = getattr(thing, self._position)
            row["lat"], row["lon"], row["position_at"] = (
                (position.point.lat, position.point.lon, position.at)
                if position
                else (None, None, None)
            )
        return row

    def changes(self, before: T, after: T) -> Row:
        """The columns in which two rows differ. Kinds without a place on the map only."""
        pairs = zip(self._names, self._values(before), self._values(after), strict=True)
        return {name: new for name, old, new in pairs if new != old}

    def from_row(self, row: Sequence[Any]) -> T:
        """Read the leading columns of a row that began with `columns`."""
        count = len(self._names)
        fields: dict[str, Any] = dict(zip(self._names, row[:count], strict=True))
        if self._point:
            fields[self._point] = _point(row[count], row[count + 1])
        if self._position:
            point = _point(row[count], row[count + 1])
            at = row[count + 2]
            fields[self._position] = Position(point, at) if point and at else None
        return self._make(**fields)
