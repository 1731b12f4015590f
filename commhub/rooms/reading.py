"""Who may read what of a room: the same rights as for its pictures (`domain.viewing`).

Those in a meeting and the desk know all of it, and a department that is in it does. Anybody else who may sign in learns that there is
such a room, as the timeline says so, too; in it they see themselves, and the sources they could watch.
"""

from collections.abc import Callable, Sequence

from commhub.domain.account import Principal
from commhub.domain.errors import NotAllowedError
from commhub.domain.room_records import VideoRecording
from commhub.domain.viewing import seen_by
from commhub.ports.store import Store
from commhub.rooms.hosting import Who
from commhub.rooms.people import unit_of
from commhub.rooms.service import RoomFile, load


class Readers:
    """Decides what somebody may read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def eyes(self, who: Who) -> Callable[[RoomFile], RoomFile]:
        """What makes of a room what is this one's business."""
        unit_id = await unit_of(self._store, who.principal)
        return lambda file: _Reader(file, who, unit_id).file

    async def require(self, room_id: str, by: Principal) -> None:
        """Whether they may read its minutes and roll-calls. Raises NotFoundError, NotAllowedError."""
        if not (await self._reader(room_id, by)).knows:
            raise NotAllowedError("this room is another department's")

    async def recordings(
        self, room_id: str, known: Sequence[VideoRecording], by: Principal
    ) -> list[VideoRecording]:
        """Those of pictures they might have watched. Raises NotFoundError, NotAllowedError for whoever might have watched none."""
        reader = await self._reader(room_id, by)
        visible = {source.id for source in reader.file.sources}
        if not reader.knows and not visible:
            raise NotAllowedError("this room is another department's")
        return [one for one in known if one.source_id in visible]

    async def _reader(self, room_id: str, by: Principal) -> "_Reader":
        unit_id = await unit_of(self._store, by)
        async with self._store.read() as uow:
            file = await load(uow, await uow.rooms.get(room_id))
        return _Reader(file, Who(principal=by), unit_id)


class _Reader:
    """One person before one room: whether they know it, and what of it they see."""

    def __init__(self, whole: RoomFile, who: Who, unit_id: str | None) -> None:
        seen = seen_by(
            who.principal,
            unit_id,
            whole.room,
            whole.participants,
            whole.sources,
            guest=who.participant_id,
        )
        self.knows = seen.knows
        self.file = RoomFile(whole.room, seen.participants, seen.sources)
