"""Two hub processes, taps, clocks and the desk at the same moment: on each database one thing happened, and only once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from fakes.clock import ScriptedClock
from fakes.town import Town, responder, sos

from commhub.db import SqlStore
from commhub.domain.errors import ConflictError, IllegalMoveError
from commhub.domain.incident import Action, Stage
from commhub.domain.message import DeliveryKind
from commhub.domain.timer import TimerState

INCIDENTS = 12


@pytest.fixture
async def towns(open_here: Callable[..., Awaitable[SqlStore]], clock: ScriptedClock) -> list[Town]:
    """Two processes of one hub, each with its own door to the database."""
    first, second = [Town(await open_here(), clock) for _ in range(2)]
    await first.settle(*(responder(f"p{i}", capacity=20) for i in range(6)))
    return [first, second]


async def test_two_processes_decide_every_report_once(towns: list[Town]) -> None:
    keys = [f"k{i}" for i in range(30)]
    await asyncio.gather(*(town.reports.submit(sos(key)) for key in keys for town in towns))

    await asyncio.gather(*(town.reports.decide_waiting() for town in towns for _ in range(3)))
    while await towns[0].reports.decide_waiting():
        pass

    incidents = await towns[0].all_incidents()
    assert len(incidents) == len(keys)
    assert len({incident.number for incident in incidents}) == len(keys)
    for incident in incidents:
        assert len(await towns[0].tasks(incident)) == 1
        assert len(await towns[0].deliveries(incident)) == 1


async def test_everything_at_once_leaves_each_incident_with_one_holder(towns: list[Town]) -> None:
    town = towns[0]
    incidents = [await town.report(text=str(i)) for i in range(INCIDENTS)]
    await town.send()
    town.clock.advance(120)
    cards = [outgoing.delivery.recipient.removeprefix("wecom:") for outgoing in town.wecom.sent]

    async def order(incident) -> None:
        action = random.choice([Action.DISPATCH, Action.RETURN, Action.ACCEPT])
        with suppress(IllegalMoveError):
            await town.act(incident, action, responder_id="p5", note="now")

    await asyncio.gather(
        *(t.incidents.fire_due() for t in towns),
        *(town.tap(name, random.choice(["accept", "return"])) for name in set(cards)),
        *(order(incident) for incident in incidents),
        *(t.messages.send_due() for t in towns),
    )
    for _ in range(5):
        await asyncio.gather(*(t.messages.handle_waiting() for t in towns))
        await asyncio.gather(*(t.incidents.fire_due() for t in towns))
        await town.send_later(5)

    for incident in incidents:
        now = await town.incident(incident)
        holders = [task.responder_id for task in await town.tasks(incident) if task.is_open]
        armed = [t for t in await town.timers(incident) if t.state is TimerState.ARMED]
        assert not any(t.state is TimerState.QUARANTINED for t in await town.timers(incident))
        assert now.needs_attention is None
        if now.stage is Stage.RETURNED:
            assert (holders, len(armed)) == ([], 1)
        else:
            assert holders == [now.responder_id]
            assert len(armed) == (1 if now.stage is Stage.DISPATCHED else 0)
        sent = [d.message_id for d in await town.deliveries(incident, DeliveryKind.SEND)]
        assert len(sent) == len(set(sent)) == len(await town.tasks(incident))


async def test_two_desks_cannot_give_one_responder_more_than_they_can_hold(
    towns: list[Town],
) -> None:
    incidents = [await towns[0].report(text=str(i)) for i in range(6)]
    await towns[0].settle(responder("solo", capacity=1))

    answers = await asyncio.gather(
        *(
            towns[i % 2].act(incident, Action.DISPATCH, responder_id="solo")
            for i, incident in enumerate(incidents)
        ),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers].count(ConflictError) == 5
    held = [await towns[0].holders(incident) for incident in incidents]
    assert sum(("solo", "dispatched") in holders for holders in held) == 1
