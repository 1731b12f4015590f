"""Rooms with everything they touch: a real store, real calls, fleet and messages; far ends and engines that remember."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from fakes.calls import FakeDriver, RememberingMedia
from fakes.clock import START
from fakes.fleet import FakeCredentials, FakeDeviceControl
from fakes.objects import an_incident
from fakes.town import Town
from fakes.video import FakeVideo
from fakes.web import someone

from commhub.calls.service import CallService
from commhub.domain.device import DeviceKind
from commhub.domain.people import Endpoint, Responder, Role, Scheme, Unit
from commhub.fleet.service import FleetService, NewDevice
from commhub.kit.sealing import Seal
from commhub.ports.inward import IncomingCall
from commhub.ports.media import EngineStatus, LegMeter
from commhub.ports.rooms import Asking, RoomRight, RoomSession
from commhub.ports.video import (
    LayerMeter,
    RecordedVideo,
    SourceMeter,
    VideoCodec,
    VideoStatus,
)
from commhub.rooms.config import RoomConfig
from commhub.rooms.feature import RoomFeature, RoomPorts
from commhub.rooms.hosting import Who
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.service import NewRoom
from gateways.webrtc.room_tokens import SignedRoomTokens

LI = someone(name="li")
CHEN = someone(Role.COMMANDER, name="chen")
WANG = someone(Role.VIEWER, name="wang")
ZHANG = someone(Role.RESPONDER, name="zhang")
RUNG = (Scheme.SIP, Scheme.TEL, Scheme.RADIO, Scheme.DESK, Scheme.ROOM)


class MeteredVideo(FakeVideo):
    """Tells of the sources the test puts into `sources`, by id."""

    def __init__(self):
        super().__init__()
        self.sources = {}
        self.boot_id = "1"

    def sees(self, room_id, source_id, *, height=1080, fps=30.0, **more):
        layer = LayerMeter(layer=0, width=height * 16 // 9, height=height, fps=fps)
        self.sources[source_id] = SourceMeter(
            source_id=source_id, room_id=room_id, codec=VideoCodec.H264, layers=(layer,), **more
        )

    async def status(self):
        self._check()
        return VideoStatus(
            worker="v0",
            boot_id=self.boot_id,
            sessions=tuple(self.sessions),
            sources=tuple(self.sources.values()),
        )

    def told(self, what):
        """The orders of one kind, without their name."""
        return [order[1:] for order in self.orders if order[0] == what]


class MeteredMedia(RememberingMedia):
    """Hears of each leg as many packets as `received` says."""

    def __init__(self):
        super().__init__()
        self.received = {}

    async def status(self):
        meters = [
            LegMeter(
                leg_id=leg_id,
                call_id="",
                received=count,
                sent=0,
                lost=0,
                level_dbov=-30,
                silent_s=0,
                round_trip_ms=12.0,
            )
            for leg_id, count in self.received.items()
        ]
        return EngineStatus(worker="w0", boot_id="1", legs=meters)


class RoomTown:
    """`feature` is what is tested; the rest plays its neighbours."""

    def __init__(self, store, bus, clock, folder, *, tiers=None, **config):
        self.store, self.clock, self.bus = store, clock, bus
        self.driver, self.media, self.video = FakeDriver(), MeteredMedia(), MeteredVideo()
        self.calls = CallService(store, clock)
        self.calls.connect(self.media, dict.fromkeys(RUNG, self.driver))
        self.town = Town(store, clock)
        self.control = FakeDeviceControl()
        self.fleet = FleetService(store, FakeCredentials(), self.control, clock)
        self.tokens = SignedRoomTokens(b"secret", clock)
        self.keyframes = []
        ports = RoomPorts(
            store=store,
            clock=clock,
            bus=bus,
            video=self.video,
            media=self.media,
            sound=self.calls.rooms,
            devices=self.fleet,
            tokens=self.tokens,
            seal=Seal("secret", "camera-addresses"),
            notices=self.town.messages,
            wants_keyframe=self._ask_keyframe,
            tiers=tiers,
        )
        settings = RoomConfig(
            **{"folder": folder, "public_url": "https://hub.test", "compare_every_s": 60, **config}
        )
        self.feature = RoomFeature(ports, settings, ZoneInfo("Asia/Shanghai"))
        self.calls.rooms.connect(self.feature.numbers, self.feature.voices)

    async def _ask_keyframe(self, session_id):
        self.keyframes.append(session_id)

    # --- people and things -------------------------------------------------------------------------------

    async def settle(self):
        """Two departments, zhang in u1, wang in u2, and zhang's camera b7."""
        async with self.store.begin() as uow:
            for unit in ("u1", "u2"):
                await uow.directory.put_unit(Unit(id=unit, name=unit, team="grid"))
            for name, unit in (("zhang", "u1"), ("wang", "u2")):
                endpoints = (Endpoint.parse(f"wecom:{name}"),)
                await uow.directory.put_responder(
                    Responder(id=name, name=f"{name}-name", unit_id=unit, endpoints=endpoints)
                )
            camera = NewDevice(
                id="b7", kind=DeviceKind.BODYCAM, name="执法仪7", responder_id="zhang"
            )
            await self.fleet.admit(uow, camera, "user:chen")

    async def incident(self, **more):
        incident = an_incident(**more)
        async with self.store.begin() as uow:
            await uow.incidents.add(incident)
        return incident

    async def close_incident(self, incident, stage):
        async with self.store.begin() as uow:
            await uow.incidents.update(replace(incident, stage=stage))

    async def open(self, by=LI, **more):
        new = NewRoom(**{"name": "会商", **more})
        async with self.store.begin() as uow:
            return (await self.feature.rooms.open(uow, new, by)).room

    async def open_live(self, device="b7", by=LI):
        async with self.store.begin() as uow:
            return await self.feature.rooms.open_live(uow, device, by)

    # --- what there is -----------------------------------------------------------------------------------

    async def file(self, room):
        return await self.feature.rooms.get(room.id)

    async def room(self, room):
        return (await self.file(room)).room

    async def people(self, room):
        return {one.name: one for one in (await self.file(room)).participants}

    async def states(self, room):
        return {name: str(one.state) for name, one in (await self.people(room)).items()}

    async def source(self, source_id):
        async with self.store.read() as uow:
            return await uow.rooms.find_source(source_id)

    async def legs(self, room):
        async with self.store.read() as uow:
            return await uow.calls.legs_of((await uow.rooms.find(room.id)).call_id)

    async def kinds(self, incident):
        async with self.store.read() as uow:
            return [entry.kind for entry in await uow.timeline.of_incident(incident.id)]

    async def last(self, incident, kind):
        async with self.store.read() as uow:
            entries = await uow.timeline.of_incident(incident.id)
        return [entry for entry in entries if entry.kind == kind][-1].data

    async def audited(self, action):
        async with self.store.read() as uow:
            return [row for row in await uow.audit.list(None, 200) if row.action == action]

    # --- steps -------------------------------------------------------------------------------------------

    async def ask(self, room, *, right=RoomRight.VIEW, source="speaker", by=LI, token=None, **more):
        asking = Asking(
            room=room.id,
            right=right,
            source=source,
            principal=None if token else by,
            token=self.tokens.read(token) if token else None,
            **more,
        )
        return await self.feature.doors.admit(asking)

    async def publish(self, room, *, source="camera", session=None, live=True, sound=False, **more):
        """Somebody's camera comes: asked, answered by the engine, and seen."""
        admission = await self.ask(room, right=RoomRight.PUBLISH, source=source, **more)
        leg_id = None
        if sound:
            leg_id = (await self.feature.doors.seat(room.id, admission.participant_id)).leg_id
        session = session or f"pub-{admission.source_id}"
        self.video.sessions[session] = admission
        await self.feature.doors.session_opened(
            RoomSession(
                session_id=session,
                room_id=room.id,
                participant_id=admission.participant_id,
                right=RoomRight.PUBLISH,
                source_id=admission.source_id,
                leg_id=leg_id,
            )
        )
        if leg_id:
            await self.calls.leg_connected(leg_id, "opus")
        if live:
            await self.feature.events.source_started(
                room.id, admission.source_id, VideoCodec.H264, (0, 1)
            )
        return admission, session

    async def view(self, room, source="speaker", session="view", **more):
        admission = await self.ask(room, source=source, **more)
        self.video.sessions[session] = admission
        await self.feature.doors.session_opened(
            RoomSession(
                session_id=session,
                room_id=room.id,
                participant_id=admission.participant_id,
                right=RoomRight.VIEW,
                source_id=admission.source_id,
                layer=admission.layer,
            )
        )
        return admission

    async def dial(self, room, caller="sip:1001", leg_id="in-1", name=None):
        offered = IncomingCall(
            leg_id=leg_id,
            caller=Endpoint.parse(caller),
            called=room.dial or f"8{room.number}",
            display_name=name,
        )
        return await self.calls.call_offered(offered)

    async def follow(self):
        """What the follower does by itself now and then."""
        await self.feature.follower.compare()

    def commands(self, op):
        return [order for order in self.control.orders if order.op == op]


def desk(principal=LI):
    return Who(principal=principal)


async def a_guest(town, room, name="老周", **more):
    """An invited guest: their invitation, and the token of their link."""
    invited = await town.feature.invitations.invite(room.id, NewInvitation(name=name, **more), LI)
    return invited, invited.link.partition("#")[2]


def a_file(town, room, source_id, name="a.mp4", content=b"picture"):
    """A recording that the engine stored."""
    path = town.feature.recordings.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return RecordedVideo(
        room_id=room.id,
        source_id=source_id,
        path=name,
        seconds=61.25,
        sha256="ab" * 32,
        size=len(content),
        started_at=START.timestamp(),
        width=1920,
        height=1080,
    )


HOUR = timedelta(hours=1)
