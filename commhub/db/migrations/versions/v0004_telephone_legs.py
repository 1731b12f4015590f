"""Telephone legs outlive the process that placed them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON()


def upgrade() -> None:
    op.create_table(
        "twilio_legs",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("leg_id", TEXT, nullable=False),
        sa.Column("state", JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "leg_id", name="pk_twilio_legs"),
    )
