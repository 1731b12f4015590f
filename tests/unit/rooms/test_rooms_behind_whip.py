"""Rooms with their real edge: an offer by WHIP or WHEP makes a participant, a leg and a session, and its end unmakes them."""

from dataclasses import replace

import httpx
import pytest
from fakes.media import FakeMedia
from fakes.offers import chromium
from fakes.rooms import LI, RUNG, a_guest, desk
from fakes.waiting import eventually
from fakes.web import app_of, someone

from commhub.domain.call import LegState
from commhub.domain.people import Scheme
from commhub.domain.room import RoomMode, SourceState
from commhub.ports.video import PublishOrder, VideoCodec, ViewOrder
from commhub.rooms import inside_routes
from commhub.rooms.pulling import NewPull
from gateways.webrtc.api_routes import build_api_router
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.ice import IceServers
from gateways.webrtc.legs import DeskLegs
from gateways.webrtc.room_legs import RoomLegs
from gateways.webrtc.room_routes import RoomDoor, build_room_router
from gateways.webrtc.room_sessions import RoomNews, RoomSessions
from gateways.webrtc.routes import build_router

CONFIG = WebRtcConfig(token_secret=b"secret")
SDP = {"Content-Type": "application/sdp"}
OFFER = chromium()
VIEWING = chromium(direction="recvonly")


@pytest.fixture
def patience():
    """Seconds a lost browser has to come back; longer than any test, unless it says otherwise."""
    return 600.0


@pytest.fixture
async def legs(town, patience):
    media = FakeMedia()
    config = replace(CONFIG, return_within_s=patience)
    async with RoomLegs(config, town.store, media, town.calls) as legs:
        legs.connect(town.feature.doors, town.video)
        town.calls.connect(media, {**dict.fromkeys(RUNG, town.driver), Scheme.ROOM: legs})
        yield legs
    media.close()


@pytest.fixture
def news(town, legs):
    return RoomNews(town.feature.events, town.feature.doors, legs)


@pytest.fixture
async def client(town, legs):
    sessions = RoomSessions(town.feature.doors, town.video, legs)
    door = RoomDoor(town.feature.doors, sessions, town.tokens, IceServers(None, town.clock))
    desks = DeskLegs(CONFIG, town.store, FakeMedia(), town.calls, town.clock)
    app = app_of(
        inside_routes.build_router(town.feature), keys={"li": someone(name="li")}, clock=town.clock
    )
    app.include_router(build_router(desks, CONFIG, town.clock, door))
    app.include_router(build_room_router(door))
    ice = IceServers(None, town.clock)
    app.include_router(build_api_router(door, ice), prefix="/api/v1")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://hub.test", headers=bearer("li")
    ) as client:
        yield client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_guest_publishes_is_heard_and_leaves(client, town, news):
    room = await town.open()
    _, token = await a_guest(town, room)
    answer = await client.post(f"/whip/{room.id}", content=OFFER, headers={**SDP, **bearer(token)})
    assert answer.status_code == 201, answer.text
    assert (await town.states(room))["老周"] == "joined"
    (leg,) = await town.legs(room)
    guest = (await town.people(room))["老周"]
    assert (leg.state, str(leg.endpoint)) == (LegState.CONNECTED, f"room:{guest.id}")
    (order,) = town.video.sessions.values()
    assert isinstance(order, PublishOrder)
    assert (order.talks, order.hears, order.is_screen) == (True, True, False)
    await news.source_started(room.id, order.source_id, VideoCodec.H264, (0,))
    assert (await town.source(order.source_id)).state is SourceState.LIVE
    gone = await client.delete(answer.headers["location"], headers=bearer(token))
    assert gone.status_code == 200
    await town.follow()
    assert (await town.states(room))["老周"] == "left"
    assert not (await town.legs(room))[0].is_live


async def test_the_desk_watches_the_speaker_with_the_rooms_sound(client, town):
    room = await town.open()
    answer = await client.post(f"/whep/{room.id}/speaker", content=VIEWING, headers=SDP)
    assert answer.status_code == 201, answer.text
    (order,) = town.video.sessions.values()
    assert isinstance(order, ViewOrder)
    assert (order.source_id, order.hears) == ("speaker", True)
    await town.follow()
    assert (await town.states(room))["li"] == "joined"


async def test_whoever_waits_is_told_so_and_answered_once_they_are_let_in(client, town):
    room = await town.open(lobby=True)
    invited, token = await a_guest(town, room)
    sent = {**SDP, **bearer(token)}
    waiting = await client.post(f"/whip/{room.id}", content=OFFER, headers=sent)
    assert (waiting.status_code, waiting.json()["code"]) == (403, "waiting")
    assert town.video.sessions == {}
    await town.feature.host.let_in(room.id, invited.participant.id, desk())
    assert (await client.post(f"/whip/{room.id}", content=OFFER, headers=sent)).status_code == 201


