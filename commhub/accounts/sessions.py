"""Signing in and staying signed in: sessions and keys become principals here.

A session is 32 random bytes in a cookie; only their SHA-256 is stored, so neither a backup nor a leaked
table lets anybody in. It ends after 30 idle minutes and after 12 hours in any case.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from commhub.accounts.lockout import LockoutPolicy, UnknownNames, after_failure
from commhub.accounts.metrics import LOGINS
from commhub.accounts.passwords import Passwords, check_rules
from commhub.domain.account import Principal, Session, User
from commhub.domain.errors import NotAllowedError
from commhub.http.problems import TooManyError, UnauthenticatedError
from commhub.kit.clock import Clock
from commhub.kit.ids import new_secret
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

STRANGER = "stranger"


class WrongCredentialsError(UnauthenticatedError):
    """Name or password is wrong, or the account is disabled; which, is not said. Answers 401."""

    code = "wrong-credentials"


class LockedError(TooManyError):
    """Too many wrong passwords for this name. Answers 429 with Retry-After."""

    code = "locked"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """`touch_every` bounds how often activity is written: an idle time is exact to that much."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=12)
    touch_every: timedelta = timedelta(minutes=1)
    lockout: LockoutPolicy = field(default_factory=LockoutPolicy)


def token_hash(token: str) -> str:
    """What is stored of a session token or a key. Both are random, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def principal_of(user: User) -> Principal:
    """The user as routes see them."""
    return Principal(
        id=user.id, name=user.name, kind="user", roles=user.roles, display_name=user.display_name
    )


class SessionService:
    """Implements `commhub.http.auth.Principals`."""

    def __init__(
        self, store: Store, clock: Clock, passwords: Passwords, config: SessionConfig | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._passwords = passwords
        self._config = config or SessionConfig()
        self._unknown = UnknownNames(self._config.lockout)

    async def sign_in(self, name: str, password: str) -> tuple[Principal, str]:
        """Return who it is and the token of a new session. Raises WrongCredentialsError or LockedError."""
        async with self._store.read() as uow:
            user = await uow.accounts.find_user(name)
        self._refuse_locked(name, user)
        right = await self._passwords.verify(user.password_hash if user else None, password)
        if user is None:
            return await self._refuse_unknown(name)
        renewed = None
        if right and self._passwords.is_outdated(user.password_hash):
            renewed = await self._passwords.hash(password)
        async with self._store.begin() as uow:
            # Read again: other guesses at the same name ended while this one was being checked.
            user = await uow.accounts.get_user(user.id)
            self._refuse_locked(name, user)
            if right and not user.disabled:
                token = await self._open(uow, user, renewed)
                LOGINS.labels("ok").inc()
                return principal_of(user), token
            await self._count_failure(uow, user, right=right)
        LOGINS.labels("denied").inc()
        raise _wrong()

    async def sign_out(self, token: str, by: Principal) -> None:
        """End the session; one that is not there is ended already."""
        async with self._store.begin() as uow:
            await uow.accounts.delete_session(token_hash(token))
            await uow.audit.append(self._clock.now(), by.actor, "sign-out", by.actor, "ok")

    async def change_password(self, principal: Principal, old: str, new: str) -> str:
        """Give oneself a new password; all sessions end, and the token of a new one is returned.

        A wrong old password counts as a failed sign-in. Raises WrongCredentialsError, LockedError, InvalidError,
        or NotAllowedError for a program, which has no password.
        """
        if principal.kind != "user":
            raise NotAllowedError("a key has no password; make a new key instead")
        check_rules(principal.name, new)
        await self.sign_in(principal.name, old)
        hashed = await self._passwords.hash(new)
        async with self._store.begin() as uow:
            user = replace(await uow.accounts.get_user(principal.id), password_hash=hashed)
            await uow.accounts.update_user(user)
            await uow.accounts.delete_sessions_of(user.id)
            now = self._clock.now()
            actor = principal.actor
            await uow.audit.append(now, actor, "password.change", actor, "ok")
            return await self._add_session(uow, user)

    async def of_session(self, token: str, *, active: bool = True) -> Principal | None:
        """Who has this cookie; None when it is unknown or expired, or its user was disabled."""
        now = self._clock.now()
        async with self._store.read() as uow:
            session = await uow.accounts.find_session(token_hash(token))
            if session is None or not self._is_alive(session):
                return None
            user = await uow.accounts.get_user(session.user_id)
        if user.disabled:
            return None
        if active and now - session.seen_at >= self._config.touch_every:
            await self._touch(session.token_hash)
        return principal_of(user)

    async def of_key(self, key: str) -> Principal | None:
        """Which program has this key; None when it is unknown or revoked."""
        async with self._store.read() as uow:
            found = await uow.accounts.find_key(token_hash(key))
        if found is None or found.revoked_at is not None:
            return None
        return Principal(id=found.id, name=found.name, kind="key", roles=found.roles)

    def _is_alive(self, session: Session) -> bool:
        now = self._clock.now()
        return now < session.expires_at and now - session.seen_at < self._config.idle

    async def _touch(self, hashed: str) -> None:
        async with self._store.begin() as uow:
            # Read again: it may have been signed out meanwhile, and must not come back.
            session = await uow.accounts.find_session(hashed)
            if session is not None:
                await uow.accounts.update_session(replace(session, seen_at=self._clock.now()))

    async def _open(self, uow: UnitOfWork, user: User, renewed_hash: str | None) -> str:
        user = replace(
            user,
            failures=0,
            locked_until=None,
            password_hash=renewed_hash or user.password_hash,
        )
        await uow.accounts.update_user(user)
        now = self._clock.now()
        await uow.accounts.delete_sessions_of(user.id, seen_before=now - self._config.idle)
        actor = principal_of(user).actor
        await uow.audit.append(now, actor, "sign-in", actor, "ok")
        return await self._add_session(uow, user)

    async def _add_session(self, uow: UnitOfWork, user: User) -> str:
        token = new_secret()
        now = self._clock.now()
        await uow.accounts.add_session(
            Session(
                token_hash=token_hash(token),
                user_id=user.id,
                created_at=now,
                seen_at=now,
                expires_at=now + self._config.absolute,
            )
        )
        return token

    async def _count_failure(self, uow: UnitOfWork, user: User, *, right: bool) -> None:
        now = self._clock.now()
        subject = f"user:{user.name}"
        if right:
            await uow.audit.append(now, STRANGER, "sign-in", subject, "denied", "disabled")
            return
        after = after_failure(user, self._config.lockout, now)
        await uow.accounts.update_user(after)
        await uow.audit.append(now, STRANGER, "sign-in", subject, "denied", "wrong password")
        if after.locked_until != user.locked_until:
            minutes = self._config.lockout.lock_for // timedelta(minutes=1)
            await uow.audit.append(
                now, "system", "user.lock", subject, "ok", f"for {minutes} minutes"
            )
            log.warning("user_locked", user_id=user.id)

    async def _refuse_unknown(self, name: str) -> tuple[Principal, str]:
        now = self._clock.now()
        self._unknown.fail(name, now)
        async with self._store.begin() as uow:
            # The name is not kept: people type their password into the wrong field.
            await uow.audit.append(now, STRANGER, "sign-in", "user:?", "denied", "unknown name")
        LOGINS.labels("denied").inc()
        raise _wrong()

    def _refuse_locked(self, name: str, user: User | None) -> None:
        until = user.locked_until if user else self._unknown.locked_until(name)
        now = self._clock.now()
        if until is not None and now < until:
            LOGINS.labels("locked").inc()
            raise LockedError(
                "too many wrong passwords for this name; wait, or ask an administrator",
                retry_after_s=(until - now).total_seconds(),
            )


def _wrong() -> WrongCredentialsError:
    return WrongCredentialsError("name or password is wrong")
