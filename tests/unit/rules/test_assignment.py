"""Who is asked first, who is out, and what is said when nobody is left."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes.clock import START
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.geo import Point, Position
from commhub.domain.people import Endpoint, Responder
from commhub.domain.report import Report, Source
from commhub.ports.decisions import Candidate, Ranking
from rules.assignment import STALE_AFTER_S, rank
from rules.book import check, shipped
from rules.engine import RuleEngine

ENGINE = RuleEngine(lambda: check(shipped("street-dispatch"), "street-dispatch"))
SCENE = Point(31.2304, 121.4737)
REPORT = Report(
    id="r",
    source=Source.DEVICE,
    idempotency_key="k",
    category="sos",
    text="",
    received_at=START,
    point=SCENE,
    grid="g12",
)
DECISION = ENGINE.decide(REPORT)


def north(metres: float, age_s: float = 0) -> Position:
    return Position(
        Point(SCENE.lat + metres / 111_195, SCENE.lon), START - timedelta(seconds=age_s)
    )


def candidate(
    name: str, metres: float | None = 100, *, team: str = "patrol", age_s: float = 0, **changes: Any
) -> Candidate:
    asked = {key: changes.pop(key) for key in ("open_tasks", "tried") if key in changes}
    person = Responder(id=name, name=name, unit_id="u", position=None)
    if metres is not None:
        person = replace(person, position=north(metres, age_s))
    return Candidate(responder=replace(person, **changes), team=team, **{"open_tasks": 0, **asked})


def ranked(*candidates: Candidate, report: Report = REPORT) -> Ranking:
    return rank(DECISION, report, candidates, START)


def names(ranking: Ranking) -> list[str]:
    return [one.responder_id for one in ranking.ranked]


def why(ranking: Ranking, name: str) -> str:
    return next(one.reason for one in ranking.excluded if one.responder_id == name)


def test_the_nearest_is_asked_first_with_the_distance_as_reason() -> None:
    ranking = ranked(candidate("far", 900), candidate("near", 100))
    assert names(ranking) == ["near", "far"]
    assert ranking.ranked[0].reasons == ("distance_m=100", "open_tasks=0")
    assert ranking.shortfall == ()


def test_an_open_task_outweighs_two_kilometres() -> None:
    assert names(ranked(candidate("busy", 100, open_tasks=1), candidate("free", 2000))) == [
        "free",
        "busy",
    ]


def test_the_officer_of_the_grid_is_preferred_over_one_a_little_nearer() -> None:
    ranking = ranked(candidate("near", 100), candidate("local", 900, grids=frozenset({"g12"})))
    assert names(ranking) == ["local", "near"]
    assert "grid=g12" in ranking.ranked[0].reasons


def test_somebody_without_a_position_comes_after_everybody_with_one() -> None:
    ranking = ranked(
        candidate("unknown", None, grids=frozenset({"g12"})), candidate("far", 60_000, open_tasks=2)
    )
    assert names(ranking) == ["far", "unknown"]
    assert "position_unknown" in ranking.ranked[1].reasons


def test_equal_scores_are_ordered_by_id() -> None:
    people = [candidate("b"), candidate("a"), candidate("c")]
    assert names(ranked(*people)) == names(ranked(*reversed(people))) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (candidate("x", team="fire"), "team=fire"),
        (candidate("x", on_duty=False), "off_duty"),
        (candidate("x", age_s=STALE_AFTER_S + 1), "position_stale_s=1801"),
        (candidate("x", open_tasks=3), "capacity=3/3"),
        (candidate("x", tried=True), "tried"),
        (candidate("x", leads=True), "kept_as_fallback"),
        (candidate("x", on_duty=False, tried=True), "off_duty, tried"),
    ],
)
def test_who_is_out_is_told_why(out: Candidate, reason: str) -> None:
    ranking = ranked(out, candidate("in"))
    assert names(ranking) == ["in"]
    assert why(ranking, "x") == reason


def test_a_missing_skill_is_named() -> None:
    decision = replace(DECISION, skills=frozenset({"hazmat", "boat"}))
    ranking = rank(decision, REPORT, [candidate("x", skills=frozenset({"boat"}))], START)
    assert why(ranking, "x") == "missing_skills=hazmat"


def test_a_position_exactly_at_the_limit_still_counts() -> None:
    assert names(ranked(candidate("x", age_s=STALE_AFTER_S))) == ["x"]


def test_without_a_place_to_go_to_nobody_is_out_for_an_old_position() -> None:
    nowhere = replace(REPORT, point=None)
    ranking = ranked(candidate("old", age_s=9999), candidate("none", None), report=nowhere)
    assert names(ranking) == ["none", "old"]
    assert ranking.ranked[0].reasons == ("open_tasks=0",)


def test_when_nobody_is_left_the_teams_leader_is_asked_and_the_shortfall_counted() -> None:
    ranking = ranked(
        candidate("a", tried=True),
        candidate("b", on_duty=False),
        candidate("c", team="fire"),
        candidate("chief", leads=True, open_tasks=9),
        candidate("other-chief", team="fire", leads=True),
    )
    assert ranking.ranked == ()
    assert ranking.fallback == "chief"
    assert ranking.shortfall == (
        "team=patrol, responders=3",
        "kept_as_fallback=1",
        "off_duty=1",
        "tried=1",
    )


def test_without_a_leader_of_the_team_any_leader_is_asked() -> None:
    ranking = ranked(candidate("chief", team="fire", leads=True))
    assert ranking.fallback == "chief"
    assert ranking.shortfall == ("no_responder_of_team=patrol",)


def test_a_leader_on_duty_elsewhere_comes_before_one_of_the_team_who_is_off() -> None:
    ranking = ranked(
        candidate("own", leads=True, on_duty=False), candidate("other", team="fire", leads=True)
    )
    assert ranking.fallback == "other"


def test_the_fallback_is_told_even_when_somebody_is_ranked() -> None:
    assert ranked(candidate("a"), candidate("chief", leads=True)).fallback == "chief"


def test_a_leader_who_was_asked_already_is_not_asked_again() -> None:
    assert ranked(candidate("chief", leads=True, tried=True)).fallback is None


def test_nobody_at_all_is_a_shortfall_too() -> None:
    ranking = ranked()
    assert (ranking.ranked, ranking.excluded, ranking.fallback) == ((), (), None)
    assert ranking.shortfall


@given(
    people=st.lists(
        st.builds(
            candidate,
            st.uuids().map(str),
            st.none() | st.floats(0, 5000),
            team=st.sampled_from(["patrol", "fire"]),
            age_s=st.floats(0, 4000),
            open_tasks=st.integers(0, 5),
            on_duty=st.booleans(),
            leads=st.booleans(),
            tried=st.booleans(),
        ),
        max_size=12,
    ),
    order=st.randoms(),
)
def test_everybody_is_ranked_or_excluded_and_the_order_of_asking_changes_nothing(
    people: list[Candidate], order: Any
) -> None:
    ranking = ranked(*people)
    ids = [*names(ranking), *(one.responder_id for one in ranking.excluded)]
    assert sorted(ids) == sorted(one.responder.id for one in people)
    shuffled = list(people)
    order.shuffle(shuffled)
    assert ranked(*shuffled) == ranking


def test_whoever_pressed_the_button_is_not_sent_to_their_own_rescue() -> None:
    camera = (Endpoint.parse("cam:b7"),)
    crew = (candidate("caller", 0, endpoints=camera), candidate("colleague", 500))
    ranking = ranked(*crew, report=replace(REPORT, reporter="device:b7"))
    assert names(ranking) == ["colleague"]
    assert why(ranking, "caller") == "raised_it"
    told = replace(REPORT, reporter="device:b7", source=Source.CONSOLE)
    assert names(ranked(*crew, report=told)) == ["caller", "colleague"]


def test_a_leader_who_pressed_the_button_is_no_fallback() -> None:
    camera = (Endpoint.parse("cam:b7"),)
    crew = (candidate("boss", leads=True, endpoints=camera), candidate("deputy", leads=True))
    assert ranked(*crew, report=replace(REPORT, reporter="device:b7")).fallback == "deputy"
