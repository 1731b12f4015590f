"""Accounts that proved themselves lately, so that a phone's next call need not wait for the store.

Only what was proved is kept, and only to say yes: whatever does not fit is looked up before it is refused. So an unknown
name and a wrong password cost the same, a new password is good at once, and a former one, or an account that was
disabled meanwhile, for no longer than `_KEPT_S`.
"""

from collections import OrderedDict

from commhub.kit.clock import Clock
from commhub.ports.edge_store import SipAccount
from commhub.ports.store import Store

_KEPT_S = 30.0
_MOST = 20_000
_LONGEST_NAME = 128


class Accounts:
    """Accounts of the store, the proved ones by heart."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._proved: OrderedDict[str, tuple[float, SipAccount]] = OrderedDict()

    def proved(self, name: str) -> SipAccount | None:
        """The account, when somebody proved to be its phone lately."""
        found = self._proved.get(name)
        if found is None or found[0] <= self._clock.monotonic():
            return None
        return found[1]

    def prove(self, account: SipAccount) -> None:
        """As it is in the store just now, it was proved."""
        self._proved[account.name] = (self._clock.monotonic() + _KEPT_S, account)
        self._proved.move_to_end(account.name)
        while len(self._proved) > _MOST:
            self._proved.popitem(last=False)

    async def find(self, name: str) -> SipAccount | None:
        """As the store has it now; None also for one that is disabled."""
        if not name.isprintable() or len(name) > _LONGEST_NAME:
            name = ""
        async with self._store.read() as uow:
            account = await uow.sip.find_account(name)
        return None if account is None or account.disabled else account
