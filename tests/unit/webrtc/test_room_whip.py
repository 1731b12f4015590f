"""WHIP and WHEP for rooms: who gets in, how sessions begin and end, and their sound as legs. Real store, real calls."""

from datetime import timedelta

import httpx
import pytest
from fakes.offers import chromium
from fakes.video import FakeRooms, FakeVideo
from fakes.waiting import eventually
from fakes.web import app_of, someone

from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest
from commhub.domain.call import Cause, LegState
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.media import EngineStatus, RtpAddress
from commhub.ports.rooms import RoomRight, RoomToken, Seat
from commhub.ports.video import Layer, PublishOrder, ViewOrder
from gateways.webrtc.api_routes import build_api_router
from gateways.webrtc.config import TurnConfig, WebRtcConfig
from gateways.webrtc.ice import IceServers
from gateways.webrtc.legs import DeskLegs
from gateways.webrtc.room_legs import RoomLegs
from gateways.webrtc.room_routes import RoomDoor, build_room_router
from gateways.webrtc.room_sessions import RoomNews, RoomSessions
from gateways.webrtc.room_tokens import SignedRoomTokens
from gateways.webrtc.routes import build_router
from gateways.webrtc.whip import FRAGMENT, MAX_BODY

CONFIG = WebRtcConfig(
    token_secret=b"secret",
    return_within_s=0.05,
    turn=TurnConfig(urls=("turn:t.example:3478?transport=udp", "stun:t.example"), secret=b"turn"),
)
SDP = {"Content-Type": "application/sdp"}
LI = {"Cookie": "commhub_session=c", "Sec-Fetch-Site": "same-origin"}
OFFER = chromium()
VIEWING = chromium(direction="recvonly")


@pytest.fixture
def video():
    return FakeVideo()


@pytest.fixture
def tokens(clock):
    return SignedRoomTokens(CONFIG.token_secret, clock)


@pytest.fixture
async def legs(store, media, calls):
    made = RoomLegs(CONFIG, store, media, calls)
    async with made:
        yield made


@pytest.fixture
async def rooms(store, clock, calls, legs, media, video):
    """A room whose call has a desk in it, so that it lives."""
    made = FakeRooms("r1")
    legs.connect(made, video)
    desks = DeskLegs(CONFIG, store, media, calls, clock)
    async with desks:
        calls.connect(media, {Scheme.ROOM: legs, Scheme.DESK: desks})
        await calls.resume()
        state = await calls.place(CallRequest(legs=["desk:li"]), someone(name="li"))
        made.call_id = state.call.id

        async def seat(participant_id):
            endpoint = Endpoint(Scheme.ROOM, participant_id)
            leg = await calls.rooms.seat(made.call_id, endpoint, participant_id, someone())
            return Seat(call_id=leg.call_id, leg_id=leg.id)

        made.make_seat = seat
        made.desks = desks
        yield made


@pytest.fixture
async def hub(rooms, video, legs, tokens, clock):
    ice = IceServers(CONFIG.turn, clock)
    door = RoomDoor(rooms, RoomSessions(rooms, video, legs), tokens, ice)
    app = app_of(
        build_api_router(door, ice),
        keys={"wang": someone(name="wang")},
        sessions={"c": someone(name="li")},
        clock=clock,
    )
    app.include_router(build_router(rooms.desks, CONFIG, clock, door))
    app.include_router(build_room_router(door))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        yield client


@pytest.fixture
def bearer(tokens, clock):
    """A header with a room token."""

    def make(*rights, room="r1", who="p1", lasts_s=60, **claims):
        token = RoomToken(
            id="i1",
            room_id=room,
            rights=rights or (RoomRight.PUBLISH, RoomRight.VIEW),
            expires_at=int(clock.now().timestamp()) + lasts_s,
            made_by="user:li",
            participant_id=who,
            **claims,
        )
        return {"Authorization": f"Bearer {tokens.sign(token)}"}

    return make


async def leg_of(calls, rooms, who):
    async with calls._store.read() as uow:
        return await uow.calls.find_leg(rooms.seats[who].leg_id)


async def publish(hub, headers, query="", offer=OFFER):
    return await hub.post(f"/whip/r1{query}", content=offer, headers={**SDP, **headers})


# Getting in -----------------------------------------------------------------------------------------------------


