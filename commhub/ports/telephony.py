"""Leg drivers: how a leg of one address scheme is rung, taken down and reached.

`calls` commits what it wants, then orders it here; progress comes back by `inward.CallsIn`, never as a
return value, because it may come after a restart.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from commhub.domain.call import Cause, Leg
from commhub.domain.people import Endpoint
from commhub.kit.values import quick
from commhub.ports.media import PLAIN, LegShape, RtpAddress


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class LegOrder:
    """`caller` is the name the far end's display shows. `ring_for_s` ends an unanswered leg. `shape` is how the leg
    begins: a driver that reserves a place for it says so there. `placed_by` is who asked for the call, as the timeline
    has it (`user:li`, `phone:1001`). `in_room`: the call is the sound of a room, so the leg may have a picture. `incident_id` is what the call is about."""

    call_id: str
    leg_id: str
    endpoint: Endpoint
    caller: str = "commhub"
    ring_for_s: float = 45.0
    shape: LegShape = PLAIN
    placed_by: str = "system"
    in_room: bool = False
    incident_id: str | None = None


def shape_of(leg: Leg) -> LegShape:
    """How the engine is to treat the leg. On hold it neither hears nor is heard, whatever else was said of it."""
    return LegShape(
        muted=leg.muted or leg.listen_only or leg.held,
        deaf=leg.held,
        gain_db=leg.gain_db,
        limit=leg.auto_gain,
        whispers_to=leg.whispers_to,
    )


class LegDriver(Protocol):
    """One per scheme: SIP phones, radio groups."""

    async def place(self, order: LegOrder) -> None:
        """Begin to ring; returns at once. The same leg id twice is one leg."""
        ...

    async def answer(self, leg_id: str) -> None:
        """Answer an inbound leg that `CallsIn.call_offered` accepted (SIP: 200 with media)."""
        ...

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """CANCEL, decline or BYE, whichever the leg's state needs; that it has ended is on record already. An unknown
        leg is fine (a retry)."""
        ...


@runtime_checkable
class Recovering(Protocol):
    """A driver whose far ends come back by themselves when their audio was lost with a media worker."""

    async def recover(self, leg_id: str) -> bool:
        """Whether the leg goes on: the driver ends it through `CallsIn` when its far end does not come back."""
        ...


@runtime_checkable
class Probing(Protocol):
    """A driver that can ask a far end whether it is still there."""

    async def probe(self, leg_id: str) -> None:
        """Ask (SIP: OPTIONS in the dialog); returns at once. Who does not answer, or knows no such call, is ended
        through `CallsIn`. An unknown leg is fine."""
        ...


@runtime_checkable
class Reaching(Protocol):
    """A driver that knows, before anybody is asked, that an address leads nowhere."""

    def why_not(self, endpoint: Endpoint) -> str | None:
        """Why nobody could be rung there, for the desk; None when it is worth trying."""
        ...


@runtime_checkable
class Readdressing(Protocol):
    """A driver that can tell its far ends in the middle of a talk that our address has changed."""

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        """Have the far end send to `address` from now on (SIP: re-INVITE); returns at once. An unknown leg is
        fine; one whose far end refuses is ended through `CallsIn`."""
        ...


class HubTrunk(LegDriver, Probing, Readdressing, Protocol):
    """Calls between hubs: legs to a user that a neighbour was asked for, and from one it asked for here. Such a user is good for
    one call, and for a moment."""

    async def call(self, order: LegOrder, uri: str) -> None:
        """Begin to ring that user of another hub (`sip:USER@HOST:PORT`); as `LegDriver.place`."""
        ...

    def expect(self, user: str, caller: Endpoint, for_s: float) -> None:
        """Let one call to `user` in, and offer it to the core (`CallsIn.call_offered`) as `caller`'s. Raises UnavailableError."""
        ...

    def forget(self, user: str) -> None:
        """That call is not wanted any more."""
        ...


@dataclass(frozen=True, slots=True)
class OutsideNumber:
    """What somebody with a keypad means by a number that is not ours. An emergency number is one whatever accounts
    there are."""

    endpoint: Endpoint
    emergency: bool = False


@runtime_checkable
class Numbering(Protocol):
    """A driver that knows the numbers outside."""

    async def meaning(self, number: str, caller: Endpoint) -> OutsideNumber | None:
        """What `caller` means by `number`; None when it is no number outside for them. Whether it may be called is
        said when it is placed."""
        ...
