"""What is turned away while the hub is behind its work (RFC 3261 §21.5.4, RFC 6357 §5).

A call that is answered too late is given up by its caller, who asks again: whoever takes all calls then completes none.
So a new call is told 503 before anything was done for it, and what has begun goes on: dialogs, calls that were just
challenged, and their ends. Nothing is kept of a call that was turned away but its key, so that a retransmission is told
the same (§17.2.1); whoever is told 503 goes elsewhere, or comes again after the time it names.

Never turned away are numbers on which somebody may depend: emergency numbers and the duty lines.
"""

import random
from collections import OrderedDict
from collections.abc import Callable

from commhub.kit.clock import Clock
from gateways.sip import metrics
from gateways.sip.doorman import Doorman
from gateways.sip.message import Request, Response
from gateways.sip.transactions import server_key
from gateways.sip.transport import Hop

_REMEMBERED_S = 32.0
_MOST = 20_000
# Spread, or all of them would be back in the same second.
_AGAIN_AFTER_S = (3, 10)

Key = tuple[str, ...]


class Shedding:
    """`is_behind` reads the load of the process, `is_urgent` says of a request that it is never turned away, `has_begun`
    that it answers a challenge of a moment ago."""

    def __init__(
        self,
        clock: Clock,
        doorman: Doorman,
        *,
        is_behind: Callable[[], bool],
        is_urgent: Callable[[Request], bool],
        has_begun: Callable[[Request, Hop], bool],
    ) -> None:
        self._clock = clock
        self._doorman = doorman
        self._is_behind = is_behind
        self._is_urgent = is_urgent
        self._has_begun = has_begun
        self._shed: OrderedDict[Key, tuple[float, int]] = OrderedDict()

    def refusal(self, request: Request, source: Hop) -> Response | None:
        """The 503 to a new call; None for whatever is served."""
        if request.method != "INVITE" or request.recipient.tag:
            return None
        behind = self._is_behind()
        if not behind and not self._shed:
            return None
        now = self._clock.monotonic()
        self._forget(now)
        key = server_key(request, "INVITE")
        known = self._shed.get(key)
        if known is None:
            if not behind or self._is_urgent(request) or self._has_begun(request, source):
                return None
            seconds = random.randint(*_AGAIN_AFTER_S)  # noqa: S311 - spreads callers, keeps no secret
            known = self._shed[key] = (now + _REMEMBERED_S, seconds)
            metrics.SHED.inc()
        headers = [("Retry-After", str(known[1]))]
        return request.response(503, to_tag=self._doorman.tag(request), headers=headers)

    def _forget(self, now: float) -> None:
        while self._shed:
            until, _ = next(iter(self._shed.values()))
            if until > now and len(self._shed) < _MOST:
                return
            self._shed.popitem(last=False)
