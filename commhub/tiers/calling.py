"""Calling what is at another hub (`radio:r12@street-a`): the leg driver of every address with a hub in it.

The other hub is asked over the link; it checks what it shares and answers with a user that is good for one call, which is dialled by SIP.
From then on the leg is the SIP edge's, and lives on when the link does not.
"""

import asyncio
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import structlog

from commhub.domain.call import Cause
from commhub.domain.errors import DomainError, NotFoundError, UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier_calls import weight_of
from commhub.ports.inward import CallsIn
from commhub.ports.media import RtpAddress
from commhub.ports.store import Store
from commhub.ports.telephony import HubTrunk, LegOrder
from commhub.ports.tiers import Body, TierLinks, TierRefusedError

log = structlog.get_logger(__name__)

RING = "call.ring"
BUSY = "busy"
_CAUSES: Mapping[str, Cause] = {
    BUSY: Cause.BUSY,
    "not-allowed": Cause.NOT_ALLOWED,
    "not-found": Cause.NOT_FOUND,
    "unavailable": Cause.UNREACHABLE,
}
_PLACE = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}(;transport=(udp|tcp|tls))?"
)
_USER = re.compile(r"[A-Za-z0-9_-]{20,64}")
_CALLERS = {"user": Scheme.DESK, "phone": Scheme.SIP}
_NOT_IN_NAMES = re.compile(r"[^\w.+-]")
_ASK_WITHIN_S = 10.0


class HubLegs:
    """`ports.telephony.LegDriver`, `Probing`, `Reaching` and `Readdressing`. Entered once; its end leaves legs that ring or talk as they are."""

    def __init__(self, store: Store, links: TierLinks, trunk: HubTrunk, calls: CallsIn) -> None:
        self._store = store
        self._links = links
        self._trunk = trunk
        self._calls = calls
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- ports.telephony ---------------------------------------------------------------------------------

    async def place(self, order: LegOrder) -> None:
        """Ask in the background; `CallsIn` hears how it went."""
        if order.leg_id in self._asking:
            return
        task = asyncio.create_task(self._ask(order), name=f"hub-leg-{order.leg_id}")
        self._asking[order.leg_id] = task
        task.add_done_callback(lambda _: self._asking.pop(order.leg_id, None))

    async def answer(self, leg_id: str) -> None:
        await self._trunk.answer(leg_id)

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """One that is being asked for is not dialled any more: what was agreed on is forgotten there in a moment."""
        if (task := self._asking.get(leg_id)) is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._trunk.hang_up(leg_id, cause)

    async def probe(self, leg_id: str) -> None:
        await self._trunk.probe(leg_id)

    def why_not(self, endpoint: Endpoint) -> str | None:
        if endpoint.hub is not None and self._links.knows(endpoint.hub):
            return None
        return f"no neighbour of this hub is called {endpoint.hub}"

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        await self._trunk.readdress(leg_id, address)

    # --- inside ------------------------------------------------------------------------------------------

    async def _ask(self, order: LegOrder) -> None:
        try:
            uri = await self._agree(order)
            await self._trunk.call(order, uri)
        except TierRefusedError as error:
            code = str(error.details.get("code"))
            await self._ended(order, _CAUSES.get(code, Cause.FAILED), str(error))
        except UnavailableError as error:
            await self._ended(order, Cause.UNREACHABLE, str(error))
        except DomainError as error:
            await self._ended(order, Cause.FAILED, str(error))
        except (
            Exception
        ):  # supervisor: one leg's failure takes no other leg down, and leaves nobody waiting
            log.exception("hub_leg_failed", leg_id=order.leg_id)
            await self._ended(order, Cause.FAILED, "a fault of the hub")

    async def _ended(self, order: LegOrder, cause: Cause, detail: str) -> None:
        try:
            await self._calls.leg_ended(order.leg_id, cause, detail)
        except DomainError as error:
            # The call finds the leg again at its next look.
            log.warning("hub_leg_not_reported", leg_id=order.leg_id, reason=str(error))

    async def _agree(self, order: LegOrder) -> str:
        """The URI to dial. Raises UnavailableError, TierRefusedError, NotFoundError."""
        peer = order.endpoint.hub or ""
        async with self._store.read() as uow:
            peering = await uow.peerings.find(peer)
            if peering is None or not peering.is_active:
                raise TierRefusedError(f"{peer} is no neighbour of this hub", code="not-found")
            level = None
            if order.incident_id is not None:
                try:
                    level = (await uow.incidents.get(order.incident_id)).level
                except NotFoundError:
                    level = None
            weight = weight_of(order.placed_by, level)
        there = Endpoint(order.endpoint.scheme, order.endpoint.name)
        answer = await self._links.ask(
            peer,
            RING,
            {
                "leg": order.leg_id,
                "call": order.call_id,
                "endpoint": str(there),
                "caller": str(caller_of(order.placed_by)),
                "title": order.caller,
                "weight": weight.value,
                "incident": order.incident_id,
            },
            _ASK_WITHIN_S,
        )
        return _uri_of(answer, peering.sip, peer)


def caller_of(placed_by: str) -> Endpoint:
    """Who calls, as an address of ours: the desk of who placed the call, or the phone that did."""
    kind, _, name = placed_by.partition(":")
    plain = _NOT_IN_NAMES.sub("-", name)[:64]
    return Endpoint(_CALLERS.get(kind, Scheme.DESK), plain or "desk")


def _uri_of(answer: Body, known: str | None, peer: str) -> str:
    user, place = str(answer.get("user")), str(answer.get("sip") or known or "")
    if not _USER.fullmatch(user) or not _PLACE.fullmatch(place):
        raise UnavailableError(f"{peer} does not say where its phones' edge is", peer=peer)
    return f"sip:{user}@{place}"
