"""Legs know how they take part: held, only listening, whispering, louder or softer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # The defaults stay: SQLite drops one only with the table, and a leg of before is a plain one.
    for name in ("held", "listen_only", "auto_gain"):
        op.add_column(
            "legs", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.add_column("legs", sa.Column("whispers_to", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("legs", sa.Column("gain_db", sa.Double(), nullable=False, server_default="0"))
