"""The pictures of both halves: each side tells its own, with the way they came, and has the other's as sources that are idle until
somebody looks.

A list replaces the one before. A picture that came in a circle, or too far, is refused, counted, and said to whoever told of it,
who does not tell it again over this link.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

import structlog

from commhub.domain.errors import DomainError, InvalidError
from commhub.domain.room import Room, Source, SourceKind, SourceState
from commhub.domain.tier import Peering
from commhub.domain.tier_facts import TierRefused
from commhub.domain.tier_rooms import RemoteSource, RoomCascade, check_via
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body
from commhub.rooms import moves
from commhub.rooms.cascade import said
from commhub.rooms.cascade.ground import Ground, shift
from commhub.rooms.cascade.metrics import SOURCES_REFUSED
from commhub.rooms.cascade.parting import drop_source, hubs_here, join_with
from commhub.rooms.cascade.said import ToldSource
from commhub.rooms.cascade.scene import Scene
from commhub.rooms.orders import Orders

log = structlog.get_logger(__name__)


class Telling:
    """Lists of pictures, both ways."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._told: dict[tuple[str, str], str] = {}
        self._unwanted: dict[tuple[str, str], set[str]] = {}
        self._refusals: set[tuple[str, str, str]] = set()

    def link_moved(self, peer: str) -> None:
        """What was told over the link before is forgotten."""
        for memory in (self._told, self._unwanted):
            for key in [key for key in memory if key[1] == peer]:
                memory.pop(key, None)
        self._refusals = {one for one in self._refusals if one[1] != peer}

    # --- ours --------------------------------------------------------------------------------------------

    def compare(self, scene: Scene) -> None:
        """Tell every neighbour the list it has not been told; joined again after it parted, it has been told nothing."""
        for cascade in scene.cascades:
            if scene.joined(cascade.peer) is not None:
                self._tell(scene, cascade)
            elif not cascade.goes_on:
                for memory in (self._told, self._unwanted):
                    memory.pop((scene.room.id, cascade.peer), None)

    def _tell(self, scene: Scene, cascade: RoomCascade) -> None:
        key = (scene.room.id, cascade.peer)
        unwanted = self._unwanted.get(key, set())
        body = {
            "room": cascade.their_room,
            "hubs": list(hubs_here(self._ground.us, scene.cascades, cascade.peer)),
            "sources": [
                one.body()
                for one in told_to(self._ground.us, scene, cascade.peer)
                if one.source not in unwanted
            ][: said.SOURCES_LIMIT],
        }
        text = json.dumps(body, sort_keys=True)
        if self._told.get(key) != text and self._ground.links.tell(
            cascade.peer, said.SOURCES, body
        ):
            self._told[key] = text

    async def heard_refused(self, peering: Peering, body: Body) -> None:
        """`room.source_refused`: they will not have a picture of ours."""
        room_id, source_id = said.id_of(body, "room"), said.id_of(body, "source")
        self._unwanted.setdefault((room_id, peering.peer), set()).add(source_id)
        code, reason = str(body.get("code"))[:64], str(body.get("reason"))[:300]
        log.warning("cascade_source_unwanted", peer=peering.peer, source=source_id, code=code)
        await self._record(peering.peer, room_id, code, reason, ours=True)

    # --- theirs ------------------------------------------------------------------------------------------

    async def heard_sources(self, peering: Peering, body: Body) -> None:
        """`room.sources`: the list of a neighbour's half."""
        room_id = said.id_of(body, "room")
        told = said.list_of(body, "sources", said.SOURCES_LIMIT)
        hubs = said.hubs_of(body, "hubs")
        good, refused = self._sorted(peering, told)
        orders, now = Orders(), self._ground.clock.now()
        async with self._ground.store.begin() as uow:
            room = await uow.rooms.get(room_id)
            cascade = await join_with(uow, room_id, peering.peer)
            if cascade is None or not cascade.goes_on or not room.is_open:
                raise InvalidError("this room is not joined with yours")
            if cascade.hubs != hubs:
                await shift(uow, room, cascade, replace(cascade, hubs=hubs), "system", now)
            for one in good:
                await self._have(uow, room, cascade, one)
            origins = {one.origin for one in good}
            for remote in await uow.cascades.sources_of(room_id):
                if remote.peer == peering.peer and remote.origin not in origins:
                    await drop_source(uow, room, remote.source_id, now, orders)
        await self._ground.orderly.carry_out(orders)
        for source_id, error in refused:
            await self._refuse(peering.peer, cascade, source_id, error)
        self._ground.look(room_id)

    def _sorted(
        self, peering: Peering, told: Sequence[object]
    ) -> tuple[list[ToldSource], list[tuple[str, DomainError]]]:
        good: list[ToldSource] = []
        refused: list[tuple[str, DomainError]] = []
        for one in told:
            try:
                source = ToldSource.read(one, peering.peer)
                good.append(replace(source, via=check_via(source.via, self._ground.us)))
            except DomainError as error:
                name = one.get("source") if isinstance(one, dict) else None
                refused.append((str(name)[:64], error))
        return good, refused

    async def _have(
        self, uow: UnitOfWork, room: Room, cascade: RoomCascade, told: ToldSource
    ) -> None:
        """Have the picture as a source of ours, the same one as before if it was told of before."""
        now = self._ground.clock.now()
        known = await uow.cascades.find_origin(room.id, told.origin)
        if known is not None and known.peer != cascade.peer:
            # It comes by somebody else already; whoever goes away first leaves it to the other.
            going = await join_with(uow, room.id, known.peer)
            if going is not None and going.goes_on:
                return
        source = await uow.rooms.find_source(known.source_id) if known is not None else None
        participant_id = str(cascade.participant_id)
        if source is None or known is None:
            source = Source(
                id=new_id(),
                room_id=room.id,
                participant_id=participant_id,
                kind=SourceKind.TIER,
                label=told.label,
                created_at=now,
            )
            await uow.rooms.add_source(source)
            moves.tell_source(uow, room, source, now, "system")
        elif (source.label, source.participant_id) != (told.label, participant_id):
            source = replace(source, label=told.label, participant_id=participant_id)
            await uow.rooms.update_source(source)
        if source.state is SourceState.ENDED:
            await moves.shift(uow, room, source, SourceState.IDLE, now, "system", "told")
        before = known or RemoteSource(
            source_id=source.id,
            room_id=room.id,
            peer=cascade.peer,
            origin=told.origin,
            via=told.via,
            their_source=told.source,
        )
        after = replace(before, peer=cascade.peer, via=told.via, their_source=told.source)
        if after != known:
            await uow.cascades.put_source(after)

    async def _refuse(
        self, peer: str, cascade: RoomCascade, source_id: str, error: DomainError
    ) -> None:
        key = (cascade.room_id, peer, source_id)
        if key in self._refusals:
            return
        self._refusals.add(key)
        SOURCES_REFUSED.labels(error.code).inc()
        log.warning("cascade_source_refused", peer=peer, source=source_id, code=error.code)
        self._ground.links.tell(
            peer,
            said.REFUSED,
            {
                "room": cascade.their_room,
                "source": source_id,
                "code": error.code,
                "reason": str(error),
            },
        )
        await self._record(peer, cascade.room_id, error.code, str(error), ours=False)

    async def _record(self, peer: str, room_id: str, code: str, reason: str, *, ours: bool) -> None:
        async with self._ground.store.begin() as uow:
            room = await uow.rooms.find(room_id)
            uow.record(
                TierRefused(
                    at=self._ground.clock.now(),
                    incident_id=room.incident_id if room is not None else None,
                    peer=peer,
                    message_kind=said.SOURCES,
                    code=code,
                    reason=reason,
                    ours=ours,
                )
            )


def told_to(us: str, scene: Scene, peer: str) -> list[ToldSource]:
    """The pictures of our half as that neighbour is told of them; its own are none of ours."""
    told = []
    for source in scene.sources.values():
        remote = scene.remote.get(source.id)
        if source.state is SourceState.ENDED or (remote is not None and remote.peer == peer):
            continue
        told.append(
            ToldSource(
                source=source.id,
                origin=remote.origin if remote is not None else f"{us}/{source.id}",
                via=remote.via if remote is not None else (us,),
                label=source.label,
                muted=source.muted,
            )
        )
    return told
