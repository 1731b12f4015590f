"""Calls over HTTP: what a client sends and gets."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import app_of, client_of

from commhub.calls.routes import build_router
from commhub.calls.service import CallService
from commhub.domain.people import Scheme


@pytest.fixture
async def calls(store, clock):
    service = CallService(store, clock)
    driver = FakeDriver()
    service.connect(RememberingMedia(), {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


@pytest.fixture
async def client(calls, store, clock):
    app = app_of(build_router(calls, store), clock=clock)
    async with client_of(app) as client:
        yield client


async def place(client, *legs):
    answer = await client.post("calls", json={"legs": legs})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_placed_call_is_listed_with_its_legs_and_ends_when_told(client):
    call = await place(client, "sip:1001", "radio:r12")
    assert [leg["endpoint"] for leg in call["legs"]] == ["sip:1001", "radio:r12"]
    listed = (await client.get("calls", params={"live": "true"})).json()["items"]
    assert [one["id"] for one in listed] == [call["id"]]
    assert (await client.delete(f"calls/{call['id']}")).status_code == 204
    assert (await client.get(f"calls/{call['id']}")).json()["ended_at"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"legs": []},
        {"legs": ["sip:1001"], "colour": "red"},
        {"legs": ["nonsense"]},
        {"legs": "sip:1001"},
    ],
)
async def test_a_call_that_makes_no_sense_is_422_with_a_reason(client, body):
    answer = await client.post("calls", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_the_same_key_rings_once(client):
    for _ in range(2):
        answer = await client.post(
            "calls", json={"legs": ["sip:1001"]}, headers={"Idempotency-Key": "k1"}
        )
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert len((await client.get("calls")).json()["items"]) == 1
