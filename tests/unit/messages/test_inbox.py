"""What people answer is kept before the channel hears so, and has one effect."""

import asyncio
from dataclasses import replace

import pytest
from fakes.clock import ScriptedClock
from fakes.town import DESK, Town
from fakes.waiting import eventually

from commhub.db import SqlStore
from commhub.domain.errors import UnavailableError
from commhub.domain.incident import Incident, Stage
from commhub.domain.message import DeliveryState
from commhub.messages.config import MessageConfig
from commhub.messages.service import Draft
from commhub.ports.inward import NewAck


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock)
    await town.settle()
    return town


@pytest.fixture
async def incident(town: Town) -> Incident:
    incident = await town.report()
    await town.send()
    return incident


async def taps(town: Town, incident: Incident) -> int:
    return (await town.kinds(incident)).count("ack_received")


async def waiting(town: Town) -> int:
    async with town.store.read() as uow:
        return len(await uow.messages.waiting_inbound(100))


async def test_the_same_event_delivered_five_times_at_once_has_one_effect(
    town: Town, incident: Incident
) -> None:
    await asyncio.gather(*(town.tap("wang", "accept", key="wang:1:accept") for _ in range(5)))

    assert await town.holders(incident) == [("wang", "accepted")]
    assert await taps(town, incident) == 1


async def test_two_different_taps_in_one_second_are_both_kept(
    town: Town, incident: Incident
) -> None:
    await asyncio.gather(
        town.tap("wang", "accept", key="wang:1:accept"),
        town.tap("wang", "finish", key="wang:1:finish"),
    )

    assert await taps(town, incident) == 2


async def test_a_tap_brings_the_next_key_and_proves_the_card_delivered(
    town: Town, incident: Incident
) -> None:
    ack = await town.tap("wang", "accept")

    (card,) = await town.deliveries(incident)
    assert (card.state, card.response_code) == (DeliveryState.DELIVERED, ack.response_code)


async def test_a_tap_faster_than_the_providers_answer_is_not_forgotten_by_it(
    town: Town,
) -> None:
    incident = await town.report()
    town.wecom.hold()
    sending = asyncio.create_task(town.messages.send_due())
    await eventually(lambda: town.wecom.sent)

    ack = await town.tap("wang", "accept")
    town.wecom.release()
    await sending

    (card,) = await town.deliveries(incident)
    assert (card.state, card.response_code) == (DeliveryState.DELIVERED, ack.response_code)


async def test_a_restart_between_event_and_effect_loses_neither(
    town: Town, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    async def die(*_):
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr(town.incidents, "move_task", die)
        with pytest.raises(Killed):
            await town.tap("wang", "accept")
    assert await town.holders(incident) == [("wang", "dispatched")]

    reborn = Town(town.store, town.clock)
    assert await reborn.messages.handle_waiting() == 1
    assert await reborn.messages.handle_waiting() == 0
    assert await reborn.holders(incident) == [("wang", "accepted")]
    assert await taps(reborn, incident) == 1


async def test_the_loop_handles_what_a_restart_left(
    town: Town, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_):
        raise UnavailableError("locked")

    with monkeypatch.context() as broken:
        broken.setattr(town.incidents, "move_task", away)
        await town.tap("wang", "accept")
    assert await waiting(town) == 1

    reborn = Town(town.store, town.clock)
    loop = asyncio.create_task(reborn.messages.run())
    try:
        await eventually(lambda: _is_accepted(reborn, incident))
    finally:
        loop.cancel()


async def _is_accepted(town: Town, incident: Incident) -> bool:
    return (await town.incident(incident)).stage is Stage.ACCEPTED


async def test_an_answer_to_a_delivery_nobody_knows_is_kept_with_its_error(town: Town) -> None:
    ack = NewAck(
        channel="wecom",
        event_key="k",
        delivery_id="ghost",
        actor="wecom:wang",
        action="accept",
        at=town.clock.now(),
        raw="<xml/>",
    )

    await town.messages.acknowledge(ack)
    await town.messages.acknowledge(ack)

    assert await waiting(town) == 0


async def test_an_action_nobody_knows_moves_nothing(town: Town, incident: Incident) -> None:
    await town.tap("wang", "dance")

    assert await town.holders(incident) == [("wang", "dispatched")]
    assert (await town.last(incident, "ack_received")).data["effect"] == "unknown"


async def test_an_answer_to_a_plain_text_moves_nothing(town: Town) -> None:
    async with town.store.begin() as uow:
        await town.messages.send_within(uow, Draft(("wang",), "hello", "you"), DESK)
    await town.send()

    await town.tap("wang", "accept")

    (file,) = await town.messages.list(None, None, 10)
    assert [ack.effect for ack in file.acks] == ["unknown"]


async def test_an_answer_that_fails_for_itself_is_set_aside_and_the_desk_told(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(store, clock, message_config=MessageConfig(event_tries=2))
    await town.settle()
    bad, good = await town.report(), await town.report()
    await town.send()
    async with town.store.begin() as uow:
        await uow.incidents.update(replace(bad, decision={"loop": "no such loop"}))

    await town.tap("wang", "accept")
    await town.tap("zhang", "accept")
    assert await town.holders(good) == [("zhang", "accepted")]

    town.clock.advance(60)
    await town.messages.handle_waiting()
    assert await waiting(town) == 0
    assert "answer_failed: " in ((await town.incident(bad)).needs_attention or "")
