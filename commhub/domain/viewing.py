"""Who may look at which camera, and know of which room: one small table by role, and the department (单位) that sources and
people belong to. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from commhub.domain.people import Role
from commhub.domain.room import Source


class Scope(StrEnum):
    """ALL: every source of the hub. OWN_UNIT: those of one's own department, and those of no department. INVITED: only in rooms
    one takes part in, which every scope includes."""

    ALL = "all"
    OWN_UNIT = "own_unit"
    INVITED = "invited"


VIEWING: Mapping[Role, Scope] = {
    Role.DISPATCHER: Scope.ALL,
    Role.DUTY_LEADER: Scope.ALL,
    Role.COMMANDER: Scope.ALL,
    Role.RESPONDER: Scope.OWN_UNIT,
    Role.VIEWER: Scope.OWN_UNIT,
    Role.INTEGRATION: Scope.INVITED,
    # Separate duties (GB/T 22239-2019 8.1.4.2): who administers does not watch.
    Role.SYSTEM_ADMIN: Scope.INVITED,
    Role.SECURITY_ADMIN: Scope.INVITED,
    Role.AUDIT_ADMIN: Scope.INVITED,
}

_WIDTH = (Scope.INVITED, Scope.OWN_UNIT, Scope.ALL)


def scope_of(roles: frozenset[Role]) -> Scope:
    """The widest that one of the roles gives."""
    return max((VIEWING[role] for role in roles), key=_WIDTH.index, default=Scope.INVITED)


def may_view(
    source: Source, roles: frozenset[Role], unit_id: str | None, *, takes_part: bool
) -> bool:
    """Whether somebody of these roles and that department may see the source."""
    if takes_part:
        return True
    match scope_of(roles):
        case Scope.ALL:
            return True
        case Scope.OWN_UNIT:
            return source.unit_id is None or source.unit_id == unit_id
        case _:
            return False


def may_know(
    units: Iterable[str | None], roles: frozenset[Role], unit_id: str | None, *, takes_part: bool
) -> bool:
    """Whether somebody may know who is in a room and what is kept of it: who takes part, who may see every source, and
    any department that is in it (`units`: those of its people and sources)."""
    if takes_part:
        return True
    match scope_of(roles):
        case Scope.ALL:
            return True
        case Scope.OWN_UNIT:
            return unit_id is not None and unit_id in units
        case _:
            return False
