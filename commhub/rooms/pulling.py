"""Cameras that send nothing by themselves and are fetched by RTSP: put into a room, taken out of it.

Unlike a body camera one is fetched for as long as it is in the room: its line is a building's, not a battery. The picture engine
tries again by itself; a picture that was lost is idle meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    Pull,
    Room,
    Session,
    SessionRight,
    Source,
    SourceKind,
    SourceState,
)
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.sealing import Seal
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.video import Layer
from commhub.rooms import moves, presence
from commhub.rooms.orders import Orderly, Orders
from commhub.rooms.people import check_space

_SCHEMES = ("rtsp://", "rtsps://")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPull:
    """`url` is the camera's main stream, `sub_url` its sub-stream; `unit_id` the department whose picture it is."""

    label: str
    url: str = field(repr=False)
    sub_url: str | None = field(default=None, repr=False)
    unit_id: str | None = None


class Pulling:
    """Use cases of pulled cameras."""

    def __init__(self, store: Store, clock: Clock, orderly: Orderly) -> None:
        self._store = store
        self._clock = clock
        self._orderly = orderly

    async def add(self, uow: UnitOfWork, room_id: str, new: NewPull, by: Principal) -> Source:
        """Put a camera into the room, in the caller's transaction; `start` follows it. Raises InvalidError for what is no address of
        RTSP, NotFoundError, ConflictError for a room that has ended or is full."""
        urls = [url for url in (new.url, new.sub_url) if url is not None]
        if not all(_is_address(url) for url in urls):
            raise InvalidError("a camera's address begins with rtsp:// or rtsps://")
        room = await moves.open_room(uow, room_id)
        await check_space(uow, room)
        now = self._clock.now()
        one = Participant(
            id=new_id(),
            room_id=room.id,
            kind=ParticipantKind.CAMERA,
            name=new.label,
            created_at=now,
            unit_id=new.unit_id,
            admitted=True,
        )
        await moves.add(uow, room, one, by.actor, told=False)
        source = Source(
            id=new_id(),
            room_id=room.id,
            participant_id=one.id,
            kind=SourceKind.RTSP,
            label=new.label,
            created_at=now,
            state=SourceState.STARTING,
            unit_id=new.unit_id,
        )
        await uow.rooms.add_source(source)
        for layer, url in zip((Layer.MAIN, Layer.SUB), urls, strict=False):
            await uow.rooms.add_pull(
                Pull(
                    id=new_id(),
                    room_id=room.id,
                    source_id=source.id,
                    url=self._orderly.seal.close(url),
                    layer=int(layer),
                )
            )
        moves.tell_source(uow, room, source, now, by.actor)
        await uow.audit.append(now, by.actor, "room.add_source", room.id, "ok", source.id)
        return source

    async def start(self, room_id: str) -> None:
        """Have all cameras of the room fetched; those that are, go on."""
        async with self._store.read() as uow:
            orders = Orders(pull=list(await uow.rooms.pulls_of(room_id)))
        await self._orderly.carry_out(orders)

    async def remove(self, room_id: str, source_id: str, by: Principal) -> None:
        """Out of the room. Raises NotFoundError, ConflictError for a picture that is not pulled; removed twice is once."""
        orders, now = Orders(), self._clock.now()
        async with self._store.begin() as uow:
            room = await moves.open_room(uow, room_id)
            source = await moves.source_of(uow, room_id, source_id)
            if source.kind is not SourceKind.RTSP:
                raise ConflictError("whoever shows this picture takes it away; mute it instead")
            if source.state is not SourceState.ENDED:
                await moves.end_pulled(uow, room, source, now, by.actor, orders)
                await presence.settle(uow, room, now, orders)
                await uow.audit.append(
                    now, by.actor, "room.remove_source", room.id, "ok", source.id
                )
        await self._orderly.carry_out(orders, by)


async def carry_pulls(
    uow: UnitOfWork,
    room: Room,
    source: Source,
    layers: Sequence[Layer],
    at: datetime,
    orders: Orders,
) -> None:
    """Those layers of a pulled camera arrive: each is a session of it, and it is there. One of a room that ended meanwhile is
    fetched no more."""
    pulls = [one for one in await uow.rooms.pulls_of(room.id) if one.source_id == source.id]
    for pull in pulls:
        if pull.layer not in set(map(int, layers)):
            continue
        await uow.rooms.put_session(
            Session(
                id=pull.id,
                room_id=room.id,
                participant_id=source.participant_id,
                right=SessionRight.PUBLISH,
                source_id=source.id,
                opened_at=at,
                layer=pull.layer,
            )
        )
    if not pulls:
        raise NotFoundError("this camera was taken out of the room")
    await presence.settle(uow, room, at, orders)


async def sealed_pulls(uow: UnitOfWork, room_id: str, seal: Seal) -> Sequence[Pull]:
    """What is fetched for the room. An address that stands there in the clear, from before addresses were sealed, does so no
    longer."""
    pulls: list[Pull] = []
    for pull in await uow.rooms.pulls_of(room_id):
        if seal.is_closed(pull.url):
            pulls.append(pull)
            continue
        pulls.append(replace(pull, url=seal.close(pull.url)))
        await uow.rooms.delete_pull(pull.id)
        await uow.rooms.add_pull(pulls[-1])
    return pulls


def _is_address(url: str) -> bool:
    return url.lower().startswith(_SCHEMES) and all(char > " " for char in url)
