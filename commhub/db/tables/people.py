"""Who acts, who signs in, and what the audit keeps about them."""

from sqlalchemy import BigInteger, Boolean, Double, Index, UniqueConstraint

from commhub.db.tables.base import belongs_to, column, maybe, number, table, text
from commhub.db.types import Address, Moment, OneOf, Several, word
from commhub.domain.people import Endpoint, Loop, Role

units = table(
    "units",
    text("id"),
    text("name"),
    text("team"),
    column("loop", OneOf(Loop)),
)

responders = table(
    "responders",
    text("id"),
    text("name"),
    text("unit_id"),
    column("skills", Several(frozenset, word)),
    column("grids", Several(frozenset, word)),
    column("endpoints", Several(tuple, Endpoint.parse)),
    column("on_duty", Boolean),
    column("leads", Boolean),
    number("capacity"),
    maybe("lat", Double),
    maybe("lon", Double),
    maybe("position_at", Moment),
    belongs_to("units", "unit_id"),
)

# Who answers at an address; the responder's own row keeps the order of preference.
responder_endpoints = table(
    "responder_endpoints",
    text("responder_id"),
    column("endpoint", Address),
    belongs_to("responders", "responder_id"),
    Index(None, "tenant", "endpoint"),
    key=("responder_id", "endpoint"),
)

users = table(
    "users",
    text("id"),
    text("name"),
    text("display_name"),
    text("password_hash"),
    column("roles", Several(frozenset, Role)),
    column("created_at", Moment),
    number("failures"),
    maybe("locked_until", Moment),
    column("disabled", Boolean),
    UniqueConstraint("tenant", "name"),
)

sessions = table(
    "sessions",
    text("token_hash"),
    text("user_id"),
    column("created_at", Moment),
    column("seen_at", Moment),
    column("expires_at", Moment),
    belongs_to("users", "user_id"),
    Index(None, "tenant", "expires_at"),
    key=("token_hash",),
)

api_keys = table(
    "api_keys",
    text("id"),
    text("name"),
    text("token_hash"),
    column("roles", Several(frozenset, Role)),
    column("created_at", Moment),
    text("created_by"),
    maybe("revoked_at", Moment),
    UniqueConstraint("tenant", "token_hash"),
)

audit_entries = table(
    "audit_entries",
    column("seq", BigInteger()),
    column("at", Moment),
    text("actor"),
    text("action"),
    text("subject"),
    text("outcome"),
    text("detail"),
    text("digest"),
    key=("seq",),
)

# The last entry of each tenant's chain: cutting off the tail of the entries leaves a head that is too long.
audit_heads = table("audit_heads", column("seq", BigInteger()), text("digest"), key=())

stored_responses = table(
    "stored_responses",
    text("scope"),
    text("key"),
    text("body_hash"),
    number("status"),
    text("body"),
    column("at", Moment),
    key=("scope", "key"),
)
