"""Taking back a call that nobody answered: the core is told at once, the phones stop ringing behind that."""

from commhub.domain.call import Cause
from gateways.sip.legs import Asked, Event, Expired, Leg
from gateways.sip.transactions import TimerHandle

FORK_QUIET = "fork"
WITHDRAWN = "withdrawn"


async def give_up(leg: Leg, cause: Cause, detail: str | None, *, forks: int = 0) -> None:
    """End an unanswered leg for the core now; its phones are withdrawn behind it."""
    await leg.core.release(leg.id)
    await leg.core.tell_ended(leg.id, cause, detail)
    await leg.become(Withdrawing(leg, forks))


class Withdrawing:
    """The leg has ended; its row stays until every phone has stopped ringing or cannot be reached."""

    def __init__(self, leg: Leg, forks: int) -> None:
        self._leg = leg
        self._forks = forks
        self._deadline: TimerHandle | None = None

    async def begin(self) -> None:
        if self._forks == 0:
            await self._leave()
            return
        # CANCEL, then the INVITE's own timeout: after both nobody rings any more.
        patience = 2 * self._leg.core.config.timers.timeout_s
        self._deadline = self._leg.core.layer.scheduler.call_later(
            patience, lambda: self._leg.post(Expired(WITHDRAWN))
        )

    async def handle(self, event: Event) -> None:
        if isinstance(event, Expired) and event.what == FORK_QUIET:
            self._forks -= 1
        elif isinstance(event, Expired) and event.what == WITHDRAWN:
            self._forks = 0
        elif isinstance(event, Asked):
            event.transaction.refuse(481)
        if self._forks <= 0:
            await self._leave()

    async def _leave(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._leg.core.ledger.delete_later(self._leg.id)
        self._leg.finish()

    async def abandon(self) -> None:
        await self._leave()
