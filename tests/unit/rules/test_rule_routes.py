"""The rules over HTTP: reading, changing with an audit line, and asking without effect."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from fakes.clock import START, ScriptedClock
from fakes.stores import fresh_store
from fakes.web import app_of, client_of

from commhub.db import SqlStore
from commhub.domain.facts import Fact
from commhub.domain.geo import Point, Position
from commhub.domain.people import Responder
from commhub.domain.report import Report
from commhub.kit.bus import Bus
from commhub.ports.decisions import Candidate, Decision
from rules.book import DEFAULT_SET, RuleBook, shipped
from rules.routes import build_router

STREET = shipped(DEFAULT_SET)


async def two_of_the_patrol(decision: Decision, report: Report) -> Sequence[Candidate]:
    near, far = Point(31.0, 121.0), Point(31.01, 121.0)
    return [
        Candidate(
            responder=Responder(id=name, name=name, unit_id="u", position=Position(point, START)),
            team="patrol",
            open_tasks=0,
        )
        for name, point in (("far", far), ("near", near))
    ]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with fresh_store(tmp_path, Bus[Fact](), ScriptedClock()) as store:
        yield store


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    book = RuleBook(tmp_path / "rules")
    book.load()
    return book


@pytest.fixture
async def client(book: RuleBook, store: SqlStore) -> AsyncIterator[httpx.AsyncClient]:
    app = app_of(build_router(book, two_of_the_patrol, ScriptedClock(), store))
    async with client_of(app, key="admin") as client:
        yield client


def new_version(text: str = STREET.text) -> dict[str, str]:
    return {"yaml": text.replace('version: "2026.11.2"', 'version: "v2"')}


async def test_the_rules_are_listed_and_read_with_their_version(client: httpx.AsyncClient) -> None:
    [summary] = (await client.get("rules")).json()
    assert summary == {
        "name": DEFAULT_SET,
        "version": "2026.11.2",
        "active": True,
        "trouble": None,
    }
    rules = (await client.get(f"rules/{DEFAULT_SET}")).json()
    assert (rules["yaml"], rules["tests"]) == (STREET.text, STREET.tests)
    assert [one["version"] for one in rules["versions"]] == ["2026.11.2"]


async def test_an_unknown_set_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("rules/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_new_version_runs_and_is_in_the_audit(
    client: httpx.AsyncClient, book: RuleBook, store: SqlStore
) -> None:
    answer = await client.put(f"rules/{DEFAULT_SET}", json=new_version())
    assert (answer.status_code, answer.json()["version"]) == (200, "v2")
    assert book.current().rules.version == "v2"
    async with store.read() as uow:
        [line] = await uow.audit.list(None, 10)
    assert (line.actor, line.action, line.subject) == ("user:chen", "rules.put", DEFAULT_SET)


async def test_a_broken_file_is_a_problem_with_every_flaw_and_the_old_rules_stay(
    client: httpx.AsyncClient, book: RuleBook
) -> None:
    broken = new_version(STREET.text.replace("'\"sos\"'", "'lvl > 2'"))
    answer = await client.put(f"rules/{DEFAULT_SET}", json=broken)
    assert (answer.status_code, answer.json()["code"]) == (422, "broken-rules")
    assert answer.json()["flaws"] == [
        (
            "street-dispatch.yaml, table assign, row 1, cell category: "
            "unknown name 'lvl'; a text must be in quotes"
        )
    ]
    assert book.current().rules.version == "2026.11.2"


async def test_a_version_used_for_another_text_is_a_conflict(client: httpx.AsyncClient) -> None:
    answer = await client.put(f"rules/{DEFAULT_SET}", json={"yaml": STREET.text + "\n# more\n"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_who_may_not_manage_rules_may_read_them(client: httpx.AsyncClient) -> None:
    viewer = {"Authorization": "Bearer viewer"}
    assert (await client.get("rules", headers=viewer)).status_code == 200
    answer = await client.put(f"rules/{DEFAULT_SET}", json=new_version(), headers=viewer)
    assert answer.status_code == 403


async def test_a_dry_run_says_what_is_decided_why_and_who_would_be_asked(
    client: httpx.AsyncClient, book: RuleBook
) -> None:
    body = {"report": {"category": "sos", "source": "device", "point": {"lat": 31.0, "lon": 121.0}}}
    answer = (await client.post(f"rules/{DEFAULT_SET}/dry-run", json=body)).json()
    assert answer["decision"]["team"] == "patrol"
    assert answer["decision"]["clocks"]["accept"] == 1
    assert answer["decision"]["trace"]["assign"]["row"] == 1
    assert [one["responder_id"] for one in answer["ranking"]["ranked"]] == ["near", "far"]
    assert answer["ranking"]["ranked"][0]["reasons"] == ["distance_m=0", "open_tasks=0"]
    assert answer["cases"] == []


async def test_a_dry_run_of_other_rules_runs_their_cases_and_changes_nothing(
    client: httpx.AsyncClient, book: RuleBook
) -> None:
    text = STREET.text.replace("- [1, '', 1, 2, 10,", "- [1, '', 0.1, 2, 20,")
    body = {"report": {"category": "sos"}, "yaml": text}
    answer = (await client.post(f"rules/{DEFAULT_SET}/dry-run", json=body)).json()
    assert answer["decision"]["clocks"]["accept"] == pytest.approx(0.1)
    failed = [case for case in answer["cases"] if not case["passed"]]
    assert failed[0]["failures"] == ["arrive should be 10 and is 20.0"]
    assert book.current().rules.version == "2026.11.2"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"report": {"category": ""}},
        {"report": {"category": "sos", "level": 9}},
        {"report": {"category": "sos", "weather": "rain"}},
        {"report": {"category": "sos"}, "yaml": "tables: ["},
    ],
)
async def test_a_question_of_the_wrong_form_is_a_problem(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    answer = await client.post(f"rules/{DEFAULT_SET}/dry-run", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
