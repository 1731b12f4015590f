"""Calls, their legs, callers of duty lines, what was recorded and is played, phones, and the devices in the field."""

from sqlalchemy import BigInteger, Boolean, Double, Index, Integer, UniqueConstraint

from commhub.db.tables.base import belongs_to, column, maybe, maybe_text, table, text
from commhub.db.types import Address, Document, Moment, OneOf, Several, word
from commhub.domain.call import Cause, Direction, LegState
from commhub.domain.device import DeviceKind
from commhub.domain.duty import DutyState
from commhub.domain.recording import RecordingKind, Retention

calls = table(
    "calls",
    text("id"),
    column("created_at", Moment),
    text("created_by"),
    maybe_text("incident_id"),
    maybe_text("title"),
    maybe_text("line"),
    maybe_text("room_id"),
    maybe_text("worker"),
    column("recording", Boolean),
    column("recording_legs", Boolean),
    column("had_two", Boolean),
    maybe("ended_at", Moment),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "ended_at"),
)

legs = table(
    "legs",
    text("id"),
    text("call_id"),
    column("endpoint", Address),
    column("created_at", Moment),
    column("direction", OneOf(Direction)),
    column("state", OneOf(LegState)),
    maybe_text("name"),
    maybe_text("codec"),
    column("muted", Boolean),
    column("held", Boolean),
    column("listen_only", Boolean),
    column("whispers_to", Several(tuple, word)),
    column("gain_db", Double),
    column("auto_gain", Boolean),
    maybe("connected_at", Moment),
    maybe("ended_at", Moment),
    maybe("cause", OneOf(Cause)),
    maybe_text("detail"),
    maybe("score", Double),
    belongs_to("calls", "call_id"),
    Index(None, "tenant", "call_id"),
    Index(None, "tenant", "created_at"),
)

duty_calls = table(
    "duty_calls",
    text("id"),
    text("line"),
    text("dialled"),
    column("caller", Address),
    column("offered_at", Moment),
    maybe_text("caller_name"),
    maybe_text("responder_id"),
    maybe("lat", Double),
    maybe("lon", Double),
    column("state", OneOf(DutyState)),
    column("step", Integer),
    maybe_text("answering"),
    maybe_text("report_id"),
    maybe_text("incident_id"),
    maybe_text("taken_by"),
    maybe("taken_at", Moment),
    maybe("ended_at", Moment),
    maybe_text("call_back"),
    maybe_text("settled_by"),
    belongs_to("calls", "id"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "state"),
    Index(None, "tenant", "call_back"),
)

# A file is kept on record whatever became of its leg's row, so nothing is demanded of `leg_id`.
recordings = table(
    "recordings",
    text("id"),
    text("call_id"),
    text("path"),
    column("seconds", Double),
    text("sha256"),
    column("stored_at", Moment),
    column("started_at", Moment),
    column("kind", OneOf(RecordingKind)),
    maybe_text("leg_id"),
    maybe_text("incident_id"),
    column("retention", OneOf(Retention)),
    column("rate", Integer),
    column("size", BigInteger()),
    column("held", Boolean),
    maybe("deleted_at", Moment),
    belongs_to("calls", "call_id"),
    belongs_to("incidents", "incident_id"),
    Index(None, "tenant", "call_id"),
    Index(None, "tenant", "incident_id", "id"),
    Index(None, "tenant", "retention", "stored_at"),
)

prompts = table(
    "prompts",
    text("id"),
    text("name"),
    column("seconds", Double),
    column("size", BigInteger()),
    text("sha256"),
    column("created_at", Moment),
    text("created_by"),
    UniqueConstraint("tenant", "name"),
)

sip_accounts = table(
    "sip_accounts",
    text("name"),
    text("display_name"),
    text("ha1_md5"),
    text("ha1_sha256"),
    maybe_text("responder_id"),
    column("disabled", Boolean),
    key=("name",),
)

sip_bindings = table(
    "sip_bindings",
    text("account"),
    text("contact"),
    text("call_id"),
    column("cseq", BigInteger()),
    column("expires_at", Moment),
    text("received"),
    text("transport"),
    column("path", Several(tuple, word)),
    maybe_text("agent"),
    column("q", Double),
    maybe_text("instance"),
    maybe("reg_id", Integer),
    belongs_to("sip_accounts", "account", "name"),
    key=("account", "contact"),
)

sip_subscriptions = table(
    "sip_subscriptions",
    text("id"),
    column("expires_at", Moment),
    column("state", Document),
)

# The SIP edge writes a dialog before the core has heard of its leg, so nothing is demanded of `leg_id`.
sip_dialogs = table(
    "sip_dialogs",
    text("leg_id"),
    text("call_id"),
    column("state", Document),
    key=("leg_id",),
)

# Likewise, the Twilio edge.
twilio_legs = table(
    "twilio_legs",
    text("leg_id"),
    column("state", Document),
    key=("leg_id",),
)

devices = table(
    "devices",
    text("id"),
    column("kind", OneOf(DeviceKind)),
    text("name"),
    maybe_text("responder_id"),
    column("groups", Several(tuple, word)),
    maybe_text("model"),
    maybe_text("gb_id"),
    column("capabilities", Several(tuple, word)),
    column("online", Boolean),
    maybe_text("boot_id"),
    maybe("seen_at", Moment),
    maybe("lat", Double),
    maybe("lon", Double),
    maybe("position_at", Moment),
    maybe("battery", Integer),
    column("revoked", Boolean),
)

device_credentials = table(
    "device_credentials",
    text("device_id"),
    text("password_hash"),
    belongs_to("devices", "device_id"),
    key=("device_id",),
)

device_commands = table(
    "device_commands",
    text("id"),
    text("device_id"),
    text("op"),
    column("at", Moment),
    text("state"),
    maybe("expires_at", Moment),
    maybe_text("answer"),
    belongs_to("devices", "device_id"),
    Index(None, "tenant", "device_id", "id"),
)
