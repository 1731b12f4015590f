"""Calls between hubs, seen from inside: `calls` has the legs and the audio, `tiers` what hubs agree on. Neither imports the other.

A leg to `radio:r12@street-a` is asked for over the link; the other hub answers with a user that is good for one call, which is then
dialled by SIP (`ports.telephony.HubTrunk`). There the caller is a leg of a call of its own, with what was asked for as the other.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from commhub.domain.account import Principal
from commhub.domain.call import Cause, Leg
from commhub.domain.people import Endpoint
from commhub.domain.tier_calls import Claim
from commhub.ports.inward import IncomingCall
from commhub.ports.media import FloorAction
from commhub.ports.store import UnitOfWork

CALLER: Final = "caller"
"""What a neighbour's call is called between hubs, as a participant of a floor: its id here means nothing there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What a neighbour's call is to become here: a call of its own with `endpoint`, about that incident, or a leg of the call `into`
    (a room's). `claim` is what it may take `endpoint` from."""

    endpoint: Endpoint
    claim: Claim
    into: str | None = None
    incident_id: str | None = None
    title: str | None = None


class Agreements(Protocol):
    """What was agreed with neighbours (tiers)."""

    async def kept(self, uow: UnitOfWork, incoming: IncomingCall) -> Agreed | Cause:
        """The agreement by which that call comes (`incoming.called` is the user that was made for it), written down with the
        caller's transaction; why not. Once: a second call by it is refused."""
        ...

    async def claim_of(self, leg: Leg) -> tuple[Claim, str]:
        """What the call of a leg of ours claims it with, and who has it, for people. Read beside the caller's transaction, because
        the row of an incident comes before that of a call."""
        ...


class FloorsElsewhere(Protocol):
    """Floors of groups at neighbours (tiers). What they arbitrate comes back as `FloorMoved`."""

    async def press(self, leg: Leg, down: bool, by: Principal) -> None:
        """Press, or let go of, the group's key for the call our leg is in. Raises UnavailableError (the link is down), TierRefusedError."""
        ...

    async def command(
        self,
        peer: str,
        group: str,
        action: FloorAction,
        participant: str | None,
        by: Principal,
    ) -> None:
        """Take the floor of a neighbour's group away, or give it, as `MediaEngine.command_floor`. Raises the same, and NotFoundError when
        no call of ours is with that neighbour's groups."""
        ...


class FloorsHere(Protocol):
    """Floors of our groups, for calls of neighbours (calls)."""

    async def press_for(self, leg_id: str, down: bool, by: Principal) -> None:
        """Press, or let go of, the keys of the groups that are in the call of a neighbour's leg. Raises NotFoundError."""
        ...

    async def command_for(
        self,
        leg_id: str,
        group: str,
        action: FloorAction,
        participant: str | None,
        by: Principal,
    ) -> None:
        """As `MediaEngine.command_floor`, for a group in the call of a neighbour's leg; `participant` «caller» is that call itself.
        Raises NotFoundError, and what the engine refuses."""
        ...


class TierVoice(Protocol):
    """Joining the sound of rooms over hubs (calls)."""

    async def connect_room(self, peer: str, call_id: str, their_room: str, by: Principal) -> Leg:
        """The leg of our room's call that is the other hub's room; a new one, which dials it, when there is none. The other hub lets it
        in when its room is joined with ours or shared with us. How it goes is told by `LegMoved`. Raises ConflictError, InvalidError."""
        ...
