"""Pictures of a neighbour come while somebody here needs them, and not a moment longer: the asking side of the hop.

Below us we have a hub push to our WHIP; above us we are behind somebody's firewall and pull by WHEP ourselves. What is needed is read
from rows each time (`scene.needs`), so that a lost order, a dead neighbour or our own restart is mended by looking again. Each
picture has one question on its way at a time, and none of them holds up another.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from commhub.domain.errors import UnavailableError
from commhub.domain.room import SessionRight, Source, SourceState
from commhub.domain.tier import Relation
from commhub.domain.tier_rooms import CascadeState, RemoteSource
from commhub.ports.pushes import PicturesIn, PushTarget
from commhub.ports.rooms import RoomRight, RoomSession, RoomToken
from commhub.ports.tiers import TierRefusedError
from commhub.ports.video import Layer, PublishOrder
from commhub.rooms import moves
from commhub.rooms.cascade import said
from commhub.rooms.cascade.errands import Errands
from commhub.rooms.cascade.ground import Ground, account_of
from commhub.rooms.cascade.metrics import FETCHES
from commhub.rooms.cascade.said import StartAsk
from commhub.rooms.cascade.scene import Need, Scene, needs
from commhub.rooms.orders import Orders
from commhub.rooms.video_events import LAYER_NAMES

_ANSWER_S = 5.0
_STOP_S = 1.5
_AGAIN_S = 1.0
_REFUSED_S = 10.0
_WAITED_FOR_S = 15.0
"""Whoever asked to see a picture asks again in this time, or does not want it any more."""
_TOKEN_FOR = timedelta(hours=1)


class Fetching:
    """Asks neighbours for their pictures."""

    def __init__(self, ground: Ground, watches: PicturesIn) -> None:
        self._ground = ground
        self._watches = watches
        self.errands = Errands("fetch")
        self._waited_for: dict[str, tuple[Layer, float]] = {}
        self._told: dict[str, Need] = {}
        self._next: dict[str, float] = {}

    def wait_for(self, source_id: str, layer: Layer) -> None:
        """Somebody wants to see it, no better than that, who cannot be let in before it is there."""
        best, _ = self._waited_for.get(source_id, (layer, 0.0))
        until = self._ground.clock.monotonic() + _WAITED_FOR_S
        self._waited_for[source_id] = (min(best, layer), until)

    def link_moved(self, source_ids: Iterable[str]) -> None:
        """What these were told is forgotten: they are asked anew."""
        for source_id in source_ids:
            self._told.pop(source_id, None)
            self._next.pop(source_id, None)

    def compare(self, scene: Scene) -> None:
        """Have come what is needed, and stop what is not."""
        now = self._ground.clock.monotonic()
        for source_id in [one for one, (_, until) in self._waited_for.items() if until <= now]:
            del self._waited_for[source_id]
        for session in scene.sessions:
            if session.right is SessionRight.VIEW:
                # Let in: from now on the session says that it is looked at.
                self._waited_for.pop(session.source_id, None)
        speaker = self._ground.events.speaker_of(scene.room.id).source_id
        waited_for = {one: layer for one, (layer, _) in self._waited_for.items()}
        wanted = needs(scene, speaker, waited_for)
        for remote in scene.remote.values():
            self._look(scene, remote, wanted.get(remote.source_id), now)

    def _look(self, scene: Scene, remote: RemoteSource, need: Need | None, now: float) -> None:
        source_id = remote.source_id
        if self.errands.is_out(source_id):
            return
        arrives = scene.arrives(source_id)
        if need is None:
            if remote.wanted is not None or arrives:
                self.errands.send(source_id, partial(self._stop, remote))
            return
        source = scene.sources.get(source_id)
        is_over = source is None or source.state is SourceState.ENDED
        if is_over or scene.joined(remote.peer) is None:
            return
        is_news = self._told.get(source_id) != need and remote.refused is None
        if is_news or (not arrives and now >= self._next.get(source_id, 0.0)):
            self.errands.send(source_id, partial(self._start, remote, need, has=arrives))

    # --- errands -----------------------------------------------------------------------------------------

    async def _start(self, known: RemoteSource, need: Need, *, has: bool) -> None:
        ground, now = self._ground, self._ground.clock.now()
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            remote = await uow.cascades.find_source(known.source_id)
            source = await uow.rooms.find_source(known.source_id)
            cascades = await uow.cascades.of_room(room.id)
            cascade = next((one for one in cascades if one.peer == known.peer), None)
            if (
                remote is None
                or source is None
                or source.state is SourceState.ENDED
                or cascade is None
                or cascade.state is not CascadeState.JOINED
            ):
                return
            peering = await uow.peerings.get(known.peer)
            if remote.wanted != need.layer:
                remote = replace(remote, wanted=int(need.layer))
                await uow.cascades.put_source(remote)
            if source.state is SourceState.IDLE:
                await moves.shift(uow, room, source, SourceState.STARTING, now, "system")
        is_above = peering.relation is Relation.UPPER
        asked = StartAsk(
            room=str(cascade.their_room),
            source=remote.their_source,
            whip=None if is_above else f"/whip/{room.id}?source={source.id}",
            token=None if is_above else self._token(source, known.peer),
            layer=need.layer,
            watchers=need.watchers,
            focus=need.focus,
            has=has,
        )
        self._next[source.id] = ground.clock.monotonic() + _AGAIN_S
        try:
            answer = await ground.links.ask(known.peer, said.START, asked.body(), _ANSWER_S)
        except TierRefusedError as error:
            FETCHES.labels("refused").inc()
            self._next[source.id] = ground.clock.monotonic() + _REFUSED_S
            await self._refused(known.source_id, str(error))
            return
        except UnavailableError:
            FETCHES.labels("unavailable").inc()
            raise
        FETCHES.labels("asked").inc()
        self._told[source.id] = need
        await self._granted(known.source_id)
        whep = said.whep_of(answer) if is_above else None
        if whep is not None and peering.url is not None:
            where = f"{peering.url.rstrip('/')}{whep}?layer={LAYER_NAMES[need.layer]}"
            target = PushTarget(url=where, token=said.token_of(answer))
            await self._watch(source, target)

    def _token(self, source: Source, peer: str) -> str:
        """By which the neighbour publishes this picture here, and nothing else."""
        until = self._ground.clock.now() + _TOKEN_FOR
        token = RoomToken(
            id=f"source:{source.id}",
            room_id=source.room_id,
            rights=(RoomRight.PUBLISH,),
            expires_at=int(until.timestamp()),
            made_by=account_of(peer),
            participant_id=source.participant_id,
            source_id=source.id,
        )
        return self._ground.tokens.sign(token)

    async def _watch(self, source: Source, target: PushTarget) -> None:
        """View it at the hub above: a session of its source, as if it had been published."""
        order = PublishOrder(
            session_id=f"watch-{source.id}", room_id=source.room_id, source_id=source.id
        )
        await self._watches.watch(order, target)
        try:
            await self._ground.doors.session_opened(
                RoomSession(
                    session_id=order.session_id,
                    room_id=source.room_id,
                    participant_id=source.participant_id,
                    right=RoomRight.PUBLISH,
                    source_id=source.id,
                )
            )
        except BaseException:
            await self._watches.stop(order.session_id)
            raise

    async def _refused(self, source_id: str, reason: str) -> None:
        ground = self._ground
        async with ground.store.begin() as uow:
            remote = await uow.cascades.find_source(source_id)
            if remote is None:
                return
            room = await uow.rooms.get(remote.room_id)
            await uow.cascades.put_source(replace(remote, refused=reason[:300]))
            source = await uow.rooms.find_source(source_id)
            if source is not None and source.state is SourceState.STARTING:
                now = ground.clock.now()
                await moves.shift(uow, room, source, SourceState.IDLE, now, "system", reason[:300])

    async def _granted(self, source_id: str) -> None:
        async with self._ground.store.begin() as uow:
            remote = await uow.cascades.find_source(source_id)
            if remote is not None and remote.refused is not None:
                await uow.cascades.put_source(replace(remote, refused=None))

    async def _stop(self, known: RemoteSource) -> None:
        """First nobody wants it, then the neighbour stops, then what still comes is let go: else it would be pushed anew."""
        ground, source_id = self._ground, known.source_id
        self._told.pop(source_id, None)
        self._next.pop(source_id, None)
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            remote = await uow.cascades.find_source(source_id)
            cascades = await uow.cascades.of_room(room.id)
            if remote is not None:
                await uow.cascades.put_source(replace(remote, wanted=None, refused=None))
        cascade = next((one for one in cascades if one.peer == known.peer), None)
        try:
            if cascade is not None and cascade.state is CascadeState.JOINED:
                body = {"room": cascade.their_room, "source": known.their_source}
                await ground.links.ask(known.peer, said.STOP, body, _STOP_S)
                FETCHES.labels("stopped").inc()
        finally:
            await self._let_go(known)

    async def _let_go(self, known: RemoteSource) -> None:
        ground, orders, now = self._ground, Orders(), self._ground.clock.now()
        async with ground.store.begin() as uow:
            room = await uow.rooms.get(known.room_id)
            for session in await uow.rooms.sessions_of(room.id):
                is_it = session.source_id == known.source_id
                if is_it and session.right is SessionRight.PUBLISH:
                    orders.release.append(session.id)
                    await moves.close_session(uow, room, session, "unwatched", now)
            source = await uow.rooms.find_source(known.source_id)
            if source is not None and source.state in {SourceState.STARTING, SourceState.LIVE}:
                await moves.shift(uow, room, source, SourceState.IDLE, now, "system", "unwatched")
        await ground.orderly.carry_out(orders)
        for session_id in orders.release:
            # Those that were pushed here it does not know.
            with suppress(UnavailableError):
                await self._watches.stop(session_id)
