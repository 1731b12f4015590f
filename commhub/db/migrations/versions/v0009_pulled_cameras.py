"""Cameras that are fetched by RTSP: where from, for as long as their source is in a room."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "room_pulls",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("room_id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_room_pulls"),
        sa.ForeignKeyConstraint(
            ["tenant", "room_id"], ["rooms.tenant", "rooms.id"], name="fk_room_pulls_rooms"
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "source_id"],
            ["room_sources.tenant", "room_sources.id"],
            name="fk_room_pulls_room_sources",
        ),
    )
    op.create_index("ix_room_pulls_tenant_room_id", "room_pulls", ["tenant", "room_id"])