async def test_a_participant_publishes_and_is_a_leg_of_the_rooms_call(
    hub, rooms, calls, media, video, bearer
):
    answer = await publish(hub, bearer())
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/sdp"
    session = answer.headers["location"].removeprefix("/whip/r1/")
    assert answer.headers["etag"] == f'"{session}"'
    order = video.sessions[session]
    assert isinstance(order, PublishOrder)
    assert (order.source_id, order.talks, order.hears) == ("p1-camera", True, True)
    leg = await leg_of(calls, rooms, "p1")
    assert (leg.state, leg.codec, str(leg.endpoint)) == (LegState.CONNECTED, "opus", "room:p1")
    assert order.sound.leg_id == leg.id
    assert order.sound.address.port == media.socket_of(leg.id).getsockname()[1]
    assert media.connected[leg.id].address == RtpAddress("127.0.0.1", 41_000)
    assert media.connected[leg.id].rtcp_mux
    assert rooms.sessions[session].leg_id == leg.id


async def test_an_account_gets_in_by_its_session_and_a_stranger_does_not(hub, rooms):
    assert (await publish(hub, LI)).status_code == 201
    assert rooms.asked[0].principal.name == "li"
    assert (await publish(hub, {})).status_code == 401
    assert (await publish(hub, {**LI, "Sec-Fetch-Site": "cross-site"})).status_code == 403


async def test_source_and_layer_are_asked_for_by_name(hub, video, bearer):
    await publish(hub, bearer(), "?source=screen&layer=sub")
    (order,) = video.sessions.values()
    assert (order.source_id, order.layer) == ("p1-screen", Layer.SUB)
    bad = await publish(hub, bearer(), "?layer=best")
    assert bad.status_code == 422


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda text: text[:-2] + ("AA" if text[-2:] != "AA" else "BB"), 401),
        (lambda text: text.replace("room.", "room.e30"), 401),
        (lambda text: "room.", 401),
        (lambda text: text.replace("room.", "leg."), 401),
        (lambda text: "room." + "A" * 5000, 401),
    ],
)
async def test_a_forged_token_lets_nobody_in(hub, rooms, bearer, spoil, status):
    good = bearer()["Authorization"].removeprefix("Bearer ")
    answer = await publish(hub, {"Authorization": f"Bearer {spoil(good)}"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert rooms.asked == []


async def test_a_token_is_for_one_room_one_right_and_a_time(hub, rooms, clock, bearer):
    assert (await publish(hub, bearer(room="r2"))).status_code == 403
    assert (await publish(hub, bearer(RoomRight.VIEW))).status_code == 403
    assert (await publish(hub, bearer(RoomRight.HOST))).status_code == 201
    late = bearer(lasts_s=60)
    clock.advance(61)
    assert (await publish(hub, late)).status_code == 401


def test_a_token_says_all_it_was_made_with(tokens, clock):
    token = RoomToken(
        id="i",
        room_id="r",
        rights=(RoomRight.PUBLISH,),
        expires_at=int((clock.now() + timedelta(hours=1)).timestamp()),
        made_by="user:li",
        source_id="s",
        layer=Layer.SUB,
    )
    assert tokens.read(tokens.sign(token)) == token
    assert SignedRoomTokens(b"another", clock).read(tokens.sign(token)) is None


async def test_who_has_to_wait_is_told_so_and_is_nowhere(hub, rooms, video, bearer):
    rooms.waiting.add("p1")
    answer = await publish(hub, bearer())
    assert answer.status_code == 403
    assert answer.json()["code"] == "waiting"
    assert answer.headers["retry-after"] == "3"
    assert video.sessions == rooms.sessions == {}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        (SDP, b"x" * (MAX_BODY + 1), 413),
        (SDP, b"\xff\xfe", 422),
    ],
)
async def test_what_is_no_offer_is_refused(hub, bearer, headers, body, status):
    answer = await hub.post("/whip/r1", content=body, headers={**headers, **bearer()})
    assert answer.status_code == status


async def test_what_the_engine_refuses_is_said_and_leaves_nothing_behind(
    hub, rooms, video, calls, media, bearer
):
    video.refuses = "the offer's video lacks a=fingerprint"
    answer = await publish(hub, bearer())
    assert answer.status_code == 422
    assert "fingerprint" in answer.json()["detail"]
    leg = await leg_of(calls, rooms, "p1")
    assert leg.state is LegState.ENDED
    assert leg.id in media.released
    assert rooms.sessions == {}


