"""Pictures of ours go to a neighbour that asked for them: the giving side of the hop. One push for each picture and neighbour, however many look there.

What each push gets of the way is allotted anew whenever one comes or goes, or its measure changes (`budget`); its layer is switched on the
connection it has. What was asked stands in rows; the token that lets us in there is only remembered, and a neighbour that does not get
its picture asks again. Implements `ports.video.PushesIn`.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import structlog

from commhub.domain.errors import (
    ConflictError,
    DomainError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from commhub.domain.room import Room, Session, SessionRight, Source, SourceState
from commhub.domain.tier import Order, Peering, Relation, check_order
from commhub.domain.tier_rooms import CascadeState, Uplink
from commhub.kit.ids import new_id
from commhub.ports.pushes import PushTarget
from commhub.ports.rooms import RoomRight, RoomToken
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body
from commhub.ports.video import SPEAKER, Layer, PushOrder
from commhub.rooms import moves
from commhub.rooms.cascade import said
from commhub.rooms.cascade.allotting import Weight, allot_all
from commhub.rooms.cascade.budget import Share
from commhub.rooms.cascade.errands import Errands
from commhub.rooms.cascade.ground import Ground, account_of
from commhub.rooms.cascade.metrics import PUSHES
from commhub.rooms.cascade.parting import join_with
from commhub.rooms.cascade.platforms import PLATFORM, Ways
from commhub.rooms.cascade.said import StartAsk
from commhub.rooms.cascade.scene import Scene
from commhub.rooms.orders import Orders
from commhub.rooms.waking import wake_camera

log = structlog.get_logger(__name__)

_TOKEN_FOR = timedelta(hours=1)
_SETTLING_S = 3.0
"""A push that began so lately may just not have arrived yet."""
_AGAIN_S = 1.0
_LONGEST_PAUSE_S = 15.0


class UplinkFullError(ConflictError):
    """The way to the neighbour holds no more pictures."""

    code = "uplink-full"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked of a push and is of the moment."""

    token: str = field(repr=False)
    focus: bool
    watchers: int


@dataclass(slots=True)
class _Sending:
    """A push that was agreed."""

    layer: Layer
    since: float


