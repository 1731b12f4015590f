"""Who may look at which camera, and know of which room: one small table by role, and the department (单位) that sources and
people belong to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from commhub.domain.account import Permission, Principal
from commhub.domain.people import Role
from commhub.domain.room import (
    Participant,
    ParticipantState,
    Room,
    RoomMode,
    Source,
    must_wait,
)


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


def sees_every_room(reader: Principal) -> bool:
    """Whether nothing of any room is hidden from them: they may see every source, and take part in any meeting."""
    return scope_of(reader.roles) is Scope.ALL and reader.may(Permission.CALL)


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a room is somebody's business; `knows`: also who is in it, and what is kept of it."""

    knows: bool
    participants: Sequence[Participant]
    sources: Sequence[Source]


def seen_by(
    reader: Principal,
    unit_id: str | None,
    room: Room,
    participants: Sequence[Participant],
    sources: Sequence[Source],
    *,
    guest: str | None = None,
) -> Seen:
    """One person before one room. `guest` is the participant as whom the bearer of a link reads."""
    me = _me(participants, reader, guest)
    dispatches = reader.may(Permission.CALL)
    inside = me is not None and me.state is not ParticipantState.REMOVED
    waits = me is not None and must_wait(room, me) and not dispatches
    # To look at a camera makes a participant, too, but no member of its department.
    takes_part = inside and (guest is not None or room.mode is RoomMode.MEETING)
    units = {one.unit_id for one in participants if one is not me}
    units |= {one.unit_id for one in sources}
    knows = not waits and may_know(units, reader.roles, unit_id, takes_part=takes_part)
    # A camera of no department is anybody's, but in a meeting it is the face of somebody who spoke to those there.
    is_closed = room.mode is RoomMode.MEETING and not takes_part and not dispatches
    return Seen(
        knows=knows,
        participants=participants if knows else [one for one in [me] if one is not None],
        sources=[
            one
            for one in sources
            if not (waits or (is_closed and one.unit_id is None))
            and may_view(one, reader.roles, unit_id, takes_part=takes_part)
        ],
    )


def _me(
    participants: Sequence[Participant], reader: Principal, guest: str | None
) -> Participant | None:
    if guest is not None:
        return next((one for one in participants if one.id == guest), None)
    return next((one for one in participants if one.account == reader.actor), None)
