"""Keeping a dialog alive, and finding out that it is not: the refreshes of its session timer (RFC 4028 §10), by UPDATE
where the far end takes it (RFC 3311), else by a re-INVITE; and the question whether anybody is there (OPTIONS).
"""

from dataclasses import replace

from gateways.sip.causes import detail_of
from gateways.sip.legs import Expired, Leg, Responded, Unanswered
from gateways.sip.message import Response
from gateways.sip.sessions import TOO_SMALL, Again, Session, agreed, raised, request_headers
from gateways.sip.talk import Conversation
from gateways.sip.transactions import ClientTransaction, TimerHandle

REFRESH = "refresh"
SESSION_OVER = "session"
# What says that the far end has no such dialog (§10; RFC 3261 §12.2.1.2).
GONE = (408, 481)
_NO_UPDATE = (405, 501)


class SessionClock:
    """Posts `Expired(REFRESH)` when it is ours to refresh, and `Expired(SESSION_OVER)` when nobody did."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._timers: list[TimerHandle] = []

    def start(self, session: Session) -> None:
        """From now on; what ran before is forgotten."""
        self.stop()
        self._after(session.ends_after_s, SESSION_OVER)
        if session.ours:
            self._after(session.interval_s / 2, REFRESH)

    def refresh_later(self, session: Session) -> None:
        """Try again while the session still runs."""
        self._after(session.interval_s / 8, REFRESH)

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _after(self, delay: float, what: str) -> None:
        call_later = self._leg.core.layer.scheduler.call_later
        self._timers.append(call_later(delay, lambda: self._leg.post(Expired(what))))


class Refreshing:
    """One UPDATE and one OPTIONS at a time."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._clock = SessionClock(leg)
        self._update: ClientTransaction | None = None
        self._probe: ClientTransaction | None = None

    def start(self, session: Session | None) -> None:
        """The session was agreed on or refreshed just now."""
        if session:
            self._clock.start(session)

    def stop(self) -> None:
        self._clock.stop()

    def later(self, session: Session | None) -> None:
        """Something else is being agreed on, or the far end was busy: try again while the session runs."""
        if session:
            self._clock.refresh_later(session)

    def asked(self, transaction: ClientTransaction) -> bool:
        """Whether this is a transaction of ours."""
        return transaction in (self._update, self._probe)

    def sent_again(self, former: ClientTransaction, now: ClientTransaction) -> None:
        """What we asked was challenged, and is asked `now` with credentials."""
        if former is self._update:
            self._update = now
        elif former is self._probe:
            self._probe = now

    async def refresh(self, conversation: Conversation) -> bool:
        """Send an UPDATE without a description; False where only a re-INVITE will do. Raises TransactionError."""
        session = conversation.talk.session
        if session is None or not session.by_update:
            return False
        if self._update is None:
            config = self._leg.core.config
            headers = [*self._leg.core.call_headers(), *request_headers(config, session)]
            self._update = await conversation.ask("UPDATE", headers)
        return True

    async def probe(self, conversation: Conversation) -> None:
        """Ask whether the far end still knows the dialog (RFC 3261 §11, RFC 5057 §5). Raises TransactionError."""
        if self._probe is None:
            self._probe = await conversation.ask("OPTIONS")

    def outcome_of(
        self, event: Responded | Unanswered, session: Session | None
    ) -> Session | Again | str | None:
        """The timer to go on with or to ask for, why the leg is over, or None when nothing changes (yet)."""
        is_probe = event.transaction is self._probe
        if isinstance(event, Responded) and not event.response.is_final:
            return None
        if is_probe:
            self._probe = None
        else:
            self._update = None
        if isinstance(event, Unanswered):
            return "the phone does not answer any more"
        response = event.response
        if response.status in GONE:
            return f"the phone knows no such call any more: {detail_of(response)}"
        return None if is_probe else self._updated(response, session)

    def _updated(self, response: Response, session: Session | None) -> Session | Again | None:
        if session is None:
            return None
        if 200 <= response.status < 300:
            return agreed(response, self._leg.core.config, session)
        if response.status == TOO_SMALL and (larger := raised(response, session)):
            return larger
        if response.status in _NO_UPDATE:
            return Again(replace(session, by_update=False))
        self.later(session)
        return None