async def test_who_was_removed_while_being_answered_leaves_nothing_behind(
    hub, rooms, video, calls, media, bearer, monkeypatch
):
    answer = video.publish

    async def slow(order, offer):
        done = await answer(order, offer)
        rooms.removed.add("p1")
        return done

    monkeypatch.setattr(video, "publish", slow)
    assert (await publish(hub, bearer())).status_code == 403
    assert video.sessions == rooms.sessions == {}
    assert not (await leg_of(calls, rooms, "p1")).is_live


async def test_without_a_video_worker_it_is_later(hub, video, rooms, bearer):
    video.unavailable = True
    answer = await publish(hub, bearer())
    assert answer.status_code == 503
    assert rooms.sessions == {}


# Views ----------------------------------------------------------------------------------------------------------


async def test_who_publishes_and_views_is_one_leg(hub, rooms, video, bearer):
    await publish(hub, bearer())
    answer = await hub.post(
        "/whep/r1/speaker?layer=sub", content=VIEWING, headers={**SDP, **bearer()}
    )
    assert answer.status_code == 201
    assert answer.headers["location"].startswith("/whep/r1/speaker/")
    publication, view = video.sessions.values()
    assert isinstance(view, ViewOrder)
    assert (view.source_id, view.best, view.hears) == ("speaker", Layer.SUB, True)
    assert view.sound.leg_id == publication.sound.leg_id


async def test_a_view_without_sound_is_no_leg(hub, rooms, video, bearer):
    rooms.may_hear = False
    await hub.post("/whep/r1/s1", content=VIEWING, headers={**SDP, **bearer()})
    (view,) = video.sessions.values()
    assert view.sound is None
    assert rooms.seats == {}


async def test_sound_that_is_not_agreed_on_takes_no_seat(hub, rooms, video, calls, bearer):
    video.agrees_to_sound = False
    assert (await publish(hub, bearer())).status_code == 201
    assert not (await leg_of(calls, rooms, "p1")).is_live
    (session,) = rooms.sessions.values()
    assert session.leg_id is None


# Resources ------------------------------------------------------------------------------------------------------


async def test_deleting_the_session_ends_it_and_its_leg(hub, rooms, video, calls, media, bearer):
    made = await publish(hub, bearer())
    answer = await hub.delete(made.headers["location"], headers=bearer())
    assert answer.status_code == 200
    assert video.sessions == {}
    assert [reason for _, reason in rooms.closed] == ["left"]
    leg = await leg_of(calls, rooms, "p1")
    assert leg.cause is Cause.HUNG_UP
    assert leg.id in media.released
    again = await hub.delete(made.headers["location"], headers=bearer())
    assert again.status_code == 404


async def test_the_leg_lives_as_long_as_one_of_its_sessions(hub, rooms, calls, bearer):
    made = await publish(hub, bearer())
    view = await hub.post("/whep/r1/speaker", content=VIEWING, headers={**SDP, **bearer()})
    await hub.delete(made.headers["location"], headers=bearer())
    assert (await leg_of(calls, rooms, "p1")).is_live
    await hub.delete(view.headers["location"], headers=bearer())
    assert not (await leg_of(calls, rooms, "p1")).is_live


async def test_a_session_is_nobody_elses(hub, video, bearer):
    made = await publish(hub, bearer())
    place = made.headers["location"]
    assert (await hub.delete(place, headers=bearer(who="p2"))).status_code == 403
    assert (await hub.delete(place, headers=bearer(room="r2"))).status_code == 403
    assert (await hub.delete(place)).status_code == 401
    assert len(video.sessions) == 1


async def test_candidates_trickle_in_and_a_restart_is_another_offer(hub, video, bearer):
    made = await publish(hub, bearer())
    place, tag = made.headers["location"], made.headers["etag"]
    fragment = {"Content-Type": FRAGMENT, **bearer()}
    candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    for match, body, status in (
        (tag, candidate, 204),
        ('"other"', candidate, 412),
        (None, candidate, 428),
        ("*", "a=ice-ufrag:x\r\n", 422),
    ):
        sent = {**fragment, **({"If-Match": match} if match else {})}
        assert (await hub.patch(place, content=body, headers=sent)).status_code == status
    again = await hub.post(place, content=OFFER, headers={**SDP, **bearer()})
    assert again.status_code == 201
    assert again.headers["location"] == place
    assert len(video.sessions) == 1


