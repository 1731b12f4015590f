"""Links between the parts of one call on two workers: a pair of RTP legs, each the other's far end.

At home the link is a leg like any other, so it says what the guests say and hears everybody else; at the guest's the
same, the other way round. It costs one playout delay, and it is G.711, as the radios are by default.
"""

import asyncio

from bridges import protocol
from bridges.errors import WorkerLostError
from bridges.members import LINK, Member, is_link
from bridges.places import Places
from bridges.protocol import Args
from commhub.ports.media import AudioFormat, MediaOrder, RtpAddress, RtpRemote

_AUDIO = AudioFormat(encoding="PCMA", payload_type=8)


async def order(member: Member, args: Args) -> object:
    """Have the worker carry out an order, and remember it. Raises what the worker refuses it with."""
    result = await member.link.ask(args)
    member.journal.keep(args, result)
    return result


async def let_go(member: Member, leg_id: str) -> None:
    """Release a leg. A worker that is lost has nothing to do for it: what it still has when it comes back and is
    no more in its journal, it is told to let go."""
    release = protocol.ReleaseArgs(leg_id)
    member.journal.keep(release)
    if member.link.is_connected:
        try:
            await member.link.ask(release)
        except WorkerLostError:
            return


class Links:
    """One at a time, so that two legs that come and go at once see each other's link."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.lock = asyncio.Lock()

    async def make(self, call_id: str, home: Member, guest: Member) -> None:
        """Link the call's part at `guest` to its home; again it finds the link as it is. Raises as `order`."""
        at_home, at_guest = link_legs(call_id, guest)
        home_address = await self._reserve(home, call_id, at_home)
        guest_address = await self._reserve(guest, call_id, at_guest)
        for member, leg_id, far in (
            (home, at_home, guest_address),
            (guest, at_guest, home_address),
        ):
            await order(member, protocol.ConnectArgs(leg_id, RtpRemote(address=far, audio=_AUDIO)))

    async def tidy(self, call_id: str) -> None:
        """Take away the links of guests that have no leg of their own any more, and forget a call that is over."""
        for guest in self._places.guests_of(call_id):
            if self._places.has_own_legs(guest, call_id):
                continue
            async with self.lock:
                if not self._places.has_own_legs(guest, call_id):
                    await self._take_away(call_id, guest)
        self._places.forget_if_over(call_id)

    async def sweep(self) -> None:
        """Take away what a lost control or worker left of links: ends without their other end."""
        ends = [
            (member, leg_id, call_id)
            for member in self._places.members
            for leg_id, call_id in member.journal.legs.items()
            if is_link(leg_id)
        ]
        for member, leg_id, call_id in ends:
            async with self.lock:
                if self._places.of_leg(_other_end(leg_id)) is None:
                    await let_go(member, leg_id)
            await self.tidy(call_id)

    async def _take_away(self, call_id: str, guest: Member) -> None:
        at_home, at_guest = link_legs(call_id, guest)
        await let_go(guest, at_guest)
        home = self._places.of_leg(at_home)
        if home is not None:
            await let_go(home, at_home)

    async def _reserve(self, member: Member, call_id: str, leg_id: str) -> RtpAddress:
        # A pair of its own: two links between the same workers would have the same source on the shared one.
        wanted = MediaOrder(call_id=call_id, leg_id=leg_id, near_signalling=False)
        address: RtpAddress = protocol.read_as(RtpAddress, await order(member, wanted))
        return address


def link_legs(call_id: str, guest: Member) -> tuple[str, str]:
    """The link's two legs: at the call's home, and at the guest's."""
    return f"{LINK}{call_id}.{guest.name}.home", f"{LINK}{call_id}.{guest.name}.guest"


def _other_end(leg_id: str) -> str:
    stem, _, end = leg_id.rpartition(".")
    return f"{stem}.{'guest' if end == 'home' else 'home'}"


def is_guests_end(leg_id: str) -> bool:
    return leg_id.startswith(LINK) and leg_id.endswith(".guest")
