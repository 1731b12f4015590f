"""The cascade put together: what neighbours say goes to its part, and a follower looks at every joined room whenever something moved,
and now and then anyway."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from commhub.domain.call_facts import LegMoved
from commhub.domain.errors import DomainError, UnavailableError
from commhub.domain.facts import Fact
from commhub.domain.room import ParticipantState
from commhub.domain.room_facts import (
    ParticipantMoved,
    RoomChanged,
    RoomEnded,
    SourceMoved,
    SpeakerMoved,
)
from commhub.domain.tier import Peering
from commhub.domain.tier_rooms import Uplink
from commhub.kit.bus import Bus, Subscription
from commhub.kit.supervise import Doorbell, run_forever
from commhub.ports.between import TierVoice
from commhub.ports.pushes import PicturesIn, PicturesOut
from commhub.ports.tiers import Body, TierLinks, TierWords
from commhub.ports.video import Layer
from commhub.rooms.cascade import said
from commhub.rooms.cascade.fetching import Fetching
from commhub.rooms.cascade.ground import Ground
from commhub.rooms.cascade.joining import Joining
from commhub.rooms.cascade.lending import Lending
from commhub.rooms.cascade.metrics import SENDING
from commhub.rooms.cascade.platforms import Platform, Platforms, Ways
from commhub.rooms.cascade.rolls import Rolls
from commhub.rooms.cascade.scene import load
from commhub.rooms.cascade.sounding import Sounding
from commhub.rooms.cascade.speaking import Speaking
from commhub.rooms.cascade.telling import Telling
from commhub.rooms.cascade.uplinks import Uplinks
from commhub.rooms.inviting import Invitations
from commhub.rooms.roll_calls import RollCalls

log = structlog.get_logger(__name__)

_FACTS = 4096
_LOOK_EVERY_S = 1.0
_TOGETHER_S = 0.02
_MEASURE_EVERY_S = 5.0
_TOUCHING = (SourceMoved, SpeakerMoved, ParticipantMoved, RoomChanged, RoomEnded)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomTiers:
    """What rooms need of tiers. `us` is this hub's name."""

    us: str
    links: TierLinks
    words: TierWords
    pushes: PicturesOut
    watches: PicturesIn
    voice: TierVoice | None = None
    platforms: Mapping[str, Platform] = field(default_factory=dict)


