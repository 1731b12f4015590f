"""Rooms over HTTP: the desk with its permissions, guests with their links, and what each of them is refused."""

import pytest
from fakes.rooms import LI, a_file, a_guest
from fakes.web import app_of, client_of, someone

from commhub.domain.people import Role
from commhub.domain.room import RoomRole
from commhub.messages import routes as message_routes
from commhub.rooms import inside_routes, record_routes, routes
from commhub.rooms.inviting import NewInvitation

KEYS = {
    "li": someone(name="li"),
    "wang": someone(Role.VIEWER, name="wang"),
    "zhang": someone(Role.RESPONDER, name="zhang"),
    "root": someone(Role.SYSTEM_ADMIN, name="root"),
}


@pytest.fixture
def app(town):
    feature = town.feature
    return app_of(
        record_routes.build_wall_router(feature),
        routes.build_router(feature),
        record_routes.build_router(feature),
        inside_routes.build_router(feature),
        keys=KEYS,
        clock=town.clock,
    )


@pytest.fixture
async def client(app):
    async with client_of(app, key="li") as client:
        yield client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_room_is_opened_listed_shown_and_ended(client, town):
    incident = await town.incident()
    opened = await client.post("rooms", json={"name": "会商", "incident": incident.id})
    assert opened.status_code == 201
    room = opened.json()
    assert (room["mode"], room["state"], room["incident_id"]) == ("meeting", "open", incident.id)
    assert [one["role"] for one in room["participants"]] == ["host"]
    other = (await client.post("rooms", json={"name": "另一个"})).json()
    everything = (await client.get("rooms")).json()["items"]
    assert [one["id"] for one in everything] == [other["id"], room["id"]]
    (one,) = (await client.get(f"rooms?incident={incident.id}")).json()["items"]
    assert one["id"] == room["id"]
    assert (await client.delete(f"rooms/{other['id']}")).status_code == 204
    assert (await client.delete(f"rooms/{other['id']}")).status_code == 204
    assert len((await client.get("rooms?open=true")).json()["items"]) == 1
    assert (await client.get(f"rooms/{other['id']}")).json()["state"] == "ended"


