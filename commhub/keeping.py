"""How long files of recordings are kept: what `calls` has of sound and `rooms` of pictures, under one rule.

Below the features, which know nothing of each other, and above the ports, whose unit of work it needs. The file goes
before its row says so: a crash in between leaves a row whose next sweep finds nothing to remove, never a file nobody
knows of.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import Field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog
from prometheus_client import Counter

from commhub.domain.account import Principal
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import SYSTEM, Fact
from commhub.domain.recording import KeepDays, Retention, expired_before
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 6 * 3600.0
_AT_ONCE = 50
_NOT_HERE = "the file of this recording is not here"


class Kept(Protocol):
    """A row about a file: `path` below the recordings directory; `held` keeps it whatever its age; after `deleted_at` there
    is no file."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def id(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def held(self) -> bool: ...
    @property
    def deleted_at(self) -> datetime | None: ...


KeptT = TypeVar("KeptT", bound=Kept)


class KeptRecordings(ABC, Generic[KeptT]):
    """Recordings of one kind, named `word` in audit and log. `keep` is days per class; `deleted` counts files whose time was
    up."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        folder: Path,
        keep: KeepDays,
        *,
        word: str,
        deleted: Counter,
    ) -> None:
        self._store = store
        self._clock = clock
        self.folder = folder
        self._keep = keep
        self._word = word
        self._deleted = deleted

    # --- what one kind says ------------------------------------------------------------------------------

    @abstractmethod
    async def _get(self, uow: UnitOfWork, recording_id: str) -> KeptT:
        """Locked until the end of a write transaction. Raises NotFoundError."""

    @abstractmethod
    async def _update(self, uow: UnitOfWork, recording: KeptT) -> None: ...

    @abstractmethod
    async def _expired(
        self, uow: UnitOfWork, stored_before: Mapping[Retention, datetime], limit: int
    ) -> Sequence[KeptT]:
        """Those stored before the moment of their class that nothing keeps, oldest first."""

    @abstractmethod
    def _owned(self, recording: KeptT, owner_id: str) -> KeptT:
        """The recording, when it is this call's or room's. Raises NotFoundError."""

    @abstractmethod
    def _deletion(self, recording: KeptT, at: datetime) -> Fact: ...

    # --- the desk ----------------------------------------------------------------------------------------

    async def get(self, owner_id: str, recording_id: str) -> KeptT:
        """A recording of this call or room. Raises NotFoundError."""
        async with self._store.read() as uow:
            return self._owned(await self._get(uow, recording_id), owner_id)

    async def file_of(self, recording: KeptT) -> Path:
        """Raises NotFoundError with why there is no file."""
        if recording.deleted_at is not None:
            day = f"{recording.deleted_at:%Y-%m-%d}"
            raise NotFoundError(f"the file of this recording was deleted on {day}: its time was up")
        path = self._path(recording)
        if not await asyncio.to_thread(path.is_file):
            raise NotFoundError(_NOT_HERE)
        return path

    async def hold(self, owner_id: str, recording_id: str, by: Principal, *, held: bool) -> KeptT:
        """Keep a recording whatever its age, or let its time run again."""
        async with self._store.begin() as uow:
            recording = self._owned(await self._get(uow, recording_id), owner_id)
            if recording.held is not held:
                recording = replace(recording, held=held)
                await self._update(uow, recording)
                action = f"{self._word}.hold" if held else f"{self._word}.release"
                await uow.audit.append(self._clock.now(), by.actor, action, recording_id, "ok")
        return recording

    # --- the clock ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Remove what has expired, now and a few times a day."""
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Remove the files whose time is up; their rows stay. Returns how many. A file that cannot be removed is
        tried again by the next sweep."""
        deleted = 0
        failed: set[str] = set()
        while True:
            limit = expired_before(self._clock.now(), self._keep)
            async with self._store.begin() as uow:
                expired = await self._expired(uow, limit, _AT_ONCE + len(failed))
                todo = [one for one in expired if one.id not in failed]
                for recording in todo:
                    if await self._delete(uow, recording):
                        deleted += 1
                    else:
                        failed.add(recording.id)
            if not todo:
                break
        if deleted:
            self._deleted.inc(deleted)
            log.info("recordings_expired", kind=self._word, deleted=deleted, failed=len(failed))
        return deleted

    async def _delete(self, uow: UnitOfWork, found: KeptT) -> bool:
        # Read again: held from here on, so that nobody puts a hold on it while its file goes.
        recording = await self._get(uow, found.id)
        if recording.held or recording.deleted_at is not None:
            return True
        try:
            await asyncio.to_thread(self._path(recording).unlink, missing_ok=True)
        except OSError as error:
            reason = str(error)
            log.warning("recording_not_deleted", recording_id=recording.id, reason=reason)
            return False
        now = self._clock.now()
        await self._update(uow, replace(recording, deleted_at=now))
        uow.record(self._deletion(recording, now))
        detail = f"{recording.retention} expired"
        action = f"{self._word}.delete"
        await uow.audit.append(now, SYSTEM, action, recording.id, "ok", detail)
        return True

    def _path(self, recording: KeptT) -> Path:
        """Raises NotFoundError for a path that leads outside."""
        folder = self.folder.resolve()
        path = (folder / recording.path).resolve()
        if not path.is_relative_to(folder):
            raise NotFoundError(_NOT_HERE)
        return path
