"""What the calls of a day cost is counted from its legs, before every call to the outside."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_legs_tenant_created_at", "legs", ["tenant", "created_at"])
