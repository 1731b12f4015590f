"""Rooms over tiers: whom a neighbour is still to invite; joins that go on are found without those that ended."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    # Rows there are have nobody to be invited any more.
    op.add_column(
        "room_cascades", sa.Column("beyond", JSON, nullable=False, server_default=sa.text("'[]'"))
    )
    op.drop_index("ix_room_cascades_tenant_peer", "room_cascades")
    op.create_index("ix_room_cascades_tenant_state", "room_cascades", ["tenant", "state"])
