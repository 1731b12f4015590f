"""Recordings by call, by incident and by age, prompts by name, and what the first schema's rows become."""

from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from fakes.clock import START, ScriptedClock
from fakes.databases import empty_postgresql
from fakes.objects import a_call, a_recording, an_incident
from fakes.stores import sqlite_url
from sqlalchemy import Connection, text

from commhub.db import SqlStore, migrate, open_store
from commhub.db.engine import in_transaction, parse_url
from commhub.db.upgrade import alembic_config
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.facts import Fact
from commhub.domain.incident import ENDED_STAGES, OPEN_STAGES, Stage
from commhub.domain.recording import Prompt, RecordingKind, Retention
from commhub.kit.bus import Bus
from commhub.kit.ids import new_id

LONG_AGO = START - timedelta(days=400)
NOW_OLD = {
    Retention.INCIDENT: START - timedelta(days=180),
    Retention.OTHER: START - timedelta(days=90),
    Retention.DRILL: START - timedelta(days=30),
}


def a_prompt(name: str) -> Prompt:
    return Prompt(
        id=new_id(),
        name=name,
        seconds=1.5,
        size=48_044,
        sha256="ab" * 32,
        created_at=START,
        created_by="user:li",
    )


async def test_recordings_of_a_call_come_as_they_began_the_mixed_one_first(
    sql_store: SqlStore,
) -> None:
    call, other = a_call(), a_call()
    later = a_recording(call.id, started_at=START + timedelta(minutes=1))
    leg = a_recording(call.id, kind=RecordingKind.LEG, leg_id="l1")
    mixed = a_recording(call.id)
    async with sql_store.begin() as uow:
        for one in (call, other):
            await uow.calls.add(one)
        for recording in (later, leg, mixed, a_recording(other.id)):
            await uow.recordings.add(recording)
    async with sql_store.read() as uow:
        assert await uow.recordings.of_call(call.id) == [mixed, leg, later]


async def test_recordings_of_an_incident_are_paged_newest_first(sql_store: SqlStore) -> None:
    incident, other = an_incident(number="1"), an_incident(number="2")
    calls = [a_call(incident_id=incident.id) for _ in range(2)]
    made = [a_recording(calls[n % 2].id, incident_id=incident.id) for n in range(5)]
    async with sql_store.begin() as uow:
        for one in (incident, other):
            await uow.incidents.add(one)
        for call in calls:
            await uow.calls.add(call)
        for recording in made:
            await uow.recordings.add(recording)
        await uow.recordings.add(a_recording(calls[0].id, incident_id=other.id))
    async with sql_store.read() as uow:
        first = await uow.recordings.of_incident(incident.id, None, 3)
        rest = await uow.recordings.of_incident(incident.id, first[-1].id, 3)
    assert [*first, *rest] == made[::-1]


async def test_a_recording_of_an_incident_that_is_not_there_is_refused(
    sql_store: SqlStore,
) -> None:
    call = a_call()
    async with sql_store.begin() as uow:
        await uow.calls.add(call)
    with pytest.raises(InvalidError):
        async with sql_store.begin() as uow:
            await uow.recordings.add(a_recording(call.id, incident_id="nobody"))


@pytest.mark.parametrize("retention", Retention)
async def test_a_recording_expires_by_the_age_of_its_class(
    sql_store: SqlStore, retention: Retention
) -> None:
    call = a_call()
    edge = NOW_OLD[retention]
    old = a_recording(call.id, retention=retention, stored_at=edge - timedelta(seconds=1))
    young = a_recording(call.id, retention=retention, stored_at=edge)
    async with sql_store.begin() as uow:
        await uow.calls.add(call)
        for one in (old, young):
            await uow.recordings.add(one)
    async with sql_store.read() as uow:
        assert await uow.recordings.expired(NOW_OLD, 9) == [old]


async def test_what_is_held_or_deleted_does_not_expire(sql_store: SqlStore) -> None:
    call = a_call()
    async with sql_store.begin() as uow:
        await uow.calls.add(call)
        await uow.recordings.add(a_recording(call.id, stored_at=LONG_AGO, held=True))
        await uow.recordings.add(a_recording(call.id, stored_at=LONG_AGO, deleted_at=START))
    async with sql_store.read() as uow:
        assert await uow.recordings.expired(NOW_OLD, 9) == []


