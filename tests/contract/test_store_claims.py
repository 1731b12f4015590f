"""Work is handed out once: deliveries, timers, reports and events, among processes and over crashes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.clock import ScriptedClock
from fakes.objects import a_delivery, a_message, a_report, a_task, a_timer, an_incident

from commhub.db import SqlStore
from commhub.domain.message import Ack, DeliveryState
from commhub.domain.report import ReportStage
from commhub.domain.timer import ClockName, TimerState
from commhub.kit.ids import new_id
from commhub.ports.store import InboundEvent, UnitOfWork

OpenStore = Callable[..., Awaitable[SqlStore]]
Take = Callable[[UnitOfWork], Awaitable[list[str]]]

LEASE = timedelta(seconds=30)


async def take_at_once(one: SqlStore, other: SqlStore, take: Take) -> list[list[str]]:
    """Let two stores take in overlapping transactions: neither ends before both took, where the database
    lets two write at once (PostgreSQL); one after the other where it does not (SQLite)."""
    taken: list[list[str]] = []
    both_took = asyncio.Event()

    async def claim(store: SqlStore) -> None:
        async with store.begin() as uow:
            taken.append(await take(uow))
            if len(taken) == 2 or store._backend.is_sqlite:
                both_took.set()
            await both_took.wait()

    async with asyncio.timeout(20):
        await asyncio.gather(claim(one), claim(other))
    return taken


async def seed_outbox(store: SqlStore, clock: ScriptedClock, count: int) -> list[str]:
    message = a_message()
    deliveries = [
        a_delivery(message.id, clock.now() - timedelta(seconds=n), recipient=str(n))
        for n in range(count)
    ]
    async with store.begin() as uow:
        assert await uow.messages.add(message, deliveries)
    return [delivery.id for delivery in deliveries]


async def test_two_senders_never_share_a_delivery(
    open_here: OpenStore, clock: ScriptedClock
) -> None:
    one, other = await open_here(), await open_here()
    ids = await seed_outbox(one, clock, 10)

    async def take(uow: UnitOfWork) -> list[str]:
        claimed = await uow.messages.claim(clock.now(), clock.now() + LEASE, 5)
        return [delivery.id for delivery in claimed]

    first, second = await take_at_once(one, other, take)
    assert (len(first), len(second)) == (5, 5)
    assert sorted(first + second) == sorted(ids)


async def test_two_clocks_never_share_a_timer(open_here: OpenStore, clock: ScriptedClock) -> None:
    one, other = await open_here(), await open_here()
    incidents = [an_incident() for _ in range(6)]
    async with one.begin() as uow:
        for incident in incidents:
            await uow.incidents.add(incident)
            await uow.timers.arm(a_timer(incident.id))

    async def take(uow: UnitOfWork) -> list[str]:
        due = await uow.timers.due(clock.now(), 3)
        for timer in due:
            await uow.timers.update(replace(timer, state=TimerState.FIRED))
        return [timer.incident_id for timer in due]

    first, second = await take_at_once(one, other, take)
    assert (len(first), len(second)) == (3, 3)
    assert sorted(first + second) == sorted(incident.id for incident in incidents)


async def test_two_deciders_never_share_a_report(
    open_here: OpenStore, clock: ScriptedClock
) -> None:
    one, other = await open_here(), await open_here()
    reports = [a_report(received_at=clock.advance(1)) for _ in range(6)]
    async with one.begin() as uow:
        for report in reversed(reports):
            await uow.reports.add(report, "h")

    async def take(uow: UnitOfWork) -> list[str]:
        waiting = await uow.reports.waiting(3)
        for report in waiting:
            await uow.reports.update(replace(report, stage=ReportStage.QUARANTINED, error="x"))
        return [report.id for report in waiting]

    first, second = await take_at_once(one, other, take)
    # Oldest first, each half in its own order.
    assert first + second == [report.id for report in reports]


async def test_two_handlers_never_share_an_event(
    open_here: OpenStore, clock: ScriptedClock
) -> None:
    one, other = await open_here(), await open_here()
    async with one.begin() as uow:
        for number in range(4):
            assert await uow.messages.add_inbound(an_event(clock, str(number)))

    async def take(uow: UnitOfWork) -> list[str]:
        waiting = await uow.messages.waiting_inbound(2)
        for event in waiting:
            await uow.messages.update_inbound(replace(event, handled=True))
        return [event.event_key for event in waiting]

    first, second = await take_at_once(one, other, take)
    assert first + second == ["0", "1", "2", "3"]


async def test_an_incident_got_to_be_written_waits_for_the_other_writer(
    open_here: OpenStore,
) -> None:
    one, other = await open_here(), await open_here()
    incident = an_incident(level=0)
    async with one.begin() as uow:
        await uow.incidents.add(incident)

    async def increase(store: SqlStore) -> None:
        async with store.begin() as uow:
            found = await uow.incidents.get(incident.id)
            await uow.incidents.update(replace(found, level=found.level + 1))

    await asyncio.gather(*(increase(store) for store in [one, other] * 10))
    async with one.read() as uow:
        assert (await uow.incidents.get(incident.id)).level == 20


async def test_incident_numbers_are_never_given_twice(open_here: OpenStore) -> None:
    one, other = await open_here(), await open_here()
    given: list[int] = []

    async def number(store: SqlStore) -> None:
        async with store.begin() as uow:
            mine = [await uow.incidents.next_number("20260302") for _ in range(3)]
        given.extend(mine)

    await asyncio.gather(*(number(store) for store in [one, other] * 10))
    assert sorted(given) == list(range(1, 61))
    async with one.begin() as uow:
        assert await uow.incidents.next_number("20260303") == 1


# --- the outbox ------------------------------------------------------------------------------------------


async def test_a_claim_counts_the_attempt_and_holds_a_lease(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    (delivery_id,) = await seed_outbox(sql_store, clock, 1)
    until = clock.now() + LEASE
    async with sql_store.begin() as uow:
        (claimed,) = await uow.messages.claim(clock.now(), until, 9)
    assert (claimed.state, claimed.attempt, claimed.lease_until) == (
        DeliveryState.SENDING,
        1,
        until,
    )
    async with sql_store.begin() as uow:
        assert await uow.messages.get_delivery(delivery_id) == claimed
        assert await uow.messages.claim(clock.now(), until, 9) == []
        assert await uow.messages.next_delivery_at() == until


async def test_a_lease_that_ran_out_is_claimed_again(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    await seed_outbox(sql_store, clock, 1)
    async with sql_store.begin() as uow:
        await uow.messages.claim(clock.now(), clock.now() + LEASE, 9)
    clock.advance(LEASE.total_seconds())
    async with sql_store.begin() as uow:
        (again,) = await uow.messages.claim(clock.now(), clock.now() + LEASE, 9)
    assert again.attempt == 2


async def test_a_claim_that_was_rolled_back_is_free(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    await seed_outbox(sql_store, clock, 1)

    async def crash() -> None:
        async with sql_store.begin() as uow:
            assert await uow.messages.claim(clock.now(), clock.now() + LEASE, 9)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await crash()
    async with sql_store.begin() as uow:
        (claimed,) = await uow.messages.claim(clock.now(), clock.now() + LEASE, 9)
    assert claimed.attempt == 1


@pytest.mark.parametrize("state", list(DeliveryState))
async def test_only_what_still_has_to_go_is_claimed(
    sql_store: SqlStore, clock: ScriptedClock, state: DeliveryState
) -> None:
    message = a_message()
    due = a_delivery(message.id, clock.now(), state=state)
    later = a_delivery(message.id, clock.now() + LEASE, state=state)
    async with sql_store.begin() as uow:
        await uow.messages.add(message, [due, later])
        claimed = [d.id for d in await uow.messages.claim(clock.now(), clock.now() + LEASE, 9)]
    waits = state in {DeliveryState.PENDING, DeliveryState.FAILED_TEMP, DeliveryState.UNKNOWN}
    assert claimed == ([due.id] if waits else [])


async def test_the_longest_due_goes_first(sql_store: SqlStore, clock: ScriptedClock) -> None:
    ids = await seed_outbox(sql_store, clock, 5)
    async with sql_store.begin() as uow:
        claimed = await uow.messages.claim(clock.now(), clock.now() + LEASE, 3)
        assert [delivery.id for delivery in claimed] == ids[:1:-1]
    async with sql_store.read() as uow:
        assert await uow.messages.next_delivery_at() == clock.now() - timedelta(seconds=1)


async def test_an_empty_outbox_has_no_next_time(sql_store: SqlStore) -> None:
    async with sql_store.read() as uow:
        assert await uow.messages.next_delivery_at() is None
        assert await uow.timers.next_due() is None


async def test_a_message_queued_twice_is_one(open_here: OpenStore) -> None:
    one, other = await open_here(), await open_here()
    answers: list[bool] = []

    async def queue(store: SqlStore) -> None:
        message = a_message(dedup_key="task 1, step 2")
        async with store.begin() as uow:
            answers.append(await uow.messages.add(message, [a_delivery(message.id)]))

    await asyncio.gather(*(queue(store) for store in [one, other] * 3))
    assert sorted(answers) == [False] * 5 + [True]
    async with one.read() as uow:
        (message,) = await uow.messages.list(None, None, 9)
        assert len(await uow.messages.deliveries_of(message.id)) == 1


async def test_the_same_tap_five_times_counts_once(open_here: OpenStore) -> None:
    one, other = await open_here(), await open_here()
    message = a_message()
    async with one.begin() as uow:
        await uow.messages.add(message, [])
    answers: list[bool] = []

    async def tap(store: SqlStore, action: str) -> None:
        async with store.begin() as uow:
            ack = Ack(
                id=new_id(),
                message_id=message.id,
                actor="responder:zhang",
                action=action,
                source="wecom",
                at=message.created_at,
                effect="applied",
            )
            answers.append(await uow.messages.add_ack(ack))

    await asyncio.gather(*(tap(store, "accept") for store in [one, other, one, other, one]))
    assert sorted(answers) == [False] * 4 + [True]
    await tap(one, "finish")
    async with one.read() as uow:
        assert [ack.action for ack in await uow.messages.acks_of(message.id)] == [
            "accept",
            "finish",
        ]


def an_event(clock: ScriptedClock, key: str, channel: str = "wecom") -> InboundEvent:
    return InboundEvent(
        id=new_id(),
        channel=channel,
        event_key=key,
        payload={"tap": key},
        received_at=clock.advance(1),
    )


async def test_an_event_delivered_twice_is_kept_once(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    async with sql_store.begin() as uow:
        assert await uow.messages.add_inbound(an_event(clock, "k"))
        assert not await uow.messages.add_inbound(an_event(clock, "k"))
        assert await uow.messages.add_inbound(an_event(clock, "k", "sms"))
        assert [e.channel for e in await uow.messages.waiting_inbound(9)] == ["wecom", "sms"]


async def test_the_card_of_a_task_is_found(sql_store: SqlStore) -> None:
    incident = an_incident()
    task = a_task(incident.id)
    card = a_message(incident_id=incident.id, task_id=task.id)
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.tasks.add(task)
        assert await uow.messages.find_of_task(task.id) is None
        await uow.messages.add(card, [])
        assert await uow.messages.find_of_task(task.id) == card
        assert await uow.messages.find_of_task("another") is None


# --- clocks ----------------------------------------------------------------------------------------------


async def test_the_same_step_armed_twice_is_one_timer(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    incident = an_incident()
    first = a_timer(incident.id, clock.now())
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.timers.arm(first)
        await uow.timers.arm(a_timer(incident.id, clock.now() + LEASE))
    async with sql_store.begin() as uow:
        await uow.timers.arm(a_timer(incident.id, clock.now() + LEASE))
        second = a_timer(incident.id, clock.now() + LEASE, step=2)
        await uow.timers.arm(second)
        assert await uow.timers.of_incident(incident.id) == [first, second]


async def test_a_timer_is_due_at_its_time_and_not_before(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    incident = an_incident()
    timer = a_timer(incident.id, clock.now() + LEASE)
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.timers.arm(timer)
    async with sql_store.read() as uow:
        assert await uow.timers.next_due() == timer.due_at
        assert await uow.timers.due(timer.due_at - timedelta(microseconds=1), 9) == []
        assert await uow.timers.due(timer.due_at, 9) == [timer]


async def test_a_cancelled_clock_never_rings(sql_store: SqlStore, clock: ScriptedClock) -> None:
    incident, other = an_incident(), an_incident()
    fired = a_timer(incident.id, state=TimerState.FIRED)
    async with sql_store.begin() as uow:
        for one in (incident, other):
            await uow.incidents.add(one)
            await uow.timers.arm(a_timer(one.id, step=2))
        await uow.timers.arm(fired)
        await uow.timers.cancel(incident.id, ClockName.ACCEPT)
        assert [t.incident_id for t in await uow.timers.due(clock.now(), 9)] == [other.id]
        states = [t.state for t in await uow.timers.of_incident(incident.id)]
    assert states == [TimerState.FIRED, TimerState.CANCELLED]
