"""Passwords: what makes one acceptable, and argon2id (RFC 9106) off the event loop.

A hash costs tens of milliseconds and 64 MiB on purpose, so only a few run at once, in threads; whoever
guesses many passwords at once waits in a queue of their own making.
"""

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from commhub.domain.errors import InvalidError

MIN_LENGTH = 10
MAX_LENGTH = 256
MIN_DIFFERENT = 5
AT_ONCE = 2


def check_rules(name: str, password: str) -> None:
    """Raise InvalidError, saying what is wrong, for a password that is too easily guessed."""
    if len(password) < MIN_LENGTH:
        raise InvalidError(f"a password has at least {MIN_LENGTH} characters")
    if len(password) > MAX_LENGTH:
        raise InvalidError(f"a password has at most {MAX_LENGTH} characters")
    if len(set(password)) < MIN_DIFFERENT:
        raise InvalidError(f"a password has at least {MIN_DIFFERENT} different characters")
    # A name of one or two letters is in too many good passwords by chance.
    if len(name) > 2 and name.casefold() in password.casefold():
        raise InvalidError("a password may not contain the name it belongs to")


class Passwords:
    """Hashing and checking. A name nobody has costs as much time as a wrong password."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The argon2id PHC string to store."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one; always False, after the same work, for None."""
        if stored is None:
            if self._nobody is None:
                self._nobody = await self.hash("nobody has this name")
            await self._matches(self._nobody, password)
            return False
        return await self._matches(stored, password)

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    async def _matches(self, stored: str, password: str) -> bool:
        async with self._turns:
            try:
                return await asyncio.to_thread(self._hasher.verify, stored, _normal(password))
            except (VerificationError, InvalidHashError):
                return False


def _normal(password: str) -> str:
    """One form for one text, whatever keyboard composed it (NFC, RFC 8265 §4.2)."""
    return unicodedata.normalize("NFC", password)