async def test_the_same_key_opens_one_room(client):
    key = {"Idempotency-Key": "k1"}
    answers = [await client.post("rooms", json={"name": "会商"}, headers=key) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert len((await client.get("rooms")).json()["items"]) == 1


async def test_a_link_is_shown_once(client):
    room = (await client.post("rooms", json={"name": "会商"})).json()
    path, key = f"rooms/{room['id']}/invitations", {"Idempotency-Key": "k1"}
    first = (await client.post(path, json={"name": "老周"}, headers=key)).json()
    again = (await client.post(path, json={"name": "老周"}, headers=key)).json()
    assert first["link"].startswith("https://hub.test/meet/")
    assert again["link"] is None
    assert again["invitation"] == first["invitation"]
    (listed,) = (await client.get(path)).json()
    assert "link" not in listed
    secret = first["link"].partition("#")[2]
    assert (await client.get(f"rooms/{room['id']}", headers=bearer(secret))).status_code == 200
    assert (await client.delete(f"{path}/{listed['id']}")).json()["revoked_at"] is not None
    refused = await client.get(f"rooms/{room['id']}", headers=bearer(secret))
    assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")


async def test_a_message_shows_the_link_without_its_secret(town):
    room = await town.open()
    invited = await town.feature.invitations.invite(room.id, NewInvitation(to="zhang"), LI)
    router = message_routes.build_router(town.town.messages, town.store)
    async with client_of(app_of(router), key="viewer") as viewer:
        (message,) = (await viewer.get("messages")).json()["items"]
    assert message["link"] == invited.link.partition("#")[0]
    assert invited.link.partition("#")[2] not in str(message)


async def test_a_guest_sees_the_room_and_no_other_part_of_the_hub(client, town):
    room = await town.open()
    _, token = await a_guest(town, room)
    guest = bearer(token)
    assert (await client.get(f"rooms/{room.id}", headers=guest)).status_code == 200
    me = (await client.get(f"rooms/{room.id}/me", headers=guest)).json()
    assert (me["participant"]["name"], me["waiting"]) == ("老周", False)
    other = await town.open()
    assert (await client.get(f"rooms/{other.id}", headers=guest)).status_code == 403
    for path in ("rooms", f"rooms/{room.id}/invitations", f"rooms/{room.id}/minutes", "rooms/wall"):
        assert (await client.get(path, headers=guest)).status_code == 401
    assert (await client.delete(f"rooms/{room.id}", headers=guest)).status_code == 401
    ended = f"rooms/{room.id}/participants/{me['participant']['id']}"
    assert (await client.delete(ended, headers=guest)).status_code == 403


async def test_a_guest_who_waits_sees_nobody(client, town):
    room = await town.open(lobby=True)
    invited, token = await a_guest(town, room)
    guest = bearer(token)
    knocked = (await client.post(f"rooms/{room.id}/enter", headers=guest)).json()
    assert (knocked["waiting"], knocked["participant"]["state"]) == (True, "waiting")
    seen = (await client.get(f"rooms/{room.id}", headers=guest)).json()
    assert [one["name"] for one in seen["participants"]] == ["老周"]
    admit = f"rooms/{room.id}/participants/{invited.participant.id}/admit"
    assert (await client.post(admit, headers=guest)).status_code == 403
    assert (await client.post(admit)).json()["admitted"]
    assert not (await client.get(f"rooms/{room.id}/me", headers=guest)).json()["waiting"]
    seen = (await client.get(f"rooms/{room.id}", headers=guest)).json()
    assert len(seen["participants"]) == 2


async def test_a_guest_who_hosts_controls_the_room(client, town):
    room = await town.open()
    _, token = await a_guest(town, room, role=RoomRole.HOST)
    locked = await client.patch(f"rooms/{room.id}", json={"locked": True}, headers=bearer(token))
    assert (locked.status_code, locked.json()["locked"]) == (200, True)


async def test_a_removed_guest_is_told_so_and_a_revoked_link_is_no_good(client, town):
    room = await town.open()
    removed, token = await a_guest(town, room)
    revoked, other = await a_guest(town, room, "老吴")
    await client.delete(f"rooms/{room.id}/participants/{removed.participant.id}")
    await client.delete(f"rooms/{room.id}/invitations/{revoked.invitation.id}")
    for bearer_of, word in ((token, "removed"), (other, "revoked")):
        answer = await client.get(f"rooms/{room.id}", headers=bearer(bearer_of))
        assert answer.status_code == 403
        assert word in answer.json()["detail"]
    elsewhere = await town.open(name="晚会")
    answer = await client.get(f"rooms/{elsewhere.id}", headers=bearer(token))
    assert (answer.status_code, "removed" in answer.json()["detail"]) == (403, False)


async def test_forged_and_expired_tokens_are_nobodys(client, town):
    room = await town.open()
    _, token = await a_guest(town, room)
    town.clock.advance(25 * 3600)
    for bad in (token, token[:-4] + "AAAA", "room.e30.x", "room.", ""):
        answer = await client.get(f"rooms/{room.id}", headers=bearer(bad))
        assert answer.status_code == 401, bad


async def test_a_participant_is_muted_raises_a_hand_and_leaves(client, town):
    room = await town.open()
    invited, token = await a_guest(town, room)
    admission, _ = await town.publish(room, token=token)
    path = f"rooms/{room.id}/participants/{invited.participant.id}"
    muted = await client.patch(path, json={"sound_muted": True, "picture_muted": True})
    assert (muted.json()["sound_muted"], muted.json()["picture_muted"]) == (True, True)
    raised = await client.patch(path, json={"hand_raised": True}, headers=bearer(token))
    assert raised.json()["hand_raised"]
    assert (
        await client.patch(path, json={"role": "host"}, headers=bearer(token))
    ).status_code == 403
    source = f"rooms/{room.id}/sources/{admission.source_id}"
    assert not (await client.patch(source, json={"muted": False})).json()["muted"]
    left = await client.post(f"rooms/{room.id}/leave", headers=bearer(token))
    assert left.status_code == 204
    seen = (await client.get(f"rooms/{room.id}")).json()
    assert [one["state"] for one in seen["participants"]] == ["invited", "left"]
    assert seen["sources"] == []


async def test_meters_are_those_of_the_moment(client, town):
    room = await town.open()
    admission, _ = await town.publish(room)
    town.video.sees(room.id, admission.source_id, views=3)
    await town.feature.events.measured(await town.video.status())
    await town.feature.events.speaker_moved(room.id, admission.source_id)
    meters = (await client.get(f"rooms/{room.id}/meters")).json()
    assert meters["speaker"] == admission.source_id
    assert meters["speaking"] == admission.participant_id
    (one,) = meters["sources"]
    assert (one["views"], one["layers"][0]["layer"], one["layers"][0]["height"]) == (
        3,
        "main",
        1080,
    )


async def test_the_live_view_of_a_camera(client, app):
    first = await client.post("rooms/live", json={"camera": "b7"})
    assert first.json()["sources"][0]["device"] == "b7"
    async with client_of(app, key="wang") as viewer:
        again = await viewer.post("rooms/live", json={"camera": "b7"})
        assert again.json()["id"] == first.json()["id"]
        assert (await viewer.post("rooms/live", json={"camera": "b8"})).status_code == 404


async def test_a_roll_call_is_called_and_found_by_its_number(client, town):
    room = await town.open()
    path = f"rooms/{room.id}/roll-calls"
    called = await client.post(path, json={"expect": ["sip:1002"], "within_s": 10})
    assert called.status_code == 201
    assert (called.json()["n"], called.json()["items"][0]["verdict"]) == (1, "pending")
    assert (await client.post(path, json={})).status_code == 409
    town.clock.advance(2)
    await town.calls.leg_connected(town.driver.placed[0].leg_id, "PCMA")
    await town.feature.roll_calls.look()
    (item,) = (await client.get(f"{path}/1")).json()["items"]
    assert (item["answer_ms"], item["rung"]) == (2000, True)
    town.clock.advance(8)
    await town.feature.roll_calls.look()
    done = (await client.get(f"{path}/1")).json()
    assert (done["state"], done["items"][0]["verdict"]) == ("done", "faulty")
    assert len((await client.get(path)).json()) == 1
    assert (await client.get(f"{path}/2")).status_code == 404


async def test_minutes_are_written_and_exported(client, town):
    room = await town.open()
    path = f"rooms/{room.id}/minutes"
    assert (await client.put(path, json={"text": "一", "based_on": 0})).json()["version"] == 1
    late = await client.put(path, json={"text": "二", "based_on": 0})
    assert (late.status_code, late.json()["latest"]) == (409, 1)
    export = await client.get(f"{path}/export")
    assert export.headers["content-type"].startswith("text/markdown")
    assert "# 会议纪要：会商" in export.text


async def test_a_recording_is_listed_taken_in_pieces_and_held(client, app, town):
    room = await town.open()
    admission, _ = await town.publish(room)
    await town.feature.events.recording_stored(a_file(town, room, admission.source_id))
    path = f"rooms/{room.id}/recordings"
    (listed,) = (await client.get(path)).json()
    whole = await client.get(f"{path}/{listed['id']}")
    assert (whole.content, whole.headers["content-type"]) == (b"picture", "video/mp4")
    piece = await client.get(f"{path}/{listed['id']}", headers={"Range": "bytes=3-4"})
    assert (piece.status_code, piece.content) == (206, b"tu")
    assert len(await town.audited("room_recording.read")) == 1
    assert (await client.patch(f"{path}/{listed['id']}", json={"held": True})).status_code == 403
    async with client_of(app, key="admin") as admin:
        held = await admin.patch(f"{path}/{listed['id']}", json={"held": True})
        assert held.json()["held"]
    assert (await client.post(path, json={"on": True})).json() == {"on": True}


async def test_walls_are_kept_by_name(client, app):
    body = {"name": "早班", "columns": 2, "tiles": ["cam:b7", ""]}
    assert (await client.put("rooms/wall", json=body)).json()["owner"] == "user:li"
    assert [one["name"] for one in (await client.get("rooms/wall")).json()] == ["早班"]
    async with client_of(app, key="wang") as viewer:
        assert (await viewer.get("rooms/wall")).json() == []
        shared = await viewer.put("rooms/wall", json={**body, "shared": True})
        assert shared.status_code == 403
    assert (await client.put("rooms/wall", json={**body, "columns": 5})).status_code == 422
    assert (await client.delete("rooms/wall?name=早班")).status_code == 204


@pytest.mark.parametrize("key", ["wang", "zhang", "root"])
async def test_who_may_not_call_changes_no_room(app, town, key):
    room = await town.open()
    (host,) = (await town.file(room)).participants
    async with client_of(app, key=key) as client:
        tries = [
            client.post("rooms", json={"name": "x"}),
            client.delete(f"rooms/{room.id}"),
            client.patch(f"rooms/{room.id}", json={"locked": True}),
            client.post(f"rooms/{room.id}/invitations", json={"name": "x"}),
            client.get(f"rooms/{room.id}/invitations"),
            client.post(f"rooms/{room.id}/roll-calls", json={}),
            client.post(f"rooms/{room.id}/recordings", json={}),
            client.post(f"rooms/{room.id}/participants/{host.id}/admit"),
            client.delete(f"rooms/{room.id}/participants/{host.id}"),
            client.patch(f"rooms/{room.id}/participants/{host.id}", json={"sound_muted": True}),
            client.post(f"rooms/{room.id}/enter"),
        ]
        for attempt in tries:
            assert (await attempt).status_code == 403
    assert (await town.states(room)) == {"li": "invited"}


async def test_nobody_is_told_anything_without_signing_in(app, town):
    room = await town.open()
    async with client_of(app, key=None) as nobody:
        for path in ("", "/me", "/meters", "/roll-calls", "/minutes", "/recordings"):
            assert (await nobody.get(f"rooms/{room.id}{path}")).status_code == 401
        for path in ("/enter", "/leave"):
            assert (await nobody.post(f"rooms/{room.id}{path}")).status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("rooms", {"name": ""}),
        ("rooms", {"name": "x", "mode": "party"}),
        ("rooms", {"name": "x", "colour": "red"}),
        ("rooms/live", {}),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_place(client, path, body):
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_a_room_nobody_has_is_not_found(client):
    for path in ("", "/me", "/meters", "/invitations", "/minutes", "/recordings"):
        assert (await client.get(f"rooms/nobody{path}")).status_code == 404, path


async def test_a_camera_is_put_in_by_its_address_which_nobody_is_shown(client, app, town):
    room = (await client.post("rooms", json={"name": "园区", "mode": "wall"})).json()
    path, key = f"rooms/{room['id']}/sources", {"Idempotency-Key": "k1"}
    body = {"label": "东门", "rtsp": "rtsp://u:pass-4711@10.0.0.9/1", "unit": "u1"}
    answers = [await client.post(path, json=body, headers=key) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    source = answers[0].json()
    assert answers[1].json() == source
    assert (source["kind"], source["label"], source["state"]) == ("rtsp", "东门", "starting")
    shown = await client.get(f"rooms/{room['id']}")
    assert [one["id"] for one in shown.json()["sources"]] == [source["id"]]
    wrong = await client.post(path, json=body | {"rtsp": "http://u:pass-4711@10.0.0.9/1"})
    too_long = await client.post(path, json=body | {"rtsp": "rtsp://u:pass-4711@" + "a" * 600})
    assert (wrong.status_code, too_long.status_code) == (422, 422)
    other = body | {"rtsp": "rtsp://10.0.0.10/1"}
    assert (await client.post(path, json=other, headers=key)).status_code == 409
    said = "".join(one.text for one in (*answers, shown, wrong, too_long))
    assert "pass-4711" not in said
    async with client_of(app, key="zhang") as stranger:
        assert (await stranger.post(path, json=body)).status_code == 403
        assert (await stranger.delete(f"{path}/{source['id']}")).status_code == 403
    for _ in range(2):
        assert (await client.delete(f"{path}/{source['id']}")).status_code == 204
    assert len(town.video.told("ingest")) >= 1
    assert len(town.video.told("release")) == 1
