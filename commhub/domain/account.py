"""People and programs that sign in, and what their roles allow.

System, security and audit administration are separate duties (GB/T 22239-2019 8.1.4.2): none of the three
may do another's work, and none of them dispatches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from commhub.domain.people import Role


class Permission(StrEnum):
    """What a route asks for. MANAGE_SOUND: prompts, and holding recordings beyond their time. MANAGE_TIERS: which hubs are
    neighbours."""

    REPORT = "report"
    VIEW = "view"
    ACT = "act"
    CALL = "call"
    INTERVENE = "intervene"
    MESSAGE = "message"
    COMMAND_DEVICE = "command_device"
    MANAGE_DIRECTORY = "manage_directory"
    MANAGE_FLEET = "manage_fleet"
    MANAGE_RULES = "manage_rules"
    MANAGE_SOUND = "manage_sound"
    MANAGE_ACCOUNTS = "manage_accounts"
    MANAGE_TIERS = "manage_tiers"
    READ_AUDIT = "read_audit"


_P = Permission
_DESK = frozenset(
    {_P.REPORT, _P.VIEW, _P.ACT, _P.CALL, _P.INTERVENE, _P.MESSAGE, _P.COMMAND_DEVICE}
)

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.DISPATCHER: _DESK,
    Role.DUTY_LEADER: _DESK | {_P.MANAGE_RULES, _P.MANAGE_DIRECTORY, _P.MANAGE_SOUND},
    Role.COMMANDER: _DESK | {_P.MANAGE_RULES, _P.MANAGE_SOUND},
    Role.RESPONDER: frozenset({_P.REPORT, _P.VIEW, _P.ACT}),
    Role.VIEWER: frozenset({_P.VIEW}),
    Role.INTEGRATION: frozenset({_P.REPORT, _P.VIEW}),
    Role.SYSTEM_ADMIN: frozenset(
        {_P.VIEW, _P.MANAGE_DIRECTORY, _P.MANAGE_FLEET, _P.MANAGE_RULES, _P.MANAGE_SOUND}
    ),
    Role.SECURITY_ADMIN: frozenset({_P.VIEW, _P.MANAGE_ACCOUNTS, _P.MANAGE_TIERS}),
    Role.AUDIT_ADMIN: frozenset({_P.VIEW, _P.READ_AUDIT}),
}


def permissions_of(roles: frozenset[Role]) -> frozenset[Permission]:
    """All that a set of roles allows together."""
    return frozenset().union(*(PERMISSIONS[role] for role in roles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking. `name` goes into the timeline and the audit as `user:NAME` or `key:NAME`."""

    id: str
    name: str
    kind: str
    roles: frozenset[Role]
    display_name: str = ""

    @property
    def actor(self) -> str:
        return f"{self.kind}:{self.name}"

    def may(self, permission: Permission) -> bool:
        return permission in permissions_of(self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """`password_hash` is an argon2id PHC string; `failures` and `locked_until` slow down guessing."""

    id: str
    name: str
    display_name: str
    password_hash: str
    roles: frozenset[Role]
    created_at: datetime
    failures: int = 0
    locked_until: datetime | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`token_hash` is SHA-256 of the cookie; the cookie itself is stored nowhere."""

    token_hash: str
    user_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A program's key, hashed like a session token."""

    id: str
    name: str
    token_hash: str
    roles: frozenset[Role]
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One row of the hash chain; `digest` covers this row and the digest before it."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    outcome: str
    detail: str
    digest: str
