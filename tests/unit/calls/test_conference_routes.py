"""The dispatcher's hand in a call over HTTP: what a client sends and gets, and who may."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import app_of, client_of, someone

from commhub.calls.routes import build_router
from commhub.calls.service import CallRequest, CallService
from commhub.domain.people import Role, Scheme
from commhub.ports.media import FloorAction

DESK = someone()


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
def calls(store, clock, media):
    service = CallService(store, clock)
    driver = FakeDriver()
    service.connect(media, {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


async def talking(calls, *endpoints):
    """A call whose legs all talk."""
    state = await calls.place(CallRequest(legs=endpoints), DESK)
    for leg in state.legs:
        await calls.leg_connected(leg.id, "PCMA")
    return state.call, {str(leg.endpoint): leg for leg in state.legs}


@pytest.fixture
async def client(calls, store, clock, tmp_path):
    keys = {"caller": someone(Role.RESPONDER, name="zhao")}
    app = app_of(build_router(calls, store), clock=clock, keys=keys)
    async with client_of(app) as client:
        yield client


async def test_a_leg_is_changed_moved_and_merged_over_http(client, calls):
    here, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    there, _ = await talking(calls, "sip:2001", "sip:2002")
    leg = f"calls/{here.id}/legs/{legs['sip:1001'].id}"
    body = {"held": True, "gain_db": -6, "whispers_to": [legs["sip:1002"].id]}
    answer = (await client.patch(leg, json=body)).json()
    assert {name: answer[name] for name in body} == body
    moved = (await client.post(f"{leg}/move", json={"to": there.id})).json()
    assert (moved["call_id"], moved["held"], moved["whispers_to"]) == (there.id, False, [])
    merged = await client.post(f"calls/{here.id}/merge", json={"into": there.id})
    assert {one["endpoint"] for one in merged.json()["legs"]} == {
        "sip:1001", "sip:1002", "sip:1003", "sip:2001", "sip:2002",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {"gain_db": 21},
        {"gain_db": "loud"},
        {"whispers_to": "sip:1001"},
        {"whispers_to": ["nobody"]},
        {"hears": []},
    ],
)
async def test_a_change_that_makes_no_sense_is_422_with_a_reason(client, calls, body):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    answer = await client.patch(f"calls/{call.id}/legs/{legs['sip:1001'].id}", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_the_floor_of_a_group_is_commanded_over_http(client, media):
    answer = await client.post("calls/floors/g1", json={"action": "revoke"})
    assert answer.status_code == 204
    assert media.orders == [("command_floor", "g1", FloorAction.REVOKE, None)]
    for body in ({"action": "steal"}, {"action": "grant"}, {"action": "grant", "participant": "x"}):
        assert (await client.post("calls/floors/g1", json=body)).status_code == 422


@pytest.mark.parametrize("key", ["viewer", "caller"])
async def test_who_may_not_intervene_is_told_so(client, calls, media, key):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    client.headers["Authorization"] = f"Bearer {key}"
    leg = f"calls/{call.id}/legs/{legs['sip:1001'].id}"
    for answer in (
        await client.patch(leg, json={"listen_only": True}),
        await client.post(f"{leg}/move", json={"to": "x"}),
        await client.post("calls/floors/g1", json={"action": "revoke"}),
        await client.post(f"calls/{call.id}/legs", json={"endpoint": "sip:1", "mode": "listen"}),
    ):
        assert answer.status_code == 403
    assert media.orders == []


async def test_keys_are_pressed_once_and_which_they_were_is_not_written_down(
    client, calls, media, store
):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    leg = legs["sip:1001"].id
    path, key = f"calls/{call.id}/legs/{leg}/keys", {"Idempotency-Key": "one-press"}
    for _ in range(2):
        answer = await client.post(path, json={"digits": "4711#"}, headers=key)
        assert (answer.status_code, answer.json()["id"]) == (202, leg)

    assert [order for order in media.orders if order[0] == "send_digits"] == [
        ("send_digits", leg, "4711#")
    ]
    async with store.read() as uow:
        rows = [row for row in await uow.audit.list(None, 10) if row.action == "call.press_keys"]
    assert [(row.subject, row.detail) for row in rows] == [(call.id, "sip:1001 keys=5")]


@pytest.mark.parametrize(
    ("endpoint", "digits", "status"),
    [
        ("sip:1001", "", 422),
        ("sip:1001", "12x", 422),
        ("sip:1001", "1" * 65, 422),
        ("radio:patrol-1", "5", 422),
    ],
)
async def test_what_is_no_key_or_hears_none_is_refused(
    client, calls, media, endpoint, digits, status
):
    call, legs = await talking(calls, endpoint, "sip:1002")
    path = f"calls/{call.id}/legs/{legs[endpoint].id}/keys"

    assert (await client.post(path, json={"digits": digits})).status_code == status
    assert not [order for order in media.orders if order[0] == "send_digits"]


async def test_a_leg_that_only_rings_takes_no_keys(client, calls):
    state = await calls.place(CallRequest(legs=["sip:1001", "sip:1002"]), DESK)
    path = f"calls/{state.call.id}/legs/{state.legs[0].id}/keys"

    assert (await client.post(path, json={"digits": "1"})).status_code == 409
