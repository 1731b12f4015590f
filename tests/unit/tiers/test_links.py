"""Two hubs over links that break: nothing is lost, nothing done twice, the order kept; and who may not connect hears why."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.tiers import MemoryPipe, TierHub, a_hub, a_pipe, join, pair
from fakes.waiting import eventually

from commhub.domain.errors import InvalidError, UnavailableError
from commhub.domain.tier import (
    MessageState,
    Peering,
    PeeringState,
    Relation,
    Tier,
    TierMessage,
)
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork
from commhub.ports.tiers import Body, TierRefusedError
from gateways.tiers.config import TierConfig
from gateways.tiers.errors import Code, LinkDownError
from gateways.tiers.frames import decode, encode
from gateways.tiers.hello import hello


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[TierHub]:
    async with a_hub("street-a", Tier.STREET, tmp_path) as hub:
        yield hub


@pytest.fixture
async def district(tmp_path: Path) -> AsyncIterator[TierHub]:
    async with a_hub("district-1", Tier.DISTRICT, tmp_path) as hub:
        yield hub


def listen(hub: TierHub) -> None:
    """Have the hub take notes; what is undone leaves no trace."""

    async def note(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        n = int(str(message.body["n"]))
        await uow.audit.append(message.created_at, f"hub:{peering.peer}", "note", str(n), "ok")

    hub.words.on_message("note", note)


async def heard_by(hub: TierHub) -> list[int]:
    """What the hub took, in its order."""
    async with hub.store.read() as uow:
        entries = await uow.audit.list(None, 1000)
    return [int(entry.subject) for entry in reversed(entries) if entry.action == "note"]


async def say(hub: TierHub, peer: str, *numbers: int, kind: str = "note") -> None:
    async with hub.store.begin() as uow:
        for n in numbers:
            await uow.peerings.queue(
                TierMessage(
                    id=new_id(), peer=peer, kind=kind, body={"n": n}, created_at=datetime.now(UTC)
                )
            )
    hub.links.wake(peer)


async def until_said(hub: TierHub, peer: str) -> None:
    async def nothing_waits() -> bool:
        return await hub.words.how_many_wait(peer) == 0

    await eventually(nothing_waits, within_s=60)


async def test_both_hubs_hear_each_other_in_order(street: TierHub, district: TierHub) -> None:
    await pair(street, district)
    listen(district)
    listen(street)
    link = asyncio.create_task(join(street, district))
    await say(street, "district-1", *range(50))
    await say(district, "street-a", *range(20))
    await until_said(street, "district-1")
    await until_said(district, "street-a")
    assert await heard_by(district) == list(range(50))
    assert await heard_by(street) == list(range(20))
    assert street.links.state_of("district-1").up
    street.links.drop("district-1", "the test is over")
    ended = await link
    assert ended.upper is not None
    assert ended.upper.theirs
    assert not district.links.state_of("street-a").up


async def test_a_link_cut_fifty_times_at_any_frame_loses_and_doubles_nothing(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)
    listen(street)
    await say(street, "district-1", *range(300))
    await say(district, "street-a", *range(300))
    dice = random.Random(7)
    for _ in range(50):
        left = dice.randrange(3, 60)

        def passes(text: str) -> bool:
            nonlocal left
            left -= 1
            return left > 0

        ended = await join(street, district, passes)
        assert ended.lower is None or not ended.lower.theirs
    link = asyncio.create_task(join(street, district))
    await until_said(street, "district-1")
    await until_said(district, "street-a")
    assert await heard_by(district) == list(range(300))
    assert await heard_by(street) == list(range(300))
    street.links.drop("district-1", "the test is over")
    await link


async def test_a_cut_between_the_commit_and_its_answer_has_nothing_done_twice(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)
    await say(street, "district-1", *range(40))
    ended = await join(street, district, lambda text: not text.startswith('{"t":"done"'))
    assert ended.upper is not None
    taken = await heard_by(district)
    assert taken
    assert taken == list(range(len(taken)))
    async with street.store.read() as uow:
        assert await uow.peerings.how_many_wait("district-1") == 40
    link = asyncio.create_task(join(street, district))
    await until_said(street, "district-1")
    assert await heard_by(district) == list(range(40))
    street.links.drop("district-1", "the test is over")
    await link


async def test_a_store_that_is_busy_for_a_moment_takes_them_later_over_the_same_link(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    busy = 2

    async def note(uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        nonlocal busy
        n = int(str(message.body["n"]))
        await uow.audit.append(message.created_at, f"hub:{peering.peer}", "note", str(n), "ok")
        if n == 7 and busy:
            busy -= 1
            raise UnavailableError("the disk is busy")

    district.words.on_message("note", note)
    await say(street, "district-1", *range(20))
    link = asyncio.create_task(join(street, district))
    await until_said(street, "district-1")
    assert await heard_by(district) == list(range(20))
    assert busy == 0
    assert not link.done()
    street.links.drop("district-1", "the test is over")
    await link


async def test_one_that_is_refused_stops_nothing_and_both_know_why(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)
    await say(street, "district-1", 1)
    await say(street, "district-1", 2, kind="of-the-future")
    await say(street, "district-1", 3)
    async with street.store.read() as uow:
        strange = (await uow.peerings.waiting("district-1", 0, 9))[1]
    link = asyncio.create_task(join(street, district))
    await until_said(street, "district-1")
    assert await heard_by(district) == [1, 3]
    async with street.store.read() as uow:
        kept = await uow.peerings.find_message(strange.id)
    assert kept is not None
    assert (kept.state, kept.code) == (MessageState.REFUSED, "unknown-kind")
    street.links.drop("district-1", "the test is over")
    await link


async def test_questions_are_answered_refused_or_find_no_link(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)

    async def double(peering: Peering, body: Body) -> Body:
        n = int(str(body["n"]))
        if n > 100:
            raise InvalidError("too large")
        return {"n": 2 * n, "for": peering.peer}

    street.words.on_ask("double", double)
    with pytest.raises(UnavailableError, match="down"):
        await district.links.ask("street-a", "double", {"n": 1})
    link = asyncio.create_task(join(street, district))
    await eventually(lambda: district.links.state_of("street-a").up)
    assert await district.links.ask("street-a", "double", {"n": 4}) == {"n": 8, "for": "district-1"}
    with pytest.raises(TierRefusedError, match="too large"):
        await district.links.ask("street-a", "double", {"n": 400})
    with pytest.raises(TierRefusedError, match="knows no"):
        await district.links.ask("street-a", "triple", {"n": 1})
    street.links.drop("district-1", "the test is over")
    await link


async def test_what_is_told_arrives_or_is_lost_with_the_link(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    heard: list[object] = []

    async def hear(peering: Peering, body: Body) -> None:
        heard.append(body["who"])

    district.words.on_tell("speaks", hear)
    assert not street.links.tell("district-1", "speaks", {"who": "nobody"})
    link = asyncio.create_task(join(street, district))
    await eventually(lambda: street.links.state_of("district-1").up)
    assert street.links.tell("district-1", "speaks", {"who": "r12"})
    await eventually(lambda: heard == ["r12"])
    street.links.drop("district-1", "the test is over")
    await link


async def test_who_connects_anew_takes_the_place_of_the_dead_connection(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)
    first = asyncio.create_task(join(street, district))
    await eventually(lambda: district.links.state_of("street-a").up)
    second = asyncio.create_task(join(street, district))
    ended = await first
    assert {why.code for why in (ended.lower, ended.upper) if why is not None} & {"replaced"}
    await say(street, "district-1", 1)
    await until_said(street, "district-1")
    assert await heard_by(district) == [1]
    street.links.drop("district-1", "the test is over")
    await second


async def refusal(street: TierHub, district: TierHub) -> str:
    ended = await join(street, district)
    assert ended.upper is not None
    return ended.upper.code


async def test_a_stranger_and_a_revoked_peer_are_told_so(
    street: TierHub, district: TierHub
) -> None:
    await street.knows(district, Relation.UPPER)
    assert await refusal(street, district) == "unknown-peer"
    await pair(street, district)
    async with district.store.begin() as uow:
        peering = await uow.peerings.get("street-a")
        await uow.peerings.put(replace(peering, state=PeeringState.REVOKED))
    assert await refusal(street, district) == "revoked"


async def test_a_hub_that_claims_anothers_name_is_refused(
    street: TierHub, district: TierHub, tmp_path: Path
) -> None:
    await pair(street, district)
    async with a_hub("street-b", Tier.STREET, tmp_path) as thief:
        await thief.knows(district, Relation.UPPER)
        forged = thief.keys.token("street-a", "district-1", datetime.now(UTC))
        with pytest.raises(Exception, match="signature"):
            await district.meeting.known_by(forged)


class ClockBeside:
    """A clock that is wrong."""

    def __init__(self, off: timedelta) -> None:
        self._off = off

    def now(self) -> datetime:
        return datetime.now(UTC) + self._off

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def test_a_clock_ten_minutes_off_is_refused_and_says_by_how_much(
    district: TierHub, tmp_path: Path
) -> None:
    late = ClockBeside(timedelta(minutes=-10))
    async with a_hub("street-l", Tier.STREET, tmp_path, late) as street:
        await pair(street, district)
        ended = await join(street, district)
    assert ended.upper is not None
    assert ended.upper.code == "clock-off"
    assert "600 s behind" in ended.upper.reason


async def test_that_a_clock_is_off_is_shown_and_told_once(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    told: list[tuple[str, bool]] = []

    async def moved(peering: Peering, up: bool) -> None:
        told.append((peering.peer, up))

    district.words.on_link(moved)
    for seconds in (600, 601):
        reason = f"your clock is {seconds} s behind"
        await district.links.refused("street-a", LinkDownError(Code.CLOCK_OFF, reason))
    state = district.links.state_of("street-a")
    assert (state.up, state.code) == (False, "clock-off")
    assert "601 s behind" in str(state.reason)
    assert told == [("street-a", False)]
    await district.links.refused("street-a", LinkDownError(Code.GONE, "does not answer"))
    assert district.links.state_of("street-a").code == "gone"
    assert told == [("street-a", False)]


async def test_a_token_played_back_is_refused(street: TierHub, district: TierHub) -> None:
    await pair(street, district)
    token = street.meeting.token_for("district-1")
    await district.meeting.known_by(token)
    with pytest.raises(Exception, match="used before"):
        await district.meeting.known_by(token)


async def test_a_token_for_another_hub_is_refused(street: TierHub, district: TierHub) -> None:
    await pair(street, district)
    with pytest.raises(Exception, match="for another hub"):
        await district.meeting.known_by(street.meeting.token_for("district-2"))


async def test_a_new_key_gets_round_while_the_old_one_signs(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    old = street.keys.public
    street.keys.renew()
    await district.meeting.known_by(street.meeting.token_for("district-1"))
    street.keys.promote()
    assert street.keys.public != old
    _, claims = await district.meeting.known_by(street.meeting.token_for("district-1"))
    assert claims.keys == street.keys.public
    async with district.store.read() as uow:
        assert (await uow.peerings.get("street-a")).keys == street.keys.public


BYE = '{"t": "bye", "code": "stopping", "reason": "done"}'


async def meet(street: TierHub, district: TierHub, near: MemoryPipe, far: MemoryPipe) -> None:
    """The district's side of a connection that the street makes."""
    peering, claims = await district.meeting.known_by(street.meeting.token_for("district-1"))
    await district.links.carry(await district.meeting.as_upper(far, peering, claims))


