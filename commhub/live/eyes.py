"""What of the rooms each reader of the live socket is shown: the rights of their pictures (`domain.viewing`), as on HTTP.

Dispatchers see all of it and share what was written once; for anybody else each frame is written anew, of the rooms
alone, from the rows they were rendered from. Such readers are few, and a hub's rooms, too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commhub.domain.account import Principal
from commhub.domain.room import Participant, Room, Source
from commhub.domain.viewing import Seen, seen_by, sees_every_room
from commhub.http.room_views import room_view
from commhub.live.model import About, Collection


@dataclass(frozen=True, slots=True)
class RoomRows:
    """A room as it was last rendered."""

    room: Room
    participants: Sequence[Participant]
    sources: Sequence[Source]

    @property
    def text(self) -> str:
        """All of it, as JSON text."""
        return room_view(self.room, self.participants, self.sources).model_dump_json()


@dataclass(frozen=True, slots=True)
class Eyes:
    """One reader: who, and of which department."""

    principal: Principal
    unit_id: str | None

    @property
    def see_all(self) -> bool:
        return sees_every_room(self.principal)

    def before(self, rows: RoomRows) -> Seen:
        """What of the room is this reader's business."""
        return seen_by(self.principal, self.unit_id, rows.room, rows.participants, rows.sources)


class Lens:
    """The model through somebody's eyes. Implements `model.Lens`."""

    def __init__(self, eyes: Eyes, rooms: Mapping[str, RoomRows]) -> None:
        self._eyes = eyes
        self._rooms = rooms

    def shown(self, collection: Collection, key: str, value: str) -> str | None:
        """See `model.Lens`. A room without what is not theirs, and its call without legs: who is in it, the room tells."""
        if collection is Collection.ROOMS:
            rows = self._rooms.get(key)
            if rows is None:
                return None
            seen = self._eyes.before(rows)
            return room_view(rows.room, seen.participants, seen.sources).model_dump_json()
        if collection is Collection.CALLS:
            call = json.loads(value)
            has_room = call["room_id"] is not None
            return json.dumps({**call, "legs": []}, ensure_ascii=False) if has_room else value
        return value

    def told(self, about: About) -> bool:
        """See `model.Lens`."""
        rows = self._rooms.get(about.room_id)
        if rows is None:
            return False
        seen = self._eyes.before(rows)
        if about.source_id is not None:
            return any(one.id == about.source_id for one in seen.sources)
        return seen.knows
