"""Tiers: neighbours, the words between hubs, and what they share; lines of other hubs in the timeline."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("timeline", sa.Column("origin_seq", sa.BigInteger()))
    op.add_column("timeline", sa.Column("came_by", TEXT))
    op.add_column("roll_call_items", sa.Column("peer", TEXT))
    op.add_column("roll_call_items", sa.Column("origin", TEXT))
    op.create_index(
        "uq_timeline_tenant_hub_origin_seq",
        "timeline",
        ["tenant", "hub", "origin_seq"],
        unique=True,
    )
    _tier_peerings()
    _tier_tickets()
    _tier_outbox()
    _tier_cursors()
    _tier_taken()
    _tier_shares()
    _tier_check_ins()
    _tier_supervisions()
    _tier_exports()
    _tier_shared()
    _tier_legs()
    _room_cascades()
    _room_remote_sources()
    _room_uplinks()


def _tier_peerings() -> None:
    op.create_table(
        "tier_peerings",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("relation", TEXT, nullable=False),
        sa.Column("paired_at", MOMENT, nullable=False),
        sa.Column("paired_by", TEXT, nullable=False),
        sa.Column("keys", JSON, nullable=False),
        sa.Column("url", TEXT),
        sa.Column("sip", TEXT),
        sa.Column("uplink_kbps", sa.Integer(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("came_up_at", MOMENT),
        sa.Column("went_down_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "peer", name="pk_tier_peerings"),
    )


def _tier_tickets() -> None:
    op.create_table(
        "tier_tickets",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("secret_hash", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_tier_tickets"),
        sa.UniqueConstraint("tenant", "secret_hash", name="uq_tier_tickets_tenant_secret_hash"),
    )


def _tier_outbox() -> None:
    op.create_table(
        "tier_outbox",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("incident_id", TEXT),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("code", TEXT),
        sa.Column("reason", TEXT),
        sa.PrimaryKeyConstraint("seq", name="pk_tier_outbox"),
        sa.UniqueConstraint("tenant", "id", name="uq_tier_outbox_tenant_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_tier_outbox_tenant_peer_state_seq", "tier_outbox", ["tenant", "peer", "state", "seq"]
    )


def _tier_cursors() -> None:
    op.create_table(
        "tier_cursors",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("epoch", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "peer", name="pk_tier_cursors"),
    )


def _tier_taken() -> None:
    op.create_table(
        "tier_taken",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("code", TEXT),
        sa.Column("reason", TEXT),
        sa.PrimaryKeyConstraint("tenant", "peer", "message_id", name="pk_tier_taken"),
    )
    op.create_index("ix_tier_taken_tenant_taken_at", "tier_taken", ["tenant", "taken_at"])


def _tier_shares() -> None:
    op.create_table(
        "tier_shares",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("incident_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("note", TEXT),
        sa.Column("their_number", TEXT),
        sa.Column("their_stage", TEXT),
        sa.Column("their_unit", TEXT),
        sa.Column("their_person", TEXT),
        sa.Column("their_clocks", JSON, nullable=False),
        sa.Column("told_seq", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "incident_id", "peer", name="pk_tier_shares"),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_tier_shares_incidents",
        ),
    )
    op.create_index("ix_tier_shares_tenant_peer_state", "tier_shares", ["tenant", "peer", "state"])


def _tier_check_ins() -> None:
    op.create_table(
        "tier_check_ins",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("incident_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("unit_id", TEXT, nullable=False),
        sa.Column("unit", TEXT, nullable=False),
        sa.Column("called_at", MOMENT, nullable=False),
        sa.Column("called_by", TEXT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("came_at", MOMENT),
        sa.Column("by", TEXT),
        sa.Column("note", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_tier_check_ins"),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_tier_check_ins_incidents",
        ),
    )
    op.create_index(
        "ix_tier_check_ins_tenant_incident_id", "tier_check_ins", ["tenant", "incident_id"]
    )
    op.create_index(
        "ix_tier_check_ins_tenant_state_due_at", "tier_check_ins", ["tenant", "state", "due_at"]
    )


def _tier_supervisions() -> None:
    op.create_table(
        "tier_supervisions",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("incident_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("ordered_at", MOMENT, nullable=False),
        sa.Column("ordered_by", TEXT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("answered_at", MOMENT),
        sa.Column("answered_by", TEXT),
        sa.Column("answer", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_tier_supervisions"),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_tier_supervisions_incidents",
        ),
    )
    op.create_index(
        "ix_tier_supervisions_tenant_incident_id", "tier_supervisions", ["tenant", "incident_id"]
    )
    op.create_index(
        "ix_tier_supervisions_tenant_state_due_at",
        "tier_supervisions",
        ["tenant", "state", "due_at"],
    )


def _tier_exports() -> None:
    op.create_table(
        "tier_exports",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("rights", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_tier_exports"),
        sa.UniqueConstraint(
            "tenant", "peer", "subject", name="uq_tier_exports_tenant_peer_subject"
        ),
    )


def _tier_shared() -> None:
    op.create_table(
        "tier_shared",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("rights", JSON, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("endpoint", TEXT),
        sa.Column("unit", TEXT),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "peer", "subject", name="pk_tier_shared"),
    )


def _tier_legs() -> None:
    op.create_table(
        "tier_legs",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("leg_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("their_leg", TEXT, nullable=False),
        sa.Column("endpoint", TEXT, nullable=False),
        sa.Column("weight", TEXT, nullable=False),
        sa.Column("agreed_at", MOMENT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "leg_id", name="pk_tier_legs"),
        sa.UniqueConstraint(
            "tenant", "peer", "their_leg", name="uq_tier_legs_tenant_peer_their_leg"
        ),
    )


def _room_cascades() -> None:
    op.create_table(
        "room_cascades",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("relation", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("their_room", TEXT),
        sa.Column("participant_id", TEXT),
        sa.Column("hubs", JSON, nullable=False),
        sa.Column("reason", TEXT),
        sa.PrimaryKeyConstraint("tenant", "room_id", "peer", name="pk_room_cascades"),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_cascades_rooms"
        ),
    )
    op.create_index("ix_room_cascades_tenant_peer", "room_cascades", ["tenant", "peer"])


def _room_remote_sources() -> None:
    op.create_table(
        "room_remote_sources",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("via", JSON, nullable=False),
        sa.Column("their_source", TEXT, nullable=False),
        sa.Column("wanted", sa.Integer()),
        sa.Column("refused", TEXT),
        sa.PrimaryKeyConstraint("tenant", "source_id", name="pk_room_remote_sources"),
        sa.ForeignKeyConstraint(
            ["tenant", "source_id"],
            ["room_sources.tenant", "room_sources.id"],
            name="fk_room_remote_sources_room_sources",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_remote_sources_rooms"
        ),
        sa.UniqueConstraint(
            "tenant", "room_id", "origin", name="uq_room_remote_sources_tenant_room_id_origin"
        ),
    )
    op.create_index("ix_room_remote_sources_tenant_peer", "room_remote_sources", ["tenant", "peer"])


def _room_uplinks() -> None:
    op.create_table(
        "room_uplinks",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("sent", sa.Integer()),
        sa.Column("kbps", sa.Integer(), nullable=False),
        sa.Column("error", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_uplinks"),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_uplinks_rooms"
        ),
    )
    op.create_index("ix_room_uplinks_tenant_peer", "room_uplinks", ["tenant", "peer"])
    op.create_index("ix_room_uplinks_tenant_room_id", "room_uplinks", ["tenant", "room_id"])
