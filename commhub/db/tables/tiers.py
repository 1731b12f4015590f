"""Tiers: neighbours, the words between hubs, what is shared of incidents, people and rooms."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
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
from commhub.db.types import Address, Document, Line, Moment, OneOf, Several, word
from commhub.domain.tier import (
    CheckInState,
    MessageState,
    PeeringState,
    Relation,
    ShareKind,
    ShareRight,
    ShareState,
    SupervisionState,
    Tier,
)
from commhub.domain.tier_calls import CallWeight
from commhub.domain.tier_rooms import CascadeState

peerings = table(
    "tier_peerings",
    text("peer"),
    text("name"),
    column("tier", OneOf(Tier)),
    column("relation", OneOf(Relation)),
    column("paired_at", Moment),
    text("paired_by"),
    column("keys", Several(tuple, word)),
    maybe_text("url"),
    maybe_text("sip"),
    number("uplink_kbps"),
    column("state", OneOf(PeeringState)),
    maybe("came_up_at", Moment),
    maybe("went_down_at", Moment),
    key=("peer",),
)

tickets = table(
    "tier_tickets",
    text("id"),
    text("peer"),
    text("secret_hash"),
    column("created_at", Moment),
    text("created_by"),
    column("expires_at", Moment),
    maybe("used_at", Moment),
    UniqueConstraint("tenant", "secret_hash"),
)

# `seq` is the order in which a peer is told, so it is the key, as in the timeline.
outbox = Table(
    "tier_outbox",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True),
    Column("tenant", Line, nullable=False),
    Column("hub", Line, nullable=False),
    text("id"),
    text("peer"),
    text("kind"),
    column("body", Document),
    column("created_at", Moment),
    maybe_text("incident_id"),
    number("schema"),
    column("state", OneOf(MessageState)),
    maybe_text("code"),
    maybe_text("reason"),
    PrimaryKeyConstraint("seq"),
    UniqueConstraint("tenant", "id"),
    Index(None, "tenant", "peer", "state", "seq"),
    sqlite_autoincrement=True,
)

cursors = table(
    "tier_cursors",
    text("peer"),
    text("epoch"),
    column("seq", BigInteger),
    key=("peer",),
)

taken = table(
    "tier_taken",
    text("peer"),
    text("message_id"),
    column("taken_at", Moment),
    maybe_text("code"),
    maybe_text("reason"),
    Index(None, "tenant", "taken_at"),
    key=("peer", "message_id"),
)

shares = table(
    "tier_shares",
    text("incident_id"),
    text("peer"),
    column("kind", OneOf(ShareKind)),
    column("given", Boolean),
    column("state", OneOf(ShareState)),
    column("created_at", Moment),
    column("updated_at", Moment),
    text("by"),
    maybe_text("note"),
    maybe_text("their_number"),
    maybe_text("their_stage"),
    maybe_text("their_unit"),
    maybe_text("their_person"),
    column("their_clocks", Document),
    column("told_seq", BigInteger),
    number("turn"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "peer", "state"),
    key=("incident_id", "peer"),
)

check_ins = table(
    "tier_check_ins",
    text("id"),
    text("incident_id"),
    text("peer"),
    column("given", Boolean),
    text("unit_id"),
    text("unit"),
    column("called_at", Moment),
    text("called_by"),
    column("due_at", Moment),
    column("state", OneOf(CheckInState)),
    maybe("came_at", Moment),
    maybe_text("by"),
    maybe_text("note"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "incident_id"),
    Index(None, "tenant", "state", "due_at"),
)

supervisions = table(
    "tier_supervisions",
    text("id"),
    text("incident_id"),
    text("peer"),
    column("given", Boolean),
    text("text"),
    column("ordered_at", Moment),
    text("ordered_by"),
    column("due_at", Moment),
    column("state", OneOf(SupervisionState)),
    maybe("answered_at", Moment),
    maybe_text("answered_by"),
    maybe_text("answer"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "incident_id"),
    Index(None, "tenant", "state", "due_at"),
)

exports = table(
    "tier_exports",
    text("id"),
    text("peer"),
    text("subject"),
    text("label"),
    column("rights", Several(frozenset, ShareRight)),
    column("created_at", Moment),
    text("created_by"),
    UniqueConstraint("tenant", "peer", "subject"),
)

shared = table(
    "tier_shared",
    text("peer"),
    text("subject"),
    text("label"),
    column("rights", Several(frozenset, ShareRight)),
    column("updated_at", Moment),
    maybe("endpoint", Address),
    maybe_text("unit"),
    column("online", Boolean),
    key=("peer", "subject"),
)

hub_legs = table(
    "tier_legs",
    text("leg_id"),
    text("peer"),
    text("their_leg"),
    column("endpoint", Address),
    column("weight", OneOf(CallWeight)),
    column("agreed_at", Moment),
    text("by"),
    UniqueConstraint("tenant", "peer", "their_leg"),
    key=("leg_id",),
)

cascades = table(
    "room_cascades",
    text("room_id"),
    text("peer"),
    column("relation", OneOf(Relation)),
    column("state", OneOf(CascadeState)),
    column("created_at", Moment),
    text("created_by"),
    maybe_text("their_room"),
    maybe_text("participant_id"),
    column("hubs", Several(tuple, word)),
    column("beyond", Several(tuple, word)),
    maybe_text("reason"),
    belongs_to("rooms", "room_id"),
    Index(None, "tenant", "state"),
    key=("room_id", "peer"),
)

remote_sources = table(
    "room_remote_sources",
    text("source_id"),
    text("room_id"),
    text("peer"),
    text("origin"),
    column("via", Several(tuple, word)),
    text("their_source"),
    maybe("wanted", Integer),
    maybe_text("refused"),
    belongs_to("rooms", "room_id"),
    belongs_to("room_sources", "source_id"),
    UniqueConstraint("tenant", "room_id", "origin"),
    Index(None, "tenant", "peer"),
    key=("source_id",),
)

uplinks = table(
    "room_uplinks",
    text("id"),
    text("room_id"),
    text("source_id"),
    text("peer"),
    text("url"),
    number("layer"),
    column("asked_at", Moment),
    maybe("sent", Integer),
    number("kbps"),
    maybe_text("error"),
    belongs_to("rooms", "room_id"),
    Index(None, "tenant", "room_id"),
    Index(None, "tenant", "peer"),
)
