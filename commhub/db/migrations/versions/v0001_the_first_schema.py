"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON()
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _need(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _owner() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return _need("tenant", TEXT), _need("hub", TEXT)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        *_owner(),
        _need("id", TEXT),
        _need("name", TEXT),
        _need("token_hash", TEXT),
        _need("roles", JSON),
        _need("created_at", MOMENT),
        _need("created_by", TEXT),
        _may("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_api_keys"),
        sa.UniqueConstraint("tenant", "token_hash", name="uq_api_keys_tenant_token_hash"),
    )
    op.create_table(
        "audit_entries",
        *_owner(),
        _need("seq", sa.BigInteger()),
        _need("at", MOMENT),
        _need("actor", TEXT),
        _need("action", TEXT),
        _need("subject", TEXT),
        _need("outcome", TEXT),
        _need("detail", TEXT),
        _need("digest", TEXT),
        sa.PrimaryKeyConstraint("tenant", "seq", name="pk_audit_entries"),
    )
    op.create_table(
        "audit_heads",
        *_owner(),
        _need("seq", sa.BigInteger()),
        _need("digest", TEXT),
        sa.PrimaryKeyConstraint("tenant", name="pk_audit_heads"),
    )
    op.create_table(
        "devices",
        *_owner(),
        _need("id", TEXT),
        _need("kind", TEXT),
        _need("name", TEXT),
        _may("responder_id", TEXT),
        _need("groups", JSON),
        _may("model", TEXT),
        _may("gb_id", TEXT),
        _need("capabilities", JSON),
        _need("online", sa.Boolean()),
        _may("boot_id", TEXT),
        _may("seen_at", MOMENT),
        _may("lat", sa.Double()),
        _may("lon", sa.Double()),
        _may("position_at", MOMENT),
        _may("battery", sa.Integer()),
        _need("revoked", sa.Boolean()),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_devices"),
    )
    op.create_table(
        "inbound_events",
        *_owner(),
        _need("id", TEXT),
        _need("channel", TEXT),
        _need("event_key", TEXT),
        _need("payload", JSON),
        _need("received_at", MOMENT),
        _need("handled", sa.Boolean()),
        _may("error", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_inbound_events"),
        sa.UniqueConstraint(
            "tenant", "channel", "event_key", name="uq_inbound_events_tenant_channel_event_key"
        ),
    )
    op.create_index(
        "ix_inbound_events_tenant_handled_received_at",
        "inbound_events",
        ["tenant", "handled", "received_at"],
    )
    op.create_table(
        "incident_counts",
        *_owner(),
        _need("day", TEXT),
        _need("given", sa.Integer()),
        sa.PrimaryKeyConstraint("tenant", "day", name="pk_incident_counts"),
    )
    op.create_table(
        "incidents",
        *_owner(),
        _need("id", TEXT),
        _need("number", TEXT),
        _need("category", TEXT),
        _need("title", TEXT),
        _need("level", sa.Integer()),
        _need("loop", TEXT),
        _need("stage", TEXT),
        _need("opened_at", MOMENT),
        _need("updated_at", MOMENT),
        _need("team", TEXT),
        _may("place", TEXT),
        _may("lat", sa.Double()),
        _may("lon", sa.Double()),
        _may("grid", TEXT),
        _may("reporter", TEXT),
        _may("unit_id", TEXT),
        _may("responder_id", TEXT),
        _may("accept_by", MOMENT),
        _may("needs_attention", TEXT),
        _may("merged_into", TEXT),
        _may("closed_at", MOMENT),
        _need("drill", sa.Boolean()),
        _need("origin", TEXT),
        _need("decision", JSON),
        sa.ForeignKeyConstraint(
            ["tenant", "merged_into"],
            ["incidents.tenant", "incidents.id"],
            name="fk_incidents_incidents",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_incidents"),
    )
    op.create_index("ix_incidents_tenant_stage_id", "incidents", ["tenant", "stage", "id"])
    op.create_table(
        "sip_accounts",
        *_owner(),
        _need("name", TEXT),
        _need("display_name", TEXT),
        _need("ha1_md5", TEXT),
        _need("ha1_sha256", TEXT),
        _may("responder_id", TEXT),
        _need("disabled", sa.Boolean()),
        sa.PrimaryKeyConstraint("tenant", "name", name="pk_sip_accounts"),
    )
    op.create_table(
        "sip_dialogs",
        *_owner(),
        _need("leg_id", TEXT),
        _need("call_id", TEXT),
        _need("state", JSON),
        sa.PrimaryKeyConstraint("tenant", "leg_id", name="pk_sip_dialogs"),
    )
    op.create_table(
        "stored_responses",
        *_owner(),
        _need("scope", TEXT),
        _need("key", TEXT),
        _need("body_hash", TEXT),
        _need("status", sa.Integer()),
        _need("body", TEXT),
        _need("at", MOMENT),
        sa.PrimaryKeyConstraint("tenant", "scope", "key", name="pk_stored_responses"),
    )
    op.create_table(
        "units",
        *_owner(),
        _need("id", TEXT),
        _need("name", TEXT),
        _need("team", TEXT),
        _need("loop", TEXT),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_units"),
    )
    op.create_table(
        "users",
        *_owner(),
        _need("id", TEXT),
        _need("name", TEXT),
        _need("display_name", TEXT),
        _need("password_hash", TEXT),
        _need("roles", JSON),
        _need("created_at", MOMENT),
        _need("failures", sa.Integer()),
        _may("locked_until", MOMENT),
        _need("disabled", sa.Boolean()),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_users"),
        sa.UniqueConstraint("tenant", "name", name="uq_users_tenant_name"),
    )
    op.create_table(
        "calls",
        *_owner(),
        _need("id", TEXT),
        _need("created_at", MOMENT),
        _need("created_by", TEXT),
        _may("incident_id", TEXT),
        _may("title", TEXT),
        _may("worker", TEXT),
        _need("recording", sa.Boolean()),
        _need("had_two", sa.Boolean()),
        _may("ended_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_calls_incidents",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_calls"),
    )
    op.create_index("ix_calls_tenant_ended_at", "calls", ["tenant", "ended_at"])
    op.create_table(
        "device_commands",
        *_owner(),
        _need("id", TEXT),
        _need("device_id", TEXT),
        _need("op", TEXT),
        _need("at", MOMENT),
        _need("state", TEXT),
        _may("expires_at", MOMENT),
        _may("answer", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "device_id"],
            ["devices.tenant", "devices.id"],
            name="fk_device_commands_devices",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_device_commands"),
    )
    op.create_index(
        "ix_device_commands_tenant_device_id_id", "device_commands", ["tenant", "device_id", "id"]
    )
    op.create_table(
        "device_credentials",
        *_owner(),
        _need("device_id", TEXT),
        _need("password_hash", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "device_id"],
            ["devices.tenant", "devices.id"],
            name="fk_device_credentials_devices",
        ),
        sa.PrimaryKeyConstraint("tenant", "device_id", name="pk_device_credentials"),
    )
    op.create_table(
        "reports",
        *_owner(),
        _need("id", TEXT),
        _need("source", TEXT),
        _need("idempotency_key", TEXT),
        _need("payload_hash", TEXT),
        _need("category", TEXT),
        _need("text", TEXT),
        _need("received_at", MOMENT),
        _may("level", sa.Integer()),
        _may("reporter", TEXT),
        _may("place", TEXT),
        _may("lat", sa.Double()),
        _may("lon", sa.Double()),
        _may("grid", TEXT),
        _may("occurred_at", MOMENT),
        _need("casualties", sa.Integer()),
        _need("drill", sa.Boolean()),
        _need("extra", JSON),
        _need("stage", TEXT),
        _may("incident_id", TEXT),
        _may("error", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_reports_incidents",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_reports"),
        sa.UniqueConstraint(
            "tenant", "source", "idempotency_key", name="uq_reports_tenant_source_idempotency_key"
        ),
    )
    op.create_index("ix_reports_tenant_incident_id", "reports", ["tenant", "incident_id"])
    op.create_index(
        "ix_reports_tenant_stage_received_at", "reports", ["tenant", "stage", "received_at"]
    )
    op.create_table(
        "responders",
        *_owner(),
        _need("id", TEXT),
        _need("name", TEXT),
        _need("unit_id", TEXT),
        _need("skills", JSON),
        _need("grids", JSON),
        _need("endpoints", JSON),
        _need("on_duty", sa.Boolean()),
        _need("leads", sa.Boolean()),
        _need("capacity", sa.Integer()),
        _may("lat", sa.Double()),
        _may("lon", sa.Double()),
        _may("position_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["tenant", "unit_id"], ["units.tenant", "units.id"], name="fk_responders_units"
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_responders"),
    )
    op.create_table(
        "sessions",
        *_owner(),
        _need("token_hash", TEXT),
        _need("user_id", TEXT),
        _need("created_at", MOMENT),
        _need("seen_at", MOMENT),
        _need("expires_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"], ["users.tenant", "users.id"], name="fk_sessions_users"
        ),
        sa.PrimaryKeyConstraint("tenant", "token_hash", name="pk_sessions"),
    )
    op.create_index("ix_sessions_tenant_expires_at", "sessions", ["tenant", "expires_at"])
    op.create_table(
        "sip_bindings",
        *_owner(),
        _need("account", TEXT),
        _need("contact", TEXT),
        _need("call_id", TEXT),
        _need("cseq", sa.BigInteger()),
        _need("expires_at", MOMENT),
        _need("received", TEXT),
        _need("transport", TEXT),
        _need("path", JSON),
        _may("agent", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "account"],
            ["sip_accounts.tenant", "sip_accounts.name"],
            name="fk_sip_bindings_sip_accounts",
        ),
        sa.PrimaryKeyConstraint("tenant", "account", "contact", name="pk_sip_bindings"),
    )
    op.create_table(
        "tasks",
        *_owner(),
        _need("id", TEXT),
        _need("incident_id", TEXT),
        _need("responder_id", TEXT),
        _need("unit_id", TEXT),
        _need("dispatched_at", MOMENT),
        _need("attempt", sa.Integer()),
        _need("stage", TEXT),
        _may("accepted_at", MOMENT),
        _may("on_scene_at", MOMENT),
        _may("ended_at", MOMENT),
        _may("note", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_tasks_incidents",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_tasks"),
    )
    op.create_index("ix_tasks_tenant_incident_id", "tasks", ["tenant", "incident_id"])
    op.create_index(
        "ix_tasks_tenant_stage_responder_id", "tasks", ["tenant", "stage", "responder_id"]
    )
    op.create_table(
        "timeline",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        *_owner(),
        _need("incident_id", TEXT),
        _need("at", MOMENT),
        _need("actor", TEXT),
        _need("kind", TEXT),
        _need("data", JSON),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_timeline_incidents",
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_timeline"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_timeline_tenant_incident_id_seq", "timeline", ["tenant", "incident_id", "seq"]
    )
    op.create_table(
        "legs",
        *_owner(),
        _need("id", TEXT),
        _need("call_id", TEXT),
        _need("endpoint", TEXT),
        _need("created_at", MOMENT),
        _need("direction", TEXT),
        _need("state", TEXT),
        _may("name", TEXT),
        _may("codec", TEXT),
        _need("muted", sa.Boolean()),
        _may("connected_at", MOMENT),
        _may("ended_at", MOMENT),
        _may("cause", TEXT),
        _may("detail", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "call_id"], ["calls.tenant", "calls.id"], name="fk_legs_calls"
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_legs"),
    )
    op.create_index("ix_legs_tenant_call_id", "legs", ["tenant", "call_id"])
    op.create_table(
        "messages",
        *_owner(),
        _need("id", TEXT),
        _need("dedup_key", TEXT),
        _need("kind", TEXT),
        _need("title", TEXT),
        _need("body", TEXT),
        _need("created_at", MOMENT),
        _may("incident_id", TEXT),
        _may("task_id", TEXT),
        _need("fields", JSON),
        _need("actions", JSON),
        _may("link", TEXT),
        _need("priority", sa.Integer()),
        _may("expires_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_messages_incidents",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "task_id"], ["tasks.tenant", "tasks.id"], name="fk_messages_tasks"
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_messages"),
        sa.UniqueConstraint("tenant", "dedup_key", name="uq_messages_tenant_dedup_key"),
    )
    op.create_index(
        "ix_messages_tenant_incident_id_id", "messages", ["tenant", "incident_id", "id"]
    )
    op.create_index("ix_messages_tenant_task_id", "messages", ["tenant", "task_id"])
    op.create_table(
        "recordings",
        *_owner(),
        _need("id", TEXT),
        _need("call_id", TEXT),
        _need("path", TEXT),
        _need("seconds", sa.Double()),
        _need("sha256", TEXT),
        _need("stored_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["tenant", "call_id"], ["calls.tenant", "calls.id"], name="fk_recordings_calls"
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_recordings"),
    )
    op.create_index("ix_recordings_tenant_call_id", "recordings", ["tenant", "call_id"])
    op.create_table(
        "responder_endpoints",
        *_owner(),
        _need("responder_id", TEXT),
        _need("endpoint", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "responder_id"],
            ["responders.tenant", "responders.id"],
            name="fk_responder_endpoints_responders",
        ),
        sa.PrimaryKeyConstraint(
            "tenant", "responder_id", "endpoint", name="pk_responder_endpoints"
        ),
    )
    op.create_index(
        "ix_responder_endpoints_tenant_endpoint", "responder_endpoints", ["tenant", "endpoint"]
    )
    op.create_table(
        "timers",
        *_owner(),
        _need("id", TEXT),
        _need("incident_id", TEXT),
        _need("clock", TEXT),
        _need("step", sa.Integer()),
        _need("due_at", MOMENT),
        _may("task_id", TEXT),
        _need("state", TEXT),
        _may("error", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "incident_id"],
            ["incidents.tenant", "incidents.id"],
            name="fk_timers_incidents",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "task_id"], ["tasks.tenant", "tasks.id"], name="fk_timers_tasks"
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_timers"),
        sa.UniqueConstraint(
            "tenant", "incident_id", "clock", "step", name="uq_timers_tenant_incident_id_clock_step"
        ),
    )
    op.create_index("ix_timers_tenant_state_due_at", "timers", ["tenant", "state", "due_at"])
    op.create_table(
        "acks",
        *_owner(),
        _need("id", TEXT),
        _need("message_id", TEXT),
        _need("actor", TEXT),
        _need("action", TEXT),
        _need("source", TEXT),
        _need("at", MOMENT),
        _need("effect", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "message_id"], ["messages.tenant", "messages.id"], name="fk_acks_messages"
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_acks"),
        sa.UniqueConstraint(
            "tenant", "message_id", "actor", "action", name="uq_acks_tenant_message_id_actor_action"
        ),
    )
    op.create_table(
        "deliveries",
        *_owner(),
        _need("id", TEXT),
        _need("message_id", TEXT),
        _need("channel", TEXT),
        _need("recipient", TEXT),
        _need("kind", TEXT),
        _may("responder_id", TEXT),
        _need("state", TEXT),
        _need("attempt", sa.Integer()),
        _need("next_at", MOMENT),
        _may("lease_until", MOMENT),
        _may("provider_id", TEXT),
        _may("response_code", TEXT),
        _may("response_code_expires_at", MOMENT),
        _need("update", JSON),
        _may("error", TEXT),
        sa.ForeignKeyConstraint(
            ["tenant", "message_id"],
            ["messages.tenant", "messages.id"],
            name="fk_deliveries_messages",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_tenant_message_id", "deliveries", ["tenant", "message_id"])
    op.create_index(
        "ix_deliveries_tenant_state_next_at", "deliveries", ["tenant", "state", "next_at"]
    )
