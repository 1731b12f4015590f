"""Pictures that nobody sends just now, and somebody wants to see."""

from dataclasses import replace

from commhub.domain.errors import NotFoundError
from commhub.domain.room import Room, Source, SourceKind, SourceState
from commhub.kit.clock import Clock
from commhub.ports.store import UnitOfWork
from commhub.ports.video import Layer
from commhub.rooms import moves
from commhub.rooms.orders import Orders


async def wake(
    uow: UnitOfWork, room: Room, source: Source, layer: Layer, clock: Clock, orders: Orders
) -> str:
    """Have it come, no better than `layer`: a camera of the fleet is asked to, another hub for its own. Returns what whoever waits is told;
    raises NotFoundError for a picture that is over."""
    if source.kind is SourceKind.TIER and source.state is not SourceState.ENDED:
        remote = await uow.cascades.find_source(source.id)
        orders.fetch.append((source.id, layer))
        if remote is not None and remote.refused is not None:
            return f"{remote.peer} does not send this picture: {remote.refused}"
        return "the picture is being fetched from another hub; ask again in a moment"
    if source.device is None:
        if source.state is SourceState.ENDED:
            raise NotFoundError("this picture is over")
        return "the picture has not come yet; ask again in a moment"
    await wake_camera(uow, room, source, clock, orders)
    return "the camera is being started; ask again in a moment"


async def wake_camera(
    uow: UnitOfWork, room: Room, source: Source, clock: Clock, orders: Orders
) -> None:
    """Have a camera of the fleet send, and let nobody stop it for a while."""
    now = clock.now()
    wanted = replace(source, wanted_at=now)
    await uow.rooms.update_source(wanted)
    if source.state in {SourceState.IDLE, SourceState.ENDED}:
        await moves.shift(uow, room, wanted, SourceState.STARTING, now, "system")
    # Asked again while it starts: a command may be lost, and a camera that sends already answers so.
    orders.start.append(wanted)
