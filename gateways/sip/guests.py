"""Calls between hubs: one that was agreed on over another way comes to a user that exists for it alone, and for half a minute.

The user's name is the only thing that is believed of the INVITE: it is long and random, known to nobody but the far end that was told
it, and good for one call. Who calls, and whom, was said when it was agreed. In the other direction `Reaching` rings such a
user at the other hub.
"""

from dataclasses import dataclass

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import UnavailableError
from commhub.domain.people import Endpoint
from commhub.kit.clock import Clock
from commhub.ports.media import MediaOrder, RtpAddress
from commhub.ports.telephony import LegOrder
from gateways.sip import metrics
from gateways.sip.core import user_of
from gateways.sip.dialogs import hop_of
from gateways.sip.errors import TransactionError
from gateways.sip.legs import Event, Leg
from gateways.sip.message import Request
from gateways.sip.transport import Hop
from gateways.sip.uac import Ringing
from gateways.sip.withdrawing import give_up

log = structlog.get_logger(__name__)

_MOST = 1_000
# A first INVITE that is heard again is answered by its transaction, as long as it is let in (RFC 3261 §17.1.1.2).
_AGAIN_S = 32.0


@dataclass(frozen=True, slots=True)
class _Expected:
    caller: Endpoint
    until: float


@dataclass(frozen=True, slots=True)
class _Come:
    call_id: str
    until: float


class Guests:
    """Who is expected."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[str, _Expected] = {}
        self._come: dict[str, _Come] = {}

    def expect(self, user: str, caller: Endpoint, for_s: float) -> None:
        """Let one call to that user in, as a call of `caller`. Raises UnavailableError when too many are expected."""
        self._forget()
        if len(self._expected) >= _MOST:
            raise UnavailableError("too many calls between hubs have been agreed on and not begun")
        self._expected[user] = _Expected(caller, self._clock.monotonic() + for_s)

    def forget(self, user: str) -> None:
        """That call is not wanted any more."""
        self._expected.pop(user, None)

    def are_called(self, request: Request) -> bool:
        """Whether a request begins such a call, or repeats the beginning of one. Changes nothing."""
        if request.method != "INVITE" or request.recipient.tag:
            return False
        if not self._expected and not self._come:
            return False
        user, now = user_of(request.uri), self._clock.monotonic()
        expected, come = self._expected.get(user), self._come.get(user)
        return (expected is not None and expected.until > now) or (
            come is not None and come.until > now and come.call_id == request.call_id
        )

    def admit(self, request: Request) -> Endpoint | None:
        """Who calls; None when nobody is expected there (any more). The next INVITE to that user is a stranger's."""
        user, now = user_of(request.uri), self._clock.monotonic()
        expected = self._expected.pop(user, None)
        self._forget()
        if expected is None or expected.until <= now:
            return None
        self._come[user] = _Come(request.call_id, now + _AGAIN_S)
        metrics.GUESTS.inc()
        return expected.caller

    def _forget(self) -> None:
        now = self._clock.monotonic()
        self._expected = {user: one for user, one in self._expected.items() if one.until > now}
        self._come = {user: one for user, one in self._come.items() if one.until > now}


class Visiting:
    """Finding where the other hub's edge is, and a place for the leg in the audio engine."""

    def __init__(self, leg: Leg, order: LegOrder, uri: str) -> None:
        self._leg = leg
        self._order = order
        self._uri = uri

    async def begin(self) -> None:
        leg, core = self._leg, self._leg.core
        try:
            hop = await core.resolve(hop_of(self._uri, "UDP"))
        except (TransactionError, ValueError) as error:
            await give_up(leg, Cause.UNREACHABLE, f"{self._uri.rpartition('@')[2]}: {error}")
            return
        # A hub's audio may come from another machine than its signalling.
        place = MediaOrder(
            call_id=self._order.call_id,
            leg_id=leg.id,
            shape=self._order.shape,
            near_signalling=False,
            ipv6=core.by_ipv6(hop.host),
        )
        try:
            address = await core.media.reserve(place)
        except UnavailableError as error:
            await give_up(leg, Cause.FAILED, f"no media worker: {error}")
            return
        await leg.become(Reaching(leg, self._order, address, self._uri, hop))

    async def handle(self, event: Event) -> None:
        """Nothing comes before `begin` is over, and by then another stage is there."""

    async def abandon(self) -> None:
        """The other hub has not heard of the leg yet."""


class Reaching(Ringing):
    """Ringing a user at another hub. A former process's INVITE is gone on with as with any phone (`resume`)."""

    def __init__(self, leg: Leg, order: LegOrder, address: RtpAddress, uri: str, hop: Hop) -> None:
        super().__init__(leg, order, address, ())
        self._uri = uri
        self._hop = hop

    async def begin(self) -> None:
        await super().begin()
        offer = await self._offers.to(ipv6=self._core.by_ipv6(self._hop.host))
        request = self._invite(self._uri, self._uri.partition(";")[0], offer)
        await self._send_all([await self._addressed(request, self._hop)])
