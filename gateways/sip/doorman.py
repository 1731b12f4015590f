"""The first answer to a request that brings no credentials, given without remembering anything (RFC 3261 §26.3.2.4).

A transaction for every such request is what a flood is after: it would be kept for half a minute and, over UDP, its 407
sent eleven times to whatever address the flood named. So the challenge is made from the request alone (§8.2.7): its To
tag is a keyed hash, the same for every retransmission, by which the ACK of a challenge is known and dropped.
"""

import hmac
import secrets
from collections.abc import Callable

from commhub.ports.edge_store import SipAccount
from gateways.sip import metrics
from gateways.sip.core import Core
from gateways.sip.digest import Authenticator, Verdict, signature
from gateways.sip.message import Request, Response
from gateways.sip.methods import judge, refuse
from gateways.sip.transactions import ServerTransaction
from gateways.sip.transport import Hop

# What opens something is challenged: as by a proxy where it is about somebody else, as by a server where it is for us.
_CHALLENGES = {
    "INVITE": (407, "Proxy-Authenticate", "Proxy-Authorization"),
    "MESSAGE": (407, "Proxy-Authenticate", "Proxy-Authorization"),
    "REGISTER": (401, "WWW-Authenticate", "Authorization"),
    "SUBSCRIBE": (401, "WWW-Authenticate", "Authorization"),
}


class Doorman:
    """`is_peer` says who is known by address and never challenged (a trunk), `is_expected` which call was agreed on with
    another hub."""

    def __init__(
        self,
        authenticator: Authenticator,
        is_peer: Callable[[Hop], bool],
        is_expected: Callable[[Request], bool] = lambda _: False,
    ) -> None:
        self._authenticator = authenticator
        self._is_peer = is_peer
        self._is_expected = is_expected
        self._key = secrets.token_bytes(32)

    def challenge(self, request: Request, source: Hop) -> Response | None:
        """The 401 or 407; None for a request that somebody has to look at: it brings credentials, belongs to a dialog,
        comes from a peer, or is to be refused for another reason."""
        wanted = _CHALLENGES.get(request.method)
        if wanted is None or self._is_peer(source):
            return None
        if request.recipient.tag and request.method != "REGISTER":
            return None
        status, asks, answers = wanted
        if self._authenticator.has_credentials(request, answers) or judge(request):
            return None
        if self._is_expected(request):
            return None
        metrics.series(metrics.CHALLENGED, request.method).inc()
        headers = [(asks, text) for text in self._authenticator.challenges(request, source)]
        return request.response(status, to_tag=self.tag(request), headers=headers)

    async def authenticate(self, core: Core, transaction: ServerTransaction) -> SipAccount | None:
        """Whose credentials a request brings; None when it was challenged again or refused (§22.2, §22.3)."""
        request, source = transaction.request, transaction.source
        status, asks, answers = _CHALLENGES[request.method]
        judgement = await self._authenticator.judge(request, source, answers)
        if judgement.verdict is Verdict.THROTTLED:
            refuse(core, transaction, 403, {"Retry-After": str(judgement.retry_after_s)})
        elif judgement.account is None:
            stale = judgement.verdict is Verdict.STALE
            texts = self._authenticator.challenges(request, source, stale=stale)
            headers = [(asks, text) for text in texts]
            transaction.respond(
                request.response(status, to_tag=transaction.to_tag, headers=headers)
            )
        return judgement.account

    def is_ack_of_challenge(self, ack: Request) -> bool:
        """Whether an ACK belongs to nothing but a challenge of ours, or to a call that was turned away."""
        return hmac.compare_digest(ack.recipient.tag.encode(), self.tag(ack).encode())

    def tag(self, request: Request) -> str:
        """The To tag of an answer that nothing is remembered of."""
        via = request.top_via
        what = f"{request.call_id}\n{request.cseq.sequence}\n{via.parameters.get('branch')}\n{via.host}"
        return signature(self._key, what.encode("utf-8", "surrogateescape"), 10).hex()
