"""Who may ask for which floor, and whose SOS is open: told to the engine as the hub's records say."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.calls import RememberingMedia
from fakes.objects import a_report, an_incident
from fakes.waiting import eventually

from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import UnavailableError
from commhub.domain.facts import StageMoved
from commhub.domain.incident import Stage
from commhub.domain.report import ReportStage, Source, told
from commhub.fleet.presence import seen
from commhub.fleet.standings import RadioStandings
from commhub.ports.media import RadioStanding

RADIO = Device(id="r12", kind=DeviceKind.RADIO, name="r12", groups=("patrol-1", "all"))
PLAIN = RadioStanding(device_id="r12", groups=("patrol-1", "all"))
IN_DANGER = replace(PLAIN, emergency=True)


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
def standings(store, bus, media):
    made = RadioStandings(store, bus, compare_every_s=60)
    made.connect(media)
    return made


@asynccontextmanager
async def running(standings):
    task = asyncio.create_task(standings.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def enrolled(media):
    return [order[1:] for order in media.orders if order[0] == "enroll"]


async def put(store, clock, device, changed):
    async with store.begin() as uow:
        await uow.fleet.put(device)
        uow.record(seen(device, changed, clock.now()))


async def raise_sos(store, **given):
    report = a_report(reporter="device:r12", **given)
    async with store.begin() as uow:
        await uow.reports.add(report, "hash")
        uow.record(told(report))
    return report


async def test_an_engine_that_comes_is_told_of_everybody(standings, store, clock, media):
    await put(store, clock, RADIO, "admit")
    async with running(standings):
        await eventually(lambda: enrolled(media) == [((PLAIN,), True)])
        standings.engine_came()
        await eventually(lambda: len(enrolled(media)) == 2)
    assert enrolled(media)[1] == ((PLAIN,), True)


async def test_only_what_changed_is_told_and_a_revoked_device_is_in_no_group(
    standings, store, clock, media
):
    await put(store, clock, RADIO, "admit")
    other = replace(RADIO, id="r13", name="r13")
    async with running(standings):
        await eventually(lambda: enrolled(media))
        await put(store, clock, other, "admit")
        await eventually(lambda: len(enrolled(media)) == 2)
        await put(store, clock, replace(RADIO, revoked=True), "revoke")
        await eventually(lambda: len(enrolled(media)) == 3)
    assert enrolled(media)[1] == ((replace(PLAIN, device_id="r13"),), False)
    assert enrolled(media)[2] == ((RadioStanding(device_id="r12", groups=()),), False)


async def test_an_sos_is_open_from_its_commit_until_its_incident_is_handled(
    standings, store, clock, media
):
    await put(store, clock, RADIO, "admit")
    async with running(standings):
        await eventually(lambda: enrolled(media))
        report = await raise_sos(store)
        await eventually(lambda: enrolled(media)[-1] == ((IN_DANGER,), False))
        incident = an_incident(stage=Stage.DISPATCHED)
        async with store.begin() as uow:
            await uow.incidents.add(incident)
            await uow.reports.update(
                replace(report, stage=ReportStage.ATTACHED, incident_id=incident.id)
            )
            uow.record(moved(clock, incident, Stage.DISPATCHED))
        async with store.begin() as uow:
            await uow.incidents.update(replace(incident, stage=Stage.HANDLED))
            uow.record(moved(clock, incident, Stage.HANDLED))
        await eventually(lambda: enrolled(media)[-1] == ((PLAIN,), False))
    assert len(enrolled(media)) == 3


def moved(clock, incident, after):
    return StageMoved(
        at=clock.now(), incident_id=incident.id, action="x", before="y", after=after.value
    )


@pytest.mark.parametrize(
    "given",
    [
        {"category": "fire"},
        {"source": Source.CONSOLE},
        {"stage": ReportStage.QUARANTINED},
    ],
    ids=str,
)
async def test_what_is_no_open_sos_of_a_device_makes_no_emergency(
    standings, store, clock, media, given
):
    await put(store, clock, RADIO, "admit")
    await raise_sos(store, **given)
    async with running(standings):
        await eventually(lambda: enrolled(media))
    assert enrolled(media) == [((PLAIN,), True)]


async def test_an_engine_that_is_away_is_told_all_when_it_comes(standings, store, clock, media):
    await put(store, clock, RADIO, "admit")
    works = media.enroll

    async def away(radios, whole):
        media.orders.append(("tried",))
        raise UnavailableError("no worker is there")

    media.enroll = away
    async with running(standings):
        await eventually(lambda: ("tried",) in media.orders)
        media.enroll = works
        standings.engine_came()
        await eventually(lambda: enrolled(media))
    assert enrolled(media)[0] == ((PLAIN,), True)


async def test_positions_are_nothing_to_the_engine(standings, store, clock, media):
    await put(store, clock, RADIO, "admit")
    async with running(standings):
        await eventually(lambda: enrolled(media))
        await put(store, clock, replace(RADIO, battery=50), "telemetry")
        await put(store, clock, replace(RADIO, groups=("all",)), "birth")
        await eventually(lambda: len(enrolled(media)) == 2)
    assert enrolled(media)[1] == ((replace(PLAIN, groups=("all",)),), False)
