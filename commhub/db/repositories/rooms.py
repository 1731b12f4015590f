"""Rooms, who takes part in them, what is seen there, and the sessions that carry it."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import meetings
from commhub.domain.room import Invitation, Participant, Pull, Room, RoomState, Session, Source

_TABLE = meetings.rooms
_PEOPLE = meetings.participants
_PICTURES = meetings.sources
_RESOURCES = meetings.sessions
_LINKS = meetings.invitations
_FETCHED = meetings.pulls
_ROOMS = Rows(Room, _TABLE)
_PARTICIPANTS = Rows(Participant, _PEOPLE)
_SOURCES = Rows(Source, _PICTURES)
_SESSIONS = Rows(Session, _RESOURCES)
_INVITATIONS = Rows(Invitation, _LINKS)
_PULLS = Rows(Pull, _FETCHED)


class SqlRooms(Repository):
    """Implements commhub.ports.room_store.Rooms."""

    async def add(self, room: Room) -> None:
        self._tx.add(_TABLE, _ROOMS.to_row(room))

    async def get(self, room_id: str) -> Room:
        return await self._get_held(_ROOMS, room_id, "room")

    async def find(self, room_id: str) -> Room | None:
        return await self._find_by(_ROOMS, "id", room_id)

    async def update(self, room: Room) -> None:
        self._tx.update(_TABLE, _ROOMS.to_row(room))

    async def list(
        self, open_only: bool, incident_id: str | None, before: str | None, limit: int
    ) -> Sequence[Room]:
        statement = self._page(_ROOMS, before, limit)
        if open_only:
            statement = statement.where(_TABLE.c.state == RoomState.OPEN)
        if incident_id is not None:
            statement = statement.where(_TABLE.c.incident_id == incident_id)
        return await self._all(_ROOMS, statement)

    async def open_here(self) -> Sequence[Room]:
        here = _TABLE.c.hub == self._tx.owner.hub
        statement = self._select(_ROOMS).where(here, _TABLE.c.state == RoomState.OPEN)
        return await self._all(_ROOMS, statement.order_by(_TABLE.c.id.desc()))

    async def find_dialled(self, number: str) -> Room | None:
        return await self._find_by(_ROOMS, "dial", number)

    async def find_of_device(self, device: str) -> Room | None:
        open_now = _TABLE.c.state == RoomState.OPEN
        statement = self._select(_ROOMS).where(_TABLE.c.device == device, open_now)
        return await self._find(_ROOMS, statement.order_by(_TABLE.c.id).limit(1))

    async def numbers_in_use(self) -> frozenset[str]:
        taken = _TABLE.c.dial.is_not(None)
        rows = await self._tx.rows(select(_TABLE.c.dial).where(self._tx.mine(_TABLE), taken))
        return frozenset(row[0] for row in rows)

    # --- who takes part ----------------------------------------------------------------------------------

    async def add_participant(self, participant: Participant) -> None:
        self._tx.add(_PEOPLE, _PARTICIPANTS.to_row(participant))

    async def find_participant(self, participant_id: str) -> Participant | None:
        return await self._find_by(_PARTICIPANTS, "id", participant_id)

    async def update_participant(self, participant: Participant) -> None:
        self._tx.update(_PEOPLE, _PARTICIPANTS.to_row(participant))

    async def participants_of(self, room_id: str) -> Sequence[Participant]:
        statement = self._select(_PARTICIPANTS).where(_PEOPLE.c.room_id == room_id)
        return await self._all(
            _PARTICIPANTS, statement.order_by(_PEOPLE.c.created_at, _PEOPLE.c.id)
        )

    # --- what is seen ------------------------------------------------------------------------------------

    async def add_source(self, source: Source) -> None:
        self._tx.add(_PICTURES, _SOURCES.to_row(source))

    async def find_source(self, source_id: str) -> Source | None:
        return await self._find_by(_SOURCES, "id", source_id)

    async def update_source(self, source: Source) -> None:
        self._tx.update(_PICTURES, _SOURCES.to_row(source))

    async def sources_of(self, room_id: str) -> Sequence[Source]:
        statement = self._select(_SOURCES).where(_PICTURES.c.room_id == room_id)
        return await self._all(_SOURCES, statement.order_by(_PICTURES.c.created_at, _PICTURES.c.id))

    # --- what carries it ---------------------------------------------------------------------------------

    async def put_session(self, session: Session) -> None:
        await self._tx.put(_RESOURCES, _SESSIONS.to_row(session))

    async def find_session(self, session_id: str) -> Session | None:
        return await self._find_by(_SESSIONS, "id", session_id)

    async def sessions_of(self, room_id: str) -> Sequence[Session]:
        return await self._going_on(_RESOURCES.c.room_id == room_id)

    async def sessions_with_leg(self, leg_id: str) -> Sequence[Session]:
        return await self._going_on(_RESOURCES.c.leg_id == leg_id)

    async def live_sessions(self) -> Sequence[Session]:
        return await self._going_on(_RESOURCES.c.hub == self._tx.owner.hub)

    async def _going_on(self, condition: ColumnElement[bool]) -> Sequence[Session]:
        statement = self._select(_SESSIONS).where(condition, _RESOURCES.c.closed_at.is_(None))
        return await self._all(
            _SESSIONS, statement.order_by(_RESOURCES.c.opened_at, _RESOURCES.c.id)
        )

    # --- what is fetched ---------------------------------------------------------------------------------

    async def add_pull(self, pull: Pull) -> None:
        self._tx.add(_FETCHED, _PULLS.to_row(pull))

    async def pulls_of(self, room_id: str) -> Sequence[Pull]:
        statement = self._select(_PULLS).where(_FETCHED.c.room_id == room_id)
        return await self._all(_PULLS, statement.order_by(_FETCHED.c.layer, _FETCHED.c.id))

    async def find_pull(self, pull_id: str) -> Pull | None:
        return await self._find_by(_PULLS, "id", pull_id)

    async def delete_pull(self, pull_id: str) -> None:
        await self._tx.write(
            _FETCHED, delete(_FETCHED).where(self._tx.mine(_FETCHED), _FETCHED.c.id == pull_id)
        )

    # --- who was asked -----------------------------------------------------------------------------------

    async def add_invitation(self, invitation: Invitation) -> None:
        self._tx.add(_LINKS, _INVITATIONS.to_row(invitation))

    async def find_invitation(self, invitation_id: str) -> Invitation | None:
        return await self._find_by(_INVITATIONS, "id", invitation_id)

    async def update_invitation(self, invitation: Invitation) -> None:
        self._tx.update(_LINKS, _INVITATIONS.to_row(invitation))

    async def invitations_of(self, room_id: str) -> Sequence[Invitation]:
        statement = self._select(_INVITATIONS).where(_LINKS.c.room_id == room_id)
        return await self._all(_INVITATIONS, statement.order_by(_LINKS.c.created_at, _LINKS.c.id))
