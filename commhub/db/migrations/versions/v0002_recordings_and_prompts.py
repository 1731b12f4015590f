"""Recordings know their leg, incident and age; prompts are uploaded sounds."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Its default stays: SQLite drops one only with the table, to which legs refer.
    op.add_column("calls", _need("recording_legs", sa.Boolean(), sa.false()))
    op.add_column("recordings", sa.Column("started_at", MOMENT, nullable=True))
    op.add_column("recordings", _need("kind", TEXT, "mixed"))
    op.add_column("recordings", sa.Column("leg_id", TEXT, nullable=True))
    op.add_column("recordings", sa.Column("incident_id", TEXT, nullable=True))
    op.add_column("recordings", _need("retention", TEXT, "other"))
    op.add_column("recordings", _need("rate", sa.Integer(), "8000"))
    op.add_column("recordings", _need("size", sa.BigInteger(), "0"))
    op.add_column("recordings", _need("held", sa.Boolean(), sa.false()))
    op.add_column("recordings", sa.Column("deleted_at", MOMENT, nullable=True))
    _fill_in()
    with op.batch_alter_table("recordings") as recordings:
        recordings.alter_column("started_at", nullable=False, existing_type=MOMENT)
        for name, kind in (
            ("kind", TEXT),
            ("retention", TEXT),
            ("rate", sa.Integer()),
            ("size", sa.BigInteger()),
            ("held", sa.Boolean()),
        ):
            recordings.alter_column(name, server_default=None, existing_type=kind)
        recordings.create_foreign_key(
            "fk_recordings_incidents", "incidents", ["tenant", "incident_id"], ["tenant", "id"]
        )
    op.create_index(
        "ix_recordings_tenant_incident_id_id", "recordings", ["tenant", "incident_id", "id"]
    )
    op.create_index(
        "ix_recordings_tenant_retention_stored_at",
        "recordings",
        ["tenant", "retention", "stored_at"],
    )
    op.create_table(
        "prompts",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_prompts"),
        sa.UniqueConstraint("tenant", "name", name="uq_prompts_tenant_name"),
    )


def _need(
    name: str, kind: sa.types.TypeEngine[Any], default: str | sa.sql.elements.ColumnElement[bool]
) -> sa.Column[Any]:
    """A column for rows that are there already, with what they get; the default goes again afterwards."""
    return sa.Column(name, kind, nullable=False, server_default=default)


def _fill_in() -> None:
    """What the first schema's recordings can still be known of: whose incident they are, and when they ended."""
    op.execute("UPDATE recordings SET started_at = stored_at")
    op.execute(
        "UPDATE recordings SET incident_id = (SELECT incident_id FROM calls"
        " WHERE calls.tenant = recordings.tenant AND calls.id = recordings.call_id)"
    )
    op.execute("UPDATE recordings SET retention = 'incident' WHERE incident_id IS NOT NULL")
    op.execute(
        "UPDATE recordings SET retention = 'drill' WHERE EXISTS (SELECT 1 FROM incidents"
        " WHERE incidents.tenant = recordings.tenant AND incidents.id = recordings.incident_id"
        " AND incidents.drill)"
    )
