"""Deliveries leave at least once, in order, and none of them holds up another."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.channels import FakeChannel, TextChannel, busy, refusing, silent
from fakes.clock import ScriptedClock
from fakes.town import DESK, Town, responder
from fakes.waiting import eventually

from commhub.db import SqlStore
from commhub.domain.errors import UnavailableError
from commhub.domain.incident import Action, Incident
from commhub.domain.message import DeliveryKind, DeliveryState
from commhub.domain.people import Endpoint
from commhub.kit.patience import Backoff
from commhub.messages.config import MessageConfig
from commhub.messages.service import Draft
from commhub.ports.channels import Sent

CONFIG = MessageConfig(backoff=Backoff(first_s=1.0, most_s=60.0), tries=4)


@pytest.fixture
async def town(store: SqlStore, clock: ScriptedClock) -> Town:
    town = Town(store, clock, message_config=CONFIG)
    await town.settle()
    return town


@pytest.fixture
async def two_ways(store: SqlStore, clock: ScriptedClock) -> Town:
    """wang is reached by WeCom first and by SMS if that fails."""
    town = Town(store, clock, channels=(FakeChannel(), TextChannel()), message_config=CONFIG)
    addresses = ("wecom:wang", "tel:+8613800000000")
    await town.settle(responder("wang", endpoints=tuple(map(Endpoint.parse, addresses))))
    return town


async def states(town: Town, incident: Incident, kind: DeliveryKind = DeliveryKind.SEND):
    return [delivery.state for delivery in await town.deliveries(incident, kind)]


async def moved(town: Town, incident: Incident) -> list[tuple[str, str]]:
    """What the timeline says of deliveries: their kind and state."""
    return [
        (entry.data["delivery_kind"], entry.data["state"])
        for entry in await town.timeline(incident)
        if entry.kind == "delivery_moved"
    ]


async def test_a_card_is_sent_once_and_its_key_kept(town: Town) -> None:
    incident = await town.report()

    assert await town.send() == 1

    (delivery,) = await town.deliveries(incident)
    assert (delivery.state, delivery.attempt) == (DeliveryState.ACCEPTED, 1)
    assert delivery.provider_id == f"msg-{delivery.id}"
    assert delivery.response_code == "code-1"
    assert await moved(town, incident) == [("send", "accepted")]
    assert await town.send() == 0


async def test_a_busy_provider_is_asked_again_with_growing_pauses(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = busy()
    gaps = []
    for _ in range(3):
        await town.send()
        (delivery,) = await town.deliveries(incident)
        assert delivery.state is DeliveryState.FAILED_TEMP
        gaps.append((delivery.next_at - town.clock.now()).total_seconds())
        town.clock.advance(gaps[-1])

    for gap, expected in zip(gaps, (1.0, 2.0, 4.0), strict=True):
        assert gap == pytest.approx(expected, rel=0.25)
    town.wecom.on_send = town.wecom.accept
    await town.send()
    assert await states(town, incident) == [DeliveryState.ACCEPTED]
    assert await moved(town, incident) == [("send", "failed_temp"), ("send", "accepted")]


async def test_a_provider_that_says_when_is_not_asked_before(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = busy(after_s=42)
    await town.send()
    (delivery,) = await town.deliveries(incident)

    assert delivery.next_at == town.clock.now() + timedelta(seconds=42)


async def test_too_many_tries_are_a_failure_that_a_person_hears_of(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = busy()

    for _ in range(6):
        await town.send()
        town.clock.advance(20)

    (delivery,) = await town.deliveries(incident)
    assert (delivery.state, delivery.attempt) == (DeliveryState.FAILED_PERM, 4)
    assert delivery.error == "busy (given up after 4 tries)"
    assert (await town.incident(incident)).needs_attention == (
        "delivery_failed: «help» did not reach wecom:wang by wecom: busy (given up after 4 tries)"
    )


async def test_a_refusal_is_final_and_a_person_hears_of_it(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = refusing("81013 all recipients invalid")

    await town.send_later(60)

    assert len(town.wecom.sent) == 1
    assert await states(town, incident) == [DeliveryState.FAILED_PERM]
    assert "81013" in ((await town.incident(incident)).needs_attention or "")


async def test_no_answer_sends_the_same_delivery_again(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = silent()
    await town.send()
    assert await states(town, incident) == [DeliveryState.UNKNOWN]

    town.wecom.on_send = town.wecom.accept
    await town.send_later(5)

    first, second = town.wecom.sent
    assert first.delivery.id == second.delivery.id
    assert first.message == second.message
    assert await states(town, incident) == [DeliveryState.ACCEPTED]


async def test_a_channel_that_raises_is_no_answer_and_harms_nobody_else(town: Town) -> None:
    bad, good = await town.report(), await town.report()

    def choosy(outgoing):
        if outgoing.delivery.recipient == "wecom:wang":
            raise RuntimeError("bug")
        return Sent(provider_id="1")

    town.wecom.on_send = choosy
    await town.send()

    assert await states(town, bad) == [DeliveryState.UNKNOWN]
    assert await states(town, good) == [DeliveryState.ACCEPTED]


async def test_a_channel_that_hangs_is_no_answer_after_a_while(
    store: SqlStore, clock: ScriptedClock
) -> None:
    config = replace(CONFIG, send_within=timedelta(milliseconds=50))
    town = Town(store, clock, message_config=config)
    await town.settle()
    incident = await town.report()
    town.wecom.hold()

    await town.send()

    assert await states(town, incident) == [DeliveryState.UNKNOWN]


async def test_a_dead_senders_delivery_goes_again_when_its_lease_has_run_out(town: Town) -> None:
    incident = await town.report()
    async with town.store.begin() as uow:
        now = town.clock.now()
        await uow.messages.claim(now, now + CONFIG.lease, 10)

    assert await town.send() == 0
    town.clock.advance(30)
    assert await town.send() == 1

    (delivery,) = await town.deliveries(incident)
    assert (delivery.state, delivery.attempt) == (DeliveryState.ACCEPTED, 2)


async def test_the_only_sender_takes_over_at_once_what_a_killed_one_had_in_hand(town: Town) -> None:
    incident = await town.report()
    async with town.store.begin() as uow:
        now = town.clock.now()
        await uow.messages.claim(now, now + CONFIG.lease, 10)

    await town.messages.take_over()
    assert await town.send() == 1

    (delivery,) = await town.deliveries(incident)
    assert (delivery.state, delivery.attempt) == (DeliveryState.ACCEPTED, 2)


async def test_an_outcome_the_database_cannot_take_just_now_is_written_a_moment_later(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = await town.report()
    town.wecom.hold()
    sending = asyncio.create_task(town.messages.send_due())
    await eventually(lambda: town.wecom.sent)
    refused = 0

    def away():
        nonlocal refused
        refused += 1
        raise UnavailableError("deadlock")

    with monkeypatch.context() as broken:
        broken.setattr(town.store, "begin", away)
        town.wecom.release()
        await eventually(lambda: refused)
    await sending

    assert await states(town, incident) == [DeliveryState.ACCEPTED]
    assert len(town.wecom.sent) == 1


async def test_what_expired_is_stale_and_not_sent(town: Town) -> None:
    incident = await town.report()
    async with town.store.begin() as uow:
        (delivery,) = await town.deliveries(incident)
        message = await uow.messages.get(delivery.message_id)
        expiring = replace(
            message, id="m2", dedup_key="m2", task_id=None, expires_at=town.clock.now()
        )
        await uow.messages.add(expiring, [replace(delivery, id="d2", message_id="m2")])

    await town.send()

    assert [outgoing.delivery.id for outgoing in town.wecom.sent] == [delivery.id]
    assert ("send", "stale") in await moved(town, incident)


async def test_the_next_way_is_tried_when_the_first_brought_no_answer(two_ways: Town) -> None:
    town = two_ways
    incident = await town.report()
    sms = town.channels[1]
    await town.send()
    assert (len(town.wecom.sent), len(sms.sent)) == (1, 0)

    town.clock.advance(45)
    await town.send()

    assert len(sms.sent) == 1
    assert await states(town, incident) == [DeliveryState.ACCEPTED] * 2


async def test_the_next_way_is_tried_at_once_when_the_first_failed(two_ways: Town) -> None:
    town = two_ways
    incident = await town.report()
    town.wecom.on_send = refusing()

    await town.send()

    assert len(town.channels[1].sent) == 1
    assert await states(town, incident) == [DeliveryState.FAILED_PERM, DeliveryState.ACCEPTED]
    assert (await town.incident(incident)).needs_attention is None


async def test_an_answer_makes_the_other_ways_needless(two_ways: Town) -> None:
    town = two_ways
    incident = await town.report()
    await town.send()
    await town.tap("wang", "accept")

    await town.send_later(60)

    assert town.channels[1].sent == []
    assert await states(town, incident) == [DeliveryState.DELIVERED, DeliveryState.SUPERSEDED]


async def test_a_text_that_went_out_cannot_change_and_nobody_is_bothered(two_ways: Town) -> None:
    town = two_ways
    incident = await town.report()
    town.wecom.on_send = refusing()
    await town.send()

    await town.act(incident, Action.ACCEPT)
    await town.send_later()

    assert await states(town, incident, DeliveryKind.UPDATE) == [DeliveryState.SUPERSEDED]


async def test_a_change_never_overtakes_its_card(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = busy(after_s=10)
    await town.send()

    await town.act(incident, Action.ACCEPT)  # by phone: the card is still to go
    await town.send()
    assert town.wecom.updates == []

    town.wecom.on_send = town.wecom.accept
    town.clock.advance(10)
    await town.send_later()
    assert (len(town.wecom.sent), town.wecom.statuses) == (2, ["已接单 16:00"])
    assert town.wecom.updates[0].delivery.response_code == "code-1"


async def test_a_change_waits_while_its_card_is_being_sent(town: Town) -> None:
    incident = await town.report()
    town.wecom.hold()
    sending = asyncio.create_task(town.messages.send_due())
    await eventually(lambda: town.wecom.sent)

    await town.act(incident, Action.ACCEPT)
    await town.messages.send_due()
    assert town.wecom.updates == []

    town.wecom.release()
    await sending
    await town.send_later()
    assert town.wecom.statuses == ["已接单 16:00"]


async def test_a_change_is_no_attempt_while_it_waits(town: Town) -> None:
    incident = await town.report()
    town.wecom.on_send = busy(after_s=600)
    await town.send()
    await town.act(incident, Action.ACCEPT)
    for _ in range(20):
        await town.send_later(1)

    (change,) = await town.deliveries(incident, DeliveryKind.UPDATE)
    assert (change.state, change.attempt) == (DeliveryState.PENDING, 0)


async def test_only_the_latest_change_of_a_card_is_sent(town: Town) -> None:
    incident = await town.report()
    await town.send()
    await town.act(incident, Action.ACCEPT)
    await town.act(incident, Action.ARRIVE)

    await town.send_later()

    assert town.wecom.statuses == ["已到场 16:00"]
    assert await states(town, incident, DeliveryKind.UPDATE) == [
        DeliveryState.SUPERSEDED,
        DeliveryState.ACCEPTED,
    ]


async def test_a_newer_change_waits_for_an_older_one_on_its_way(town: Town) -> None:
    incident = await town.report()
    await town.send()
    await town.act(incident, Action.ACCEPT)
    town.wecom.hold()
    sending = asyncio.create_task(town.messages.send_due())
    await eventually(lambda: town.wecom.updates)

    await town.act(incident, Action.ARRIVE)
    await town.messages.send_due()
    assert len(town.wecom.updates) == 1

    town.wecom.release()
    await sending


async def test_a_key_is_used_once_and_the_tap_brings_the_next(town: Town) -> None:
    incident = await town.report()
    await town.send()
    await town.tap("wang", "accept")
    await town.send()
    (card,) = await town.deliveries(incident)
    assert card.response_code is None

    await town.tap("wang", "finish")
    await town.send()

    assert [o.delivery.response_code for o in town.wecom.updates] == ["code-2", "code-3"]
    assert await states(town, incident, DeliveryKind.UPDATE) == [DeliveryState.ACCEPTED] * 2


async def test_a_key_that_a_tap_brings_during_the_change_survives_it(town: Town) -> None:
    incident = await town.report()
    await town.send()
    await town.act(incident, Action.ACCEPT)
    town.wecom.hold()
    sending = asyncio.create_task(town.messages.send_due())
    await eventually(lambda: town.wecom.updates)
    town.wecom.on_update = lambda outgoing: Sent()

    await town.tap("wang", "finish")
    town.wecom.release()
    await sending

    (card,) = await town.deliveries(incident)
    assert card.response_code == "code-2"


async def test_a_change_that_cannot_be_made_bothers_nobody(town: Town) -> None:
    incident = await town.report()
    await town.send()
    town.wecom.on_update = refusing("60140 bad response_code")
    await town.act(incident, Action.ACCEPT)

    await town.send_later()

    assert await states(town, incident, DeliveryKind.UPDATE) == [DeliveryState.FAILED_PERM]
    assert (await town.incident(incident)).needs_attention is None


async def test_so_many_at_once_and_no_more_on_one_channel(
    store: SqlStore, clock: ScriptedClock
) -> None:
    town = Town(
        store,
        clock,
        channels=(FakeChannel(), TextChannel()),
        message_config=replace(CONFIG, at_once=3),
    )
    people = [responder(f"p{i}") for i in range(9)]
    people += [responder("q", endpoints=(Endpoint.parse("tel:+861"),))]
    await town.settle(*people)
    for name in [*(person.id for person in people[:9]), "q"]:
        async with town.store.begin() as uow:
            await town.messages.send_within(uow, Draft((name,), "hello", "you"), DESK)
    town.wecom.hold()
    rounds = [asyncio.create_task(town.messages.send_due()) for _ in range(3)]
    await eventually(lambda: len(town.wecom.sent) == 3)
    town.wecom.release()
    await asyncio.gather(*rounds)

    for _ in range(5):
        await town.send_later(2)

    assert town.wecom.most_at_once == 3
    assert sorted(town.wecom.recipients) == [f"wecom:p{i}" for i in range(9)]
    assert len(town.channels[1].sent) == 1


async def test_a_channel_out_of_service_fails_its_deliveries_and_says_so(
    two_ways: Town, store: SqlStore, clock: ScriptedClock
) -> None:
    incident = await two_ways.report()
    without = Town(store, clock, channels=(FakeChannel("ptt"),), message_config=CONFIG)

    await without.send_later(60)

    assert await states(without, incident) == [DeliveryState.FAILED_PERM] * 2
    assert "sms is not in service" in ((await without.incident(incident)).needs_attention or "")


async def test_the_loop_sends_what_is_queued_and_waits_for_a_database_that_is_away(
    store: SqlStore, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town(store, clock, message_config=replace(CONFIG, poll_s=0.02))
    await town.settle()
    await town.report()
    refused = 0

    def away():
        nonlocal refused
        refused += 1
        raise UnavailableError("the database is not available just now")

    with monkeypatch.context() as broken:
        broken.setattr(town.store, "begin", away)
        loop = asyncio.create_task(town.messages.run())
        await eventually(lambda: refused > 1)
    try:
        await eventually(lambda: len(town.wecom.sent) == 1)
        await town.report()
        await eventually(lambda: len(town.wecom.sent) == 2)
    finally:
        loop.cancel()


async def test_answers_that_cannot_be_read_do_not_cancel_a_card_on_its_way(
    store: SqlStore, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town(store, clock, message_config=replace(CONFIG, poll_s=0.02))
    await town.settle()
    incident = await town.report()
    town.wecom.hold()
    loop = asyncio.create_task(town.messages.run())
    refused = 0

    def away():
        nonlocal refused
        refused += 1
        raise UnavailableError("the database is not available just now")

    try:
        await eventually(lambda: len(town.wecom.sent) == 1)
        with monkeypatch.context() as broken:
            broken.setattr(town.store, "read", away)
            await eventually(lambda: refused > 2)
        town.wecom.release()

        async def has_left() -> bool:
            return await states(town, incident) == [DeliveryState.ACCEPTED]

        await eventually(has_left)
        assert len(town.wecom.sent) == 1
    finally:
        loop.cancel()


def test_the_outbox_and_the_sender_must_agree_on_the_channels(town: Town) -> None:
    with pytest.raises(ValueError, match="exactly the channels"):
        town.messages.__class__(
            town.store,
            town.clock,
            (),
            town.outbox,
            task_moves=town.incidents,
            attention=town.incidents,
        )
