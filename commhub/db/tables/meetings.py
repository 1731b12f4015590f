"""Rooms: who takes part, what is seen, the sessions that carry it, and what is kept."""

from sqlalchemy import BigInteger, Boolean, Double, Index, Integer, UniqueConstraint

from commhub.db.tables.base import belongs_to, column, maybe, maybe_text, number, table, text
from commhub.db.types import Address, Moment, OneOf, Several, word
from commhub.domain.recording import Retention
from commhub.domain.roll_call import Check, RollCallState, Verdict
from commhub.domain.room import (
    ParticipantKind,
    ParticipantState,
    RoomMode,
    RoomRole,
    RoomState,
    SessionRight,
    SourceKind,
    SourceState,
)

rooms = table(
    "rooms",
    text("id"),
    text("number"),
    text("name"),
    column("created_at", Moment),
    text("created_by"),
    maybe_text("dial"),
    column("mode", OneOf(RoomMode)),
    column("state", OneOf(RoomState)),
    maybe_text("incident_id"),
    maybe_text("call_id"),
    maybe_text("device"),
    column("locked", Boolean),
    column("lobby", Boolean),
    column("drill", Boolean),
    column("recording", Boolean),
    maybe_text("spotlight"),
    maybe("end_proposed_at", Moment),
    maybe("ended_at", Moment),
    belongs_to("incidents", "incident_id"),
    belongs_to("calls", "call_id"),
    # A number is dialled for one room at a time: `dial` is empty once it is over.
    UniqueConstraint("tenant", "dial"),
    Index(None, "tenant", "state"),
    Index(None, "tenant", "incident_id"),
)

participants = table(
    "room_participants",
    text("id"),
    text("room_id"),
    column("kind", OneOf(ParticipantKind)),
    text("name"),
    column("created_at", Moment),
    column("role", OneOf(RoomRole)),
    column("state", OneOf(ParticipantState)),
    maybe_text("account"),
    maybe("endpoint", Address),
    maybe_text("unit_id"),
    column("admitted", Boolean),
    column("hand_raised", Boolean),
    column("sound_muted", Boolean),
    column("picture_muted", Boolean),
    maybe_text("leg_id"),
    maybe("first_joined_at", Moment),
    maybe("joined_at", Moment),
    maybe("left_at", Moment),
    column("present_s", Double),
    belongs_to("rooms", "room_id"),
    Index(None, "tenant", "room_id"),
)

sources = table(
    "room_sources",
    text("id"),
    text("room_id"),
    text("participant_id"),
    column("kind", OneOf(SourceKind)),
    text("label"),
    column("created_at", Moment),
    column("state", OneOf(SourceState)),
    maybe_text("codec"),
    column("layers", Several(tuple, word)),
    column("muted", Boolean),
    maybe_text("device"),
    maybe_text("unit_id"),
    maybe("wanted_at", Moment),
    maybe("started_at", Moment),
    maybe("ended_at", Moment),
    belongs_to("rooms", "room_id"),
    belongs_to("room_participants", "participant_id"),
    Index(None, "tenant", "room_id"),
    Index(None, "tenant", "state"),
)

# `source_id` may be the word for whoever speaks, so it names no row; the leg is its call's.
sessions = table(
    "room_sessions",
    text("id"),
    text("room_id"),
    text("participant_id"),
    column("right", OneOf(SessionRight)),
    text("source_id"),
    column("opened_at", Moment),
    number("layer"),
    maybe_text("leg_id"),
    maybe("closed_at", Moment),
    maybe_text("reason"),
    belongs_to("rooms", "room_id"),
    belongs_to("room_participants", "participant_id"),
    Index(None, "tenant", "room_id", "closed_at"),
    Index(None, "tenant", "leg_id"),
)

# `url` may hold a camera's password, so it comes sealed; the row goes with the source's end.
pulls = table(
    "room_pulls",
    text("id"),
    text("room_id"),
    text("source_id"),
    text("url"),
    number("layer"),
    belongs_to("rooms", "room_id"),
    belongs_to("room_sources", "source_id"),
    Index(None, "tenant", "room_id"),
)

invitations = table(
    "room_invitations",
    text("id"),
    text("room_id"),
    text("participant_id"),
    column("created_at", Moment),
    text("created_by"),
    column("expires_at", Moment),
    maybe_text("sent_to"),
    maybe("used_at", Moment),
    maybe("revoked_at", Moment),
    belongs_to("rooms", "room_id"),
    belongs_to("room_participants", "participant_id"),
    Index(None, "tenant", "room_id"),
)

roll_calls = table(
    "roll_calls",
    text("id"),
    text("room_id"),
    number("n"),
    column("created_at", Moment),
    text("created_by"),
    column("until", Moment),
    column("state", OneOf(RollCallState)),
    maybe("done_at", Moment),
    belongs_to("rooms", "room_id"),
    UniqueConstraint("tenant", "room_id", "n"),
    Index(None, "tenant", "state"),
)

roll_call_items = table(
    "roll_call_items",
    text("id"),
    text("roll_call_id"),
    text("participant_id"),
    text("name"),
    column("called_at", Moment),
    maybe("endpoint", Address),
    column("rung", Boolean),
    maybe("answered_at", Moment),
    maybe("round_trip_ms", Double),
    column("picture", OneOf(Check)),
    number("height"),
    column("fps", Double),
    column("voice", OneOf(Check)),
    maybe("packets", BigInteger()),
    column("verdict", OneOf(Verdict)),
    maybe_text("peer"),
    maybe_text("origin"),
    belongs_to("roll_calls", "roll_call_id"),
    belongs_to("room_participants", "participant_id"),
    Index(None, "tenant", "roll_call_id"),
)

minutes = table(
    "room_minutes",
    text("id"),
    text("room_id"),
    column("version", Integer),
    text("text"),
    column("at", Moment),
    text("author"),
    belongs_to("rooms", "room_id"),
    UniqueConstraint("tenant", "room_id", "version"),
)

# A file is kept on record whatever became of its source's row, so nothing is demanded of `source_id`.
recordings = table(
    "room_recordings",
    text("id"),
    text("room_id"),
    text("source_id"),
    text("label"),
    text("path"),
    column("seconds", Double),
    text("sha256"),
    column("size", BigInteger()),
    column("started_at", Moment),
    column("stored_at", Moment),
    number("width"),
    number("height"),
    maybe_text("incident_id"),
    column("retention", OneOf(Retention)),
    column("held", Boolean),
    maybe("deleted_at", Moment),
    belongs_to("rooms", "room_id"),
    belongs_to("incidents", "incident_id"),
    UniqueConstraint("tenant", "path"),
    Index(None, "tenant", "room_id"),
    Index(None, "tenant", "retention", "stored_at"),
)

layouts = table(
    "wall_layouts",
    text("id"),
    text("owner"),
    text("name"),
    number("columns"),
    column("tiles", Several(tuple, word)),
    column("updated_at", Moment),
    text("updated_by"),
    UniqueConstraint("tenant", "owner", "name"),
)
