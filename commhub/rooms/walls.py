"""Layouts of video walls (视频墙): one's own, and those for everybody."""

from collections.abc import Sequence
from dataclasses import dataclass

from commhub.domain.account import Permission, Principal
from commhub.domain.errors import NotAllowedError, NotFoundError
from commhub.domain.room_records import WallLayout, check_layout
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.store import Store, UnitOfWork

EVERYBODY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLayout:
    """`shared`: for everybody, which asks for the right to place calls."""

    name: str
    columns: int
    tiles: tuple[str, ...]
    shared: bool = False


class Walls:
    """Use cases of walls."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def all(self, by: Principal) -> Sequence[WallLayout]:
        """Those of the person, and those for everybody."""
        async with self._store.read() as uow:
            return await uow.room_records.layouts_for(by.actor)

    async def put(self, new: NewLayout, by: Principal) -> WallLayout:
        """Insert or replace the layout of that name. Raises InvalidError, NotAllowedError."""
        check_layout(new.columns, new.tiles)
        owner = _owner(new.shared, by)
        now = self._clock.now()
        async with self._store.begin() as uow:
            known = await uow.room_records.find_layout(owner, new.name)
            layout = WallLayout(
                id=known.id if known else new_id(),
                owner=owner,
                name=new.name,
                columns=new.columns,
                tiles=new.tiles,
                updated_at=now,
                updated_by=by.actor,
            )
            await uow.room_records.put_layout(layout)
            await self._note(uow, "wall.put", new.name, by, shared=new.shared)
        return layout

    async def delete(self, name: str, by: Principal, *, shared: bool) -> None:
        """Raises NotFoundError, NotAllowedError."""
        owner = _owner(shared, by)
        async with self._store.begin() as uow:
            known = await uow.room_records.find_layout(owner, name)
            if known is None:
                raise NotFoundError("there is no wall of that name")
            await uow.room_records.delete_layout(known.id)
            await self._note(uow, "wall.delete", name, by, shared=shared)

    async def _note(
        self, uow: UnitOfWork, action: str, name: str, by: Principal, *, shared: bool
    ) -> None:
        if shared:
            await uow.audit.append(self._clock.now(), by.actor, action, name, "ok")


def _owner(shared: bool, by: Principal) -> str:
    if not shared:
        return by.actor
    if not by.may(Permission.CALL):
        raise NotAllowedError("your role arranges no walls for others", permission=Permission.CALL)
    return EVERYBODY
