"""Who acts: units, responders, the addresses that reach them, and the roles of those who sit at the desk."""

from dataclasses import dataclass, field
from enum import StrEnum

from commhub.domain.errors import InvalidError
from commhub.domain.geo import Position
from commhub.kit.values import quick


class Loop(StrEnum):
    """闭环: the circle inside which an incident is to be settled, from the smallest outward."""

    COMMUNITY = "community"
    MULTI_GRID = "multi-grid"
    STREET = "street"
    DISTRICT = "district"


class Role(StrEnum):
    """Who a person (or a key) is to the hub. Rights follow from roles, never from names."""

    DISPATCHER = "dispatcher"
    DUTY_LEADER = "duty_leader"
    COMMANDER = "commander"
    RESPONDER = "responder"
    VIEWER = "viewer"
    INTEGRATION = "integration"
    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDIT_ADMIN = "audit_admin"


class Scheme(StrEnum):
    """How an endpoint is reached."""

    SIP = "sip"
    RADIO = "radio"
    CAMERA = "cam"
    WECOM = "wecom"
    TEL = "tel"
    ROOM = "room"
    DESK = "desk"


@quick
@dataclass(frozen=True, slots=True)
class Endpoint:
    """通讯地址: `scheme:name`, or `scheme:name@hub` for one at another hub."""

    scheme: Scheme
    name: str
    hub: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read `sip:1001`, `radio:r12@street-a`, `tel:+8613800000000`. Raises InvalidError."""
        scheme, colon, rest = text.strip().partition(":")
        name, _, hub = rest.partition("@")
        if (
            not colon
            or not name
            or len(text) > 128
            or any(c.isspace() or ord(c) < 32 for c in rest)
        ):
            raise InvalidError(
                f"«{text[:128]}» is no endpoint; write scheme:name, for example sip:1001"
            )
        try:
            known = Scheme(scheme.lower())
        except ValueError:
            schemes = ", ".join(Scheme)
            raise InvalidError(
                f"«{scheme[:32]}» is no scheme of an endpoint; known: {schemes}"
            ) from None
        return cls(known, name, hub or None)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}" + (f"@{self.hub}" if self.hub else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """单位. `team` is the word the rules use to choose it; several units may serve one team."""

    id: str
    name: str
    team: str
    loop: Loop = Loop.COMMUNITY


@dataclass(frozen=True, slots=True, kw_only=True)
class Responder:
    """处置人员. `capacity` is how many open tasks one may hold; `leads` marks the unit's duty leader,
    who takes what nobody else could and has no such bound."""

    id: str
    name: str
    unit_id: str
    skills: frozenset[str] = frozenset()
    grids: frozenset[str] = frozenset()
    endpoints: tuple[Endpoint, ...] = ()
    on_duty: bool = True
    leads: bool = False
    capacity: int = 3
    position: Position | None = field(default=None)

    def endpoint(self, scheme: Scheme) -> Endpoint | None:
        """The first address of that scheme, in the order the responder prefers."""
        return next((e for e in self.endpoints if e.scheme == scheme), None)
