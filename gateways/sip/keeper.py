"""Sending our 200 to an INVITE again until its ACK comes (RFC 3261 §13.3.1.4): the core's duty, not the machine's."""

from gateways.sip.legs import Expired, Leg
from gateways.sip.transactions import ServerTransaction, TimerHandle

NO_ACK = "ack"


class AnswerKeeper:
    """Resends at T1, doubling up to T2; after 64·T1 posts `Expired(NO_ACK)` to the leg."""

    def __init__(self, leg: Leg, transaction: ServerTransaction) -> None:
        self._leg = leg
        self._transaction = transaction
        self._timers = leg.core.config.timers
        self._scheduler = leg.core.layer.scheduler
        self._resend: TimerHandle | None = None
        self._give_up = self._scheduler.call_later(self._timers.timeout_s, self._expire)
        self._again_after(self._timers.t1_s)

    def _again_after(self, delay: float) -> None:
        def again() -> None:
            self._transaction.resend()
            self._again_after(min(delay * 2, self._timers.t2_s))

        self._resend = self._scheduler.call_later(delay, again)

    def _expire(self) -> None:
        self.stop()
        self._leg.post(Expired(NO_ACK))

    def stop(self) -> None:
        """The ACK came, or nobody cares any more."""
        self._give_up.cancel()
        if self._resend is not None:
            self._resend.cancel()
