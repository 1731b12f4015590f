"""The JSON form of domain things, one model each: the contract that the console's typed client is made from.

`XView.model_validate(x)` turns a domain object into its view; routes, the live socket and exports share them,
so one thing looks the same everywhere. Times are ISO 8601 in UTC, places WGS-84 degrees, endpoints text.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from commhub.domain.device import DeviceKind
from commhub.domain.incident import Action, Requirement, Stage
from commhub.domain.message import CardAction, DeliveryKind, DeliveryState, MessageKind
from commhub.domain.people import Loop, Role
from commhub.domain.report import ReportStage, Source
from commhub.domain.task import TaskStage

T = TypeVar("T")

EndpointText = Annotated[
    str,
    BeforeValidator(str),
    Field(description="scheme:name or scheme:name@hub", examples=["sip:1001"]),
]


def _in_order(value: object) -> object:
    """Sets have no order of their own; the same thing must look the same each time."""
    return sorted(value, key=str) if isinstance(value, Set) else value


Several = Annotated[Sequence[T], BeforeValidator(_in_order)]


class View(BaseModel):
    """Base of all views: read from attributes, frozen."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Page(View, Generic[T]):
    """One page of a list, newest first. Ask again with `cursor=next` for what is older; null: no more."""

    items: Sequence[T]
    next: str | None = None


class PointView(View):
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)


class PositionView(View):
    point: PointView
    at: datetime


class ReportView(View):
    id: str
    source: Source
    category: str
    text: str
    received_at: datetime
    level: int | None
    reporter: str | None
    place: str | None
    point: PointView | None
    grid: str | None
    occurred_at: datetime | None
    casualties: int
    drill: bool
    extra: Mapping[str, object]
    stage: ReportStage
    incident_id: str | None
    error: str | None


class IncidentView(View):
    id: str
    number: str
    category: str
    title: str
    level: int
    loop: Loop
    stage: Stage
    opened_at: datetime
    updated_at: datetime
    team: str
    place: str | None
    point: PointView | None
    grid: str | None
    reporter: str | None
    unit_id: str | None
    responder_id: str | None
    accept_by: datetime | None
    needs_attention: str | None
    merged_into: str | None
    closed_at: datetime | None
    drill: bool
    origin: str


class TaskView(View):
    id: str
    incident_id: str
    responder_id: str
    unit_id: str
    dispatched_at: datetime
    attempt: int
    stage: TaskStage
    accepted_at: datetime | None
    on_scene_at: datetime | None
    ended_at: datetime | None
    note: str | None


class IncidentDetail(View):
    """An incident with its reports and tasks, oldest first, and the rules' decision with its trace."""

    incident: IncidentView
    reports: Sequence[ReportView]
    tasks: Sequence[TaskView]
    decision: Mapping[str, object]


class MoveView(View):
    """One row of the action table: a button is live when `sources` has the stage and `roles` one of mine."""

    action: Action
    sources: Several[Stage]
    target: Stage | None
    roles: Several[Role]
    requires: Several[Requirement]


class TimelineEntryView(View):
    seq: int
    incident_id: str
    at: datetime
    actor: str
    kind: str
    data: Mapping[str, object]
    hub: str


class UnitView(View):
    id: str
    name: str
    team: str
    loop: Loop


class ResponderView(View):
    id: str
    name: str
    unit_id: str
    skills: Several[str]
    grids: Several[str]
    endpoints: Sequence[EndpointText]
    on_duty: bool
    leads: bool
    capacity: int
    position: PositionView | None


class EndpointView(View):
    """One line of the address book: who is behind it, and whether it can be reached now (null: unknown)."""

    endpoint: EndpointText
    name: str
    responder_id: str | None = None
    unit_id: str | None = None
    online: bool | None = None
    detail: str | None = None


class DeliveryView(View):
    id: str
    message_id: str
    channel: str
    recipient: str
    kind: DeliveryKind
    responder_id: str | None
    state: DeliveryState
    attempt: int
    next_at: datetime
    error: str | None


class AckView(View):
    id: str
    actor: str
    action: str
    source: str
    at: datetime
    effect: str


class MessageView(View):
    id: str
    kind: MessageKind
    title: str
    body: str
    created_at: datetime
    incident_id: str | None
    task_id: str | None
    fields: Sequence[tuple[str, str]]
    actions: Sequence[CardAction]
    link: str | None
    deliveries: Sequence[DeliveryView] = ()
    acks: Sequence[AckView] = ()


class DeviceView(View):
    id: str
    kind: DeviceKind
    name: str
    responder_id: str | None
    groups: Sequence[str]
    model: str | None
    gb_id: str | None
    capabilities: Sequence[str]
    online: bool
    seen_at: datetime | None
    position: PositionView | None
    battery: int | None
    revoked: bool


class DeviceCommandView(View):
    id: str
    device_id: str
    op: str
    at: datetime
    state: str
    expires_at: datetime | None
    answer: str | None


class PhoneView(View):
    """A SIP account and whether a phone is registered for it."""

    name: str
    display_name: str
    responder_id: str | None
    online: bool
    agent: str | None = None


class ServiceView(View):
    """A part of the hub: mqtt, media, wecom, sip. `state` is up, degraded or down."""

    name: str
    state: str
    detail: str | None = None


class PrincipalView(View):
    id: str
    name: str
    kind: str
    display_name: str
    roles: Several[Role]


class UserView(View):
    id: str
    name: str
    display_name: str
    roles: Several[Role]
    created_at: datetime
    disabled: bool


class ApiKeyView(View):
    id: str
    name: str
    roles: Several[Role]
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class AuditEntryView(View):
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    outcome: str
    detail: str
    digest: str
