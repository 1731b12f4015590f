"""What peers say is taken once with all it causes, or refused with a reason that both sides keep."""

from dataclasses import replace

import pytest
from fakes.clock import START, ScriptedClock
from fakes.objects import an_incident
from prometheus_client import REGISTRY

from commhub.db import SqlStore
from commhub.domain.errors import (
    IllegalMoveError,
    InvalidError,
    NotAllowedError,
    UnavailableError,
)
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
from commhub.ports.tiers import PeerAnswer
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


async def take(words: Words, epoch: str, message: TierMessage) -> TierMessage:
    (answer,) = await words.arrived(PEER, epoch, [message])
    return answer


A_MOVE = StageMoved(
    at=START,
    incident_id="i",
    action="comment",
    before="registered",
    after="registered",
)


async def note(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
    text = str(message.body["text"])
    uow.record(replace(A_MOVE, actor=f"hub:{peering.peer}", note=text))


async def refuse(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
    await note(uow, peering, message)
    raise IllegalMoveError("it is closed")


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
        answer = await take(words, "e", message)
        assert answer.state is MessageState.APPLIED
    assert await notes(store) == ["收到"]
    async with store.read() as uow:
        assert await uow.peerings.applied(PEER) == ("e", 3)


async def test_a_refusal_undoes_all_of_it_is_kept_and_stops_nothing_behind_it(
    words: Words, store: SqlStore
) -> None:
    words.on_message("note", note)
    words.on_message("bad", refuse)
    bad = a_message(1, kind="bad")
    for _ in range(2):
        answer = await take(words, "e", bad)
        assert (answer.state, answer.code, answer.reason) == (
            MessageState.REFUSED,
            "illegal-move",
            "it is closed",
        )
    assert (await take(words, "e", a_message(2))).state is MessageState.APPLIED
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
    answer = await take(words, "e", a_message(1, **change))
    assert (answer.state, answer.code) == (MessageState.REFUSED, code)


async def test_a_revoked_peer_is_refused_whatever_it_says(words: Words, store: SqlStore) -> None:
    words.on_message("note", note)
    async with store.begin() as uow:
        await uow.peerings.put(replace(PEERING, state=PeeringState.REVOKED))
    answer = await take(words, "e", a_message(1))
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
        await words.settled(PEER, [PeerAnswer(ours.id, "unknown-kind", "update it")])
        await words.settled(PEER, [PeerAnswer(ours.id)])
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
    await words.settled("street-z", [PeerAnswer(ours.id)])
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
    await take(words, "e", a_message(5))
    late = a_message(4)
    for _ in range(2):
        answer = await take(words, "e", late)
        assert (answer.state, answer.code) == (MessageState.REFUSED, "out-of-order")
    assert await words.reached(PEER) == ("e", 5)
    assert await notes(store) == ["收到"]
    assert (await take(words, "another", a_message(1))).state is MessageState.APPLIED


async def test_notes_of_long_ago_are_forgotten_and_their_messages_still_done_once(
    words: Words, store: SqlStore, clock: ScriptedClock
) -> None:
    words.on_message("note", note)
    message = a_message(3)
    await take(words, "e", message)
    assert await words.forget_old() == 0
    clock.advance(91 * 24 * 3600)
    assert await words.forget_old() == 1
    assert (await take(words, "e", message)).code == "out-of-order"
    assert await notes(store) == ["收到"]


def commits() -> float:
    """Of all stores of this process, so far."""
    told = REGISTRY.get_sample_value("commhub_db_transactions_total", {"outcome": "committed"})
    assert told is not None
    return told


async def take_all(words: Words, *messages: TierMessage) -> list[TierMessage]:
    """As a link does: what was not taken yet is handed in again."""
    answers: list[TierMessage] = []
    while len(answers) < len(messages):
        answers += await words.arrived(PEER, "e", messages[len(answers) :])
    return answers


def text(what: str) -> dict[str, object]:
    return {"body": {"text": what}}


async def test_what_came_together_is_committed_together_in_its_order(
    words: Words, store: SqlStore, bus: Bus[Fact]
) -> None:
    words.on_message("note", note)
    messages = [a_message(seq, **text(str(seq))) for seq in range(1, 21)]
    before = commits()
    answers = await words.arrived(PEER, "e", messages)
    assert commits() - before == 1
    assert [one.id for one in answers] == [one.id for one in messages]
    assert await notes(store) == [str(seq) for seq in range(1, 21)]
    assert await words.reached(PEER) == ("e", 20)


async def test_a_refused_one_among_others_is_undone_alone_and_all_keep_their_order(
    words: Words, store: SqlStore
) -> None:
    words.on_message("note", note)
    words.on_message("bad", refuse)
    messages = [
        a_message(1, **text("1")),
        a_message(2, **text("2")),
        a_message(3, kind="bad", **text("3")),
        a_message(4, kind="of-the-future"),
        a_message(5, body={}),
        a_message(6, **text("6")),
    ]
    for _ in range(2):
        answers = await take_all(words, *messages)
        assert [one.code for one in answers] == [
            None, None, "illegal-move", "unknown-kind", "broken-message", None,
        ]  # fmt: skip
    assert await notes(store) == ["1", "2", "6"]
    assert await words.reached(PEER) == ("e", 6)


async def test_one_whose_commit_cannot_be_is_found_among_the_others_and_refused(
    words: Words, store: SqlStore
) -> None:
    async def of_another(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        uow.record(replace(A_MOVE, incident_id="not-here"))

    words.on_message("note", note)
    words.on_message("of-another", of_another)
    messages = [a_message(seq, **text(str(seq))) for seq in range(1, 8)]
    messages[4] = replace(messages[4], kind="of-another")
    answers = await take_all(words, *messages)
    assert [one.seq for one in answers if one.state is MessageState.REFUSED] == [5]
    assert await notes(store) == ["1", "2", "3", "4", "6", "7"]


async def test_a_store_that_is_away_takes_none_of_them_and_all_when_it_is_back(
    words: Words, store: SqlStore
) -> None:
    is_away = True

    async def note_unless_away(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        await note(uow, peering, message)
        if is_away and message.seq == 2:
            raise UnavailableError("the disk is full")

    words.on_message("note", note_unless_away)
    messages = [a_message(seq, **text(str(seq))) for seq in range(1, 4)]
    with pytest.raises(UnavailableError):
        await words.arrived(PEER, "e", messages)
    assert await notes(store) == []
    assert await words.reached(PEER) == ("", 0)
    is_away = False
    assert {one.state for one in await take_all(words, *messages)} == {MessageState.APPLIED}
    assert await notes(store) == ["1", "2", "3"]


async def test_known_ones_among_new_ones_are_answered_as_then(
    words: Words, store: SqlStore
) -> None:
    words.on_message("note", note)
    words.on_message("bad", refuse)
    first, bad, third = a_message(1, **text("1")), a_message(2, kind="bad"), a_message(3)
    await take_all(words, first, bad)
    answers = await take_all(words, first, bad, third)
    assert [one.code for one in answers] == [None, "illegal-move", None]
    assert await notes(store) == ["1", "收到"]


async def test_a_batch_holds_the_writer_no_longer_than_a_moment(
    words: Words, store: SqlStore, clock: ScriptedClock
) -> None:
    async def slowly(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        await note(uow, peering, message)
        clock.advance(0.06)

    words.on_message("note", slowly)
    messages = [a_message(seq, **text(str(seq))) for seq in range(1, 6)]
    assert len(await words.arrived(PEER, "e", messages)) == 2
    assert await notes(store) == ["1", "2"]
    await take_all(words, *messages[2:])
    assert await notes(store) == ["1", "2", "3", "4", "5"]


async def test_one_that_could_not_be_read_is_noted_and_what_is_behind_it_may_come(
    words: Words,
) -> None:
    words.on_message("note", note)
    wrong = a_message(1, state=MessageState.REFUSED, code="broken-frame", reason="«at» is a time")
    for _ in range(2):
        answer = await take(words, "e", wrong)
        assert (answer.code, answer.reason) == ("broken-frame", "«at» is a time")
    assert await words.reached(PEER) == ("e", 1)


async def test_answers_that_came_together_are_settled_in_one_commit(
    words: Words, store: SqlStore
) -> None:
    followed: list[str] = []

    async def follow(uow: UnitOfWork, message: TierMessage) -> None:
        followed.append(message.id)

    words.on_settled("note", follow)
    ours = [a_message(0) for _ in range(5)]
    async with store.begin() as uow:
        for message in ours:
            await uow.peerings.queue(message)
    answers = [PeerAnswer(one.id) for one in ours[:4]]
    answers += [PeerAnswer("never-said"), answers[0], PeerAnswer(ours[4].id, "unknown-kind", "?")]
    before = commits()
    await words.settled(PEER, answers)
    await words.settled(PEER, answers)
    assert commits() - before == 2
    assert followed == [one.id for one in ours]
    async with store.read() as uow:
        assert await uow.peerings.how_many_wait(PEER) == 0


async def test_an_answer_that_cannot_be_followed_keeps_none_of_the_others(
    words: Words, store: SqlStore
) -> None:
    async def follow(uow: UnitOfWork, message: TierMessage) -> None:
        if message.kind == "bad":
            raise IllegalMoveError("it is closed")

    words.on_settled("note", follow)
    words.on_settled("bad", follow)
    ours = [a_message(0), a_message(0), a_message(0, kind="bad")]
    async with store.begin() as uow:
        for message in ours:
            await uow.peerings.queue(message)
    with pytest.raises(IllegalMoveError):
        await words.settled(PEER, [PeerAnswer(one.id) for one in ours])
    async with store.read() as uow:
        assert [one.kind for one in await uow.peerings.waiting(PEER, 0, 9)] == ["bad"]


async def test_each_that_waits_names_the_one_before_it_settled_or_not(
    words: Words, store: SqlStore
) -> None:
    ours = [a_message(0) for _ in range(5)]
    for message in ours:
        async with store.begin() as uow:
            await uow.peerings.queue(message)
            await uow.peerings.queue(replace(a_message(0), peer="city"))
    await words.settled(PEER, [PeerAnswer(ours[0].id), PeerAnswer(ours[2].id, "unknown-kind", "?")])
    waiting = await words.waiting(PEER, 0, 10)
    assert [message.id for _, message in waiting] == [ours[1].id, ours[3].id, ours[4].id]
    assert [message.seq - prev for prev, message in waiting] == [2, 2, 2]
    assert await words.waiting(PEER, waiting[-1][1].seq, 10) == []