async def hear_and_say_hello(street: TierHub, near: MemoryPipe) -> None:
    theirs = decode(await near.receive())
    config = TierConfig(us=street.name, name=street.name, tier=street.tier)
    await near.send(encode(hello(config, "e", ("", 0), str(theirs["token"]))))


async def speaking_as_street(street: TierHub, district: TierHub, *frames: str) -> tuple[str, str]:
    """Say hello as the street and then these texts; code and reason of the district's goodbye."""
    near, far = a_pipe()
    link = asyncio.create_task(meet(street, district, near, far))
    await hear_and_say_hello(street, near)
    for text in frames:
        await near.send(text)
    async with asyncio.timeout(20):
        while (frame := decode(await near.receive()))["t"] != "bye":
            pass
    await link
    return str(frame["code"]), str(frame["reason"])


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"t": 7}',
        '{"t": "msg"}',
        '{"t": "msg", "id": "x", "kind": "note", "v": 1, "seq": -1, "prev": 0, "at": "2026-01-01T00:00:00Z"}',
        '{"t": "tell", "kind": "speaks", "body": [1]}',
        '{"t": "ask", "id": 7}',
        "[" * 100_000,
    ],
)
async def test_frames_that_are_none_end_the_link_with_a_reason(
    street: TierHub, district: TierHub, text: str
) -> None:
    await pair(street, district)
    code, reason = await speaking_as_street(street, district, text)
    assert code == "broken-frame"
    assert reason


