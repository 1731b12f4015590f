"""The duty number over HTTP: who waits, who answers first, who is called back."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import app_of, client_of, someone

from commhub.calls import duty_routes, routes
from commhub.calls.duty import DutyDesk
from commhub.calls.service import CallService
from commhub.domain.call import Cause
from commhub.domain.duty import DutyLine, DutyLines
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.inward import IncomingCall

LINES = DutyLines([DutyLine(name="值班电话", numbers=("8000",))])


@pytest.fixture
def calls(store, clock):
    service = CallService(store, clock, lines=LINES)
    driver = FakeDriver()
    service.connect(RememberingMedia(), dict.fromkeys((Scheme.SIP, Scheme.DESK), driver))
    return service


@pytest.fixture
async def client(calls, store, clock):
    desk = DutyDesk(store, clock, calls, None, LINES)
    app = app_of(
        duty_routes.build_router(desk, store),
        routes.build_router(calls, store),
        keys={"li": someone(name="li"), "chen": someone(name="chen")},
        clock=clock,
    )
    async with client_of(app, key="li") as client:
        yield client


@pytest.fixture
async def waiting(calls):
    """The id of a call that waits."""
    caller = Endpoint.parse("sip:1001")
    offered = IncomingCall(leg_id="in-1", caller=caller, called="8000", display_name="门卫")
    return (await calls.call_offered(offered)).call_id


def as_chen():
    return {"Authorization": "Bearer chen"}


async def test_who_waits_is_listed_with_line_and_caller(client, waiting):
    (one,) = (await client.get("calls/duty")).json()["items"]
    assert one["id"] == waiting
    assert (one["state"], one["line"], one["caller"], one["caller_name"]) == (
        "waiting",
        "值班电话",
        "sip:1001",
        "门卫",
    )
    assert (await client.get(f"calls/{waiting}")).json()["line"] == "值班电话"


async def test_the_first_desk_answers_and_the_second_is_told_who_did(client, waiting):
    first = await client.post(f"calls/duty/{waiting}/answer", json={})
    assert (first.status_code, first.json()["endpoint"]) == (201, "desk:li")
    second = await client.post(f"calls/duty/{waiting}/answer", json={}, headers=as_chen())
    assert (second.status_code, second.json()["taken_by"]) == (409, "desk:li")


async def test_the_same_key_answers_once(client, waiting):
    key = {"Idempotency-Key": "k1"}
    answers = [
        await client.post(f"calls/duty/{waiting}/answer", json={}, headers=key) for _ in range(2)
    ]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_a_missed_caller_is_called_back_or_ticked_off(client, calls, waiting):
    early = await client.post(f"calls/duty/{waiting}/call-back", json={})
    assert early.status_code == 409
    await calls.leg_ended("in-1", Cause.CANCELLED, None)
    back = await client.post(f"calls/duty/{waiting}/call-back", json={"endpoint": "sip:1009"})
    assert [leg["endpoint"] for leg in back.json()["legs"]] == ["sip:1009", "sip:1001"]
    settled = await client.delete(f"calls/duty/{waiting}")
    assert (settled.json()["state"], settled.json()["settled_by"]) == ("closed", "user:li")


@pytest.mark.parametrize("deed", ["answer", "call-back"])
async def test_a_caller_nobody_knows_is_404(client, deed):
    assert (await client.post(f"calls/duty/nobody/{deed}", json={})).status_code == 404
    assert (await client.delete("calls/duty/nobody")).status_code == 404


async def test_a_call_that_is_no_duty_call_is_not_answered(client):
    placed = (await client.post("calls", json={"legs": ["sip:1002"]})).json()["id"]
    assert (await client.post(f"calls/duty/{placed}/answer", json={})).status_code == 409


async def test_who_only_looks_answers_nobody(calls, store, clock, waiting):
    app = app_of(duty_routes.build_router(DutyDesk(store, clock, calls, None, LINES), store))
    async with client_of(app, key="viewer") as viewer:
        assert (await viewer.get("calls/duty")).status_code == 200
        for path in ("answer", "call-back"):
            assert (await viewer.post(f"calls/duty/{waiting}/{path}", json={})).status_code == 403
        assert (await viewer.delete(f"calls/duty/{waiting}")).status_code == 403
