"""The body of a report, shared by `POST reports` and `POST incidents`, and what it becomes."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field, field_validator

from commhub.domain.account import Principal
from commhub.domain.errors import InvalidError
from commhub.domain.geo import Point
from commhub.domain.report import Source
from commhub.http.bodies import Body
from commhub.kit.ids import new_id
from commhub.ports.inward import NewReport

Level = Field(None, ge=1, le=4, description="1 特别重大 … 4 一般; without it the rules decide")


class PointBody(Body):
    lat: float = Field(ge=-90, le=90, description="WGS-84 degrees")
    lon: float = Field(ge=-180, le=180)


class NewReportBody(Body):
    """What somebody told us. `occurred_at` without an offset is UTC."""

    category: str = Field(min_length=1, max_length=64, examples=["fire"])
    text: str = Field(max_length=4000)
    level: int | None = Level
    reporter: str | None = Field(None, max_length=128)
    place: str | None = Field(None, max_length=200)
    point: PointBody | None = None
    grid: str | None = Field(None, max_length=64)
    occurred_at: datetime | None = None
    casualties: int = Field(0, ge=0, le=1_000_000)
    drill: bool = False
    extra: dict[str, Any] = Field(default_factory=dict, max_length=64)

    @field_validator("occurred_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        try:
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except OverflowError:
            raise ValueError("no time of this calendar in UTC") from None

    def to_report(self, source: Source, principal: Principal, key: str) -> NewReport:
        """The report, signed by who entered it."""
        return NewReport(
            source=source,
            idempotency_key=key,
            category=self.category,
            text=self.text,
            level=self.level,
            reporter=self.reporter,
            place=self.place,
            point=Point(self.point.lat, self.point.lon) if self.point else None,
            grid=self.grid,
            occurred_at=self.occurred_at,
            casualties=self.casualties,
            drill=self.drill,
            extra={**self.extra, "entered_by": principal.actor},
        )


def key_of(principal: Principal, idempotency_key: str | None) -> str:
    """The report's key: the caller's, among the caller's own; without one every report is a new one.

    Raises InvalidError.
    """
    if idempotency_key is None:
        return new_id()
    if not (
        1 <= len(idempotency_key) <= 255
        and idempotency_key.isascii()
        and idempotency_key.isprintable()
    ):
        raise InvalidError("an Idempotency-Key has 1 to 255 printable ASCII characters")
    return f"{principal.kind}:{principal.id} {idempotency_key}"