async def test_another_offer_of_a_view_keeps_its_place(hub, video, bearer):
    made = await hub.post("/whep/r1/s1", content=VIEWING, headers={**SDP, **bearer()})
    again = await hub.post(made.headers["location"], content=VIEWING, headers={**SDP, **bearer()})
    assert again.headers["location"] == made.headers["location"]
    assert (await hub.delete(made.headers["location"], headers=bearer())).status_code == 200
    assert video.sessions == {}


# Switching a view -----------------------------------------------------------------------------------------------


async def watch(hub, headers, source="s1", query="?layer=sub"):
    sent = {**SDP, **headers}
    made = await hub.post(f"/whep/r1/{source}{query}", content=VIEWING, headers=sent)
    return made.headers["location"].rpartition("/")[2]


def switch(hub, session, headers, **body):
    return hub.patch(f"/api/v1/rooms/r1/views/{session}", json=body, headers=headers)


async def test_a_view_is_switched_on_the_connection_it_has(hub, rooms, video, bearer):
    session = await watch(hub, bearer())
    answer = await switch(hub, session, bearer(), layer="main")
    assert (answer.status_code, answer.json()) == (200, {"source_id": "s1", "layer": "main"})
    await switch(hub, session, bearer(), source="s2")
    shown = [order[1:] for order in video.orders if order[0] == "show"]
    assert shown == [(session, "s1", Layer.MAIN), (session, "s2", Layer.MAIN)]
    assert (rooms.sessions[session].source_id, rooms.sessions[session].layer) == ("s2", Layer.MAIN)
    assert len(video.sessions) == 1
    again = {**SDP, **bearer()}
    await hub.post(f"/whep/r1/s1/{session}", content=VIEWING, headers=again)
    assert (video.sessions[session].source_id, video.sessions[session].best) == ("s2", Layer.MAIN)


async def test_to_switch_a_view_needs_the_rights_of_a_new_one(hub, rooms, video, bearer):
    session = await watch(hub, bearer())
    refused = [
        (bearer(RoomRight.PUBLISH), 403),
        (bearer(who="p2"), 403),
        (bearer(room="r2"), 403),
        (LI, 403),
        ({}, 401),
    ]
    for headers, status in refused:
        assert (await switch(hub, session, headers, layer="main")).status_code == status
    rooms.removed.add("p1")
    assert (await switch(hub, session, bearer(), layer="main")).status_code == 403
    assert not [order for order in video.orders if order[0] == "show"]
    assert rooms.sessions[session].layer is Layer.SUB


@pytest.mark.parametrize("body", [{}, {"layer": "best"}, {"source": ""}, {"colour": "red"}])
async def test_what_is_no_switch_is_refused(hub, video, bearer, body):
    session = await watch(hub, bearer())
    assert (await switch(hub, session, bearer(), **body)).status_code == 422
    assert not [order for order in video.orders if order[0] == "show"]


async def test_what_publishes_or_is_over_is_not_switched(hub, rooms, video, bearer):
    made = await publish(hub, bearer())
    publishes = made.headers["location"].rpartition("/")[2]
    assert (await switch(hub, publishes, bearer(), layer="sub")).status_code == 422
    assert (await switch(hub, "nobody", bearer(), layer="sub")).status_code == 404
    session = await watch(hub, bearer())
    # The worker was restarted: it has forgotten the session, the row does not know yet.
    video.sessions.clear()
    assert (await switch(hub, session, bearer(), layer="main")).status_code == 404
    assert rooms.sessions[session].layer is Layer.SUB


async def test_options_need_no_credentials(hub):
    for path in ("/whip/r1", "/whip/r1/x", "/whep/r1/s1", "/whep/r1/s1/x"):
        answer = await hub.options(path)
        assert answer.status_code == 204
        assert answer.headers["accept-post"] == "application/sdp"


# TURN -----------------------------------------------------------------------------------------------------------


