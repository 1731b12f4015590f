"""Neighbouring hubs, the words between them and what they share, on both databases."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes.clock import START
from fakes.objects import an_incident
from fakes.strategies import objects
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commhub.db import SqlStore
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import StageMoved, TimelineEntry
from commhub.domain.room import (
    Participant,
    ParticipantKind,
    Room,
    Source,
    SourceKind,
)
from commhub.domain.tier import (
    CheckIn,
    CheckInState,
    Export,
    MessageState,
    PairingTicket,
    Peering,
    Relation,
    Share,
    Shared,
    ShareKind,
    ShareState,
    Supervision,
    SupervisionState,
    TierMessage,
)
from commhub.domain.tier_calls import HubLeg
from commhub.domain.tier_rooms import CascadeState, RemoteSource, RoomCascade, Uplink
from commhub.kit.ids import new_id
from commhub.ports.store import UnitOfWork

PEER = "street-b"


async def only(rows: Awaitable[Sequence[object]]) -> object:
    (row,) = await rows
    return row


Write = Callable[[UnitOfWork, Any], Awaitable[object]]
# How each is written and read back, and the references to what is there.
KINDS: dict[type[Any], tuple[Write, Write, dict[str, object]]] = {
    Peering: (lambda u, x: u.peerings.put(x), lambda u, x: u.peerings.get(x.peer), {}),
    PairingTicket: (
        lambda u, x: u.peerings.add_ticket(x),
        lambda u, x: u.peerings.find_ticket(x.secret_hash),
        {},
    ),
    Share: (
        lambda u, x: u.shares.put(x),
        lambda u, x: u.shares.find("i", x.peer),
        {"incident_id": "i"},
    ),
    CheckIn: (
        lambda u, x: u.shares.put_check_in(x),
        lambda u, x: u.shares.find_check_in(x.id),
        {"incident_id": "i"},
    ),
    Supervision: (
        lambda u, x: u.shares.put_supervision(x),
        lambda u, x: u.shares.find_supervision(x.id),
        {"incident_id": "i"},
    ),
    Export: (
        lambda u, x: u.shared_directory.put_export(x),
        lambda u, _: only(u.shared_directory.exports()),
        {},
    ),
    Shared: (
        lambda u, x: u.shared_directory.put_shared(x),
        lambda u, x: u.shared_directory.find_shared(x.peer, x.subject),
        {},
    ),
    HubLeg: (
        lambda u, x: u.shared_directory.put_hub_leg(x),
        lambda u, x: u.shared_directory.find_their_leg(x.peer, x.their_leg),
        {},
    ),
    RoomCascade: (
        lambda u, x: u.cascades.put(x),
        lambda u, _: only(u.cascades.of_room("r")),
        {"room_id": "r"},
    ),
    RemoteSource: (
        lambda u, x: u.cascades.put_source(x),
        lambda u, x: u.cascades.find_source(x.source_id),
        {"room_id": "r", "source_id": "s"},
    ),
    Uplink: (
        lambda u, x: u.cascades.put_uplink(x),
        lambda u, x: u.cascades.find_uplink(x.id),
        {"room_id": "r"},
    ),
}


@pytest.fixture
async def world(sql_store: SqlStore) -> SqlStore:
    """A store with an incident and a room with somebody's camera."""
    async with sql_store.begin() as uow:
        await uow.incidents.add(an_incident(id="i"))
        await uow.rooms.add(
            Room(id="r", number="1", name="会商", created_at=START, created_by="user:li")
        )
        await uow.rooms.add_participant(
            Participant(
                id="p", room_id="r", kind=ParticipantKind.TIER, name="街道", created_at=START
            )
        )
        await uow.rooms.add_source(
            Source(
                id="s",
                room_id="r",
                participant_id="p",
                kind=SourceKind.TIER,
                label="执法仪",
                created_at=START,
            )
        )
    return sql_store


class UndoneError(Exception):
    pass


def undo() -> None:
    raise UndoneError


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_field_comes_back(
    world: SqlStore, kind: type[Any], data: st.DataObject
) -> None:
    write, read, fixed = KINDS[kind]
    thing = data.draw(objects(kind, **fixed))
    with suppress(UndoneError):
        async with world.begin() as uow:
            await write(uow, thing)
            assert await read(uow, thing) == thing
            undo()


def a_message(**given: object) -> TierMessage:
    content = {
        "id": new_id(),
        "peer": PEER,
        "kind": "incident.stage",
        "body": {"stage": "accepted"},
        "created_at": START,
    }
    return TierMessage(**content | given)


