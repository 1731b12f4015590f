"""REFER (RFC 3515): a phone wants its call to be continued by somebody else, and is told how that goes by NOTIFY.

In the dispatch model a transfer needs no other dialog at the far end of the call. Blind: whoever is named becomes one
more leg of the call, and the phone that asked leaves by its own BYE. Attended (`Replaces` in the Refer-To names another
dialog of the hub): those who talk with either leg of the phone talk with one another, and both its legs end.
"""

from dataclasses import dataclass
from urllib.parse import unquote

import structlog

from commhub.domain.call import TALKING, Cause, LegState
from commhub.kit.ids import new_id
from gateways.sip.causes import phrase_of, status_of
from gateways.sip.errors import MalformedError, TransactionError
from gateways.sip.grammar import read_uri
from gateways.sip.legs import Expired, Leg, Responded, Unanswered
from gateways.sip.message import Request, clean_text
from gateways.sip.methods import refuse, respond
from gateways.sip.replaces import Replaces
from gateways.sip.talk import Conversation
from gateways.sip.transactions import ClientTransaction, ServerTransaction, TimerHandle

log = structlog.get_logger(__name__)

WATCH = "referral"
_LOOK_EVERY_S = 0.25
_EXPIRES_S = 120
_AT_ONCE = 4


@dataclass(slots=True)
class _Referral:
    """`event` is what its NOTIFYs name; `leg_id` the leg that was rung for it; `said` what the phone knows."""

    event: str
    leg_id: str
    silent: bool
    given_up_at: float
    said: str = ""


