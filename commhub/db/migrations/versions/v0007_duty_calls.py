"""Calls to duty lines wait, are taken or missed; an ended leg keeps how well it could be heard."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("calls", sa.Column("line", TEXT))
    op.add_column("legs", sa.Column("score", sa.Double()))
    op.create_table(
        "duty_calls",
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("hub", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("line", TEXT, nullable=False),
        sa.Column("dialled", TEXT, nullable=False),
        sa.Column("caller", TEXT, nullable=False),
        sa.Column("offered_at", MOMENT, nullable=False),
        sa.Column("caller_name", TEXT),
        sa.Column("responder_id", TEXT),
        sa.Column("lat", sa.Double()),
        sa.Column("lon", sa.Double()),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("answering", TEXT),
        sa.Column("report_id", TEXT),
        sa.Column("incident_id", TEXT),
        sa.Column("taken_by", TEXT),
        sa.Column("taken_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("call_back", TEXT),
        sa.Column("settled_by", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_duty_calls"),
        sa.ForeignKeyConstraint(
            ["tenant", "id"], ["calls.tenant", "calls.id"], name="fk_duty_calls_calls"
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_duty_calls_incidents",
        ),
    )
    op.create_index("ix_duty_calls_tenant_state", "duty_calls", ["tenant", "state"])
    op.create_index("ix_duty_calls_tenant_call_back", "duty_calls", ["tenant", "call_back"])