class Uplinks:
    """Pushes of this hub's pictures to the hubs above it."""

    def __init__(self, ground: Ground, ways: Ways) -> None:
        self._ground = ground
        self._ways = ways
        self.errands = Errands("push")
        self._asked: dict[str, _Asked] = {}
        self._sending: dict[str, _Sending] = {}
        self._next: dict[str, tuple[float, float]] = {}

    # --- the neighbour asks ------------------------------------------------------------------------------

    async def start(self, peering: Peering, body: Body) -> Body:
        """Answer `picture.start`. Asked again, the same push; with another layer it is switched. Raises UplinkFullError."""
        check_order(peering, Order.SEE_SHARED)
        asked = StartAsk.read(body)
        orders = Orders()
        async with self._ground.store.begin() as uow:
            room, source = await self._theirs(uow, peering, asked.room, asked.source)
            known = await self._find(uow, room.id, source.id, peering.peer)
            uplink = Uplink(
                id=known.id if known is not None else new_id(),
                room_id=room.id,
                source_id=source.id,
                peer=peering.peer,
                url=_where(peering, asked),
                layer=int(asked.layer),
                asked_at=self._ground.clock.now(),
                sent=known.sent if known is not None else None,
                kbps=known.kbps if known is not None else 0,
            )
            self._asked[uplink.id] = _Asked(asked.token or "", asked.focus, asked.watchers)
            await uow.cascades.put_uplink(uplink)
            share = (await self._allot(uow, peering)).get(uplink.id)
            if share is None:
                # What is in the row is what others see of it; nobody but who asked need know of this one.
                await uow.cascades.delete_uplink(uplink.id)
                self._asked.pop(uplink.id, None)
            elif source.device is not None and source.state is not SourceState.LIVE:
                await wake_camera(uow, room, source, self._ground.clock, orders)
        if share is None:
            PUSHES.labels("full").inc()
            self._ground.look(room.id)
            raise UplinkFullError(
                f"the way to {peering.peer} holds {peering.uplink_kbps} kbit/s, and others need them more",
                uplink_kbps=peering.uplink_kbps,
            )
        await self._ground.orderly.carry_out(orders)
        if not asked.has:
            self._begin_anew(uplink.id)
        self._ground.look(room.id)
        answer: dict[str, object] = {"state": source.state.value, "layer": int(share.layer)}
        if not uplink.url and not asked.has and source.state is SourceState.LIVE:
            answer |= await self._to_view(peering, room, source)
        return answer

    async def stop(self, peering: Peering, body: Body) -> Body:
        """Answer `picture.stop`; one that is not sent is fine."""
        room_id, source_id = said.id_of(body, "room"), said.id_of(body, "source")
        orders = Orders()
        async with self._ground.store.begin() as uow:
            room = await uow.rooms.get(room_id)
            known = await self._find(uow, room_id, source_id, peering.peer)
            if known is not None:
                await self._drop(uow, room, known, orders)
                await self._allot(uow, peering)
        await self._ground.orderly.carry_out(orders)
        if known is not None:
            await self._end(known.id)
        self._ground.look(room_id)
        return {}

    async def only(self, peering: Peering, room_id: str, wanted: Collection[str]) -> None:
        """A neighbour that came back said what it wants of this room: nothing else goes there."""
        dropped: list[str] = []
        orders = Orders()
        async with self._ground.store.begin() as uow:
            room = await uow.rooms.get(room_id)
            for one in await uow.cascades.uplinks_of(room_id):
                if one.peer == peering.peer and one.source_id not in wanted:
                    await self._drop(uow, room, one, orders)
                    dropped.append(one.id)
        await self._ground.orderly.carry_out(orders)
        for uplink_id in dropped:
            # Who told this goes on being listened to meanwhile.
            self.errands.send(uplink_id, partial(self._end, uplink_id))

    # --- what the engine tells ---------------------------------------------------------------------------

    async def push_connected(self, session_id: str) -> None:
        """See `ports.video.PushesIn`."""
        if session_id in self._sending:
            PUSHES.labels("connected").inc()
            self._next.pop(session_id, None)
            await self._note(session_id, None)

    async def push_lost(self, session_id: str, reason: str) -> None:
        """See `ports.video.PushesIn`: begun again at once, and with pauses after that."""
        if self._sending.pop(session_id, None) is not None:
            PUSHES.labels("lost").inc()
            await self._note(session_id, reason)
            self._ground.look(None)

    async def engine_came(self, sessions: Collection[str]) -> None:
        """The picture engine is (again) there, with these sessions; what it pushes on since before our time is ours again."""
        now = self._ground.clock.monotonic()
        for session_id in [one for one in self._sending if one not in sessions]:
            del self._sending[session_id]
        async with self._ground.store.read() as uow:
            uplinks = await uow.cascades.uplinks()
        for one in uplinks:
            if one.id in sessions and one.id not in self._sending:
                self._sending[one.id] = _Sending(Layer(one.sent or 0), now - _SETTLING_S)

    # --- looking -----------------------------------------------------------------------------------------

    async def compare(self, scene: Scene) -> None:
        """Have what is asked for pushed, as it is to be, and nothing else of this room."""
        if not scene.room.is_open:
            await self._end_all(scene)
            return
        for uplink in scene.uplinks:
            if uplink.peer.startswith(PLATFORM) or scene.joined(uplink.peer) is not None:
                self._look(scene, uplink)

    def forget_strays(self, known: Collection[str]) -> None:
        """Pushes whose row is gone are over."""
        for uplink_id in [one for one in self._sending if one not in known]:
            self.errands.send(uplink_id, partial(self._end, uplink_id))

    def _look(self, scene: Scene, uplink: Uplink) -> None:
        if self.errands.is_out(uplink.id):
            return
        sending, target = self._sending.get(uplink.id), self._target_of(uplink)
        if not uplink.url:
            self._look_at_view(scene, uplink)
        elif uplink.sent is None:
            if sending is not None:
                self.errands.send(uplink.id, partial(self._end, uplink.id))
        elif sending is None:
            is_due = self._ground.clock.monotonic() >= self._next.get(uplink.id, (0.0, 0.0))[0]
            if _is_there(scene, uplink.source_id) and target is not None and is_due:
                self.errands.send(uplink.id, partial(self._push, uplink, target))
        elif sending.layer != uplink.sent:
            self.errands.send(uplink.id, partial(self._switch, uplink, sending))

    def _look_at_view(self, scene: Scene, uplink: Uplink) -> None:
        """What a hub below fetches has the layer that is allotted to it, like what is pushed."""
        account = account_of(uplink.peer)
        guest = next((one.id for one in scene.people if one.account == account), None)
        for session in scene.sessions:
            if is_view_of(session, uplink, guest) and uplink.sent not in (None, session.layer):
                self.errands.send(uplink.id, partial(self._show, session, Layer(uplink.sent or 0)))

    async def reallot(self, peering: Peering) -> None:
        """Look again at what each push takes: pictures grow and shrink."""
        async with self._ground.store.begin() as uow:
            await self._allot(uow, peering)

    # --- errands -----------------------------------------------------------------------------------------

    async def _push(self, uplink: Uplink, target: PushTarget) -> None:
        now = self._ground.clock.monotonic()
        layer = Layer(uplink.sent or 0)
        _, pause = self._next.get(uplink.id, (0.0, 0.0))
        pause = min(max(2 * pause, _AGAIN_S), _LONGEST_PAUSE_S)
        self._next[uplink.id] = (now + pause, pause)
        order = PushOrder(
            session_id=uplink.id,
            room_id=uplink.room_id,
            source_id=uplink.source_id,
            best=layer,
        )
        self._sending[uplink.id] = _Sending(layer, now)
        try:
            await self._ways.out(uplink.peer).push(order, target)
        except DomainError as error:
            self._sending.pop(uplink.id, None)
            PUSHES.labels("failed").inc()
            if not isinstance(error, UnavailableError):
                # It would be refused again: whoever wants it asks, and brings another token.
                self._asked.pop(uplink.id, None)
            await self._note(uplink.id, str(error)[:300])
            raise

    async def _switch(self, uplink: Uplink, sending: _Sending) -> None:
        layer = Layer(uplink.sent or 0)
        try:
            await self._ground.orderly.video.show(uplink.id, uplink.source_id, layer)
        except DomainError:
            # Not answered yet, or another codec: agreed anew it has the layer.
            self._sending.pop(uplink.id, None)
            raise
        sending.layer = layer

    async def _show(self, session: Session, layer: Layer) -> None:
        await self._ground.orderly.video.show(session.id, session.source_id, layer)
        async with self._ground.store.begin() as uow:
            await uow.rooms.get(session.room_id)
            known = await uow.rooms.find_session(session.id)
            if known is not None and known.closed_at is None:
                await uow.rooms.put_session(replace(known, layer=int(layer)))

    async def _end(self, uplink_id: str) -> None:
        for memory in (self._sending, self._asked, self._next):
            memory.pop(uplink_id, None)
        for out in self._ways.all:
            # Only one knows it, and who does not has nothing to do.
            with suppress(UnavailableError):
                await out.stop(uplink_id)
        PUSHES.labels("stopped").inc()

    async def _end_all(self, scene: Scene) -> None:
        for uplink in scene.uplinks:
            async with self._ground.store.begin() as uow:
                await uow.cascades.delete_uplink(uplink.id)
            await self._end(uplink.id)

    async def _to_view(self, peering: Peering, room: Room, source: Source) -> dict[str, object]:
        """Where a hub below views this picture, and a token for that and nothing else."""
        async with self._ground.store.read() as uow:
            guest = await guest_of(uow, room.id, peering.peer)
        until = self._ground.clock.now() + _TOKEN_FOR
        token = RoomToken(
            id=f"source:{source.id}",
            room_id=room.id,
            rights=(RoomRight.VIEW,),
            expires_at=int(until.timestamp()),
            made_by=account_of(peering.peer),
            participant_id=guest,
            source_id=source.id,
        )
        return {
            "whep": f"/whep/{room.id}/{source.id}",
            "token": self._ground.tokens.sign(token),
        }

    def _target_of(self, uplink: Uplink) -> PushTarget | None:
        asked = self._asked.get(uplink.id)
        if asked is None:
            return self._ways.target(uplink.peer)
        return PushTarget(url=uplink.url, token=asked.token)

    # --- inside ------------------------------------------------------------------------------------------

    def _begin_anew(self, uplink_id: str) -> None:
        """They do not have it: what we take for a push is none, unless it only just began."""
        sending = self._sending.get(uplink_id)
        now = self._ground.clock.monotonic()
        if sending is not None and now - sending.since >= _SETTLING_S:
            del self._sending[uplink_id]
        if uplink_id not in self._sending:
            self._next.pop(uplink_id, None)

    async def _theirs(
        self, uow: UnitOfWork, peering: Peering, room_id: str, source_id: str
    ) -> tuple[Room, Source]:
        """A picture of a room that is joined with theirs, and is none of their own."""
        room = await uow.rooms.get(room_id)
        cascade = await join_with(uow, room_id, peering.peer)
        if cascade is None or cascade.state not in {CascadeState.JOINED, CascadeState.DOWN}:
            raise NotAllowedError("this room is not joined with yours")
        source = await uow.rooms.find_source(source_id)
        if source is None or source.room_id != room_id or source.state is SourceState.ENDED:
            raise NotFoundError("there is no such picture any more")
        remote = await uow.cascades.find_source(source_id)
        if remote is not None and remote.peer == peering.peer:
            raise ConflictError("this picture is yours")
        return room, source

    async def _find(
        self, uow: UnitOfWork, room_id: str, source_id: str, peer: str
    ) -> Uplink | None:
        uplinks = await uow.cascades.uplinks_of(room_id)
        return next((o for o in uplinks if (o.source_id, o.peer) == (source_id, peer)), None)

    async def _drop(self, uow: UnitOfWork, room: Room, uplink: Uplink, orders: Orders) -> None:
        await uow.cascades.delete_uplink(uplink.id)
        for session in await uow.rooms.sessions_of(room.id):
            if is_view_of(session, uplink, await guest_of(uow, room.id, uplink.peer)):
                orders.release.append(session.id)
                await moves.close_session(uow, room, session, "unwatched", self._ground.clock.now())
        source = await uow.rooms.find_source(uplink.source_id)
        if source is not None:
            # As when a view is closed: from now on nobody may want that picture any more.
            await uow.rooms.update_source(replace(source, wanted_at=self._ground.clock.now()))

    async def _allot(self, uow: UnitOfWork, peering: Peering) -> Mapping[str, Share]:
        """What each push to that neighbour gets of the way."""
        weights = {
            uplink_id: Weight(asked.focus, asked.watchers)
            for uplink_id, asked in self._asked.items()
        }
        return await allot_all(uow, peering, weights, self._ground.events)

    async def _note(self, uplink_id: str, error: str | None) -> None:
        async with self._ground.store.begin() as uow:
            known = await uow.cascades.find_uplink(uplink_id)
            if known is not None and known.error != error:
                await uow.cascades.put_uplink(replace(known, error=error))


def _is_there(scene: Scene, source_id: str) -> bool:
    source = scene.sources.get(source_id)
    return source_id == SPEAKER or (source is not None and source.state is SourceState.LIVE)


def _where(peering: Peering, asked: StartAsk) -> str:
    """Where the picture is pushed; «» for a hub below us, which fetches it: it may be behind somebody's firewall. Raises InvalidError,
    NotAllowedError."""
    if peering.relation is Relation.LOWER:
        return ""
    if asked.whip is None:
        raise InvalidError("a hub above says where the picture is to go")
    if peering.url is None:
        raise NotAllowedError(f"{peering.peer} has no address here: pair with it anew")
    return peering.url.rstrip("/") + asked.whip


def is_view_of(session: Session, uplink: Uplink, guest: str | None) -> bool:
    """Whether it is the view by which a neighbour fetches that picture."""
    return (
        session.right is SessionRight.VIEW
        and session.participant_id == guest
        and session.source_id == uplink.source_id
    )


async def guest_of(uow: UnitOfWork, room_id: str, peer: str) -> str | None:
    """As whom a neighbour takes part."""
    people = await uow.rooms.participants_of(room_id)
    return next((one.id for one in people if one.account == account_of(peer)), None)