class Referrals:
    """The transfers one leg has asked for, and their implicit subscriptions (RFC 3515 §2.4.4)."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._core = leg.core
        self._running: list[_Referral] = []
        self._notifying: dict[ClientTransaction, _Referral] = {}
        self._count = 0
        self._timer: TimerHandle | None = None

    async def asked_for(self, conversation: Conversation, transaction: ServerTransaction) -> None:
        """Answer a REFER: 202 at once, everything else by NOTIFY."""
        request = transaction.request
        try:
            target = ReferTo.of(request)
        except MalformedError as error:
            refuse(self._core, transaction, error.status, {})
            return
        # A carrier may end its call; where ours go on is not its affair (and who would pay).
        foreign = self._leg.line is not None
        if self._core.transfers is None or target.method != "INVITE" or foreign:
            refuse(self._core, transaction, 403, {})
        elif len(self._running) >= _AT_ONCE:
            refuse(self._core, transaction, 503, {"Retry-After": "10"})
        else:
            await self._take(conversation, transaction, target)

    async def _take(
        self, conversation: Conversation, transaction: ServerTransaction, target: "ReferTo"
    ) -> None:
        request = transaction.request
        # RFC 4488: who says «Refer-Sub: false» wants no NOTIFY.
        silent = request.get("Refer-Sub").partition(";")[0].strip().lower() == "false"
        self._count += 1
        event = "refer" if self._count == 1 else f"refer;id={request.cseq.sequence}"
        until = self._core.clock.monotonic() + _EXPIRES_S
        referral = _Referral(event, new_id(), silent, until)
        contact = self._core.wires.contact(transaction.source)
        headers = {"Contact": contact, **({"Refer-Sub": "false"} if silent else {})}
        respond(self._core, transaction, 202, headers)
        await self._notify(conversation, referral, 100)
        cause = await self._carry_out(conversation, target, referral)
        if cause is not None:
            await self._notify(conversation, referral, status_of(cause), final=True)

    async def _carry_out(
        self, conversation: Conversation, target: "ReferTo", referral: _Referral
    ) -> Cause | None:
        """Have the core do it; why it could not, None when it is done or under way."""
        transfers = self._core.transfers
        if transfers is None:
            return Cause.NOT_ALLOWED
        replaces = target.replaces
        other = self._leg.other(replaces.key) if replaces is not None else None
        try:
            if other is not None:
                cause = await transfers.join(self._leg.id, other.id)
                if cause is None:
                    await self._notify(conversation, referral, 200, final=True)
                return cause
            if replaces is not None:
                # Another dialog than ours: the phone that is rung is told which (RFC 3891 §3).
                self._core.replacing[referral.leg_id] = str(replaces)
            cause = await transfers.refer(self._leg.id, referral.leg_id, target.number)
        except Exception:
            log.exception("sip_transfer_failed", leg_id=self._leg.id)
            cause = Cause.FAILED
        if cause is None:
            self._running.append(referral)
            self._look_later()
        return cause

    # --- how it goes -------------------------------------------------------------------------------------------

    async def expired(self, conversation: Conversation, what: str) -> None:
        """Time to look. The leg that was rung may be anybody's (a radio, a browser), so its row is asked, not a
        driver; transfers are rare and over in a minute."""
        transfers = self._core.transfers
        if what != WATCH or transfers is None:
            return
        self._timer = None
        for referral in list(self._running):
            known = await transfers.state_of(referral.leg_id)
            await self._progressed(
                conversation, referral, *(known or (LegState.ENDED, Cause.FAILED))
            )
        if self._running:
            self._look_later()

    async def _progressed(
        self,
        conversation: Conversation,
        referral: _Referral,
        state: LegState,
        cause: Cause | None,
    ) -> None:
        if state in TALKING:
            await self._notify(conversation, referral, 200, final=True)
        elif state is LegState.ENDED:
            await self._notify(conversation, referral, status_of(cause or Cause.FAILED), final=True)
        elif self._core.clock.monotonic() >= referral.given_up_at:
            await self._notify(conversation, referral, 408, final=True)
        elif state is LegState.RINGING:
            await self._notify(conversation, referral, 180)

    async def _notify(
        self, conversation: Conversation, referral: _Referral, status: int, *, final: bool = False
    ) -> None:
        if final:
            self._core.replacing.pop(referral.leg_id, None)
            if referral in self._running:
                self._running.remove(referral)
        line = f"SIP/2.0 {status} {phrase_of(status)}\r\n"
        if referral.silent or line == referral.said:
            return
        referral.said = line
        state = "terminated;reason=noresource" if final else f"active;expires={_EXPIRES_S}"
        headers = [
            ("Contact", self._core.wires.contact()),
            ("Event", referral.event),
            ("Subscription-State", state),
            ("User-Agent", self._core.user_agent),
            ("Content-Type", "message/sipfrag;version=2.0"),
        ]
        try:
            transaction = await conversation.ask("NOTIFY", headers, line.encode())
        except TransactionError as error:
            log.info("sip_notify_not_sent", leg_id=self._leg.id, error=str(error))
            return
        self._notifying[transaction] = referral

    def asked(self, transaction: ClientTransaction) -> bool:
        """Whether this is a NOTIFY of ours."""
        return transaction in self._notifying

    def heard_back(self, event: Responded | Unanswered) -> None:
        """A phone that refuses a NOTIFY, or is silent, wants no more of them (RFC 6665 §4.2.2)."""
        if isinstance(event, Responded) and not event.response.is_final:
            return
        referral = self._notifying.pop(event.transaction)
        if isinstance(event, Unanswered) or event.response.status >= 300:
            referral.silent = True

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = self._core.layer.scheduler.call_later(
                _LOOK_EVERY_S, lambda: self._leg.post(Expired(WATCH))
            )

    def stop(self) -> None:
        """The leg ends, and with it whoever wanted to know."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Who is to continue the call: a number as if it had been dialled (the host is not looked at, as in a call), or
    the other dialog that `Replaces` names."""

    number: str
    method: str = "INVITE"
    replaces: Replaces | None = None

    @classmethod
    def of(cls, request: Request) -> "ReferTo":
        """Read the Refer-To of a REFER. Raises MalformedError (400, RFC 3515 §2.4.2; 416 for a foreign scheme)."""
        addresses = request.addresses("Refer-To")
        if len(addresses) != 1:
            raise MalformedError("a REFER names exactly one target")
        uri, _, headers = addresses[0].uri.partition("?")
        try:
            target = read_uri(uri)
        except ValueError as error:
            raise MalformedError(f"Refer-To: {error}", 416) from error
        method = str(target.parameters.get("method") or "INVITE").upper()
        found = [
            unquote(value)
            for name, _, value in (pair.partition("=") for pair in headers.split("&"))
            if name.lower() == "replaces"
        ]
        replaces = Replaces.read(found[0]) if found else None
        return cls(clean_text(target.user or "", limit=128), method, replaces)
