"""How rooms change, inside one unit of work: rows, facts, and the orders that follow from them.

Each has the room's row already (`open_room`), so what comes at the same moment comes one after the other. Who is there is read
from what there is (`presence`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from commhub.domain.errors import ConflictError, NotFoundError
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    ParticipantState,
    Room,
    RoomMode,
    RoomState,
    Session,
    SessionRight,
    Source,
    SourceState,
    move_participant,
    move_source,
)
from commhub.domain.room_facts import (
    ParticipantChanged,
    ParticipantMoved,
    RoomChanged,
    RoomEnded,
    SourceMoved,
)
from commhub.ports.store import UnitOfWork
from commhub.rooms.orders import Orders


async def open_room(uow: UnitOfWork, room_id: str) -> Room:
    """Take the row of a room that goes on. Raises NotFoundError, or ConflictError when it has ended."""
    room = await uow.rooms.get(room_id)
    if not room.is_open:
        raise ConflictError("the room has ended")
    return room


async def participant_of(uow: UnitOfWork, room_id: str, participant_id: str) -> Participant:
    """Raises NotFoundError for one of another room too."""
    one = await uow.rooms.find_participant(participant_id)
    if one is None or one.room_id != room_id:
        raise NotFoundError("this room has no such participant")
    return one


async def source_of(uow: UnitOfWork, room_id: str, source_id: str) -> Source:
    """Raises NotFoundError for one of another room too."""
    source = await uow.rooms.find_source(source_id)
    if source is None or source.room_id != room_id:
        raise NotFoundError("this room has no such source")
    return source


# --- participants ----------------------------------------------------------------------------------------


async def add(
    uow: UnitOfWork, room: Room, one: Participant, actor: str, *, told: bool = True
) -> Participant:
    """Make somebody a participant. `told` False: what they do next says it."""
    await uow.rooms.add_participant(one)
    if told:
        _tell(uow, room, one, one.created_at, actor)
    return one


async def move(
    uow: UnitOfWork,
    room: Room,
    one: Participant,
    state: ParticipantState,
    at: datetime,
    actor: str,
    why: str | None = None,
) -> Participant:
    """Bring a participant into a state; nothing happens to one that is in it. Raises IllegalMoveError."""
    moved = move_participant(one, state, at)
    if moved == one:
        return one
    await uow.rooms.update_participant(moved)
    _tell(uow, room, moved, at, actor, why)
    return moved


async def change(
    uow: UnitOfWork,
    room: Room,
    one: Participant,
    wanted: Mapping[str, object],
    at: datetime,
    actor: str,
) -> Participant:
    """Set fields of a participant, and tell those that changed."""
    new = {name: value for name, value in wanted.items() if getattr(one, name) != value}
    if not new:
        return one
    changed = replace(one, **new)  # type: ignore[arg-type]  # the fields are named by our own callers
    await uow.rooms.update_participant(changed)
    uow.record(
        ParticipantChanged(
            at=at,
            actor=actor,
            incident_id=room.incident_id,
            room_id=room.id,
            participant_id=one.id,
            participant=one.name,
            change=new,
        )
    )
    return changed


def _tell(
    uow: UnitOfWork,
    room: Room,
    one: Participant,
    at: datetime,
    actor: str,
    why: str | None = None,
) -> None:
    # Who looks at a camera is on the audit: a line for each glance would bury the incident.
    on_timeline = room.mode is RoomMode.MEETING or one.kind is ParticipantKind.CAMERA
    uow.record(
        ParticipantMoved(
            at=at,
            actor=actor,
            incident_id=room.incident_id if on_timeline else None,
            room_id=room.id,
            participant_id=one.id,
            participant=one.name,
            participant_kind=one.kind.value,
            state=one.state.value,
            why=why,
        )
    )


# --- sources and sessions --------------------------------------------------------------------------------


async def shift(
    uow: UnitOfWork,
    room: Room,
    source: Source,
    state: SourceState,
    at: datetime,
    actor: str,
    why: str | None = None,
) -> Source:
    """Bring a source into a state, and tell it. Raises IllegalMoveError."""
    moved = move_source(source, state, at)
    if moved == source:
        return source
    await uow.rooms.update_source(moved)
    tell_source(uow, room, moved, at, actor, why)
    return moved


def tell_source(
    uow: UnitOfWork, room: Room, source: Source, at: datetime, actor: str, why: str | None = None
) -> None:
    """The fact of a source's state."""
    uow.record(
        SourceMoved(
            at=at,
            actor=actor,
            incident_id=room.incident_id,
            room_id=room.id,
            source_id=source.id,
            label=source.label,
            source_kind=source.kind.value,
            state=source.state.value,
            why=why,
        )
    )