async def test_what_waits_for_a_peer_is_in_the_order_of_commits_until_it_is_settled(
    sql_store: SqlStore,
) -> None:
    first, second, other, third = a_message(), a_message(), a_message(peer="city"), a_message()
    for message in (first, second, other, third):
        async with sql_store.begin() as uow:
            await uow.peerings.queue(message)
    async with sql_store.begin() as uow:
        await uow.peerings.settle(
            replace(second, state=MessageState.REFUSED, code="unknown-kind", reason="too new")
        )
    async with sql_store.read() as uow:
        waiting = await uow.peerings.waiting(PEER, 0, 10)
        assert [m.id for m in waiting] == [first.id, third.id]
        assert waiting[0].seq < waiting[1].seq
        behind = await uow.peerings.waiting(PEER, waiting[0].seq, 10)
        assert [m.id for m in behind] == [third.id]
        assert await uow.peerings.how_many_wait(PEER) == 2
        of_peer = await uow.peerings.places(PEER, 0, waiting[1].seq)
        assert [of_peer[0], of_peer[2]] == [m.seq for m in waiting]
        assert await uow.peerings.places(PEER, of_peer[1], of_peer[1]) == [of_peer[1]]
        assert [await uow.peerings.before(PEER, seq) for seq in of_peer] == [0, *of_peer[:2]]
        refused = await uow.peerings.find_message(second.id)
        assert refused is not None
        assert (refused.state, refused.code) == (MessageState.REFUSED, "unknown-kind")


async def test_what_was_settled_long_ago_is_forgotten_and_what_waits_never(
    sql_store: SqlStore,
) -> None:
    async with sql_store.begin() as uow:
        for name in ("old", "waits"):
            await uow.peerings.queue(a_message(id=name))
    async with sql_store.begin() as uow:
        old = await uow.peerings.find_message("old")
        assert old is not None
        await uow.peerings.settle(replace(old, state=MessageState.APPLIED))
    async with sql_store.begin() as uow:
        assert await uow.peerings.forget_settled(START) == 0
        assert await uow.peerings.forget_settled(START + timedelta(days=1)) == 1
    async with sql_store.read() as uow:
        assert await uow.peerings.find_message("old") is None
        (waiting,) = await uow.peerings.waiting(PEER, 0, 10)
        assert (waiting.id, await uow.peerings.before(PEER, waiting.seq)) == ("waits", 0)


async def test_a_message_is_taken_once_and_moves_the_cursor(sql_store: SqlStore) -> None:
    async with sql_store.begin() as uow:
        assert await uow.peerings.applied(PEER) == ("", 0)
        assert await uow.peerings.take(PEER, "e1", 7, "m7", START)
    async with sql_store.begin() as uow:
        assert not await uow.peerings.take(PEER, "e1", 7, "m7", START)
        assert await uow.peerings.take(PEER, "e2", 3, "n3", START + timedelta(days=2))
        assert await uow.peerings.take("city", "e1", 7, "m7", START)
        await uow.peerings.note_refusal(PEER, "n3", "illegal-move", "it is closed")
        assert await uow.peerings.refusal_of(PEER, "n3") == ("illegal-move", "it is closed")
        assert await uow.peerings.refusal_of(PEER, "m7") is None
    async with sql_store.begin() as uow:
        assert await uow.peerings.applied(PEER) == ("e2", 3)
        assert await uow.peerings.forget_taken(START + timedelta(days=1)) == 2
        assert await uow.peerings.applied(PEER) == ("e2", 3)


async def test_a_neighbour_nobody_paired_with_is_not_found(sql_store: SqlStore) -> None:
    async with sql_store.read() as uow:
        assert await uow.peerings.find(PEER) is None
        with pytest.raises(NotFoundError):
            await uow.peerings.get(PEER)


def a_share(**given: object) -> Share:
    content = {
        "incident_id": "i",
        "peer": PEER,
        "kind": ShareKind.REPORTED_UP,
        "given": True,
        "state": ShareState.HELD,
        "created_at": START,
        "updated_at": START,
        "by": "user:li",
    }
    return Share(**content | given)


def a_line(seq: int, **given: object) -> TimelineEntry:
    content = {
        "seq": 0,
        "incident_id": "i",
        "at": START,
        "actor": "user:wang",
        "kind": "stage_moved",
        "data": {"after": "accepted"},
        "hub": PEER,
        "origin_seq": seq,
        "came_by": PEER,
    }
    return TimelineEntry(**content | given)


