"""Users, their sessions, and programs' keys."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import people
from commhub.db.transaction import Transaction
from commhub.domain.account import ApiKey, Session, User
from commhub.domain.errors import ConflictError
from commhub.kit.clock import Clock

_TABLE = people.sessions
_USERS = Rows(User, people.users)
_SESSIONS = Rows(Session, _TABLE)
_KEYS = Rows(ApiKey, people.api_keys)


class SqlAccounts(Repository):
    """Implements commhub.ports.store.Accounts. A session past its end is not found, and is swept away when
    the next one begins."""

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        super().__init__(transaction)
        self._clock = clock

    async def add_user(self, user: User) -> None:
        if not await self._tx.insert_new(people.users, _USERS.to_row(user)):
            raise ConflictError("a user of that name is there already", name=user.name)

    async def update_user(self, user: User) -> None:
        self._tx.update(people.users, _USERS.to_row(user))

    async def find_user(self, name: str) -> User | None:
        return await self._find_by(_USERS, "name", name)

    async def get_user(self, user_id: str) -> User:
        return await self._get(_USERS, user_id, "user")

    async def users(self) -> Sequence[User]:
        """Sorted by name."""
        return await self._all(_USERS, self._select(_USERS).order_by(people.users.c.name))

    async def add_session(self, session: Session) -> None:
        await self._tx.write(
            _TABLE,
            delete(_TABLE).where(self._tx.mine(_TABLE), _TABLE.c.expires_at <= self._clock.now()),
        )
        self._tx.add(_TABLE, _SESSIONS.to_row(session))

    async def find_session(self, token_hash: str) -> Session | None:
        return await self._find(
            _SESSIONS,
            self._select(_SESSIONS).where(
                _TABLE.c.token_hash == token_hash, _TABLE.c.expires_at > self._clock.now()
            ),
        )

    async def update_session(self, session: Session) -> None:
        self._tx.update(_TABLE, _SESSIONS.to_row(session))

    async def delete_session(self, token_hash: str) -> None:
        await self._tx.write(
            _TABLE, delete(_TABLE).where(self._tx.mine(_TABLE), _TABLE.c.token_hash == token_hash)
        )

    async def delete_sessions_of(self, user_id: str, seen_before: datetime | None = None) -> None:
        ended = delete(_TABLE).where(self._tx.mine(_TABLE), _TABLE.c.user_id == user_id)
        if seen_before is not None:
            ended = ended.where(_TABLE.c.seen_at < seen_before)
        await self._tx.write(_TABLE, ended)

    async def add_key(self, key: ApiKey) -> None:
        self._tx.add(people.api_keys, _KEYS.to_row(key))

    async def find_key(self, token_hash: str) -> ApiKey | None:
        """A revoked key is found too; its `revoked_at` says so."""
        return await self._find_by(_KEYS, "token_hash", token_hash)

    async def keys(self) -> Sequence[ApiKey]:
        """Newest first."""
        return await self._all(_KEYS, self._select(_KEYS).order_by(people.api_keys.c.id.desc()))

    async def update_key(self, key: ApiKey) -> None:
        self._tx.update(people.api_keys, _KEYS.to_row(key))
