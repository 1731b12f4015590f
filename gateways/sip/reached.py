"""Where accounts were reached lately, so that the next call to one need not ask the store which phones it is for.

Contacts are written by the registrar alone, which says what it changed (`changed`); what was asked before that and answered
after it is not kept. Where several hubs write (`Store.is_shared`) nothing is: a phone may have registered at another one. What
others write all the same, an account that somebody disabled, is heard of within `_KEPT_S`, as with those that call
(`accounts.py`).
"""

from collections.abc import Sequence
from datetime import datetime

from commhub.kit.clock import Clock
from commhub.ports.edge_store import SipAccount, SipBinding

Found = tuple[SipAccount, Sequence[SipBinding]]
"""An account and its live bindings, of which there is at least one."""

_KEPT_S = 30.0
_MOST = 20_000


class Reached:
    """Accounts with somebody to ring, until one of their contacts expires."""

    def __init__(self, clock: Clock, *, keeps: bool) -> None:
        self._clock = clock
        self._keeps = keeps
        self._kept: dict[str, tuple[float, Found]] = {}
        self.changes = 0
        """How often anything was changed; whoever asks the store notes it before."""

    def find(self, name: str) -> Found | None:
        found = self._kept.get(name)
        if found is None or found[0] <= self._clock.monotonic():
            return None
        return found[1]

    def keep(self, name: str, found: Found, as_of: int, now: datetime) -> None:
        """What the store said at `now`, when there had been `as_of` changes."""
        if not self._keeps or as_of != self.changes:
            return
        first = min(binding.expires_at for binding in found[1])
        lasts_s = min(_KEPT_S, (first - now).total_seconds())
        self._kept.pop(name, None)
        self._kept[name] = (self._clock.monotonic() + lasts_s, found)
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    def changed(self, name: str) -> None:
        """The contacts of the account are others, or may be."""
        self.changes += 1
        self._kept.pop(name, None)
