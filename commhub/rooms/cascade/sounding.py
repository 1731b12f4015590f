"""The voices of two halves: one leg of each room's call, which is a SIP call between the hubs. The lower hub dials, because it may be behind
somebody's firewall; it dials again whenever there is no such leg and the rooms are joined."""

from dataclasses import replace
from functools import partial

from commhub.domain.account import Principal
from commhub.domain.call import TALKING, Leg
from commhub.domain.room import ParticipantState, Room
from commhub.domain.tier import Relation
from commhub.domain.tier_rooms import CascadeState, RoomCascade
from commhub.ports.between import TierVoice
from commhub.rooms.cascade.errands import Errands
from commhub.rooms.cascade.ground import Ground
from commhub.rooms.cascade.said import Standing
from commhub.rooms.cascade.scene import Scene
from commhub.rooms.orders import ROOMS
from commhub.rooms.people import with_call

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


class Sounding:
    """Keeps the voices of joined rooms together."""

    def __init__(self, ground: Ground, voice: TierVoice | None, by: Principal = ROOMS) -> None:
        self._ground = ground
        self._voice = voice
        self._by = by
        self.errands = Errands("voice")
        self._next: dict[str, tuple[float, float]] = {}

    def link_moved(self, peer: str) -> None:
        """What failed before may work over the new link."""
        for key in [key for key in self._next if key.endswith(f"@{peer}")]:
            del self._next[key]

    async def compare(self, scene: Scene) -> None:
        """Dial where a leg is missing."""
        for cascade in scene.cascades:
            is_ours = cascade.relation is Relation.UPPER and cascade.state is CascadeState.JOINED
            if self._voice is None or not is_ours or not scene.room.is_open:
                continue
            key = f"{scene.room.id}@{cascade.peer}"
            due, pause = self._next.get(key, (0.0, 0.0))
            now = self._ground.clock.monotonic()
            if self.errands.is_out(key):
                continue
            leg = await self._leg_of(scene, cascade)
            if leg is None and now >= due:
                pause = min(max(2 * pause, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                self._next[key] = (now + pause, pause)
                self.errands.send(key, partial(self._dial, self._voice, scene.room, cascade))
            elif leg is not None and leg.state in TALKING:
                self._next.pop(key, None)

    async def lost_there(self, room_id: str, peer: str, standing: Standing) -> None:
        """The link is back: a leg that talks here, and of which the other side knows nothing, is one nobody hears."""
        if standing.voice:
            return
        async with self._ground.store.read() as uow:
            cascades = await uow.cascades.of_room(room_id)
            cascade = next((one for one in cascades if one.peer == peer), None)
            if cascade is None or cascade.participant_id is None:
                return
            one = await uow.rooms.find_participant(cascade.participant_id)
            leg = await uow.calls.find_leg(one.leg_id) if one and one.leg_id else None
        if cascade.relation is Relation.UPPER and leg is not None and leg.state in TALKING:
            await self._ground.orderly.sound.hang_up(leg.id, self._by)

    async def _leg_of(self, scene: Scene, cascade: RoomCascade) -> Leg | None:
        """The live leg of the other half; None when there is none."""
        one = next((p for p in scene.people if p.id == cascade.participant_id), None)
        if one is None or one.leg_id is None or one.state is ParticipantState.REMOVED:
            return None
        async with self._ground.store.read() as uow:
            leg = await uow.calls.find_leg(one.leg_id)
        is_here = leg is not None and leg.is_live and leg.call_id == scene.room.call_id
        return leg if is_here else None

    async def _dial(self, voice: TierVoice, room: Room, cascade: RoomCascade) -> None:
        ground = self._ground
        async with ground.store.begin() as uow:
            room = await with_call(uow, await uow.rooms.get(room.id), ground.orderly.sound)
        leg = await voice.connect_room(
            cascade.peer, str(room.call_id), str(cascade.their_room), self._by
        )
        async with ground.store.begin() as uow:
            await uow.rooms.get(room.id)
            one = await uow.rooms.find_participant(str(cascade.participant_id))
            if one is not None and one.leg_id != leg.id:
                await uow.rooms.update_participant(replace(one, leg_id=leg.id))
