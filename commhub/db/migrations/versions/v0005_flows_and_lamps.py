"""Contacts know their preference and their phone's flow; who watches whose calls outlives the process."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("sip_bindings", sa.Column("q", sa.Double(), nullable=False, server_default="1"))
    op.add_column("sip_bindings", sa.Column("instance", TEXT))
    op.add_column("sip_bindings", sa.Column("reg_id", sa.Integer()))
    op.create_table(
        "sip_subscriptions",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_sip_subscriptions"),
    )
