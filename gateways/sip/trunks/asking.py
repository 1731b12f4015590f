"""A request outside any dialog with its answer awaited, challenges included: REGISTER and OPTIONS to a line."""

import secrets
from typing import Protocol

from gateways.sip.awaiting import answer_to
from gateways.sip.core import Core
from gateways.sip.errors import TransactionError
from gateways.sip.message import Request, Response
from gateways.sip.transactions import new_tag
from gateways.sip.transport import Hop
from gateways.sip.trunks.credentials import CHALLENGES, MOST_ANSWERS
from gateways.sip.trunks.line import Line

ABSENT = frozenset({408, 502, 503, 504})
"""Nobody is there to serve us; any other answer, a refusal too, comes from a line that is alive."""


class Whereabouts(Protocol):
    """Knows where lines are (`lines.Lines`)."""

    async def places(self, line: Line) -> list[Hop]:
        """In the order to try. Raises TransactionError."""
        ...

    def misses(self, line: Line, hop: Hop) -> None:
        """Nobody answered there."""
        ...


class Asker:
    """Asks one line. Requests of one asker share a Call-ID and count up their CSeq (RFC 3261 §10.2)."""

    def __init__(self, core: Core, line: Line, whereabouts: Whereabouts) -> None:
        self._core = core
        self._line = line
        self._whereabouts = whereabouts
        self._call_id = secrets.token_hex(16)
        self._cseq = secrets.randbelow(1_000_000)

    async def ask(
        self, method: str, user: str, within_s: float, headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        """The final answer, after our credentials where they were asked for, of the first place of the line that is there
        (RFC 3263 §4.3). Raises TransactionError when there is none; each place has `within_s`."""
        response: Response | None = None
        silence: TransactionError | None = None
        for hop in await self._whereabouts.places(self._line):
            try:
                response = await self._ask(hop, method, user, within_s, headers)
            except TransactionError as error:
                silence = error
            else:
                if response.status not in ABSENT:
                    return response
            self._whereabouts.misses(self._line, hop)
        if response is None:
            raise silence or TransactionError(f"the line {self._line.name} is nowhere", 503)
        return response

    async def _ask(
        self,
        hop: Hop,
        method: str,
        user: str,
        within_s: float,
        headers: tuple[tuple[str, str], ...],
    ) -> Response:
        request = self._request(method, user, headers)
        self._line.credentials.sign(request)
        for _ in range(MOST_ANSWERS):
            response = await answer_to(self._core, request, hop, within_s)
            if response.status not in CHALLENGES:
                break
            again = self._request(method, user, headers)
            if self._line.credentials.answer(request, response, again) is not None:
                return response
            request = again
        else:
            response = await answer_to(self._core, request, hop, within_s)
        if response.status not in CHALLENGES:
            self._line.credentials.accepted(request)
        return response

    def _request(self, method: str, user: str, headers: tuple[tuple[str, str], ...]) -> Request:
        domain = self._line.domain
        self._cseq += 1
        request = Request(method, f"sip:{domain}")
        fields = request.headers
        fields.setlist("Via", [""])
        fields.set("Max-Forwards", "70")
        fields.set("From", f"<sip:{user}@{domain}>;tag={new_tag()}")
        fields.set("To", f"<sip:{user}@{domain}>" if method == "REGISTER" else f"<sip:{domain}>")
        fields.set("Call-ID", self._call_id)
        fields.set("CSeq", f"{self._cseq} {method}")
        fields.set("User-Agent", self._core.user_agent)
        for name, value in headers:
            fields.set(name, value)
        return request
