"""Reports, incidents, tasks, their clocks, the timeline, and the messages that carry all of it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from commhub.db.tables.base import (
    belongs_to,
    column,
    maybe,
    maybe_text,
    metadata,
    number,
    table,
    text,
)
from commhub.db.types import Document, Line, Moment, OneOf, Several, words
from commhub.domain.incident import Stage
from commhub.domain.message import CardAction, DeliveryKind, DeliveryState, MessageKind
from commhub.domain.people import Loop
from commhub.domain.report import ReportStage, Source
from commhub.domain.task import TaskStage
from commhub.domain.timer import ClockName, TimerState

incidents = table(
    "incidents",
    text("id"),
    text("number"),
    text("category"),
    text("title"),
    number("level"),
    column("loop", OneOf(Loop)),
    column("stage", OneOf(Stage)),
    column("opened_at", Moment),
    column("updated_at", Moment),
    text("team"),
    maybe_text("place"),
    maybe("lat", Double),
    maybe("lon", Double),
    maybe_text("grid"),
    maybe_text("reporter"),
    maybe_text("unit_id"),
    maybe_text("responder_id"),
    maybe("accept_by", Moment),
    maybe_text("needs_attention"),
    maybe_text("merged_into"),
    maybe("closed_at", Moment),
    column("drill", Boolean),
    text("origin"),
    column("decision", Document),
    belongs_to("incidents", "merged_into"),
    Index(None, "tenant", "stage", "id"),
)

# The count of each day behind incident numbers.
incident_counts = table("incident_counts", text("day"), number("given"), key=("day",))

reports = table(
    "reports",
    text("id"),
    column("source", OneOf(Source)),
    text("idempotency_key"),
    text("payload_hash"),
    text("category"),
    text("text"),
    column("received_at", Moment),
    maybe("level", Integer),
    maybe_text("reporter"),
    maybe_text("place"),
    maybe("lat", Double),
    maybe("lon", Double),
    maybe_text("grid"),
    maybe("occurred_at", Moment),
    number("casualties"),
    column("drill", Boolean),
    column("extra", Document),
    column("stage", OneOf(ReportStage)),
    maybe_text("incident_id"),
    maybe_text("error"),
    belongs_to("incidents", "incident_id"),
    UniqueConstraint("tenant", "source", "idempotency_key"),
    Index(None, "tenant", "stage", "received_at"),
    Index(None, "tenant", "incident_id"),
)

tasks = table(
    "tasks",
    text("id"),
    text("incident_id"),
    text("responder_id"),
    text("unit_id"),
    column("dispatched_at", Moment),
    number("attempt"),
    column("stage", OneOf(TaskStage)),
    maybe("accepted_at", Moment),
    maybe("on_scene_at", Moment),
    maybe("ended_at", Moment),
    maybe_text("note"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "incident_id"),
    Index(None, "tenant", "stage", "responder_id"),
)

timers = table(
    "timers",
    text("id"),
    text("incident_id"),
    column("clock", OneOf(ClockName)),
    number("step"),
    column("due_at", Moment),
    maybe_text("task_id"),
    column("state", OneOf(TimerState)),
    maybe_text("error"),
    belongs_to("incidents", "incident_id"),
    belongs_to("tasks", "task_id"),
    UniqueConstraint("tenant", "incident_id", "clock", "step"),
    Index(None, "tenant", "state", "due_at"),
)

# `seq` orders the log of the whole hub, so it is the key and not the tenant's.
timeline = Table(
    "timeline",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    Column("tenant", Line, nullable=False),
    Column("hub", Line, nullable=False),
    text("incident_id"),
    column("at", Moment),
    text("actor"),
    text("kind"),
    column("data", Document),
    # Of a line that another hub wrote: its place there, and the neighbour it came by.
    maybe("origin_seq", BigInteger),
    maybe_text("came_by"),
    PrimaryKeyConstraint("seq"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "incident_id", "seq"),
    Index("uq_timeline_tenant_hub_origin_seq", "tenant", "hub", "origin_seq", unique=True),
    sqlite_autoincrement=True,
)

messages = table(
    "messages",
    text("id"),
    text("dedup_key"),
    column("kind", OneOf(MessageKind)),
    text("title"),
    text("body"),
    column("created_at", Moment),
    maybe_text("incident_id"),
    maybe_text("task_id"),
    column("fields", Several(tuple, words)),
    column("actions", Several(tuple, CardAction)),
    maybe_text("link"),
    number("priority"),
    maybe("expires_at", Moment),
    belongs_to("incidents", "incident_id"),
    belongs_to("tasks", "task_id"),
    UniqueConstraint("tenant", "dedup_key"),
    Index(None, "tenant", "incident_id", "id"),
    Index(None, "tenant", "task_id"),
)

deliveries = table(
    "deliveries",
    text("id"),
    text("message_id"),
    text("channel"),
    text("recipient"),
    column("kind", OneOf(DeliveryKind)),
    maybe_text("responder_id"),
    column("state", OneOf(DeliveryState)),
    number("attempt"),
    column("next_at", Moment),
    maybe("lease_until", Moment),
    maybe_text("provider_id"),
    maybe_text("response_code"),
    maybe("response_code_expires_at", Moment),
    column("update", Document),
    maybe_text("error"),
    belongs_to("messages", "message_id"),
    Index(None, "tenant", "message_id"),
    Index(None, "tenant", "state", "next_at"),
)

acks = table(
    "acks",
    text("id"),
    text("message_id"),
    text("actor"),
    text("action"),
    text("source"),
    column("at", Moment),
    text("effect"),
    belongs_to("messages", "message_id"),
    UniqueConstraint("tenant", "message_id", "actor", "action"),
)

inbound_events = table(
    "inbound_events",
    text("id"),
    text("channel"),
    text("event_key"),
    column("payload", Document),
    column("received_at", Moment),
    column("handled", Boolean),
    maybe_text("error"),
    UniqueConstraint("tenant", "channel", "event_key"),
    Index(None, "tenant", "handled", "received_at"),
)