class Cascade:
    """Everything of joined rooms; `run` is what goes on by itself. `uplinks` implements `ports.video.PushesIn`."""

    def __init__(
        self,
        ground: Ground,
        tiers: RoomTiers,
        bus: Bus[Fact],
        bell: Doorbell,
        roll_calls: RollCalls,
        invitations: Invitations,
    ) -> None:
        self._ground = ground
        self._bus = bus
        self._bell = bell
        self.joining = Joining(ground)
        self.telling = Telling(ground)
        self.fetching = Fetching(ground, tiers.watches)
        self.uplinks = Uplinks(ground, Ways(tiers.pushes, tiers.platforms))
        self.speaking = Speaking(ground)
        self.sounding = Sounding(ground, tiers.voice)
        self.lending = Lending(ground, self.joining)
        self.rolls = Rolls(ground, roll_calls)
        self.platforms = Platforms(ground, tiers.platforms, invitations)
        self._measured_at = 0.0
        self._counted: set[str] = set()
        self._followed: set[str] = set()
        self._register(tiers.words)

    def _register(self, words: TierWords) -> None:
        words.on_ask(said.JOIN, self.joining.accept)
        words.on_ask(said.INVITE, self.lending.answer)
        words.on_ask(said.START, self.uplinks.start)
        words.on_ask(said.STOP, self.uplinks.stop)
        words.on_ask(said.ROLL_CALL, self.rolls.answer)
        words.on_tell(said.ROLL, self.rolls.heard)
        words.on_tell(said.LEFT, self.joining.heard_left)
        words.on_tell(said.JOINS, self._heard_joins)
        words.on_tell(said.SOURCES, self.telling.heard_sources)
        words.on_tell(said.REFUSED, self.telling.heard_refused)
        words.on_tell(said.SPEAKING, self.speaking.heard_speaking)
        words.on_tell(said.SPEAKER, self.speaking.heard_speaker)
        words.on_link(self._link_moved)

    async def _link_moved(self, peering: Peering, up: bool) -> None:
        await self._forget(peering.peer)
        await self.joining.link_moved(peering, up)

    async def _forget(self, peer: str) -> None:
        """What was told over the link before is told anew."""
        async with self._ground.store.read() as uow:
            remote = await uow.cascades.sources_from(peer)
        self.telling.link_moved(peer)
        self.speaking.link_moved(peer)
        self.sounding.link_moved(peer)
        self.fetching.link_moved(one.source_id for one in remote)

    async def _heard_joins(self, peering: Peering, body: Body) -> None:
        held = await self.joining.heard_joins(peering, body)
        for room_id, standing in held.items():
            await self.uplinks.only(peering, room_id, standing.wants)
            await self.sounding.lost_there(room_id, peering.peer, standing)
        if body.get("reply") is not True:
            await self._forget(peering.peer)
            await self.joining.tell_standing(peering.peer, is_reply=True)

    def wait_for(self, source_id: str, layer: Layer) -> None:
        """Somebody wants to see another hub's picture that is not here yet."""
        self.fetching.wait_for(source_id, layer)
        self._bell.ring()

    async def engine_came(self) -> None:
        """The picture engine is there (again)."""
        try:
            status = await self._ground.orderly.video.status()
        except UnavailableError as error:
            log.warning("pushes_not_compared", reason=str(error))
            return
        await self.uplinks.engine_came(frozenset(status.sessions))
        self._bell.ring()

    # --- following ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            await run_forever("cascade", self._follow)
        finally:
            parts = (self.joining, self.fetching, self.uplinks, self.sounding, self.rolls)
            for part in parts:
                await part.errands.close()

    async def _follow(self) -> None:
        with self._bus.subscribe(_FACTS, _is_ours) as facts:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(facts), name="cascade-listen")
                while True:
                    await self._bell.wait(_LOOK_EVERY_S)
                    await self.step()
                    await asyncio.sleep(_TOGETHER_S)

    async def _listen(self, facts: Subscription[Fact]) -> None:
        async for _ in facts:
            self._bell.ring()

    async def step(self) -> None:
        """Look once at every joined room."""
        async with self._ground.store.read() as uow:
            peerings = {one.peer: one for one in await uow.peerings.list()}
            joins = await uow.cascades.going()
            uplinks = await uow.cascades.uplinks()
        going = dict.fromkeys([*(one.room_id for one in joins), *(one.room_id for one in uplinks)])
        # A room that was parted from the last one since is looked at once more, so that nothing of it stays.
        rooms = going | dict.fromkeys(self._followed)
        self._followed = set(going)
        for room_id in rooms:
            try:
                await self._look(room_id)
            except DomainError as error:
                log.warning("cascade_not_followed", room_id=room_id, reason=str(error))
        self.uplinks.forget_strays({one.id for one in uplinks})
        self._count(uplinks)
        await self._measure(peerings, {one.peer for one in uplinks})

    async def _look(self, room_id: str) -> None:
        async with self._ground.store.read() as uow:
            scene = await load(uow, await uow.rooms.get(room_id))
        if not scene.room.is_open:
            await self.joining.end_all(room_id)
        removed = {one.id for one in scene.people if one.state is ParticipantState.REMOVED}
        for one in scene.cascades:
            if one.goes_on and one.participant_id in removed:
                await self.joining.removed(one)
            elif scene.room.is_open and one.is_to_be_asked:
                self.joining.ask_again(room_id, one.peer)
        self.telling.compare(scene)
        await self.speaking.compare(scene)
        await self.sounding.compare(scene)
        await self.uplinks.compare(scene)
        self.fetching.compare(scene)

    def _count(self, uplinks: Sequence[Uplink]) -> None:
        sent = Counter(one.peer for one in uplinks if one.sent is not None)
        for to in self._counted | sent.keys():
            SENDING.labels(to).set(sent[to])
        self._counted = set(sent)

    async def _measure(self, peerings: Mapping[str, Peering], peers: set[str]) -> None:
        now = self._ground.clock.monotonic()
        if now - self._measured_at < _MEASURE_EVERY_S:
            return
        self._measured_at = now
        for peer in peers & peerings.keys():
            if peerings[peer].uplink_kbps:
                await self.uplinks.reallot(peerings[peer])


def _is_ours(fact: Fact) -> bool:
    """Of the legs only those to other hubs: phones ring all day."""
    if isinstance(fact, LegMoved):
        return "@" in fact.endpoint
    return isinstance(fact, _TOUCHING)
