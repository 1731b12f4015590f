"""What peers say is taken once with all it causes, or refused with a reason that both sides keep."""

from dataclasses import replace

import pytest
from fakes.clock import START, ScriptedClock
from fakes.objects import an_incident

from commhub.db import SqlStore
from commhub.domain.errors import IllegalMoveError, InvalidError, NotAllowedError
from commhub.domain.facts import Fact, StageMoved
from commhub.domain.tier import (
    MessageState,
    Peering,
    PeeringState,
    Relation,
    Tier,
    TierMessage,
)
from commhub.domain.tier_facts import LinkMoved, TierRefused
from commhub.kit.bus import Bus
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.tiers.words import Words

PEER = "district-1"
PEERING = Peering(
    peer=PEER,
    name="一区",
    tier=Tier.DISTRICT,
    relation=Relation.UPPER,
    paired_at=START,
    paired_by="user:admin",
    keys=("key",),
)


@pytest.fixture
async def words(store: SqlStore, clock: ScriptedClock) -> Words:
    async with store.begin() as uow:
        await uow.peerings.put(PEERING)
        await uow.incidents.add(an_incident(id="i"))
    return Words(store, clock)


def a_message(seq: int, **given: object) -> TierMessage:
    content = {
        "id": new_id(),
        "peer": PEER,
        "kind": "note",
        "body": {"text": "收到"},
        "created_at": START,
        "seq": seq,
    }
    return TierMessage(**content | given)


async def note(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
    uow.record(
        StageMoved(
            at=START,
            incident_id="i",
            actor=f"hub:{peering.peer}",
            action="comment",
            before="registered",
            after="registered",
            note=str(message.body["text"]),
        )
    )


async def notes(store: SqlStore) -> list[object]:
    async with store.read() as uow:
        lines = await uow.timeline.of_incident("i")
        return [line.data["note"] for line in lines if line.kind == "stage_moved"]


async def test_a_message_delivered_again_is_answered_alike_and_done_once(
    words: Words, store: SqlStore
) -> None:
    words.on_message("note", note)
    message = a_message(3)
    for _ in range(3):
        answer = await words.arrived(PEER, "e", message)
        assert answer.state is MessageState.APPLIED
    assert await notes(store) == ["收到"]
    async with store.read() as uow:
        assert await uow.peerings.applied(PEER) == ("e", 3)


async def test_a_refusal_undoes_all_of_it_is_kept_and_stops_nothing_behind_it(
    words: Words, store: SqlStore
) -> None:
    async def refuse(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        await note(uow, peering, message)
        raise IllegalMoveError("it is closed")

    words.on_message("note", note)
    words.on_message("bad", refuse)
    bad = a_message(1, kind="bad")
    for _ in range(2):
        answer = await words.arrived(PEER, "e", bad)
        assert (answer.state, answer.code, answer.reason) == (
            MessageState.REFUSED,
            "illegal-move",
            "it is closed",
        )
    assert (await words.arrived(PEER, "e", a_message(2))).state is MessageState.APPLIED
    assert await notes(store) == ["收到"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "never-heard-of"}, "unknown-kind"),
        ({"schema": 99}, "unknown-schema"),
        ({"body": {}}, "broken-message"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_code(
    words: Words, change: dict[str, object], code: str
) -> None:
    words.on_message("note", note)
    answer = await words.arrived(PEER, "e", a_message(1, **change))
    assert (answer.state, answer.code) == (MessageState.REFUSED, code)


async def test_a_revoked_peer_is_refused_whatever_it_says(words: Words, store: SqlStore) -> None:
    words.on_message("note", note)
    async with store.begin() as uow:
        await uow.peerings.put(replace(PEERING, state=PeeringState.REVOKED))
    answer = await words.arrived(PEER, "e", a_message(1))
    assert (answer.state, answer.code) == (MessageState.REFUSED, "not-allowed")
    with pytest.raises(NotAllowedError):
        await words.asked(PEER, "note", {})


async def test_what_the_peer_refuses_stands_on_our_message_and_on_the_bus(
    words: Words, store: SqlStore, bus: Bus[Fact]
) -> None:
    ours = a_message(0)
    async with store.begin() as uow:
        await uow.peerings.queue(ours)
    with bus.subscribe() as facts:
        await words.settled(PEER, ours.id, "unknown-kind", "update it")
        await words.settled(PEER, ours.id, None, None)
        fact = await facts.get()
    assert isinstance(fact, TierRefused)
    assert (fact.code, fact.ours) == ("unknown-kind", True)
    async with store.read() as uow:
        kept = await uow.peerings.find_message(ours.id)
        assert kept is not None
        assert (kept.state, kept.reason) == (MessageState.REFUSED, "update it")


async def test_another_peer_cannot_settle_our_message(words: Words, store: SqlStore) -> None:
    ours = a_message(0)
    async with store.begin() as uow:
        await uow.peerings.queue(ours)
    await words.settled("street-z", ours.id, None, None)
    async with store.read() as uow:
        kept = await uow.peerings.find_message(ours.id)
        assert kept is not None
        assert kept.state is MessageState.WAITING


async def test_a_question_of_another_form_is_a_refusal_and_no_fault(words: Words) -> None:
    async def answer(peering: Peering, body: object) -> dict[str, object]:
        return {"x": body["y"]}  # type: ignore[index] - what the far end sent may be anything

    words.on_ask("x", answer)
    with pytest.raises(InvalidError):
        await words.asked(PEER, "x", {})
    with pytest.raises(InvalidError):
        await words.asked(PEER, "y", {})


async def test_a_link_that_moves_is_told_to_everybody_even_when_one_stumbles(
    words: Words, store: SqlStore, bus: Bus[Fact]
) -> None:
    heard: list[bool] = []

    async def stumble(peering: Peering, up: bool) -> None:
        raise RuntimeError("no")

    async def hear(peering: Peering, up: bool) -> None:
        heard.append(up)

    words.on_link(stumble)
    words.on_link(hear)
    with bus.subscribe() as facts:
        await words.link_moved(PEER, True, None)
        fact = await facts.get()
    assert isinstance(fact, LinkMoved)
    assert heard == [True]
    async with store.read() as uow:
        assert (await uow.peerings.get(PEER)).came_up_at == START


async def test_one_that_comes_behind_what_was_taken_is_refused_and_moves_nothing_back(
    words: Words, store: SqlStore
) -> None:
    words.on_message("note", note)
    await words.arrived(PEER, "e", a_message(5))
    late = a_message(4)
    for _ in range(2):
        answer = await words.arrived(PEER, "e", late)
        assert (answer.state, answer.code) == (MessageState.REFUSED, "out-of-order")
    assert await words.reached(PEER) == ("e", 5)
    assert await notes(store) == ["收到"]
    assert (await words.arrived(PEER, "another", a_message(1))).state is MessageState.APPLIED


async def test_notes_of_long_ago_are_forgotten_and_their_messages_still_done_once(
    words: Words, store: SqlStore, clock: ScriptedClock
) -> None:
    words.on_message("note", note)
    message = a_message(3)
    await words.arrived(PEER, "e", message)
    assert await words.forget_old() == 0
    clock.advance(91 * 24 * 3600)
    assert await words.forget_old() == 1
    assert (await words.arrived(PEER, "e", message)).code == "out-of-order"
    assert await notes(store) == ["收到"]
