"""What stays of rooms: roll-calls, minutes, recordings of pictures, and the layouts of walls."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete

from commhub.db.codec import Rows
from commhub.db.repositories.kept import KeptFiles
from commhub.db.tables import meetings
from commhub.domain.errors import ConflictError
from commhub.domain.recording import Retention
from commhub.domain.roll_call import RollCall, RollCallItem, RollCallState
from commhub.domain.room_records import Minutes, VideoRecording, WallLayout

_CALLED = meetings.roll_calls
_ANSWERS = meetings.roll_call_items
_VERSIONS = meetings.minutes
_FILES = meetings.recordings
_WALLS = meetings.layouts
_ROLL_CALLS = Rows(RollCall, _CALLED)
_ITEMS = Rows(RollCallItem, _ANSWERS)
_MINUTES = Rows(Minutes, _VERSIONS)
_RECORDINGS = Rows(VideoRecording, _FILES)
_LAYOUTS = Rows(WallLayout, _WALLS)
EVERYBODY = ""


class SqlRoomRecords(KeptFiles):
    """Implements commhub.ports.room_store.RoomRecords."""

    # --- roll-calls --------------------------------------------------------------------------------------

    async def add_roll_call(self, roll_call: RollCall, items: Sequence[RollCallItem]) -> None:
        self._tx.add(_CALLED, _ROLL_CALLS.to_row(roll_call))
        for item in items:
            self._tx.add(_ANSWERS, _ITEMS.to_row(item))

    async def find_roll_call(self, room_id: str, n: int) -> RollCall | None:
        statement = self._select(_ROLL_CALLS).where(_CALLED.c.room_id == room_id, _CALLED.c.n == n)
        return await self._find(_ROLL_CALLS, self._tx.lock(statement))

    async def roll_calls_of(self, room_id: str) -> Sequence[RollCall]:
        statement = self._select(_ROLL_CALLS).where(_CALLED.c.room_id == room_id)
        return await self._all(_ROLL_CALLS, statement.order_by(_CALLED.c.n))

    async def running_roll_calls(self) -> Sequence[RollCall]:
        here = _CALLED.c.hub == self._tx.owner.hub
        running = _CALLED.c.state == RollCallState.RUNNING
        statement = self._select(_ROLL_CALLS).where(here, running)
        return await self._all(_ROLL_CALLS, statement.order_by(_CALLED.c.id))

    async def update_roll_call(self, roll_call: RollCall) -> None:
        self._tx.update(_CALLED, _ROLL_CALLS.to_row(roll_call))

    async def items_of(self, roll_call_id: str) -> Sequence[RollCallItem]:
        statement = self._select(_ITEMS).where(_ANSWERS.c.roll_call_id == roll_call_id)
        return await self._all(_ITEMS, statement.order_by(_ANSWERS.c.id))

    async def add_item(self, item: RollCallItem) -> None:
        self._tx.add(_ANSWERS, _ITEMS.to_row(item))

    async def update_item(self, item: RollCallItem) -> None:
        self._tx.update(_ANSWERS, _ITEMS.to_row(item))

    # --- minutes -----------------------------------------------------------------------------------------

    async def add_minutes(self, minutes: Minutes) -> None:
        self._tx.add(_VERSIONS, _MINUTES.to_row(minutes))

    async def minutes_of(self, room_id: str) -> Sequence[Minutes]:
        statement = self._select(_MINUTES).where(_VERSIONS.c.room_id == room_id)
        return await self._all(_MINUTES, statement.order_by(_VERSIONS.c.version))

    # --- recordings --------------------------------------------------------------------------------------

    async def add_recording(self, recording: VideoRecording) -> bool:
        return await self._tx.insert_new(_FILES, _RECORDINGS.to_row(recording))

    async def get_recording(self, recording_id: str) -> VideoRecording:
        return await self._get_held(_RECORDINGS, recording_id, "recording")

    async def update_recording(self, recording: VideoRecording) -> None:
        self._tx.update(_FILES, _RECORDINGS.to_row(recording))

    async def recordings_of(self, room_id: str) -> Sequence[VideoRecording]:
        statement = self._select(_RECORDINGS).where(_FILES.c.room_id == room_id)
        return await self._all(_RECORDINGS, statement.order_by(_FILES.c.started_at, _FILES.c.id))

    async def expired_recordings(
        self, stored_before: Mapping[Retention, datetime], limit: int
    ) -> Sequence[VideoRecording]:
        return await self._all(_RECORDINGS, self._expired(_RECORDINGS, stored_before, limit))

    # --- walls -------------------------------------------------------------------------------------------

    async def put_layout(self, layout: WallLayout) -> None:
        known = await self.find_layout(layout.owner, layout.name)
        if known is not None and known.id != layout.id:
            raise ConflictError("a wall of that name is there already", name=layout.name)
        await self._tx.put(_WALLS, _LAYOUTS.to_row(layout))

    async def find_layout(self, owner: str, name: str) -> WallLayout | None:
        statement = self._select(_LAYOUTS).where(_WALLS.c.owner == owner, _WALLS.c.name == name)
        return await self._find(_LAYOUTS, self._tx.lock(statement))

    async def layouts_for(self, owner: str) -> Sequence[WallLayout]:
        statement = self._select(_LAYOUTS).where(_WALLS.c.owner.in_((owner, EVERYBODY)))
        return await self._all(_LAYOUTS, statement.order_by(_WALLS.c.name, _WALLS.c.owner))

    async def delete_layout(self, layout_id: str) -> None:
        await self._tx.write(
            _WALLS, delete(_WALLS).where(self._tx.mine(_WALLS), _WALLS.c.id == layout_id)
        )