async def test_turn_credentials_are_those_coturn_computes(hub, clock, bearer):
    import base64
    import hashlib
    import hmac

    answer = await hub.get("/api/v1/webrtc/ice-servers", headers=bearer())
    turn, stun = answer.json()["servers"]
    ends, name = turn["username"].split(":")
    assert int(ends) == int(clock.now().timestamp()) + 6 * 3600
    assert name == "p1"
    mac = hmac.new(b"turn", turn["username"].encode(), hashlib.sha1).digest()
    assert turn["credential"] == base64.b64encode(mac).decode()
    assert stun == {"urls": "stun:t.example", "username": None, "credential": None}
    assert (await hub.get("/api/v1/webrtc/ice-servers")).status_code == 401


async def test_an_answer_links_to_the_turn_server(hub, bearer):
    link = (await publish(hub, bearer())).headers["link"]
    assert link.startswith('<turn:t.example:3478?transport=udp>; rel="ice-server"; username="')
    assert 'credential-type="password", <stun:t.example>; rel="ice-server"' in link


# The leg's life -------------------------------------------------------------------------------------------------


async def test_the_desk_hangs_up_the_sound_and_the_picture_goes_on(
    hub, rooms, calls, media, video, bearer
):
    await publish(hub, bearer())
    leg = await leg_of(calls, rooms, "p1")
    await calls.hang_up(leg.call_id, leg.id, someone(name="li"))
    (session,) = video.sessions
    assert video.placed[session] is None
    assert leg.id in media.released


async def test_a_participant_who_vanishes_is_given_time_and_then_the_leg_ends(
    hub, rooms, calls, legs, bearer
):
    await publish(hub, bearer())
    (session,) = rooms.sessions
    await RoomNews(rooms, rooms, legs).session_lost(session, "vanished")
    assert (await leg_of(calls, rooms, "p1")).is_live
    await eventually(lambda: _ended(calls, rooms, Cause.MEDIA_LOST))


async def test_a_participant_who_comes_back_in_time_keeps_the_leg(hub, rooms, calls, legs, bearer):
    await publish(hub, bearer())
    before = await leg_of(calls, rooms, "p1")
    (session,) = rooms.sessions
    await RoomNews(rooms, rooms, legs).session_lost(session, "vanished")
    assert (await publish(hub, bearer())).status_code == 201
    assert not legs._waiting
    after = await leg_of(calls, rooms, "p1")
    assert (after.id, after.state) == (before.id, LegState.CONNECTED)


async def test_a_picture_engine_without_its_sessions_is_noticed(hub, rooms, calls, legs, bearer):
    await publish(hub, bearer())
    rooms.sessions.clear()
    await RoomNews(rooms, rooms, legs).engine_came("2")
    await eventually(lambda: _ended(calls, rooms, Cause.MEDIA_LOST))


async def test_an_audio_worker_that_lost_the_leg_gets_it_again_without_the_browser(
    hub, rooms, calls, media, store, clock, video, bearer
):
    await publish(hub, bearer())
    leg = await leg_of(calls, rooms, "p1")
    await media.release(leg.id)
    events = MediaEvents(calls, store, clock)
    await events.engine_status(EngineStatus(worker="w0", boot_id="2", legs=()))
    await eventually(lambda: leg.id in media.connected)
    (session,) = video.sessions
    assert video.placed[session].address.port == media.socket_of(leg.id).getsockname()[1]
    assert (await leg_of(calls, rooms, "p1")).state is LegState.CONNECTED


async def test_a_leg_that_was_given_another_address_is_sent_there(hub, rooms, calls, video, bearer):
    await publish(hub, bearer())
    leg = await leg_of(calls, rooms, "p1")
    await calls.readdress(leg.id, RtpAddress("127.0.0.1", 20_222))
    (session,) = video.sessions
    assert video.placed[session].address == RtpAddress("127.0.0.1", 20_222)
    assert (await leg_of(calls, rooms, "p1")).is_live


async def test_a_seat_nobody_takes_is_given_up(store, clock, media, calls, legs, rooms):
    calls._orderly._ring_for_s = 0.05
    rooms.seats["p9"] = await rooms.make_seat("p9")
    await eventually(lambda: _ended(calls, rooms, Cause.NO_ANSWER, who="p9"))


async def _ended(calls, rooms, cause, who="p1"):
    leg = await leg_of(calls, rooms, who)
    return leg.state is LegState.ENDED and leg.cause is cause
