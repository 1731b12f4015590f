"""Guessing is slowed down: after so many wrong passwords a name is locked for a while.

Users keep their count in their row. Names nobody has are counted here, in memory and bounded, so that they lock
exactly as real ones do and an answer never tells whether a name exists.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from commhub.domain.account import User

REMEMBERED_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """`failures` wrong passwords in a row lock the name for `lock_for`."""

    failures: int = 10
    lock_for: timedelta = timedelta(minutes=15)


def after_failure(user: User, policy: LockoutPolicy, now: datetime) -> User:
    """The user with one wrong password more; locked, and counted anew, at the last one allowed."""
    failures = user.failures + 1
    if failures >= policy.failures:
        return replace(user, failures=0, locked_until=now + policy.lock_for)
    return replace(user, failures=failures)


class UnknownNames:
    """The failures of names nobody has; the longest untouched name is forgotten first."""

    def __init__(self, policy: LockoutPolicy) -> None:
        self._policy = policy
        self._names: OrderedDict[str, tuple[int, datetime | None]] = OrderedDict()

    def locked_until(self, name: str) -> datetime | None:
        return self._names.get(name, (0, None))[1]

    def fail(self, name: str, now: datetime) -> None:
        failures = self._names.pop(name, (0, None))[0] + 1
        locked = failures >= self._policy.failures
        self._names[name] = (0, now + self._policy.lock_for) if locked else (failures, None)
        while len(self._names) > REMEMBERED_NAMES:
            self._names.popitem(last=False)
