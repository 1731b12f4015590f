"""What each account's phone is doing, in the words of RFC 4235, learnt from what this edge tells the core.

It stands before the core's `CallsIn` and lets everything through, so no stage of a leg has to know that somebody
watches. After a restart the core's rows say it once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree as ET

from commhub.domain.call import Cause, Direction, Leg, LegState
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.values import quick, replace
from commhub.ports.inward import (
    CallsIn,
    IncomingAccepted,
    IncomingCall,
    IncomingRefused,
    TransfersIn,
)
from commhub.ports.store import Also
from commhub.ports.telephony import LegOrder

DIALOG_INFO = "application/dialog-info+xml"
_NAMESPACE = "urn:ietf:params:xml:ns:dialog-info"


class CallState(StrEnum):
    """RFC 4235 §3.7.1. A call that has ended is no longer listed."""

    TRYING = "trying"
    EARLY = "early"
    CONFIRMED = "confirmed"


@quick
@dataclass(frozen=True, slots=True)
class Lamp:
    """One call of one account. `outgoing`: the phone dialled."""

    leg_id: str
    account: str
    state: CallState
    outgoing: bool


class Lamps:
    """Implements `CallsIn`. `watch` is told the account whose calls have changed."""

    def __init__(self, calls: CallsIn) -> None:
        self._calls = calls
        self._lit: dict[str, Lamp] = {}
        self._of: dict[str, dict[str, Lamp]] = {}
        self.watch: Callable[[str], None] = lambda account: None

    def of(self, account: str) -> list[Lamp]:
        """The calls of an account now, oldest first."""
        return list(self._of.get(account, {}).values())

    def placed(self, order: LegOrder) -> None:
        """A phone of this hub is about to be called."""
        self._light(Lamp(order.leg_id, order.endpoint.name, CallState.TRYING, outgoing=False))

    def dialled(self, incoming: IncomingCall) -> None:
        """A phone's call was accepted."""
        if _is_ours(incoming.caller):
            lamp = Lamp(incoming.leg_id, incoming.caller.name, CallState.EARLY, outgoing=True)
            self._light(lamp)

    def resumed(self, leg: Leg) -> None:
        """A leg that a former process had."""
        if _is_ours(leg.endpoint) and leg.state is not LegState.ENDED:
            talks = leg.state in (LegState.CONNECTED, LegState.HELD)
            state = CallState.CONFIRMED if talks else CallState.EARLY
            inbound = leg.direction is Direction.INBOUND
            self._light(Lamp(leg.id, leg.endpoint.name, state, outgoing=inbound))

    def _light(self, lamp: Lamp) -> None:
        if self._lit.get(lamp.leg_id) == lamp:
            return
        self._lit[lamp.leg_id] = lamp
        self._of.setdefault(lamp.account, {})[lamp.leg_id] = lamp
        self.watch(lamp.account)

    def _move(self, leg_id: str, state: CallState) -> None:
        if (lamp := self._lit.get(leg_id)) is not None:
            self._light(replace(lamp, state=state))

    def put_out(self, leg_id: str) -> None:
        """The core has ended the leg."""
        lamp = self._lit.pop(leg_id, None)
        if lamp is None:
            return
        lamps = self._of[lamp.account]
        del lamps[leg_id]
        if not lamps:
            del self._of[lamp.account]
        self.watch(lamp.account)

    # --- commhub.ports.inward.CallsIn ------------------------------------------------------------------------

    async def call_offered(
        self, incoming: IncomingCall, *, also: Also | None = None
    ) -> IncomingAccepted | IncomingRefused:
        outcome = await self._calls.call_offered(incoming, also=also)
        if isinstance(outcome, IncomingAccepted):
            self.dialled(incoming)
        return outcome

    async def leg_ringing(self, leg_id: str) -> None:
        self._move(leg_id, CallState.EARLY)
        await self._calls.leg_ringing(leg_id)

    async def leg_connected(
        self, leg_id: str, codec: str | None, *, also: Also | None = None
    ) -> None:
        self._move(leg_id, CallState.CONFIRMED)
        await self._calls.leg_connected(leg_id, codec, also=also)

    async def leg_held(self, leg_id: str) -> None:
        self._move(leg_id, CallState.CONFIRMED)
        await self._calls.leg_held(leg_id)

    async def leg_ended(
        self, leg_id: str, cause: Cause, detail: str | None, *, also: Also | None = None
    ) -> None:
        self.put_out(leg_id)
        await self._calls.leg_ended(leg_id, cause, detail, also=also)


class LitTransfers:
    """Implements `TransfersIn` before the core's: whoever takes another's place in a call has one, too."""

    def __init__(self, transfers: TransfersIn, lamps: Lamps) -> None:
        self._transfers = transfers
        self._lamps = lamps

    async def refer(self, leg_id: str, new_leg_id: str, number: str) -> Cause | None:
        return await self._transfers.refer(leg_id, new_leg_id, number)

    async def join(self, leg_id: str, other_id: str) -> Cause | None:
        return await self._transfers.join(leg_id, other_id)

    async def replace(
        self, leg_id: str, incoming: IncomingCall
    ) -> IncomingAccepted | IncomingRefused:
        outcome = await self._transfers.replace(leg_id, incoming)
        if isinstance(outcome, IncomingAccepted):
            self._lamps.dialled(incoming)
        return outcome

    async def state_of(self, leg_id: str) -> tuple[LegState, Cause | None] | None:
        return await self._transfers.state_of(leg_id)


def dialog_info(entity: str, version: int, lamps: list[Lamp]) -> bytes:
    """The document (RFC 4235 §4), always the full state. Tags and Call-IDs are left out: they are what keeps others
    out of a dialog, and a lamp needs none; nor does it need to know who the other side is."""
    root = ET.Element(
        "dialog-info",
        {"xmlns": _NAMESPACE, "version": str(version), "state": "full", "entity": entity},
    )
    for lamp in lamps:
        direction = "initiator" if lamp.outgoing else "recipient"
        dialog = ET.SubElement(root, "dialog", id=lamp.leg_id, direction=direction)
        ET.SubElement(dialog, "state").text = lamp.state.value
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode").encode()
    )


def _is_ours(endpoint: Endpoint) -> bool:
    """Whether it is a phone of this hub: 1001 of another hub is another phone."""
    return endpoint.scheme is Scheme.SIP and endpoint.hub is None
