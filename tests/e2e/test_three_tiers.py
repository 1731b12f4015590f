"""Street, district and city as three whole hubs, each with processes and a database of its own, and a line that is cut between the
first two."""

import sqlite3
from datetime import datetime

import pytest
from fakes.cut_lines import cut_line

from commhub.wiring.demo import story_above
from commhub.wiring.demo.cast import until
from commhub.wiring.demo.stage import Stage, cast_of
from commhub.wiring.demo.story import accept_card, finish
from commhub.wiring.demo.town import CITY, DISTRICT, STREET

# Three hubs and eleven simulators start within the first test's.
pytestmark = [pytest.mark.audio, pytest.mark.timeout(480)]

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("tiers") / "town", 0, lambda _: None)
    district = stage.above.hubs[0].hub
    with cut_line("127.0.0.2", district.port("http")) as line:
        # What the street is told to dial; its own people go there directly.
        district.environment["COMMHUB_HTTP__PUBLIC_URL"] = line.url
        with stage as note:
            stage.note, stage.line = note, line
            yield stage


@pytest.fixture
def cast(town):
    cast = cast_of(town.note, lambda _title, _took: None)
    yield cast
    for desk in cast.desks:
        desk.close()


@pytest.fixture
def line(town):
    """Whole again after each test."""
    yield town.line
    town.line.mend()


def hubs_of(town):
    return [town.hub, *(upper.hub for upper in town.above.hubs)]


def peering(desk, peer):
    return next(one for one in desk.get("/tiers/peerings") if one["peer"] == peer)


def lines_of(desk, incident, hub):
    """What that hub wrote of the incident, as it stands at this desk."""
    items = desk.get(f"/incidents/{incident}/timeline")["items"]
    return [
        (entry["kind"], entry["at"], entry["actor"])
        for entry in items
        if entry["hub"] == hub and entry["kind"] != "their_stage_moved"
    ]


def comment(desk, incident, text):
    desk.post(f"/incidents/{incident}/actions", {"action": "comment", "note": text})


def comments_of(desk, incident):
    items = desk.get(f"/incidents/{incident}/timeline")["items"]
    return [str(entry["data"]) for entry in items if "补充" in str(entry["data"])]


def test_the_story_is_told_over_three_hubs(cast):
    story_above.tell_above(cast, cast.above)


def test_each_tier_has_a_database_and_processes_of_its_own(town, cast):
    incident = story_above.report_up(cast, cast.above)
    numbers, processes = [], set()
    for hub in hubs_of(town):
        processes |= {hub.pid_of(part) for part in ("up", "control", "worker", "worker-v0")}
        with sqlite3.connect(f"file:{hub.folder / 'commhub.db'}?mode=ro", uri=True) as database:
            row = database.execute("select number from incidents where id = ?", [incident])
            numbers.append(row.fetchone()[0])
    assert len(processes) == 12
    assert all(numbers)


def test_what_is_done_while_the_line_is_cut_arrives_once_and_in_order(cast, line):
    street, district = cast.desk, cast.above.district
    incident = story_above.report_up(cast, cast.above)
    line.cut()
    until(
        "both desks see that the link is down",
        lambda: not peering(street, DISTRICT.hub)["up"] and not peering(district, STREET.hub)["up"],
        WITHIN_S,
    )
    for desk, peer in ((street, DISTRICT.hub), (district, STREET.hub)):
        seen = peering(desk, peer)
        assert seen["reason"]
        assert datetime.fromisoformat(seen["went_down_at"]) > datetime.fromisoformat(
            seen["came_up_at"]
        )
    whistled = street.post(
        f"/tiers/incidents/{incident}/whistle", {"units": ["health"], "within_minutes": 30}
    )[0]
    order = district.post(
        f"/tiers/incidents/{incident}/supervise",
        {"peer": STREET.hub, "text": "断网期间督办", "within_minutes": 30},
    )
    for number in range(3):
        comment(street, incident, f"街道补充 {number}")
        comment(district, incident, f"区里补充 {number}")
    finish(cast, incident, accept_card(cast, incident))
    until(
        "both desks see that something waits",
        lambda: (
            peering(street, DISTRICT.hub)["waiting"] and peering(district, STREET.hub)["waiting"]
        ),
        WITHIN_S,
    )
    assert whistled["id"] not in {
        one["id"] for one in story_above.common(district, incident)["check_ins"]
    }

    line.mend()
    until("the link is up again", lambda: peering(street, DISTRICT.hub)["up"], WITHIN_S)
    until(
        "the whistle is heard",
        lambda: (
            whistled["id"]
            in {one["id"] for one in story_above.common(district, incident)["check_ins"]}
        ),
        WITHIN_S,
    )
    until(
        "the order has come",
        lambda: (
            order["id"]
            in {one["id"] for one in story_above.common(street, incident)["supervisions"]}
        ),
        WITHIN_S,
    )
    for here, there in ((street, district), (district, street)):
        until(
            "each has what the other wrote",
            lambda here=here, there=there: all(
                lines_of(there, incident, hub) == lines_of(here, incident, hub)
                for hub in (STREET.hub, DISTRICT.hub)
            ),
            WITHIN_S,
        )
    until(
        "the city has what the street wrote",
        lambda: (
            lines_of(cast.above.city, incident, STREET.hub)
            == lines_of(street, incident, STREET.hub)
        ),
        WITHIN_S,
    )
    for desk in (street, district, cast.above.city):
        assert len(comments_of(desk, incident)) == 6, desk.url
    until("nothing waits any more", lambda: not peering(street, DISTRICT.hub)["waiting"], WITHIN_S)


def test_a_line_that_is_cut_again_and_again_loses_nothing(cast, line):
    street, district = cast.desk, cast.above.district
    incident = story_above.report_up(cast, cast.above)
    for number in range(5):
        comment(street, incident, f"街道补充 {number}")
        line.cut()
        comment(district, incident, f"区里补充 {number}")
        line.mend()
        until("the link is up again", lambda: peering(street, DISTRICT.hub)["up"], WITHIN_S)
    for desk in (street, district, cast.above.city):
        until(
            f"{desk.url} has all of it, once",
            lambda desk=desk: (
                len(comments_of(desk, incident)) == 10
                and len(set(comments_of(desk, incident))) == 10
            ),
            WITHIN_S,
        )
    assert CITY.hub in {one["peer"] for one in district.get("/tiers/peerings")}