async def test_a_removed_guests_sessions_and_leg_are_gone(client, town):
    room = await town.open()
    invited, token = await a_guest(town, room)
    sent = {**SDP, **bearer(token)}
    await client.post(f"/whip/{room.id}", content=OFFER, headers=sent)
    await town.feature.host.remove(room.id, invited.participant.id, desk())
    assert town.video.sessions == {}
    assert not (await town.legs(room))[0].is_live
    again = await client.post(f"/whip/{room.id}", content=OFFER, headers=sent)
    assert again.status_code == 403


async def test_a_browser_that_is_lost_keeps_its_seat_for_a_while(client, town, news):
    room = await town.open()
    _, token = await a_guest(town, room)
    sent = {**SDP, **bearer(token)}
    await client.post(f"/whip/{room.id}", content=OFFER, headers=sent)
    (session,) = town.video.sessions
    (leg,) = await town.legs(room)
    await news.session_lost(session, "silent")
    assert (await town.states(room))["老周"] == "joined"
    await client.post(f"/whip/{room.id}", content=OFFER, headers=sent)
    (same,) = await town.legs(room)
    assert (same.id, same.is_live) == (leg.id, True)


@pytest.mark.parametrize("patience", [0.05])
async def test_a_browser_that_does_not_come_back_has_left(client, town, news):
    room = await town.open()
    _, token = await a_guest(town, room)
    await client.post(f"/whip/{room.id}", content=OFFER, headers={**SDP, **bearer(token)})
    (session,) = town.video.sessions
    await news.session_lost(session, "silent")

    async def has_left():
        await town.follow()
        return (await town.states(room))["老周"] == "left"

    await eventually(has_left)


async def test_an_engine_that_is_down_leaves_nobody_in_the_room(client, town):
    room = await town.open()
    _, token = await a_guest(town, room)
    town.video.unavailable = True
    answer = await client.post(f"/whip/{room.id}", content=OFFER, headers={**SDP, **bearer(token)})
    assert answer.status_code == 503
    await town.follow()
    assert (await town.states(room))["老周"] == "invited"
    assert not any(leg.is_live for leg in await town.legs(room))


async def test_a_camera_publishes_with_the_token_it_was_sent(client, town):
    file = await town.open_live()
    (source,) = file.sources
    asked = await client.post(f"/whep/{file.room.id}/{source.id}", content=VIEWING, headers=SDP)
    assert (asked.status_code, "retry-after" in asked.headers) == (503, True)
    args = town.commands("live.start")[0].args
    path = args["whip"].removeprefix("https://hub.test")
    for layer in args["layers"]:
        answer = await client.post(
            f"{path}&layer={layer}", content=OFFER, headers={**SDP, **bearer(args["token"])}
        )
        assert answer.status_code == 201, answer.text
    assert {int(order.layer) for order in town.video.sessions.values()} == {0, 1}
    assert all(order.sound is None for order in town.video.sessions.values())
    await town.feature.events.source_started(file.room.id, source.id, VideoCodec.H264, (0, 1))
    seen = await client.post(
        f"/whep/{file.room.id}/{source.id}?layer=sub", content=VIEWING, headers=SDP
    )
    assert seen.status_code == 201, seen.text


async def test_a_view_switched_to_another_source_is_audited_and_keeps_its_rights(client, town):
    room = await town.open(mode=RoomMode.WALL)
    ids = []
    for name in ("东门", "西门"):
        pull = NewPull(label=name, url="rtsp://10.0.0.9/1")
        async with town.store.begin() as uow:
            source = await town.feature.pulling.add(uow, room.id, pull, LI)
        await town.feature.events.source_started(room.id, source.id, VideoCodec.H264, (0,))
        ids.append(source.id)
    east, west = ids
    made = await client.post(f"/whep/{room.id}/{east}?layer=sub", content=VIEWING, headers=SDP)
    assert made.status_code == 201, made.text
    session = made.headers["location"].rpartition("/")[2]
    path = f"/api/v1/rooms/{room.id}/views/{session}"
    assert (await client.patch(path, json={"layer": "main"})).status_code == 200
    assert len(await town.audited("room.view")) == 1
    switched = await client.patch(path, json={"source": west})
    assert switched.json() == {"source_id": west, "layer": "main"}
    assert {row.subject for row in await town.audited("room.view")} == {east, west}
    assert (await town.feature.doors.find_session(session)).source_id == west
    assert (await client.patch(path, json={"source": "speaker"})).status_code == 422
    assert (await client.patch(path, json={"source": "nobody"})).status_code == 404
    assert (await town.feature.doors.find_session(session)).source_id == west
