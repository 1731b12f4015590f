"""Connectivity checks that we begin: ICE as the controlling side (RFC 8445 §7.2, §8.1.1), towards a far end that answered an offer of ours.

The candidates of its answer are asked in the order of their priority, one each 50 ms, until one answers; that one is nominated,
and when it has answered that, too, it is the path. From then on it is asked every five seconds whether it still wants what we
send (consent, RFC 7675 §5.1), and every second while it does not answer; when it has been silent for long, the other
addresses are asked again, for who moved. Pure: what is to be sent is handed out, time and answers are handed in. Times in seconds, monotonic.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

from aioice import stun

from bridges.transport.stun import Address, Credentials, read_message

CANDIDATES_LIMIT = 16
_PACE_S = 0.05
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.6
_CONSENT_S = 5.0
_CONSENT_AGAIN_S = 1.0
_STALE_S = 8.0
"""Without an answer for so long, another path may be better than none."""
_NOMINATION_S = 1.0
"""A path that answered once, but not its nomination within that, gives way to another that answers."""
_ASKED_LIMIT = 64
_PRIORITY = 110 << 24 | 65535 << 8 | 255
"""Of a peer-reflexive candidate (RFC 8445 §7.1.1): type preference 110, the only address, component 1."""
_ROLE_CONFLICT = 487
_ANSWERS = (stun.Class.RESPONSE, stun.Class.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteIce:
    """The far end's half of an ICE session; `candidates` the best first."""

    ufrag: str
    password: str = field(repr=False)
    candidates: tuple[Address, ...] = ()


@dataclass(slots=True)
class _Asked:
    goal: Address
    nominates: bool


@dataclass(slots=True)
class _Path:
    next_at: float
    pause_s: float = _FIRST_PAUSE_S


class Checking:
    """Of one far end. `answered_at` is when the nominated path last answered, None before."""

    def __init__(
        self,
        ours: Credentials,
        remote: RemoteIce,
        now: float,
        dice: Callable[[], float] = random,
    ) -> None:
        self.ours = ours
        self.path: Address | None = None
        """Where what we send goes: nominated, and it answered."""
        self.answered_at: float | None = None
        self._name = f"{remote.ufrag}:{ours.ufrag}"
        self._key = remote.password.encode()
        self._dice = dice
        self._tie_breaker = secrets.randbits(64)
        self._controls = True
        candidates = dict.fromkeys(remote.candidates[:CANDIDATES_LIMIT])
        self._paths = {address: _Path(now) for address in candidates}
        self._nominating: Address | None = None
        self._nominate_at = self._chosen_at = self._consent_at = 0.0
        self._paced_until = now
        self._asked: dict[bytes, _Asked] = {}

    # Out -----------------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[tuple[bytes, Address]]:
        """The checks to send now, and where to."""
        checks: list[tuple[bytes, Address]] = []
        if self._nominating is not None and now >= self._nominate_at:
            self._nominate_at = now + _FIRST_PAUSE_S
            checks.append(self._check(self._nominating, nominates=True))
        if not self._is_looking(now):
            if self.path is not None and now >= self._consent_at:
                self._consent_at = now + _CONSENT_AGAIN_S
                checks.append(self._check(self.path, nominates=True))
        elif now >= self._paced_until:
            due = [one for one, path in self._paths.items() if now >= path.next_at]
            if due:
                self._paced_until = now + _PACE_S
                path = self._paths[due[0]]
                path.next_at = now + path.pause_s
                path.pause_s = min(2 * path.pause_s, _LONGEST_PAUSE_S)
                checks.append(self._check(due[0], nominates=False))
        return checks

    def pause_s(self, now: float) -> float:
        """How long nothing can be due."""
        return _PACE_S if self._is_looking(now) else _CONSENT_AGAIN_S / 4

    def _is_looking(self, now: float) -> bool:
        return self.answered_at is None or now - self.answered_at >= _STALE_S

    def _check(self, goal: Address, *, nominates: bool) -> tuple[bytes, Address]:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = self._name
        request.attributes["PRIORITY"] = _PRIORITY
        if self._controls:
            request.attributes["ICE-CONTROLLING"] = self._tie_breaker
            if nominates:
                request.attributes["USE-CANDIDATE"] = None
        else:
            request.attributes["ICE-CONTROLLED"] = self._tie_breaker
        request.add_message_integrity(self._key)
        if len(self._asked) >= _ASKED_LIMIT:
            del self._asked[next(iter(self._asked))]
        self._asked[request.transaction_id] = _Asked(goal, nominates)
        return bytes(request), goal

    # In ------------------------------------------------------------------------------------------------------

    def heard(self, source: Address, now: float) -> None:
        """The far end proved that address by a check of its own: ask there, too (a triggered check, RFC 8445 §7.3.1.4)."""
        if source not in self._paths and len(self._paths) < 2 * CANDIDATES_LIMIT:
            self._paths[source] = _Path(now)

    def take(self, data: bytes, source: Address, now: float) -> bool:
        """An answer to one of our checks, signed with the far end's password and from where it was asked (§7.2.5.2.1); False for
        anything else. `path` and `answered_at` say what came of it."""
        asked = self._asked.get(data[8:20])
        message = read_message(data)
        if asked is None or message is None or not message.check_message_integrity(self._key):
            return False
        if source != asked.goal or message.message_class not in _ANSWERS:
            return False
        del self._asked[data[8:20]]
        if message.message_class is stun.Class.RESPONSE:
            self._answered(asked, now)
        elif message.error_code == _ROLE_CONFLICT:
            self._controls = not self._controls
            self._nominate_at = now
            self._paths.setdefault(asked.goal, _Path(now)).next_at = now
        return True

    def _answered(self, asked: _Asked, now: float) -> None:
        if asked.nominates:
            self._nominating = None
            self.path, self.answered_at = asked.goal, now
            # RFC 7675 §5.1: by a fifth more or less, so that many of them do not march in step.
            self._consent_at = now + _CONSENT_S * (0.8 + 0.4 * self._dice())
            for path in self._paths.values():
                path.pause_s, path.next_at = _FIRST_PAUSE_S, now
        elif self._is_looking(now) and (
            self._nominating is None
            or (asked.goal != self._nominating and now - self._chosen_at > _NOMINATION_S)
        ):
            self._nominating = asked.goal
            self._nominate_at = self._chosen_at = now
