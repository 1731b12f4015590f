"""What hubs say to each other of incidents, as it is on the wire (`docs/protocols/tiers.md`). A body of another form is an InvalidError:
pydantic's error is a ValueError, which `words` turns into a refusal that names it.

Unknown members are left out, not refused: a later hub may say more of a kind that this one knows.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from commhub.domain.geo import Point
from commhub.domain.incident import Incident, Stage
from commhub.domain.report import Report, Source
from commhub.domain.tier import ShareKind
from commhub.ports.inward import NewReport
from commhub.ports.tiers import Body

SHARED = "incident.shared"
WHISTLED = "incident.whistled"
RETURNED = "incident.returned"
LINES = "incident.lines"
CHECKED_IN = "incident.checked_in"
WITHDRAWN = "incident.whistle_withdrawn"
SUPERVISED = "incident.supervised"
ANSWERED = "incident.supervision_answered"
LIFTED = "incident.supervision_lifted"

IncidentId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
RowId = IncidentId
Note = Annotated[str, Field(max_length=2000)]
Name = Annotated[str, Field(max_length=200)]
HubName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]

Turn = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Said(BaseModel):
    """The base of all of them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @property
    def body(self) -> Body:
        return self.model_dump(mode="json")


class Standing(Said):
    """How the incident stands at the hub that says it. `clocks` are deadlines by name."""

    number: Annotated[str, Field(max_length=64)]
    stage: Stage
    unit: Name | None = None
    person: Name | None = None
    clocks: Annotated[Mapping[str, AwareDatetime], Field(max_length=16)] = {}


class Told(Said):
    """The incident for a hub that does not have it: what its report there will say."""

    category: Annotated[str, Field(min_length=1, max_length=64)]
    title: Annotated[str, Field(max_length=200)]
    text: Annotated[str, Field(max_length=20_000)]
    level: Annotated[int, Field(ge=0, le=100)]
    origin: HubName
    reporter: Annotated[str, Field(max_length=200)] | None = None
    place: Annotated[str, Field(max_length=500)] | None = None
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    grid: Annotated[str, Field(max_length=64)] | None = None
    occurred_at: AwareDatetime | None = None
    casualties: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    drill: bool = False

    @classmethod
    def of(cls, incident: Incident, report: Report) -> "Told":
        point = incident.point
        return cls(
            category=incident.category,
            title=incident.title[:200],
            text=report.text[:20_000],
            level=incident.level,
            origin=incident.origin,
            reporter=_cut(incident.reporter, 200),
            place=_cut(incident.place, 500),
            lat=point.lat if point else None,
            lon=point.lon if point else None,
            grid=incident.grid,
            occurred_at=report.occurred_at,
            casualties=report.casualties,
            drill=incident.drill,
        )

    def to_report(self, incident_id: str, peer: str, kind: ShareKind) -> NewReport:
        """As this hub's report of it. The key is the incident's own, so it is told here once, by whichever neighbour."""
        is_there = self.lat is not None and self.lon is not None
        return NewReport(
            source=Source.UPSTREAM,
            idempotency_key=f"tier:{incident_id}",
            category=self.category,
            text=self.text or self.title,
            level=self.level,
            reporter=self.reporter,
            place=self.place,
            point=Point(lat=self.lat or 0.0, lon=self.lon or 0.0) if is_there else None,
            grid=self.grid,
            occurred_at=self.occurred_at,
            casualties=self.casualties,
            drill=self.drill,
            extra={"hub": peer, "origin": self.origin, "share": kind.value},
        )


class SharedBody(Said):
    """逐级上报 or 派发: `incident.shared`."""

    kind: ShareKind
    turn: Turn
    by: Name
    note: Note | None = None
    incident: Told
    standing: Standing


class Called(Said):
    """One department that is whistled for."""

    id: RowId
    unit_id: Annotated[str, Field(min_length=1, max_length=64)]
    due_at: AwareDatetime


class WhistledBody(Said):
    """吹哨: `incident.whistled`."""

    turn: Turn
    by: Name
    note: Note | None = None
    incident: Told
    standing: Standing
    check_ins: Annotated[Sequence[Called], Field(min_length=1, max_length=64)]


class ReturnedBody(Said):
    """退回: `incident.returned`."""

    turn: Turn
    by: Name
    note: Note


class CheckedInBody(Said):
    """报到: `incident.checked_in`. `by` is who came."""

    id: RowId
    at: AwareDatetime
    by: Name
    note: Note | None = None


class WithdrawnBody(Said):
    """`incident.whistle_withdrawn`."""

    id: RowId
    by: Name
    note: Note | None = None


class SupervisedBody(Said):
    """督办: `incident.supervised`."""

    id: RowId
    text: Annotated[str, Field(min_length=1, max_length=2000)]
    due_at: AwareDatetime
    by: Name


class AnsweredBody(Said):
    """反馈: `incident.supervision_answered`."""

    id: RowId
    at: AwareDatetime
    by: Name
    answer: Annotated[str, Field(min_length=1, max_length=2000)]


class LiftedBody(Said):
    """`incident.supervision_lifted`."""

    id: RowId
    by: Name


class Line(Said):
    """One line of a timeline: `seq` is its place in the log of the hub that wrote it."""

    hub: HubName
    seq: Annotated[int, Field(ge=1, le=2**63 - 1)]
    at: AwareDatetime
    actor: Annotated[str, Field(max_length=200)]
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    data: Mapping[str, object]


class LinesBody(Said):
    """`incident.lines`: what was written since the last of them, oldest first, and how the incident stands now."""

    lines: Annotated[Sequence[Line], Field(max_length=200)]
    standing: Standing


def _cut(text: str | None, at: int) -> str | None:
    return None if text is None else text[:at]
