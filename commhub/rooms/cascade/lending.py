"""A neighbour's camera in our meeting (`cam:b7@street-a`): its hub puts it into its half of the room, if it lets us see it, and from then on it
is one of that half's pictures, which come when somebody looks."""

from commhub.domain.account import Principal
from commhub.domain.errors import (
    ConflictError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.room import Participant, SourceState
from commhub.domain.tier import Order, Peering, ShareRight, check_order
from commhub.domain.tier_rooms import CascadeState
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body
from commhub.rooms import moves
from commhub.rooms.cascade import said
from commhub.rooms.cascade.ground import Ground, account_of
from commhub.rooms.cascade.joining import Joining
from commhub.rooms.cascade.parting import join_with
from commhub.rooms.orders import Orders
from commhub.rooms.people import add_camera, check_space
from commhub.rooms.waking import wake_camera

_ANSWER_S = 5.0


class Lending:
    """Cameras that hubs lend each other for a meeting."""

    def __init__(self, ground: Ground, joining: Joining) -> None:
        self._ground = ground
        self._joining = joining

    async def borrow(self, room_id: str, camera: Endpoint, by: Principal) -> Participant:
        """Have its hub put the camera into its half; the room is joined with that hub first. Returns the hub as a participant. Raises
        UnavailableError while the link is down, TierRefusedError with the hub's words."""
        peer = str(camera.hub)
        cascade = await self._joining.join(room_id, peer, by)
        if cascade.state is not CascadeState.JOINED:
            raise UnavailableError(f"the link to {peer} is down; ask again when it is back")
        body = {"room": cascade.their_room, "endpoint": str(Endpoint(camera.scheme, camera.name))}
        await self._ground.links.ask(peer, said.INVITE, body, _ANSWER_S)
        async with self._ground.store.begin() as uow:
            now = self._ground.clock.now()
            await uow.audit.append(now, by.actor, "room.invite", room_id, "ok", str(camera))
            return await moves.participant_of(uow, room_id, str(cascade.participant_id))

    async def answer(self, peering: Peering, body: Body) -> Body:
        """`room.invite`: put a camera of ours that they may see into the half that is joined with theirs."""
        check_order(peering, Order.SEE_SHARED)
        room_id, camera = said.id_of(body, "room"), Endpoint.parse(str(body.get("endpoint")))
        if camera.scheme is not Scheme.CAMERA or camera.hub is not None:
            raise InvalidError("a hub is asked for its own cameras")
        orders, now = Orders(), self._ground.clock.now()
        actor = account_of(peering.peer)
        async with self._ground.store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            cascade = await join_with(uow, room_id, peering.peer)
            if cascade is None or cascade.state is not CascadeState.JOINED:
                raise ConflictError("this room is not joined with yours")
            await _check_shared(uow, peering, camera)
            await check_space(uow, room)
            _, source = await add_camera(uow, room, camera.name, now, actor)
            if source.state is SourceState.ENDED:
                await wake_camera(uow, room, source, self._ground.clock, orders)
            await uow.audit.append(now, actor, "room.invite", room_id, "ok", str(camera))
        await self._ground.orderly.carry_out(orders)
        self._ground.look(room_id)
        return {"source": source.id}


async def _check_shared(uow: UnitOfWork, peering: Peering, camera: Endpoint) -> None:
    """Raises NotFoundError for what the neighbour is not let know of, NotAllowedError for what it may not see."""
    names = {str(camera)}
    owner = await uow.directory.find_by_endpoint(camera)
    if owner is not None:
        names.add(f"responder:{owner.id}")
    exports = await uow.shared_directory.exports(peering.peer)
    found = [one for one in exports if one.subject in names]
    if not found:
        raise NotFoundError(f"{camera} is not shared with {peering.peer}")
    if not any(ShareRight.SEE in one.rights for one in found):
        raise NotAllowedError(f"{camera} is shared with {peering.peer}, but not to see")