@pytest.mark.parametrize("stage", Stage)
async def test_no_recording_of_an_open_incident_expires(sql_store: SqlStore, stage: Stage) -> None:
    incident = an_incident(stage=stage)
    call = a_call(incident_id=incident.id)
    recording = a_recording(
        call.id, incident_id=incident.id, stored_at=LONG_AGO, retention=Retention.INCIDENT
    )
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.calls.add(call)
        await uow.recordings.add(recording)
    async with sql_store.read() as uow:
        expired = await uow.recordings.expired(NOW_OLD, 9)
    assert expired == ([recording] if stage in ENDED_STAGES else [])
    assert (stage in OPEN_STAGES) is not (stage in ENDED_STAGES)


async def test_expired_recordings_are_bounded_and_oldest_first(sql_store: SqlStore) -> None:
    call = a_call()
    made = [a_recording(call.id, stored_at=LONG_AGO + timedelta(days=n)) for n in range(4)]
    async with sql_store.begin() as uow:
        await uow.calls.add(call)
        for one in reversed(made):
            await uow.recordings.add(one)
    async with sql_store.read() as uow:
        assert await uow.recordings.expired(NOW_OLD, 3) == made[:3]


async def test_a_prompts_name_is_taken_once_and_free_when_it_is_deleted(
    sql_store: SqlStore,
) -> None:
    first, second = a_prompt("hold"), a_prompt("closing")
    async with sql_store.begin() as uow:
        for one in (first, second):
            await uow.recordings.add_prompt(one)
        assert await uow.recordings.prompts() == [second, first]
        assert await uow.recordings.find_prompt("hold") == first
        await uow.recordings.delete_prompt(second.id)
        with pytest.raises(NotFoundError):
            await uow.recordings.get_prompt(second.id)
        await uow.recordings.add_prompt(a_prompt("closing"))
    with pytest.raises(ConflictError):
        async with sql_store.begin() as uow:
            await uow.recordings.add_prompt(a_prompt("hold"))


# --- from the first schema to this one --------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
async def first_schema(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database at revision 0001 with calls and a recording of each."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "old.db")
    else:
        url = await empty_postgresql(request.getfixturevalue("postgresql_server"))
    await in_transaction(parse_url(url), _make_old)
    return url


def _make_old(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    for name, drill in (("fire", False), ("exercise", True)):
        connection.execute(
            text(
                "INSERT INTO incidents (tenant, hub, id, number, category, title, level, loop, stage,"
                " opened_at, updated_at, team, drill, origin, decision) VALUES ('default', 'street-a',"
                " :id, :id, 'fire', 'Smoke', 2, 'street', 'closed', '2026-03-01', '2026-03-01', '',"
                " :drill, '', '{}')"
            ),
            {"id": name, "drill": drill},
        )
    for call, incident in (("c1", "fire"), ("c2", "exercise"), ("c3", None)):
        connection.execute(
            text(
                "INSERT INTO calls (tenant, hub, id, created_at, created_by, incident_id, recording,"
                " had_two) VALUES ('default', 'street-a', :id, '2026-03-01 08:00:00.000000', 'user:li',"
                " :incident, true, true)"
            ),
            {"id": call, "incident": incident},
        )
        connection.execute(
            text(
                "INSERT INTO recordings (tenant, hub, id, call_id, path, seconds, sha256, stored_at)"
                " VALUES ('default', 'street-a', :id, :call, 'a.wav', 2, 'ab',"
                " '2026-03-01 08:05:00.000000')"
            ),
            {"id": f"r-{call}", "call": call},
        )


async def test_old_recordings_find_their_incident_and_their_class(
    first_schema: str, bus: Bus[Fact], clock: ScriptedClock
) -> None:
    await migrate(first_schema)
    async with open_store(first_schema, bus=bus, clock=clock, hub="street-a") as store:
        async with store.read() as uow:
            found = {call: (await uow.recordings.of_call(call))[0] for call in ("c1", "c2", "c3")}
            call = await uow.calls.get("c1")
        assert [found[call].retention for call in ("c1", "c2", "c3")] == [
            Retention.INCIDENT,
            Retention.DRILL,
            Retention.OTHER,
        ]
        assert found["c2"].incident_id == "exercise"
        assert found["c3"].incident_id is None
        one = found["c1"]
        assert (one.kind, one.started_at, one.held) == (
            RecordingKind.MIXED,
            one.stored_at,
            False,
        )
        assert call.recording
        assert not call.recording_legs
