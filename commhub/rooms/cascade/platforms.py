"""Where the tier above, or anybody else, is no commhub: a platform of the settings takes pictures of a room by WHIP, or is rung into the room
with picture like any SIP far end (an MCU)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.room import Participant, SourceState
from commhub.domain.tier_rooms import Uplink
from commhub.kit.ids import new_id
from commhub.ports.pushes import PicturesOut, PushTarget
from commhub.ports.store import UnitOfWork
from commhub.ports.video import SPEAKER, Layer
from commhub.rooms import moves
from commhub.rooms.cascade.budget import USUAL_KBPS
from commhub.rooms.cascade.ground import Ground
from commhub.rooms.inviting import Invitations, NewInvitation
from commhub.rooms.orders import Orders
from commhub.rooms.waking import wake

PLATFORM = "platform:"
"""How `Uplink.peer` begins of what goes to a platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One of the settings: `out` and `target` of one that takes pictures, `dial` the address of one that is rung."""

    name: str
    out: PicturesOut | None = None
    target: PushTarget | None = None
    dial: str | None = None


class Ways:
    """By what each uplink goes out: hubs above by one, each platform by its own."""

    def __init__(self, upward: PicturesOut, platforms: Mapping[str, Platform]) -> None:
        self._upward = upward
        self._platforms = platforms

    def out(self, peer: str) -> PicturesOut:
        platform = self._platforms.get(peer.removeprefix(PLATFORM))
        return platform.out if platform is not None and platform.out is not None else self._upward

    def target(self, peer: str) -> PushTarget | None:
        """Of a platform; None for a hub, which says it itself, and for a platform that is in the settings no more."""
        platform = self._platforms.get(peer.removeprefix(PLATFORM))
        return platform.target if platform is not None and peer.startswith(PLATFORM) else None

    @property
    def all(self) -> Collection[PicturesOut]:
        outs = (one.out for one in self._platforms.values() if one.out is not None)
        return (self._upward, *outs)


class Platforms:
    """Use cases of sending a room to platforms."""

    def __init__(
        self, ground: Ground, platforms: Mapping[str, Platform], invitations: Invitations
    ) -> None:
        self._ground = ground
        self._platforms = platforms
        self._invitations = invitations

    @property
    def all(self) -> Collection[Platform]:
        """Those of the settings, in their order."""
        return self._platforms.values()

    async def begin(
        self, room_id: str, name: str, source_id: str, layer: Layer, by: Principal
    ) -> Uplink | Participant:
        """Send a picture there (SPEAKER: of whoever speaks), or ring it into the room. Again it is the same one. Raises NotFoundError,
        ConflictError for a room or picture that is over."""
        platform = self._platforms.get(name)
        if platform is None:
            raise NotFoundError(f"the settings have no platform «{name}»")
        if platform.dial is not None:
            asked = NewInvitation(to=platform.dial, name=platform.name)
            return (await self._invitations.invite(room_id, asked, by)).participant
        if platform.target is None:
            raise InvalidError(f"platform {name} has no address")
        ground, now, orders = self._ground, self._ground.clock.now(), Orders()
        async with ground.store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            if source_id != SPEAKER:
                source = await moves.source_of(uow, room_id, source_id)
                if source.state is SourceState.ENDED:
                    raise ConflictError("this picture is over")
                if source.state is not SourceState.LIVE:
                    await wake(uow, room, source, layer, ground.clock, orders)
            known = await self._find(uow, room_id, source_id, PLATFORM + name)
            uplink = Uplink(
                id=known.id if known is not None else new_id(),
                room_id=room_id,
                source_id=source_id,
                peer=PLATFORM + name,
                url=platform.target.url,
                layer=int(layer),
                asked_at=now,
                sent=int(layer),
                kbps=USUAL_KBPS[layer],
            )
            await uow.cascades.put_uplink(uplink)
            shown = f"{PLATFORM}{name} {source_id}"
            await uow.audit.append(now, by.actor, "room.uplink", room_id, "ok", shown)
        await ground.orderly.carry_out(orders, by)
        ground.look(room_id)
        return uplink

    async def end(self, room_id: str, uplink_id: str, by: Principal) -> None:
        """Send it there no more; twice is fine. Raises ConflictError for what a hub asked for, which its desk ends."""
        ground, now = self._ground, self._ground.clock.now()
        async with ground.store.begin() as uow:
            await uow.rooms.get(room_id)
            uplink = await uow.cascades.find_uplink(uplink_id)
            if uplink is None or uplink.room_id != room_id:
                return
            if not uplink.peer.startswith(PLATFORM):
                raise ConflictError(f"{uplink.peer} looks at this picture; part with it instead")
            await uow.cascades.delete_uplink(uplink_id)
            await uow.audit.append(now, by.actor, "room.uplink_end", room_id, "ok", uplink.peer)
        ground.look(room_id)

    async def _find(
        self, uow: UnitOfWork, room_id: str, source_id: str, peer: str
    ) -> Uplink | None:
        uplinks = await uow.cascades.uplinks_of(room_id)
        return next((o for o in uplinks if (o.source_id, o.peer) == (source_id, peer)), None)
