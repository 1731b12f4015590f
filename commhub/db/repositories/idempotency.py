"""The first answer to each Idempotency-Key."""

from datetime import datetime

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import people
from commhub.domain.errors import ConflictError
from commhub.ports.store import StoredResponse

_TABLE = people.stored_responses
_RESPONSES = Rows(StoredResponse, _TABLE)


class SqlIdempotency(Repository):
    """Implements commhub.ports.store.Idempotency."""

    async def find(self, scope: str, key: str) -> StoredResponse | None:
        return await self._find(
            _RESPONSES,
            self._select(_RESPONSES).where(_TABLE.c.scope == scope, _TABLE.c.key == key),
        )

    async def put(self, scope: str, key: str, response: StoredResponse, at: datetime) -> None:
        row = _RESPONSES.to_row(response) | {"scope": scope, "key": key, "at": at}
        if not await self._tx.insert_new(_TABLE, row):
            raise ConflictError("another request with this key was first", key=key)
