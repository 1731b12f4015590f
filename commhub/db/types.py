"""Column types that carry domain values, so that rows and WHERE clauses speak the same words on both databases.

Moments are aware UTC in Python; SQLite keeps fixed-width text without zone (which sorts), PostgreSQL
`timestamptz`. Documents are JSON text in the order written. A value no database can hold (a NUL, half a
surrogate pair, a time without zone) raises InvalidError, whichever database is behind.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from commhub.domain.errors import InvalidError
from commhub.domain.people import Endpoint

E = TypeVar("E", bound=StrEnum)
M = TypeVar("M")


def _plain(value: object) -> object:
    """The JSON form of what `json` does not know: enums inside, times as ISO 8601 in UTC, sets sorted."""
    match value:
        case datetime():
            return _in_utc(value).isoformat()
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value, key=str)
        case Endpoint():
            return str(value)
        case _:
            raise InvalidError(f"a {type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(default=_plain, separators=(",", ":"), allow_nan=False)


def dumps(value: object) -> str:
    """Compact JSON. Raises InvalidError for what JSON cannot say (NaN, unknown types)."""
    try:
        return _ENCODER.encode(value)
    except ValueError as error:
        raise InvalidError(f"no JSON form: {error}") from error


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise InvalidError(f"the time {value.isoformat()} lacks its zone")
    return value.astimezone(UTC)


def _holdable(value: str) -> str:
    if "\0" in value:
        raise InvalidError("text must not contain NUL characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeError as error:
            raise InvalidError("text must be valid Unicode") from error
    return value


def _line(value: object | None) -> str | None:
    # Nearly all are this, and a call writes a hundred.
    if type(value) is str and value.isascii() and "\0" not in value:
        return value
    return None if value is None else _holdable(str(value))


def _text_of(value: Enum | None) -> str | None:
    return None if value is None else value.value


# Keys are compared byte by byte on both databases, so that ids sort by time whatever the locale.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")


class Line(TypeDecorator[str]):
    """Text of any length."""

    impl = _TEXT
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return _line(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Neither database adds anything: a call binds a hundred of these."""
        return _line


class OneOf(TypeDecorator[E], Generic[E]):
    """One value of a StrEnum, kept as its text. An unknown text in the database raises ValueError."""

    impl = _TEXT
    cache_ok = True

    def __init__(self, words: type[E]) -> None:
        super().__init__()
        self.words = words
        self._by_text = {word.value: word for word in words}

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        return None if value is None else value.value

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _text_of

    def process_result_value(self, value: Any | None, dialect: Dialect) -> E | None:
        if value is None:
            return None
        return self._by_text.get(value) or self.words(value)


# The same few thousand addresses are read again and again.
_endpoint = lru_cache(maxsize=4096)(Endpoint.parse)


class Address(TypeDecorator[Endpoint]):
    """An endpoint as its text."""

    impl = _TEXT
    cache_ok = True

    def process_bind_param(self, value: Endpoint | None, dialect: Dialect) -> str | None:
        return _line(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _line

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Endpoint | None:
        return None if value is None else _endpoint(value)


class Moment(TypeDecorator[datetime]):
    """A point in time, microseconds kept, always aware UTC in Python."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = _in_utc(value)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return _moment_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        if dialect.name == "sqlite":
            return _moment_of
        return super().result_processor(dialect, coltype)


_ZONE = "+00:00"


def _moment_text(value: datetime | None) -> str | None:
    """As SQLAlchemy writes it, in a tenth of the time: a leg has three."""
    if value is None:
        return None
    return _in_utc(value).isoformat(" ", "microseconds").removesuffix(_ZONE)


def _moment_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


class Document(TypeDecorator[Mapping[str, object]]):
    """A JSON object; comes back as a dict of plain JSON values."""

    impl = JSON(none_as_null=True)
    cache_ok = True


class Several(TypeDecorator[Collection[M]], Generic[M]):
    """A JSON array of members, back as the collection `gather` makes (tuple, frozenset) of `read` members."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(
        self,
        gather: Callable[[Iterable[M]], Collection[M]],
        read: Callable[[Any], M],
    ) -> None:
        super().__init__()
        self.gather = gather
        self.read = read

    def process_bind_param(
        self, value: Collection[M] | None, dialect: Dialect
    ) -> Iterable[M] | None:
        if value is None:
            return None
        return sorted(value, key=str) if isinstance(value, frozenset) else list(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Collection[M] | None:
        return None if value is None else self.gather(map(self.read, value))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Most are empty, and SQLite keeps text."""
        write = super().bind_processor(dialect)
        if dialect.name != "sqlite" or write is None:
            return write
        return lambda value: "[]" if value is not None and not value else write(value)


def word(value: Any) -> str:
    """A text member of a `Several`."""
    return str(value)


def words(value: Any) -> tuple[str, ...]:
    """A row of texts inside a `Several`."""
    return tuple(map(str, value))


AnyType = TypeEngine[Any]
