"""Rooms: who takes part, what is seen and kept; a call may be a room's sound."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("calls", sa.Column("room_id", TEXT))
    _wall_layouts()
    _rooms()
    _roll_calls()
    _room_minutes()
    _room_participants()
    _room_recordings()
    _roll_call_items()
    _room_invitations()
    _room_sessions()
    _room_sources()


def _wall_layouts() -> None:
    op.create_table(
        "wall_layouts",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("tiles", JSON, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("updated_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_wall_layouts"),
        sa.UniqueConstraint("tenant", "owner", "name", name="uq_wall_layouts_tenant_owner_name"),
    )


def _rooms() -> None:
    op.create_table(
        "rooms",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("dial", TEXT),
        sa.Column("mode", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("incident_id", TEXT),
        sa.Column("call_id", TEXT),
        sa.Column("device", TEXT),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("lobby", sa.Boolean(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("recording", sa.Boolean(), nullable=False),
        sa.Column("spotlight", TEXT),
        sa.Column("end_proposed_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_rooms"),
        sa.ForeignKeyConstraint(
            ["tenant", "call_id"], ["calls.tenant", "calls.id"], name="fk_rooms_calls"
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_rooms_incidents",
        ),
        sa.UniqueConstraint("tenant", "dial", name="uq_rooms_tenant_dial"),
    )
    op.create_index("ix_rooms_tenant_incident_id", "rooms", ["tenant", "incident_id"])
    op.create_index("ix_rooms_tenant_state", "rooms", ["tenant", "state"])


def _roll_calls() -> None:
    op.create_table(
        "roll_calls",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("done_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_roll_calls"),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_roll_calls_rooms"
        ),
        sa.UniqueConstraint("tenant", "room_id", "n", name="uq_roll_calls_tenant_room_id_n"),
    )
    op.create_index("ix_roll_calls_tenant_state", "roll_calls", ["tenant", "state"])


def _room_minutes() -> None:
    op.create_table(
        "room_minutes",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("author", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_minutes"),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_minutes_rooms"
        ),
        sa.UniqueConstraint(
            "tenant", "room_id", "version", name="uq_room_minutes_tenant_room_id_version"
        ),
    )


def _room_participants() -> None:
    op.create_table(
        "room_participants",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("account", TEXT),
        sa.Column("endpoint", TEXT),
        sa.Column("unit_id", TEXT),
        sa.Column("admitted", sa.Boolean(), nullable=False),
        sa.Column("hand_raised", sa.Boolean(), nullable=False),
        sa.Column("sound_muted", sa.Boolean(), nullable=False),
        sa.Column("picture_muted", sa.Boolean(), nullable=False),
        sa.Column("leg_id", TEXT),
        sa.Column("first_joined_at", MOMENT),
        sa.Column("joined_at", MOMENT),
        sa.Column("left_at", MOMENT),
        sa.Column("present_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_participants"),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_participants_rooms"
        ),
    )
    op.create_index(
        "ix_room_participants_tenant_room_id", "room_participants", ["tenant", "room_id"]
    )


def _room_recordings() -> None:
    op.create_table(
        "room_recordings",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("stored_at", MOMENT, nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("incident_id", TEXT),
        sa.Column("retention", TEXT, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_recordings"),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_room_recordings_incidents",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_recordings_rooms"
        ),
        sa.UniqueConstraint("tenant", "path", name="uq_room_recordings_tenant_path"),
    )
    op.create_index(
        "ix_room_recordings_tenant_retention_stored_at",
        "room_recordings",
        ["tenant", "retention", "stored_at"],
    )
    op.create_index("ix_room_recordings_tenant_room_id", "room_recordings", ["tenant", "room_id"])


def _roll_call_items() -> None:
    op.create_table(
        "roll_call_items",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("roll_call_id", TEXT, nullable=False),
        sa.Column("participant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("called_at", MOMENT, nullable=False),
        sa.Column("endpoint", TEXT),
        sa.Column("rung", sa.Boolean(), nullable=False),
        sa.Column("answered_at", MOMENT),
        sa.Column("round_trip_ms", sa.Double()),
        sa.Column("picture", TEXT, nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fps", sa.Double(), nullable=False),
        sa.Column("voice", TEXT, nullable=False),
        sa.Column("packets", sa.BigInteger()),
        sa.Column("verdict", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_roll_call_items"),
        sa.ForeignKeyConstraint(
            ["tenant", "roll_call_id"],
            ["roll_calls.tenant", "roll_calls.id"],
            name="fk_roll_call_items_roll_calls",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "participant_id"],
            ["room_participants.tenant", "room_participants.id"],
            name="fk_roll_call_items_room_participants",
        ),
    )
    op.create_index(
        "ix_roll_call_items_tenant_roll_call_id", "roll_call_items", ["tenant", "roll_call_id"]
    )


def _room_invitations() -> None:
    op.create_table(
        "room_invitations",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("participant_id", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("sent_to", TEXT),
        sa.Column("used_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_invitations"),
        sa.ForeignKeyConstraint(
            ["tenant", "participant_id"],
            ["room_participants.tenant", "room_participants.id"],
            name="fk_room_invitations_room_participants",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_invitations_rooms"
        ),
    )
    op.create_index("ix_room_invitations_tenant_room_id", "room_invitations", ["tenant", "room_id"])


def _room_sessions() -> None:
    op.create_table(
        "room_sessions",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("participant_id", TEXT, nullable=False),
        sa.Column("right", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("leg_id", TEXT),
        sa.Column("closed_at", MOMENT),
        sa.Column("reason", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_sessions"),
        sa.ForeignKeyConstraint(
            ["tenant", "participant_id"],
            ["room_participants.tenant", "room_participants.id"],
            name="fk_room_sessions_room_participants",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_sessions_rooms"
        ),
    )
    op.create_index("ix_room_sessions_tenant_leg_id", "room_sessions", ["tenant", "leg_id"])
    op.create_index(
        "ix_room_sessions_tenant_room_id_closed_at",
        "room_sessions",
        ["tenant", "room_id", "closed_at"],
    )


def _room_sources() -> None:
    op.create_table(
        "room_sources",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("participant_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("codec", TEXT),
        sa.Column("layers", JSON, nullable=False),
        sa.Column("muted", sa.Boolean(), nullable=False),
        sa.Column("device", TEXT),
        sa.Column("unit_id", TEXT),
        sa.Column("wanted_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_sources"),
        sa.ForeignKeyConstraint(
            ["tenant", "participant_id"],
            ["room_participants.tenant", "room_participants.id"],
            name="fk_room_sources_room_participants",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_sources_rooms"
        ),
    )
    op.create_index("ix_room_sources_tenant_room_id", "room_sources", ["tenant", "room_id"])
    op.create_index("ix_room_sources_tenant_state", "room_sources", ["tenant", "state"])