async def go_live(
    uow: UnitOfWork,
    room: Room,
    source: Source,
    codec: str,
    layers: tuple[str, ...],
    at: datetime,
) -> None:
    """Its picture is there. Told again, what changed of its layers is written and not told."""
    known = replace(source, codec=codec, layers=layers, wanted_at=source.wanted_at or at)
    if known != source:
        await uow.rooms.update_source(known)
    await shift(uow, room, known, SourceState.LIVE, at, "system")


async def close_session(
    uow: UnitOfWork, room: Room, session: Session, reason: str, at: datetime
) -> None:
    """A session is over, and with it the source that nothing else carries. Its leg is its driver's to mind: a browser whose
    session was lost comes back to the same leg."""
    if session.closed_at is not None:
        return
    await uow.rooms.put_session(replace(session, closed_at=at, reason=reason))
    others = [one for one in await uow.rooms.sessions_of(room.id) if one.id != session.id]
    source = await uow.rooms.find_source(session.source_id)
    if source is not None and session.right is SessionRight.VIEW:
        await uow.rooms.update_source(replace(source, wanted_at=at))
    if source is not None and session.right is SessionRight.PUBLISH:
        still = any(
            one.right is SessionRight.PUBLISH and one.source_id == source.id for one in others
        )
        if not still and source.state is not SourceState.ENDED:
            # A camera of the fleet can be asked again; whoever brought their own offers it anew.
            after = SourceState.IDLE if source.comes_back else SourceState.ENDED
            await shift(uow, room, source, after, at, "system", reason)


async def end_pulled(
    uow: UnitOfWork, room: Room, source: Source, at: datetime, actor: str, orders: Orders
) -> None:
    """A camera that is pulled is over: fetched no more, its address forgotten."""
    pulls = [one for one in await uow.rooms.pulls_of(room.id) if one.source_id == source.id]
    for pull in pulls:
        orders.release.append(pull.id)
        await uow.rooms.delete_pull(pull.id)
    for session in await uow.rooms.sessions_of(room.id):
        if session.right is SessionRight.PUBLISH and session.source_id == source.id:
            await uow.rooms.put_session(replace(session, closed_at=at, reason="removed"))
    known = await uow.rooms.find_source(source.id)
    if known is not None and known.state is not SourceState.ENDED:
        await shift(uow, room, known, SourceState.ENDED, at, actor, "removed")


# --- the room --------------------------------------------------------------------------------------------


async def alter(
    uow: UnitOfWork, room: Room, wanted: Mapping[str, object], at: datetime, actor: str
) -> Room:
    """Set fields of a room, and tell those that changed."""
    new = {name: value for name, value in wanted.items() if getattr(room, name) != value}
    if not new:
        return room
    changed = replace(room, **new)  # type: ignore[arg-type]  # the fields are named by our own callers
    await uow.rooms.update(changed)
    uow.record(
        RoomChanged(
            at=at,
            actor=actor,
            incident_id=room.incident_id,
            room_id=room.id,
            name=changed.name,
            change=new,
        )
    )
    return changed


async def end(uow: UnitOfWork, room: Room, at: datetime, actor: str, orders: Orders) -> Room:
    """End a room for everybody: nobody is there any more, nothing is sent any more."""
    sessions: Sequence[Session] = await uow.rooms.sessions_of(room.id)
    for session in sessions:
        await uow.rooms.put_session(replace(session, closed_at=at, reason="ended"))
        orders.release.append(session.id)
    for pull in await uow.rooms.pulls_of(room.id):
        orders.release.append(pull.id)
        await uow.rooms.delete_pull(pull.id)
    for source in await uow.rooms.sources_of(room.id):
        if source.device is not None and source.state in {SourceState.LIVE, SourceState.STARTING}:
            orders.stop.append(source)
        if source.state is not SourceState.ENDED:
            await uow.rooms.update_source(move_source(source, SourceState.ENDED, at))
    people = await uow.rooms.participants_of(room.id)
    for one in people:
        if one.state in {ParticipantState.JOINED, ParticipantState.WAITING}:
            await uow.rooms.update_participant(move_participant(one, ParticipantState.LEFT, at))
    if room.call_id is not None:
        orders.close.append(room.call_id)
    ended = replace(room, state=RoomState.ENDED, ended_at=at, dial=None, spotlight=None)
    await uow.rooms.update(ended)
    uow.record(
        RoomEnded(
            at=at,
            actor=actor,
            incident_id=room.incident_id,
            room_id=room.id,
            name=room.name,
            duration_s=round((at - room.created_at).total_seconds(), 1),
            attended=sum(one.first_joined_at is not None for one in people),
            call_id=room.call_id,
        )
    )
    return ended
