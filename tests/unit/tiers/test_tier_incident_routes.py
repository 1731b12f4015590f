"""Incidents between tiers over HTTP and on the live socket's model, as docs/protocols says."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fakes.clock import START
from fakes.tier_towns import TierTown, link, settle_all, tier_towns
from fakes.web import app_of, client_of, someone

from commhub.domain.facts import StageMoved
from commhub.domain.people import Role
from commhub.domain.tier import Tier
from commhub.domain.tier_facts import SharesChanged, TimelineMerged
from commhub.incidents import routes as incident_routes
from commhub.live.gathering import Gathered
from commhub.live.model import Collection
from commhub.live.rendering import Renderer
from commhub.tiers.incident_routes import build_router


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[TierTown, TierTown]]:
    async with tier_towns(tmp_path, ("street-a", Tier.STREET), ("district-1", Tier.DISTRICT)) as (
        _,
        (street, district),
    ):
        await district.shares_department("cg", "区城管局", street)
        yield street, district


@asynccontextmanager
async def desk_of(town: TierTown, key: str = "desk") -> AsyncIterator[httpx.AsyncClient]:
    app = app_of(
        build_router(town.tiers, town.hub.store),
        incident_routes.build_router(town.town.incidents, town.town.reports, town.hub.store),
        clock=town.town.clock,
        keys={"leader": someone(Role.DUTY_LEADER, name="chen")},
    )
    async with client_of(app, key=key) as client:
        yield client


async def test_the_whole_way_of_an_incident_over_two_hubs(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident = await street.town.report(text="化工厂冒烟")
    at = f"tiers/incidents/{incident.id}"
    async with link(street, district), desk_of(street) as below, desk_of(district) as above:
        key = {"Idempotency-Key": "1"}
        made = await below.post(f"{at}/report-up", json={"note": "请支援"}, headers=key)
        again = await below.post(f"{at}/report-up", json={"note": "请支援"}, headers=key)
        assert (made.status_code, again.status_code) == (201, 201)
        assert made.json() == again.json()
        assert (made.json()["state"], made.json()["peer"]) == ("offered", "district-1")
        anew = await below.post(f"{at}/report-up", json={})
        assert (anew.status_code, anew.json()["code"]) == (409, "illegal-move")
        await settle_all(street, district)

        whistled = await below.post(f"{at}/whistle", json={"units": ["cg"], "within_minutes": 20})
        assert whistled.status_code == 201
        await settle_all(street, district)
        (called,) = (await above.get(at)).json()["check_ins"]
        assert (called["unit"], called["given"], called["state"]) == ("区城管局", False, "called")
        came = await above.post(f"{at}/check-ins/{called['id']}", json={"by": "王科长"})
        assert (came.status_code, came.json()["state"]) == (200, "checked_in")

        order = {"peer": "street-a", "text": "速报", "within_minutes": 30}
        assert (await above.post(f"{at}/supervise", json=order)).status_code == 403
        async with desk_of(district, "leader") as leader:
            assert (await leader.post(f"{at}/supervise", json=order)).status_code == 201
        await settle_all(street, district)
        (asked,) = (await below.get(at)).json()["supervisions"]
        answered = await below.post(
            f"{at}/supervisions/{asked['id']}/answer", json={"answer": "已控制"}
        )
        assert answered.json()["state"] == "answered"
        returned = await above.post(f"{at}/return", json={"note": "由街道继续处置"})
        assert returned.json()["state"] == "returned"
        await settle_all(street, district)

        (share,) = (await below.get(at)).json()["shares"]
        assert (share["state"], share["note"]) == ("returned", "由街道继续处置")
        assert share["their_stage"] == "rejected"
        (settled,) = (await above.get(at)).json()["supervisions"]
        assert (settled["state"], settled["answer"]) == ("answered", "已控制")
        lines = (await below.get(f"incidents/{incident.id}/timeline")).json()["items"]
        assert {line["hub"] for line in lines} == {"street-a", "district-1"}


async def test_who_may_only_look_may_not_hand_over_and_nonsense_is_refused(
    two: tuple[TierTown, TierTown],
) -> None:
    street, _ = two
    incident = await street.town.report()
    at = f"tiers/incidents/{incident.id}"
    async with desk_of(street, "viewer") as viewer:
        assert (await viewer.get(at)).status_code == 200
        for way in ("report-up", "assign-down", "return", "whistle", "supervise"):
            assert (await viewer.post(f"{at}/{way}", json={})).status_code == 403
    async with desk_of(street) as desk:
        assert (await desk.get("tiers/incidents/none")).status_code == 404
        for way, body in (
            ("assign-down", {"peer": "Not A Hub"}),
            ("return", {"note": ""}),
            ("whistle", {"units": [], "within_minutes": 5}),
            ("whistle", {"units": ["cg"], "within_minutes": 0}),
            ("report-up", {"peer": "district-1", "extra": 1}),
        ):
            assert (await desk.post(f"{at}/{way}", json=body)).status_code == 422, way
        down = await desk.post(f"{at}/assign-down", json={"peer": "district-1"})
        assert (down.status_code, down.json()["code"]) == (403, "not-allowed")
        nobody = await desk.post(f"{at}/check-ins/none", json={})
        assert nobody.status_code == 404


async def test_the_live_state_has_what_open_incidents_share_and_drops_it_with_them(
    two: tuple[TierTown, TierTown],
) -> None:
    street, district = two
    incident = await street.town.report()
    now = street.town.clock.now()
    async with desk_of(street) as desk:
        await desk.post(f"tiers/incidents/{incident.id}/report-up", json={})
    async with link(street, district):
        await settle_all(street, district)
    gathered = Gathered()
    gathered.take(SharesChanged(at=now, about=incident.id))
    dirty, _ = gathered.take_state()
    assert dirty[Collection.SHARES] == {incident.id}
    async with street.hub.store.read() as uow:
        renderer = Renderer(uow, now)
        whole = (await renderer.everything())[Collection.SHARES]
        one = await renderer.some(Collection.SHARES, [incident.id, "none"])
    assert one == {**whole, "none": None}
    shown = json.loads(whole[incident.id])
    assert [share["their_stage"] for share in shown["shares"]] == ["dispatched"]

    async with street.hub.store.begin() as uow:
        closed = await uow.incidents.get(incident.id)
        await street.town.incidents.put_down(uow, closed.id, "user:li", "test")
    async with street.hub.store.read() as uow:
        renderer = Renderer(uow, now)
        assert (await renderer.everything())[Collection.SHARES] == {}
        assert await renderer.some(Collection.SHARES, [incident.id]) == {incident.id: None}


def test_merged_lines_and_a_moved_stage_are_gathered_for_the_live_socket() -> None:
    gathered = Gathered()
    later = START.replace(hour=9)
    gathered.take(TimelineMerged(at=later, about="i", peer="p", lines=2, since=START))
    gathered.take(
        StageMoved(at=later, incident_id="j", action="close", before="verified", after="closed")
    )
    timelines, _ = gathered.take_events()
    assert timelines == {"i": START, "j": later}
    dirty, _ = gathered.take_state()
    assert dirty[Collection.SHARES] == {"i", "j"}
