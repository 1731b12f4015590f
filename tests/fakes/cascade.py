"""Hubs of one process whose rooms can be joined: real stores and links over pipes, engines that remember, and pushes that arrive at the
door of the hub whose address they have."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from fakes import tiers
from fakes.rooms import LI, RoomTown
from fakes.waiting import eventually

from commhub.domain.call import Direction, Leg, LegState
from commhub.domain.errors import UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier import Tier
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.rooms import Asking, RoomRight, RoomSession
from commhub.ports.video import VideoCodec
from commhub.rooms.cascade.feature import RoomTiers
from gateways.webrtc.room_routes import LAYERS

WITHIN_S = 30.0
_NOWHERE = "http://127.0.0.1:9"


class Pushes:
    """`PicturesOut` of a hub. `going` are those that go on, `begun` the times each began, `fails` refuses."""

    def __init__(self, hubs):
        self._hubs = hubs
        self.going = {}
        self.begun = []
        self.fails = None
        self._sessions = {}

    async def push(self, order, target):
        if self.fails:
            raise UnavailableError(self.fails)
        url = urlsplit(target.url)
        _, name, _, room = url.path.split("/")
        source = parse_qs(url.query)["source"][0]
        session = f"{order.session_id}-{len(self.begun)}"
        await self._hubs[name].receive(room, source, target.token, session)
        self.begun.append(order)
        self.going[order.session_id] = order
        await self._leave(order.session_id)
        self._sessions[order.session_id] = name, session

    async def stop(self, session_id):
        self.going.pop(session_id, None)
        await self._leave(session_id)

    async def _leave(self, session_id):
        there, session = self._sessions.pop(session_id, (None, None))
        if there is not None:
            await self._hubs[there].town.feature.doors.session_closed(session, "left")


class Ingest:
    """`PicturesOut` of a platform that takes what it gets. `going` by push, with where it went."""

    def __init__(self):
        self.going = {}

    async def push(self, order, target):
        self.going[order.session_id] = order, target

    async def stop(self, session_id):
        self.going.pop(session_id, None)


class Watches:
    """`PicturesIn` of a hub: views at the door of another hub."""

    def __init__(self, hub, hubs):
        self._hub, self._hubs = hub, hubs
        self.going = {}

    async def watch(self, order, target):
        url = urlsplit(target.url)
        _, name, _, room, source = url.path.split("/")
        layer = LAYERS[parse_qs(url.query)["layer"][0]]
        await self._hubs[name].show(room, source, layer, target.token, order.session_id)
        self.going[order.session_id] = name, source
        await self._hub.town.feature.events.source_started(
            order.room_id, order.source_id, VideoCodec.H264, (0,)
        )

    async def stop(self, session_id):
        there, _ = self.going.pop(session_id, (None, None))
        if there is not None:
            await self._hubs[there].town.feature.doors.session_closed(session_id, "left")


class JoinedHub:
    """A hub with rooms."""

    def __init__(self, hub, folder, hubs, platforms=None):
        self.name, self.tier = hub.name, hub
        self._hubs = hubs
        self.pushes = Pushes(hubs)
        self.watches = Watches(self, hubs)
        self.town = RoomTown(
            hub.store,
            hub.bus,
            SystemClock(),
            folder / hub.name / "recordings",
            tiers=RoomTiers(
                us=hub.name,
                links=hub.links,
                words=hub.words,
                pushes=self.pushes,
                watches=self.watches,
                voice=self,
                platforms=platforms or {},
            ),
        )
        self.dialled = []
        self.cascade = self.town.feature.cascade

    async def connect_room(self, peer, call_id, their_room, by):
        """`ports.between.TierVoice`: a leg that is answered at once, and the other room's half of it."""
        self.dialled.append((peer, their_room))
        ours = await self._voice_leg(call_id, Endpoint(Scheme.ROOM, their_room, peer))
        await self.town.calls.leg_connected(ours.id, "opus")
        there = self._hubs[peer]
        room = (await there.town.feature.rooms.get(their_room)).room
        theirs = await there._voice_leg(
            room.call_id, Endpoint(Scheme.DESK, "rooms", self.name), Direction.INBOUND
        )
        await there.town.calls.leg_connected(theirs.id, "opus")
        return ours

    async def _voice_leg(self, call_id, endpoint, direction=Direction.OUTBOUND):
        leg = Leg(
            id=new_id(),
            call_id=call_id,
            endpoint=endpoint,
            direction=direction,
            created_at=SystemClock().now(),
            state=LegState.RINGING,
        )
        async with self.town.store.begin() as uow:
            await uow.calls.add_leg(leg)
        return leg

    async def receive(self, room, source, token, session):
        """A push arrives at our WHIP."""
        doors = self.town.feature.doors
        asking = Asking(
            room=room,
            right=RoomRight.PUBLISH,
            source=source,
            token=self.town.tokens.read(token),
        )
        admission = await doors.admit(asking)
        self.town.video.sessions[session] = admission
        await doors.session_opened(
            RoomSession(
                session_id=session,
                room_id=room,
                participant_id=admission.participant_id,
                right=RoomRight.PUBLISH,
                source_id=admission.source_id,
            )
        )
        await self.town.feature.events.source_started(
            room, admission.source_id, VideoCodec.H264, (0,)
        )

    async def show(self, room, source, layer, token, session):
        """Somebody views at our WHEP."""
        doors = self.town.feature.doors
        asking = Asking(
            room=room,
            right=RoomRight.VIEW,
            source=source,
            token=self.town.tokens.read(token),
            layer=layer,
        )
        admission = await doors.admit(asking)
        self.town.video.sessions[session] = admission
        await doors.session_opened(
            RoomSession(
                session_id=session,
                room_id=room,
                participant_id=admission.participant_id,
                right=RoomRight.VIEW,
                source_id=admission.source_id,
                layer=admission.layer,
            )
        )

    # --- steps -------------------------------------------------------------------------------------------

    async def join(self, room, peer, beyond=()):
        return await self.cascade.joining.join(room.id, peer, LI, beyond)

    async def film(self, room, source="camera"):
        """Somebody's camera, live in the room; its id."""
        admission, _ = await self.town.publish(room, source=source)
        return admission.source_id

    async def look(self, room, source_id, session="view", **more):
        """Watch as a browser does: asked again until the picture is there."""

        async def let_in():
            try:
                return await self.town.view(room, source_id, session, **more)
            except UnavailableError:
                return None

        return await eventually(let_in, within_s=WITHIN_S)

    async def look_away(self, session="view"):
        await self.town.feature.doors.session_closed(session, "left")

    # --- what there is -----------------------------------------------------------------------------------

    async def room_joined_with(self, peer):
        """Our room that is joined with that hub's, once there is one."""

        async def found():
            async with self.town.store.read() as uow:
                joins = await uow.cascades.going(peer)
                return await uow.rooms.find(joins[0].room_id) if joins else None

        return await eventually(found, within_s=WITHIN_S)

    async def joins(self, room):
        async with self.town.store.read() as uow:
            return {one.peer: one for one in await uow.cascades.of_room(room.id)}

    async def remote(self, room):
        """Pictures of other hubs, by origin."""
        async with self.town.store.read() as uow:
            return {one.origin: one for one in await uow.cascades.sources_of(room.id)}

    async def uplinks(self):
        async with self.town.store.read() as uow:
            return list(await uow.cascades.uplinks())

    async def knows(self, room, origin):
        """The picture as a source here, once it was told of."""

        async def told():
            return (await self.remote(room)).get(origin)

        return await eventually(told, within_s=WITHIN_S)

    async def state(self, source_id):
        return (await self.town.source(source_id)).state

    async def shows(self, source_id, state):
        async def is_so():
            return await self.state(source_id) == state

        await eventually(is_so, within_s=WITHIN_S)


