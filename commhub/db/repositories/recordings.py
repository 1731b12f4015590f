"""Recordings, and the prompts that are played to calls."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete

from commhub.db.codec import Rows
from commhub.db.repositories.kept import KeptFiles
from commhub.db.tables import equipment
from commhub.domain.errors import ConflictError
from commhub.domain.recording import Prompt, Recording, Retention

_FILES = equipment.recordings
_PROMPTS_TABLE = equipment.prompts
_RECORDINGS = Rows(Recording, _FILES)
_PROMPTS = Rows(Prompt, _PROMPTS_TABLE)


class SqlRecordings(KeptFiles):
    """Implements commhub.ports.call_store.Recordings."""

    async def add(self, recording: Recording) -> None:
        self._tx.add(_FILES, _RECORDINGS.to_row(recording))

    async def get(self, recording_id: str) -> Recording:
        return await self._get_held(_RECORDINGS, recording_id, "recording")

    async def update(self, recording: Recording) -> None:
        self._tx.update(_FILES, _RECORDINGS.to_row(recording))

    async def of_call(self, call_id: str) -> Sequence[Recording]:
        return await self._all(
            _RECORDINGS,
            self._select(_RECORDINGS)
            .where(_FILES.c.call_id == call_id)
            .order_by(_FILES.c.started_at, _FILES.c.kind.desc(), _FILES.c.id),
        )

    async def of_incident(
        self, incident_id: str, before: str | None, limit: int
    ) -> Sequence[Recording]:
        statement = self._page(_RECORDINGS, before, limit)
        return await self._all(_RECORDINGS, statement.where(_FILES.c.incident_id == incident_id))

    async def expired(
        self, stored_before: Mapping[Retention, datetime], limit: int
    ) -> Sequence[Recording]:
        return await self._all(_RECORDINGS, self._expired(_RECORDINGS, stored_before, limit))

    async def add_prompt(self, prompt: Prompt) -> None:
        if not await self._tx.insert_new(_PROMPTS_TABLE, _PROMPTS.to_row(prompt)):
            raise ConflictError("a prompt of that name is there already", name=prompt.name)

    async def get_prompt(self, prompt_id: str) -> Prompt:
        return await self._get(_PROMPTS, prompt_id, "prompt")

    async def find_prompt(self, name: str) -> Prompt | None:
        return await self._find_by(_PROMPTS, "name", name)

    async def prompts(self) -> Sequence[Prompt]:
        return await self._all(_PROMPTS, self._select(_PROMPTS).order_by(_PROMPTS_TABLE.c.name))

    async def delete_prompt(self, prompt_id: str) -> None:
        await self._tx.write(
            _PROMPTS_TABLE,
            delete(_PROMPTS_TABLE).where(
                self._tx.mine(_PROMPTS_TABLE), _PROMPTS_TABLE.c.id == prompt_id
            ),
        )
