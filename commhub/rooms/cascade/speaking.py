"""One speaker in all halves: who is heard is told upward, the hub on top decides, and its word goes down again.

The voices of the other half come here as one leg, of which nobody can say who it is; so each hub tells the one above who speaks, and
how loud, once a second as long as they do. On top the picture engine decides as among its own people (RFC 6464 levels,
`bridges/video/speaker.py`); further down its decision is the spotlight, unless a host there has set another.
"""

from commhub.domain.errors import NotFoundError
from commhub.domain.tier import Peering, Relation
from commhub.domain.tier_rooms import CascadeState, RoomCascade
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body
from commhub.rooms.cascade import said
from commhub.rooms.cascade.ground import Ground
from commhub.rooms.cascade.parting import join_with
from commhub.rooms.cascade.scene import Scene


class Speaking:
    """Who speaks, over hubs."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._above: dict[str, list[tuple[str, str]]] = {}
        self._told: dict[tuple[str, str], str | None] = {}
        self._spotlit: dict[str, str | None] = {}

    def link_moved(self, peer: str) -> None:
        """The decision is told anew."""
        for key in [key for key in self._told if key[1] == peer]:
            del self._told[key]

    # --- upward ------------------------------------------------------------------------------------------

    def heard(self, room_id: str, name: str, level_dbov: float | None) -> None:
        """Somebody of our half speaks: a picture's id, or a participant's. To be said again each second."""
        self._tell_up(room_id, f"{self._ground.us}/{name}", level_dbov)

    def _tell_up(self, room_id: str, origin: str, level_dbov: float | None) -> None:
        for peer, their_room in self._above.get(room_id, ()):
            self._ground.links.tell(
                peer, said.SPEAKING, {"room": their_room, "origin": origin, "level": level_dbov}
            )

    async def heard_speaking(self, peering: Peering, body: Body) -> None:
        """`room.speaking`: somebody of a lower half speaks."""
        room_id, origin = said.id_of(body, "room"), said.origin_of(body)
        level = body.get("level")
        loud = float(level) if isinstance(level, int | float) else None
        if peering.relation is not Relation.LOWER or origin is None:
            return
        async with self._ground.store.read() as uow:
            cascade = await join_with(uow, room_id, peering.peer)
            if cascade is None or cascade.state is not CascadeState.JOINED:
                return
            name = await self._name_here(uow, cascade, origin)
        if self._above.get(room_id):
            self._tell_up(room_id, origin, loud)
        elif name is not None:
            await self._ground.orderly.video.voice(room_id, name, loud)

    async def _name_here(self, uow: UnitOfWork, cascade: RoomCascade, origin: str) -> str | None:
        """What the picture engine knows them by: their picture here, else their hub."""
        remote = await uow.cascades.find_origin(cascade.room_id, origin)
        return remote.source_id if remote is not None else cascade.participant_id

    # --- downward ----------------------------------------------------------------------------------------

    async def compare(self, scene: Scene) -> None:
        """Tell those below who is shown, once it changed; and remember who is above us."""
        room_id = scene.room.id
        joined = [one for one in scene.cascades if one.state is CascadeState.JOINED]
        above = [
            (one.peer, str(one.their_room)) for one in joined if one.relation is Relation.UPPER
        ]
        if above:
            self._above[room_id] = above
        elif self._above.pop(room_id, None) is not None or room_id in self._spotlit:
            await self._release(scene)
        shown = self._ground.events.speaker_of(room_id).source_id
        origin = None if shown is None else self._origin(scene, shown)
        for one in scene.cascades:
            if not one.goes_on:
                self._told.pop((room_id, one.peer), None)
        for one in joined:
            key = (room_id, one.peer)
            if one.relation is Relation.LOWER and self._told.get(key, "") != origin:
                body = {"room": one.their_room, "origin": origin}
                if self._ground.links.tell(one.peer, said.SPEAKER, body):
                    self._told[key] = origin

    def _origin(self, scene: Scene, source_id: str) -> str:
        remote = scene.remote.get(source_id)
        return remote.origin if remote is not None else f"{self._ground.us}/{source_id}"

    async def heard_speaker(self, peering: Peering, body: Body) -> None:
        """`room.speaker`: the hub above says who is shown."""
        room_id, origin = said.id_of(body, "room"), said.origin_of(body)
        if peering.relation is not Relation.UPPER:
            return
        async with self._ground.store.read() as uow:
            cascade = await join_with(uow, room_id, peering.peer)
            room = await uow.rooms.find(room_id)
            if cascade is None or cascade.state is not CascadeState.JOINED or room is None:
                return
            shown = None if origin is None else await self._source_of(uow, room_id, origin)
        self._spotlit[room_id] = shown
        if room.is_open and room.spotlight is None:
            await self._ground.orderly.video.spotlight(room_id, shown)

    async def _source_of(self, uow: UnitOfWork, room_id: str, origin: str) -> str | None:
        hub, _, name = origin.partition("/")
        if hub != self._ground.us:
            remote = await uow.cascades.find_origin(room_id, origin)
            return remote.source_id if remote is not None else None
        source = await uow.rooms.find_source(name)
        return name if source is not None and source.room_id == room_id else None

    async def _release(self, scene: Scene) -> None:
        """Nobody above decides any more: here it is whoever speaks."""
        if self._spotlit.pop(scene.room.id, None) is None or not scene.room.is_open:
            return
        if scene.room.spotlight is None:
            try:
                await self._ground.orderly.video.spotlight(scene.room.id, None)
            except NotFoundError:
                return