async def test_lines_of_another_hub_are_merged_once_and_not_told_back(world: SqlStore) -> None:
    far = a_line(4, hub="community-x")
    for _ in range(2):
        async with world.begin() as uow:
            await uow.timeline.merge([a_line(1), a_line(2), far])
    async with world.begin() as uow:
        await uow.shares.put(a_share())
        await uow.shares.put(a_share(peer="city"))
        uow.record(
            StageMoved(
                at=START, incident_id="i", action="accept", before="dispatched", after="accepted"
            )
        )
    async with world.read() as uow:
        lines = await uow.timeline.of_incident("i")
        assert [(one.hub, one.origin_seq) for one in lines] == [
            (PEER, 1), (PEER, 2), ("community-x", 4), ("street-a", None),
        ]  # fmt: skip
        assert [one.origin_seq for one in await uow.timeline.untold("i", PEER, 0, 9)] == [None]
        assert len(await uow.timeline.untold("i", "city", 0, 9)) == 4
        behind = await uow.shares.behind(9)
        assert {share.peer for share in behind} == {PEER, "city"}
    async with world.begin() as uow:
        await uow.shares.put(a_share(told_seq=lines[-1].seq))
        # Until the other hub has taken it there is nobody to tell, and who refused it is told nothing.
        for state in (ShareState.OFFERED, ShareState.REFUSED):
            await uow.shares.put(a_share(peer="city", state=state))
            assert await uow.shares.behind(9) == []
        # The last word is told, too.
        await uow.shares.put(a_share(peer="city", state=ShareState.ENDED))
        assert [share.peer for share in await uow.shares.behind(9)] == ["city"]
        newest = await uow.timeline.newest()
        assert newest == lines[-1].seq
        assert [share.peer for share in await uow.shares.behind(9, newest - 1)] == ["city"]
        assert await uow.shares.behind(9, newest) == []
        shares, check_ins, supervisions = await uow.shares.current()
        assert {share.peer for share in shares} == {PEER, "city"}
        assert (check_ins, supervisions) == ([], [])


async def test_a_line_that_is_just_being_written_counts_where_shares_are_asked_for_by_lines(
    world: SqlStore,
) -> None:
    async with world.begin() as uow:
        await uow.shares.put(a_share())
        assert await uow.shares.behind(9) == []
        uow.record(
            StageMoved(
                at=START, incident_id="i", action="accept", before="dispatched", after="accepted"
            )
        )
        assert [share.peer for share in await uow.shares.behind(9)] == [PEER]


async def test_deadlines_come_in_their_order_and_only_while_they_wait(world: SqlStore) -> None:
    def due(minutes: int, **given: object) -> CheckIn:
        content = {
            "id": new_id(),
            "incident_id": "i",
            "peer": "district-1",
            "given": True,
            "unit_id": "u",
            "unit": "城管局",
            "called_at": START,
            "called_by": "user:li",
            "due_at": START + timedelta(minutes=minutes),
        }
        return CheckIn(**content | given)

    late, soon, came = due(20), due(10), due(5, state=CheckInState.CHECKED_IN)
    order = Supervision(
        id=new_id(),
        incident_id="i",
        peer="district-1",
        given=False,
        text="速报",
        ordered_at=START,
        ordered_by="user:chen",
        due_at=START + timedelta(minutes=8),
    )
    async with world.begin() as uow:
        for one in (late, soon, came):
            await uow.shares.put_check_in(one)
        await uow.shares.put_supervision(order)
    async with world.read() as uow:
        assert await uow.shares.next_due() == order.due_at
        at = START + timedelta(minutes=30)
        assert [c.id for c in await uow.shares.overdue_check_ins(at, 9)] == [soon.id, late.id]
        assert await uow.shares.overdue_supervisions(START, 9) == []
        assert await uow.shares.overdue_supervisions(at, 9) == [order]
    async with world.begin() as uow:
        await uow.shares.put_supervision(replace(order, state=SupervisionState.ANSWERED))
        assert await uow.shares.next_due() == soon.due_at


async def test_what_may_be_addressed_goes_to_one_peer_or_to_all(sql_store: SqlStore) -> None:
    def export(peer: str, subject: str) -> Export:
        return Export(
            id=new_id(),
            peer=peer,
            subject=subject,
            label=subject,
            rights=frozenset(),
            created_at=START,
            created_by="user:li",
        )

    everybody, one = export("*", "radio:r12"), export("city", "cam:b7")
    async with sql_store.begin() as uow:
        for each in (everybody, one):
            await uow.shared_directory.put_export(each)
    async with sql_store.begin() as uow:
        assert await uow.shared_directory.exports("district-1") == [everybody]
        assert await uow.shared_directory.exports("city") == [one, everybody]
        await uow.shared_directory.delete_export(one.id)
        assert await uow.shared_directory.exports() == [everybody]


async def test_joins_that_go_on_are_found_with_a_neighbour_or_with_all_and_ended_ones_are_not(
    world: SqlStore,
) -> None:
    states = {
        "a": CascadeState.ASKED,
        "b": CascadeState.JOINED,
        "c": CascadeState.DOWN,
        "d": CascadeState.ENDED,
    }
    async with world.begin() as uow:
        for peer, state in states.items():
            await uow.cascades.put(
                RoomCascade(
                    room_id="r",
                    peer=peer,
                    relation=Relation.LOWER,
                    state=state,
                    created_at=START,
                    created_by="user:li",
                )
            )
    async with world.read() as uow:
        assert [one.peer for one in await uow.cascades.going()] == ["a", "b", "c"]
        assert [one.peer for one in await uow.cascades.going("b")] == ["b"]
        assert await uow.cascades.going("d") == []
        assert len(await uow.cascades.of_room("r")) == 4
