"""Who guesses passwords is not heard for a while, and for twice as long the next time.

Counted are wrong digests by the address they came from, and by that address and the account they were for. They count
only when they answer a challenge of ours that was sent to that very address (`digest.Nonces`), so nobody can have
somebody else shut out by writing their address into a datagram. A phone that proved itself lately is heard although a
neighbour behind the same NAT guesses; when it begins to fail itself (its password was changed), it alone is not heard.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TypeVar

from commhub.kit.clock import Clock
from gateways.sip.bucket import Bucket
from gateways.sip.config import Rate
from gateways.sip.origins import source_of
from gateways.sip.transport import Hop

_MAX_TRACKED = 50_000
_LONGEST_S = 3_600.0
_FORGIVEN_AFTER_S = 86_400.0
_TRIES = Rate(per_s=0.2, burst=4)

Key = tuple[str, ...]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Closed:
    """A door that just closed. `account` None: for everybody at that source."""

    source: str
    account: str | None
    seconds: float


@dataclass(slots=True)
class _Door:
    failures: deque[float]
    closed_until: float = 0.0
    times: int = 0


@dataclass(slots=True)
class Lockout:
    """`allowed` wrong digests within `window_s` close a door for `window_s`, then for twice that, up to an hour."""

    clock: Clock
    allowed: int
    window_s: float
    _doors: OrderedDict[Key, _Door] = field(default_factory=OrderedDict)
    _proved: OrderedDict[tuple[Hop, str], float] = field(default_factory=OrderedDict)
    _tries: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)

    def closed_for(self, source: Hop, origin: str, account: str) -> float:
        """How many more seconds nothing of this source is heard about this account; 0 when it is. `origin` is the
        address the request came from (before our proxies), `source` the far end of the transport."""
        now = self.clock.monotonic()
        doors = self._doors_before(source, origin, account, now)
        return max(self._left(key, now) for key in doors)

    def may_try(self, source: Hop, origin: str, account: str) -> bool:
        """Whether a call for help is judged although a door is closed: always for a far end that has proved itself,
        now and then for any other, which is too rarely to guess."""
        now = self.clock.monotonic()
        if self._has_proved(source, account, now):
            return True
        place = source_of(origin)
        bucket = self._tries.setdefault(place, Bucket(_TRIES, now))
        _trim(self._tries, place)
        return bucket.take(_TRIES, now)

    def failed(self, source: Hop, origin: str, account: str) -> list[Closed]:
        """Note a wrong digest; the doors it closed."""
        now = self.clock.monotonic()
        closed = []
        for key in self._doors_before(source, origin, account, now):
            if seconds := self._count(key, now):
                named = account if len(key) > 1 else None
                closed.append(Closed(source_of(origin), named, seconds))
        return closed

    def _doors_before(self, source: Hop, origin: str, account: str, now: float) -> list[Key]:
        if self._has_proved(source, account, now):
            return [(str(source), account)]
        place = source_of(origin)
        return [(place, account), (place,)]

    def passed(self, source: Hop, account: str) -> None:
        """This far end knows the password of this account."""
        self._proved[(source, account)] = self.clock.monotonic()
        _trim(self._proved, (source, account))

    def _left(self, key: Key, now: float) -> float:
        door = self._doors.get(key)
        return max(0.0, door.closed_until - now) if door else 0.0

    def _has_proved(self, source: Hop, account: str, now: float) -> bool:
        proved = self._proved.get((source, account))
        return proved is not None and now - proved <= max(self.window_s, _LONGEST_S)

    def _count(self, key: Key, now: float) -> float:
        door = self._doors.setdefault(key, _Door(deque(maxlen=self.allowed)))
        _trim(self._doors, key)
        if door.times and now - door.closed_until > _FORGIVEN_AFTER_S:
            door.times = 0
        door.failures.append(now)
        if len(door.failures) < self.allowed or now - door.failures[0] > self.window_s:
            return 0.0
        seconds = min(math.ldexp(self.window_s, door.times), max(self.window_s, _LONGEST_S))
        door.failures.clear()
        door.closed_until = now + seconds
        door.times += 1
        return seconds


def _trim(known: OrderedDict[K, V], key: K) -> None:
    """Keep the newest: memory is bounded, whoever knocks."""
    known.move_to_end(key)
    while len(known) > _MAX_TRACKED:
        known.popitem(last=False)
