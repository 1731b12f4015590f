"""Reports, incidents and messages over HTTP, as docs/protocols/http.md says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fakes.clock import ScriptedClock
from fakes.town import Town, responder
from fakes.web import app_of, client_of, someone

from commhub.db import SqlStore
from commhub.domain.people import Role
from commhub.incidents import routes as incident_routes
from commhub.messages import routes as message_routes
from commhub.reports import routes as report_routes

FIRE = {"category": "fire", "text": "smoke in hall 3", "point": {"lat": 31.2, "lon": 121.4}}


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock)
    await town.settle()
    return town


@asynccontextmanager
async def desk_of(town: Town, key: str = "desk") -> AsyncIterator[httpx.AsyncClient]:
    """A client at the desk, with the decision loop running."""
    app = app_of(
        report_routes.build_router(town.reports),
        incident_routes.build_router(town.incidents, town.reports, town.store),
        message_routes.build_router(town.messages, town.store),
        clock=town.clock,
        keys={"sensor": someone(Role.INTEGRATION, name="smoke", kind="key")},
    )
    loop = asyncio.create_task(town.reports.run())
    try:
        async with client_of(app, key=key) as client:
            yield client
    finally:
        loop.cancel()


async def test_a_reports_receipt_and_its_view(town: Town) -> None:
    async with desk_of(town, "sensor") as sensor:
        made = await sensor.post("reports", json=FIRE, headers={"Idempotency-Key": "1"})
        again = await sensor.post("reports", json=FIRE, headers={"Idempotency-Key": "1"})
        other = await sensor.post(
            "reports", json={**FIRE, "text": "fog"}, headers={"Idempotency-Key": "1"}
        )
        report = await sensor.get(f"reports/{made.json()['report_id']}")

    assert (made.status_code, made.json()["repeated"]) == (201, False)
    assert (again.json()["report_id"], again.json()["repeated"]) == (
        made.json()["report_id"],
        True,
    )
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert report.json()["source"] == "api"
    assert report.json()["extra"] == {"entered_by": "key:smoke"}


async def test_an_incident_opened_at_the_desk_is_answered_registered(town: Town) -> None:
    async with desk_of(town) as desk:
        made = await desk.post("incidents", json=FIRE, headers={"Idempotency-Key": "1"})
        again = await desk.post("incidents", json=FIRE, headers={"Idempotency-Key": "1"})

    assert made.status_code == 201
    incident = made.json()
    assert (incident["stage"], incident["responder_id"]) == ("dispatched", "wang")
    assert incident["number"] == "20260302-0001"
    assert again.json()["id"] == incident["id"]
    assert len(await town.all_incidents()) == 1


async def test_an_incident_that_is_late_says_that_its_report_is_safe(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_routes, "REGISTERED_WITHIN_S", 0.01)

    async def nothing() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(town.reports, "run", nothing)
    async with desk_of(town) as desk:
        answer = await desk.post("incidents", json=FIRE)

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await desk.get(f"reports/{answer.json()['report_id']}")).status_code == 200


async def test_lists_filter_page_and_search(town: Town) -> None:
    made = [await town.report(text=f"case {i}", place=f"gate {i}") for i in range(5)]
    async with desk_of(town) as desk:
        await desk.post(f"incidents/{made[0].id}/actions", json={"action": "accept"})

        first = (await desk.get("incidents", params={"limit": 3})).json()
        rest = (await desk.get("incidents", params={"limit": 3, "cursor": first["next"]})).json()
        ids = [item["id"] for item in first["items"] + rest["items"]]
        assert ids == [incident.id for incident in reversed(made)]
        assert rest["next"] is None

        found = (await desk.get("incidents", params={"q": "gate 3"})).json()
        assert [item["id"] for item in found["items"]] == [made[3].id]
        accepted = (await desk.get("incidents", params={"stage": "accepted"})).json()
        assert [item["id"] for item in accepted["items"]] == [made[0].id]
        assert len((await desk.get("incidents", params={"open": True})).json()["items"]) == 5


async def test_a_file_its_timeline_and_who_could_be_sent(town: Town) -> None:
    incident = await town.report()
    async with desk_of(town, "viewer") as viewer:
        file = (await viewer.get(f"incidents/{incident.id}")).json()
        assert file["incident"]["id"] == incident.id
        assert [task["responder_id"] for task in file["tasks"]] == ["wang"]
        assert file["reports"][0]["incident_id"] == incident.id
        assert file["decision"]["trace"] == {"assign": {"row": 1}}

        page = (await viewer.get(f"incidents/{incident.id}/timeline", params={"limit": 2})).json()
        assert [entry["kind"] for entry in page["items"]] == ["report_received", "rules_decided"]
        rest = await viewer.get(f"incidents/{incident.id}/timeline", params={"after": page["next"]})
        assert rest.json()["items"][0]["kind"] == "incident_registered"
        assert rest.json()["next"] is None

        candidates = (await viewer.get(f"incidents/{incident.id}/candidates")).json()
        assert [r["responder_id"] for r in candidates["ranked"]] == ["zhang", "zhao", "wang"]
        assert candidates["excluded"] == [{"responder_id": "chief", "reason": "leads"}]


async def test_the_moves_are_data(town: Town) -> None:
    async with desk_of(town) as desk:
        moves = {move["action"]: move for move in (await desk.get("incidents/moves")).json()}

    assert moves["reject"]["requires"] == ["no_open_task", "note"]
    assert moves["verify"]["target"] == "verified"
    assert moves["comment"]["target"] is None


async def test_an_action_and_its_refusals(town: Town) -> None:
    incident = await town.report()
    url = f"incidents/{incident.id}/actions"
    async with desk_of(town) as desk:
        accepted = await desk.post(url, json={"action": "accept"}, headers={"Idempotency-Key": "a"})
        replayed = await desk.post(url, json={"action": "accept"}, headers={"Idempotency-Key": "a"})
        illegal = await desk.post(url, json={"action": "close"})
        missing = await desk.post(url, json={"action": "return"})
        unknown = await desk.post("incidents/ghost/actions", json={"action": "accept"})
    async with desk_of(town, "viewer") as viewer:
        refused = await viewer.post(url, json={"action": "handle"})

    assert (accepted.status_code, accepted.json()["stage"]) == (200, "accepted")
    assert replayed.json() == accepted.json()
    assert (illegal.status_code, illegal.json()["code"]) == (409, "illegal-move")
    assert "handle" in illegal.json()["legal"]
    assert (missing.status_code, missing.json()["code"]) == (422, "requirement-missing")
    assert unknown.status_code == 404
    assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")


async def test_a_message_is_queued_for_each_recipient_and_listed(town: Town) -> None:
    incident = await town.report()
    body = {
        "recipients": ["zhang", "wecom:zhao"],
        "title": "Road closed",
        "body": "Use gate 4",
        "incident": incident.id,
    }
    async with desk_of(town) as desk:
        made = await desk.post("messages", json=body, headers={"Idempotency-Key": "m"})
        again = await desk.post("messages", json=body, headers={"Idempotency-Key": "m"})
        await town.send()
        listed = (await desk.get("messages", params={"incident": incident.id})).json()

    assert made.status_code == 201
    assert again.json() == made.json()
    assert [d["recipient"] for d in made.json()["deliveries"]] == ["wecom:zhang", "wecom:zhao"]
    text, card = listed["items"]
    assert (text["kind"], card["kind"]) == ("text", "task_card")
    assert {d["state"] for d in text["deliveries"]} == {"accepted"}
    assert (await town.last(incident, "message_queued")).actor == "user:li"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"recipients": ["sip:1001"]}, 422),
        ({"recipients": ["mute"]}, 422),
        ({"recipients": ["ghost"]}, 404),
        ({"recipients": []}, 422),
        ({"incident": "ghost"}, 404),
    ],
)
async def test_a_message_that_can_reach_nobody_is_refused_whole(
    town: Town, change: dict, status: int
) -> None:
    await town.settle(responder("mute", endpoints=()))
    body = {"recipients": ["zhang"], "title": "t", "body": "b", **change}
    async with desk_of(town) as desk:
        answer = await desk.post("messages", json=body)
        assert answer.status_code == status
        assert (await desk.get("messages")).json()["items"] == []