class Wire:
    """Links between hubs, that can be cut and mended."""

    def __init__(self, hubs, tasks):
        self._hubs, self._tasks = hubs, tasks
        self._pipes = {}

    async def connect(self, lower, upper):
        low, up = self._hubs[lower].tier, self._hubs[upper].tier
        self._pipes[lower, upper] = asyncio.create_task(tiers.join(low, up))
        self._tasks.append(self._pipes[lower, upper])
        await eventually(
            lambda: low.links.state_of(upper).up and up.links.state_of(lower).up,
            within_s=WITHIN_S,
        )

    async def cut(self, lower, upper):
        low, up = self._hubs[lower].tier, self._hubs[upper].tier
        for hub, peer in ((low, upper), (up, lower)):
            link = hub.links._links.get(peer)
            if link is not None:
                link._pipe.cut()
        await eventually(
            lambda: not low.links.state_of(upper).up and not up.links.state_of(lower).up,
            within_s=WITHIN_S,
        )


@asynccontextmanager
async def joined_hubs(folder, *pairs, platforms=None, **kinds):
    """Hubs by name (`street=Tier.STREET`), each pair of them (lower, upper) paired and connected, all with these platforms; and the wire
    between them."""
    hubs, tasks = {}, []
    async with AsyncExitStack() as stack:
        for name, tier in kinds.items():
            hub = await stack.enter_async_context(tiers.a_hub(name, tier, folder))
            hubs[name] = JoinedHub(hub, folder, hubs, platforms)
            await hubs[name].town.settle()
        wire = Wire(hubs, tasks)
        for lower, upper in pairs:
            low, up = hubs[lower].tier, hubs[upper].tier
            await tiers.pair(low, up)
            async with low.store.begin() as uow:
                peering = await uow.peerings.get(upper)
                await uow.peerings.put(replace(peering, url=f"{_NOWHERE}/{upper}"))
        tasks += [asyncio.create_task(hub.cascade.run()) for hub in hubs.values()]
        for lower, upper in pairs:
            await wire.connect(lower, upper)
        try:
            yield hubs, wire
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


STREET_DISTRICT_CITY = {
    "street": Tier.STREET,
    "district": Tier.DISTRICT,
    "city": Tier.CITY,
}
