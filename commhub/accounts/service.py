"""Use cases of accounts: users and their roles, API keys, the audit of both.

Whatever changes here is audited in the transaction of the change. Sessions are in `sessions.py`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import structlog

from commhub.accounts.passwords import Passwords, check_rules
from commhub.accounts.sessions import token_hash
from commhub.domain.account import ApiKey, AuditEntry, Permission, Principal, User, permissions_of
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Role
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id, new_secret
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

FIRST_ADMIN = "admin"
FIRST_ADMIN_ROLES = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN})
KEY_PREFIX = "commhub_"

_NAME = re.compile(r"\w[\w.-]{0,63}")
_ADMINS = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN})


def check_name(name: str) -> None:
    """Raise InvalidError for a name that the timeline's `user:NAME` could not hold."""
    if not _NAME.fullmatch(name):
        raise InvalidError("a name is 1 to 64 letters, digits, «.», «_» or «-»")


def check_roles(roles: frozenset[Role]) -> None:
    """Raise InvalidError for no role, or for an auditor who would audit their own administration."""
    if not roles:
        raise InvalidError("at least one role is needed")
    if Role.AUDIT_ADMIN in roles and roles & _ADMINS:
        raise InvalidError(
            "the auditor may not be system or security administrator too (GB/T 22239 8.1.4.2)"
        )


class AccountService:
    """Users and keys. `actor` is who does it, as `kind:name`, for the audit."""

    def __init__(self, store: Store, clock: Clock, passwords: Passwords) -> None:
        self._store = store
        self._clock = clock
        self._passwords = passwords

    async def ensure_first_admin(self) -> str | None:
        """Make `admin` when there is no user at all, and return its generated password, this once."""
        async with self._store.read() as uow:
            if await uow.accounts.users():
                return None
        password = new_secret(15)
        await self.add_user(FIRST_ADMIN, password, FIRST_ADMIN_ROLES, "", "system")
        return password

    async def add_user(
        self, name: str, password: str, roles: Iterable[Role], display_name: str, actor: str
    ) -> User:
        """Add somebody who may sign in. Raises InvalidError, or ConflictError when the name is taken."""
        granted = frozenset(roles)
        check_name(name)
        check_roles(granted)
        check_rules(name, password)
        user = User(
            id=new_id(),
            name=name,
            display_name=display_name or name,
            password_hash=await self._passwords.hash(password),
            roles=granted,
            created_at=self._clock.now(),
        )
        async with self._store.begin() as uow:
            await uow.accounts.add_user(user)
            await self._audit(uow, actor, "user.add", f"user:{name}", _list(granted))
        return user

    async def change_user(
        self,
        user_id: str,
        actor: str,
        *,
        display_name: str | None = None,
        roles: frozenset[Role] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> User:
        """Change what is not None. A new password, or being disabled, ends all sessions of the user.

        Raises NotFoundError, InvalidError, or ConflictError for taking away the last one who manages accounts.
        """
        if roles is not None:
            check_roles(roles)
        async with self._store.read() as uow:
            name = (await uow.accounts.get_user(user_id)).name
        new_hash = None
        if password is not None:
            check_rules(name, password)
            new_hash = await self._passwords.hash(password)
        async with self._store.begin() as uow:
            before = await uow.accounts.get_user(user_id)
            after = replace(
                before,
                display_name=before.display_name if display_name is None else display_name,
                roles=before.roles if roles is None else roles,
                disabled=before.disabled if disabled is None else disabled,
                password_hash=new_hash or before.password_hash,
                # A new password given by an administrator also opens a locked account.
                failures=0 if new_hash else before.failures,
                locked_until=None if new_hash else before.locked_until,
            )
            if _manages_accounts(before) and not _manages_accounts(after):
                await self._keep_a_manager(uow, user_id)
            await uow.accounts.update_user(after)
            if new_hash or after.disabled:
                await uow.accounts.delete_sessions_of(user_id)
            await self._audit(uow, actor, "user.change", f"user:{name}", _changes(before, after))
        return after

    async def users(self) -> Sequence[User]:
        """Everybody who may sign in, or might again."""
        async with self._store.read() as uow:
            return await uow.accounts.users()

    async def add_key(
        self, uow: UnitOfWork, name: str, roles: Iterable[Role], by: Principal
    ) -> tuple[ApiKey, str]:
        """Make a key in `uow`; the second value is the key itself, which is stored nowhere.

        Raises InvalidError, or ConflictError when a key of that name is in use.
        """
        granted = frozenset(roles)
        check_name(name)
        check_roles(granted)
        in_use = {key.name for key in await uow.accounts.keys() if key.revoked_at is None}
        if name in in_use:
            raise ConflictError(f"a key named «{name}» is in use; revoke it first", name=name)
        secret = KEY_PREFIX + new_secret()
        key = ApiKey(
            id=new_id(),
            name=name,
            token_hash=token_hash(secret),
            roles=granted,
            created_at=self._clock.now(),
            created_by=by.actor,
        )
        await uow.accounts.add_key(key)
        await self._audit(uow, by.actor, "key.add", f"key:{name}", _list(granted))
        return key, secret

    async def revoke_key(self, key_id: str, actor: str) -> ApiKey:
        """End a key at once. Revoking it again changes nothing. Raises NotFoundError."""
        async with self._store.begin() as uow:
            key = next((k for k in await uow.accounts.keys() if k.id == key_id), None)
            if key is None:
                raise NotFoundError("no such key")
            if key.revoked_at is not None:
                return key
            key = replace(key, revoked_at=self._clock.now())
            await uow.accounts.update_key(key)
            await self._audit(uow, actor, "key.revoke", f"key:{key.name}")
        return key

    async def keys(self) -> Sequence[ApiKey]:
        """All keys, revoked ones too, without their secrets."""
        async with self._store.read() as uow:
            return await uow.accounts.keys()

    async def audit(self, before: int | None, limit: int) -> Sequence[AuditEntry]:
        """Rows of the audit, newest first."""
        async with self._store.read() as uow:
            return await uow.audit.list(before, limit)

    async def _keep_a_manager(self, uow: UnitOfWork, leaving: str) -> None:
        others = (user for user in await uow.accounts.users() if user.id != leaving)
        if not any(_manages_accounts(user) for user in others):
            raise ConflictError("this is the last user who may manage accounts; make another first")

    async def _audit(
        self, uow: UnitOfWork, actor: str, action: str, subject: str, detail: str = ""
    ) -> None:
        await uow.audit.append(self._clock.now(), actor, action, subject, "ok", detail)


def _manages_accounts(user: User) -> bool:
    return not user.disabled and Permission.MANAGE_ACCOUNTS in permissions_of(user.roles)


def _list(roles: frozenset[Role]) -> str:
    return "roles: " + ", ".join(sorted(roles))


def _changes(before: User, after: User) -> str:
    said = []
    if before.roles != after.roles:
        said.append(_list(after.roles))
    if before.disabled != after.disabled:
        said.append("disabled" if after.disabled else "enabled")
    if before.password_hash != after.password_hash:
        said.append("new password")
    if before.display_name != after.display_name:
        said.append("new display name")
    return "; ".join(said)