async def test_a_message_that_cannot_be_read_is_refused_and_the_next_is_taken(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)
    begin = '{"t": "msg", "kind": "note", "v": 1, '
    near, far = a_pipe()
    link = asyncio.create_task(meet(street, district, near, far))
    await hear_and_say_hello(street, near)
    for text in (
        begin + '"id": "x", "seq": 1, "prev": 0, "at": "noon", "body": {"n": 1}}',
        begin + '"id": "y", "seq": 2, "prev": 1, "at": "2026-01-01T00:00:00Z", "body": {"n": 2}}',
        begin + '"id": "z", "seq": 3, "prev": 2, "at": "2026-01-01T00:00:00Z", '
        '"body": {"n": "\\u0000"}}',
        BYE,
    ):
        await near.send(text)
    await link
    answers = {}
    while (frame := decode(await near.receive()))["t"] in {"done", "refused", "beat"}:
        answers[frame.get("id")] = frame.get("code", frame["t"])
        if "z" in answers:
            break
    assert answers.keys() >= {"x", "y", "z"}
    assert (answers["x"], answers["y"], answers["z"]) == ("broken-frame", "done", "broken-message")
    assert await heard_by(district) == [2]


async def test_a_message_whose_forerunner_never_came_ends_the_link(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)
    message = (
        '{"t": "msg", "id": "x", "kind": "note", "v": 1, "seq": 9, "prev": 8,'
        ' "at": "2026-01-01T00:00:00Z", "body": {"n": 1}}'
    )
    code, reason = await speaking_as_street(street, district, message)
    assert code == "out-of-order"
    assert "send from 0" in reason
    assert await heard_by(district) == []


async def test_a_message_played_back_out_of_its_order_changes_nothing(
    street: TierHub, district: TierHub
) -> None:
    await pair(street, district)
    listen(district)

    def message(name: str, seq: int, prev: int) -> str:
        return (
            f'{{"t": "msg", "id": "{name}", "kind": "note", "v": 1, "seq": {seq}, "prev": {prev},'
            f' "at": "2026-01-01T00:00:00Z", "body": {{"n": {seq}}}}}'
        )

    near, far = a_pipe()
    link = asyncio.create_task(meet(street, district, near, far))
    await hear_and_say_hello(street, near)
    for text in (message("a", 1, 0), message("b", 2, 1), message("a", 1, 0), BYE):
        await near.send(text)
    await link
    assert await heard_by(district) == [1, 2]
