"""A re-INVITE of ours (RFC 3261 §14.1): the media engine has another address for a leg that talks, or for
its picture, and the phone must send there. What the phone says to it is judged here; the stage acts on it.
"""

import random
from dataclasses import dataclass, field, replace

from commhub.ports.media import RtpAddress
from gateways.sip import sdp
from gateways.sip.causes import detail_of
from gateways.sip.errors import MalformedError, SdpError
from gateways.sip.legs import Expired, Leg, Responded, Unanswered
from gateways.sip.message import Response
from gateways.sip.refreshing import GONE
from gateways.sip.sessions import TOO_SMALL, Again, raised, request_headers
from gateways.sip.talk import Talk
from gateways.sip.transactions import ClientTransaction
from gateways.sip.transport import Hop

RENEW = "renew"
_REQUEST_PENDING = 491
_AGAIN_AFTER_S = {True: (2.1, 4.0), False: (0.0, 2.0)}
"""How long to wait after a 491, by whether the Call-ID is ours (§14.1)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Our offer was refused and the session is as it was (§14.1): this is our description again."""

    local_sdp: bytes = field(repr=False)


class Renewal:
    """At most one is under way; an address that changes meanwhile is told by the next."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._core = leg.core
        self._transaction: ClientTransaction | None = None
        self._wanted: RtpAddress | None = None
        self._picture: RtpAddress | None = None
        self._former = b""
        self._refresh = False

    @property
    def is_under_way(self) -> bool:
        return self._transaction is not None

    @property
    def is_due(self) -> bool:
        is_wanted = self._wanted is not None or self._picture is not None or self._refresh
        return is_wanted and not self.is_under_way

    def want_refresh(self) -> None:
        """The session timer is to be refreshed: the same description once more (RFC 4028 §7.4)."""
        self._refresh = True

    def want(self, address: RtpAddress, talk: Talk) -> None:
        """The engine receives the leg at `address`; nothing is to be done where the phone knows."""
        self._wanted = address if address != talk.address or self.is_under_way else None

    def want_picture(self, address: RtpAddress) -> None:
        """The engine receives the leg's picture at `address`."""
        self._picture = address

    def asked(self, transaction: ClientTransaction) -> bool:
        """Whether this is the transaction of our re-INVITE."""
        return transaction is self._transaction

    def sent_again(self, former: ClientTransaction, now: ClientTransaction) -> None:
        """Our re-INVITE was challenged, and is `now` under way with credentials."""
        if former is self._transaction:
            self._transaction = now

    def prepare(self, talk: Talk) -> Talk:
        """The talk as our re-INVITE will have it, to be written down before it leaves."""
        sequence = talk.dialog.local_seq + 1
        self._former = talk.local_sdp
        if self._wanted is None and self._picture is None:
            return replace(
                talk, dialog=replace(talk.dialog, local_seq=sequence, invite_seq=sequence)
            )
        address, local = self._wanted or talk.address, talk.local.next()
        picture = self._picture or sdp.picture_address(talk.local_sdp)
        return replace(
            talk,
            address=address,
            local=local,
            local_sdp=sdp.offer(self._leg.terms, address, local, talk.local_sdp, picture=picture),
            dialog=replace(talk.dialog, local_seq=sequence, invite_seq=sequence),
        )

    async def ask(self, talk: Talk) -> None:
        """Send the re-INVITE of a prepared talk. Raises TransactionError."""
        before = replace(talk.dialog, local_seq=talk.dialog.local_seq - 1)
        _, request = before.request("INVITE")
        timer = request_headers(self._core.config, talk.session)
        for name, value in (*self._core.call_headers(), *timer):
            request.headers.set(name, value)
        request.headers.set("Content-Type", "application/sdp")
        request.body = talk.local_sdp
        self._transaction = await self._leg.send(request, talk.dialog.hop)

    def outcome_of(
        self, event: Responded | Unanswered, talk: Talk
    ) -> tuple[Talk, sdp.Agreement] | Kept | Again | str | None:
        """What came of it: the talk to go on with, why the leg cannot go on, another timer to ask for, that it stays as it was,
        or None while it is not settled."""
        if isinstance(event, Unanswered):
            self._transaction = None
            return "the phone did not answer our re-INVITE"
        response = event.response
        if not response.is_final:
            return None
        self._transaction = None
        if response.status >= 300:
            return self._refused(response, talk)
        return self._accepted(response, event.source, talk)

    def _refused(self, response: Response, talk: Talk) -> Kept | Again | str | None:
        if response.status == _REQUEST_PENDING:
            self._ask_again_later(talk)
            return None
        if response.status == TOO_SMALL and talk.session:
            # Only the timer was wrong; whatever else was wanted is asked for with it.
            return raised(response, talk.session) or f"our re-INVITE: {detail_of(response)}"
        if self._wanted is None and self._picture is not None and response.status not in GONE:
            # They go on without a picture.
            self._picture = None
            return Kept(self._former)
        if self._wanted is None and response.status not in GONE:
            # The session still runs; it is over when no later attempt refreshes it.
            return None
        return f"our re-INVITE was refused: {detail_of(response)}"

    def _accepted(
        self, response: Response, source: Hop, talk: Talk
    ) -> tuple[Talk, sdp.Agreement] | str:
        try:
            agreement = sdp.accept(response.body, self._leg.terms, talk.local_sdp)
            dialog = talk.dialog.answered(response, source)
        except (SdpError, MalformedError) as error:
            return f"our re-INVITE was answered strangely: {error}"
        self._refresh = False
        if self._wanted == talk.address:
            self._wanted = None
        if self._picture == sdp.picture_address(talk.local_sdp):
            self._picture = None
        talk = replace(talk, dialog=dialog, remote_sdp=response.body, held=agreement.held)
        return talk, agreement

    def _ask_again_later(self, talk: Talk) -> None:
        is_ours = talk.dialog.call_id.endswith(f"@{self._core.config.uri_host}")
        low, high = _AGAIN_AFTER_S[is_ours]
        delay = random.uniform(low, high)  # noqa: S311 - spreads two parties, keeps no secret
        self._core.layer.scheduler.call_later(delay, lambda: self._leg.post(Expired(RENEW)))
