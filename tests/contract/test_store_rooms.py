"""Rooms, who is in them and what stays of them, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.clock import START
from fakes.objects import a_call, an_incident

from commhub.db import SqlStore
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.incident import Stage
from commhub.domain.people import Endpoint
from commhub.domain.recording import Retention
from commhub.domain.roll_call import Check, RollCall, RollCallItem, RollCallState, Verdict
from commhub.domain.room import (
    Invitation,
    Participant,
    ParticipantKind,
    ParticipantState,
    Pull,
    Room,
    RoomMode,
    RoomRole,
    RoomState,
    Session,
    SessionRight,
    Source,
    SourceKind,
    SourceState,
)
from commhub.domain.room_records import Minutes, VideoRecording, WallLayout
from commhub.kit.ids import new_id


def a_room(**given: object) -> Room:
    number = str(given.pop("number", "1234"))
    content = {
        "id": new_id(),
        "number": number,
        "dial": f"8{number}",
        "name": "会商",
        "created_at": START,
        "created_by": "user:li",
    }
    return Room(**content | given)


def somebody(room: Room, **given: object) -> Participant:
    content = {
        "id": new_id(),
        "room_id": room.id,
        "kind": ParticipantKind.GUEST,
        "name": "老周",
        "created_at": START,
    }
    return Participant(**content | given)


def a_source(one: Participant, **given: object) -> Source:
    content = {
        "id": new_id(),
        "room_id": one.room_id,
        "participant_id": one.id,
        "kind": SourceKind.BODYCAM,
        "label": "执法仪7",
        "created_at": START,
    }
    return Source(**content | given)


def a_session(one: Participant, **given: object) -> Session:
    content = {
        "id": new_id(),
        "room_id": one.room_id,
        "participant_id": one.id,
        "right": SessionRight.VIEW,
        "source_id": "speaker",
        "opened_at": START,
    }
    return Session(**content | given)


async def kept(store: SqlStore, room: Room, *people: Participant) -> None:
    async with store.begin() as uow:
        await uow.rooms.add(room)
        for one in people:
            await uow.rooms.add_participant(one)


async def test_everything_of_a_room_comes_back_as_it_was(sql_store: SqlStore) -> None:
    incident, call = an_incident(), a_call()
    room = a_room(
        mode=RoomMode.LIVE,
        incident_id=incident.id,
        call_id=call.id,
        device="b7",
        locked=True,
        lobby=True,
        drill=True,
        recording=True,
        spotlight="s",
        end_proposed_at=START,
    )
    one = somebody(
        room,
        role=RoomRole.HOST,
        state=ParticipantState.JOINED,
        account="user:li",
        endpoint=Endpoint.parse("sip:1001"),
        unit_id="u1",
        admitted=True,
        hand_raised=True,
        sound_muted=True,
        picture_muted=True,
        leg_id="l1",
        first_joined_at=START,
        joined_at=START,
        left_at=START,
        present_s=12.5,
    )
    source = a_source(
        one,
        state=SourceState.LIVE,
        codec="H264",
        layers=("main", "sub"),
        muted=True,
        device="b7",
        unit_id="u1",
        wanted_at=START,
        started_at=START,
        ended_at=START,
    )
    session = a_session(one, layer=1, leg_id="l1", closed_at=START, reason="left")
    link = Invitation(
        id=new_id(),
        room_id=room.id,
        participant_id=one.id,
        created_at=START,
        created_by="user:li",
        expires_at=START,
        sent_to="zhang",
        used_at=START,
        revoked_at=START,
    )
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.calls.add(replace(call, room_id=room.id))
    await kept(sql_store, room, one)
    async with sql_store.begin() as uow:
        await uow.rooms.add_source(source)
        await uow.rooms.put_session(session)
        await uow.rooms.add_invitation(link)
    async with sql_store.read() as uow:
        assert await uow.rooms.get(room.id) == room
        assert await uow.rooms.find_participant(one.id) == one
        assert await uow.rooms.find_source(source.id) == source
        assert await uow.rooms.find_session(session.id) == session
        assert await uow.rooms.find_invitation(link.id) == link
        assert (await uow.calls.get(call.id)).room_id == room.id


async def test_rooms_are_listed_newest_first_by_state_and_incident(sql_store: SqlStore) -> None:
    incident = an_incident()
    rooms = [a_room(number=str(1000 + n)) for n in range(4)]
    rooms[1] = replace(rooms[1], state=RoomState.ENDED, dial=None, ended_at=START)
    rooms[2] = replace(rooms[2], incident_id=incident.id)
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        for room in rooms:
            await uow.rooms.add(room)
    async with sql_store.read() as uow:
        everything = await uow.rooms.list(False, None, None, 9)
        assert everything == rooms[::-1]
        assert await uow.rooms.list(False, None, rooms[2].id, 9) == rooms[1::-1]
        assert rooms[1] not in await uow.rooms.list(True, None, None, 9)
        assert await uow.rooms.list(False, incident.id, None, 9) == [rooms[2]]
        assert await uow.rooms.open_here() == [rooms[3], rooms[2], rooms[0]]
        assert await uow.rooms.numbers_in_use() == {"81000", "81002", "81003"}


async def test_a_number_is_one_open_rooms_at_a_time(sql_store: SqlStore) -> None:
    first, second = a_room(), a_room()
    await kept(sql_store, first)
    with pytest.raises(ConflictError):
        await kept(sql_store, second)
    over = replace(first, state=RoomState.ENDED, dial=None, ended_at=START)
    async with sql_store.begin() as uow:
        await uow.rooms.update(over)
    await kept(sql_store, second)
    async with sql_store.read() as uow:
        assert await uow.rooms.find_dialled("81234") == second
        assert await uow.rooms.find_dialled("81235") is None


async def test_a_camera_has_one_live_view_that_is_open(sql_store: SqlStore) -> None:
    over = a_room(device="b7", dial=None, state=RoomState.ENDED)
    live = a_room(device="b7", number="2000")
    await kept(sql_store, over)
    await kept(sql_store, live)
    async with sql_store.read() as uow:
        assert await uow.rooms.find_of_device("b7") == live
        assert await uow.rooms.find_of_device("b8") is None


async def test_nobody_is_in_a_room_that_is_not_there(sql_store: SqlStore) -> None:
    with pytest.raises(InvalidError):
        async with sql_store.begin() as uow:
            await uow.rooms.add_participant(somebody(a_room()))
    async with sql_store.read() as uow:
        with pytest.raises(NotFoundError):
            await uow.rooms.get("nobody")
        assert await uow.rooms.find("nobody") is None


async def test_sessions_that_go_on_are_found_by_room_and_by_leg(sql_store: SqlStore) -> None:
    room, other = a_room(), a_room(number="2000")
    one, two = somebody(room), somebody(other)
    await kept(sql_store, room, one)
    await kept(sql_store, other, two)
    first = a_session(one, leg_id="l1")
    second = a_session(one, opened_at=START + timedelta(seconds=1), leg_id="l1")
    over = a_session(one, closed_at=START, leg_id="l1")
    elsewhere = a_session(two, opened_at=START + timedelta(seconds=2))
    async with sql_store.begin() as uow:
        for session in (second, first, over, elsewhere):
            await uow.rooms.put_session(session)
        await uow.rooms.put_session(replace(second, layer=2))
    second = replace(second, layer=2)
    async with sql_store.read() as uow:
        assert await uow.rooms.sessions_of(room.id) == [first, second]
        assert await uow.rooms.sessions_with_leg("l1") == [first, second]
        assert await uow.rooms.live_sessions() == [first, second, elsewhere]


async def test_what_is_fetched_of_a_room_is_kept_until_it_is_forgotten(sql_store: SqlStore) -> None:
    room, other = a_room(), a_room(number="2345")
    one, elsewhere = somebody(room), somebody(other)
    source, another = a_source(one), a_source(elsewhere)
    await kept(sql_store, room, one)
    await kept(sql_store, other, elsewhere)

    def pull(of: Source, layer: int) -> Pull:
        url = f"rtsp://u:p@10.0.0.9/{layer}"
        return Pull(id=new_id(), room_id=of.room_id, source_id=of.id, url=url, layer=layer)

    sub, main, theirs = pull(source, 1), pull(source, 0), pull(another, 0)
    async with sql_store.begin() as uow:
        for row in (source, another):
            await uow.rooms.add_source(row)
        for fetched in (sub, main, theirs):
            await uow.rooms.add_pull(fetched)
    async with sql_store.begin() as uow:
        assert await uow.rooms.pulls_of(room.id) == [main, sub]
        await uow.rooms.delete_pull(main.id)
    async with sql_store.read() as uow:
        assert await uow.rooms.pulls_of(room.id) == [sub]
        assert await uow.rooms.find_pull(main.id) is None
        assert await uow.rooms.find_pull(theirs.id) == theirs


async def test_two_who_come_at_once_come_one_after_the_other(sql_store: SqlStore) -> None:
    room = a_room()
    await kept(sql_store, room)

    async def come(name: str) -> int:
        async with sql_store.begin() as uow:
            await uow.rooms.get(room.id)
            there = len(await uow.rooms.participants_of(room.id))
            await uow.rooms.add_participant(somebody(room, name=name))
            return there

    assert sorted(await asyncio.gather(*(come(str(n)) for n in range(5)))) == [0, 1, 2, 3, 4]


async def test_a_roll_call_keeps_its_items_in_order(sql_store: SqlStore) -> None:
    room = a_room()
    people = [somebody(room, name=str(n)) for n in range(3)]
    await kept(sql_store, room, *people)
    call = RollCall(
        id=new_id(), room_id=room.id, n=1, created_at=START, created_by="user:li", until=START
    )
    items = [
        RollCallItem(
            id=new_id(),
            roll_call_id=call.id,
            participant_id=one.id,
            name=one.name,
            called_at=START,
            endpoint=Endpoint.parse("sip:1001"),
            voice=Check.PENDING,
        )
        for one in people
    ]
    async with sql_store.begin() as uow:
        await uow.room_records.add_roll_call(call, items)
    found = replace(
        items[1],
        answered_at=START,
        rung=True,
        round_trip_ms=12.5,
        picture=Check.GOOD,
        height=1080,
        fps=29.9,
        voice=Check.BAD,
        packets=2**40,
        verdict=Verdict.FAULTY,
    )
    async with sql_store.begin() as uow:
        await uow.room_records.update_item(found)
    async with sql_store.read() as uow:
        assert await uow.room_records.items_of(call.id) == [items[0], found, items[2]]
        assert await uow.room_records.running_roll_calls() == [call]
        assert await uow.room_records.find_roll_call(room.id, 1) == call
        assert await uow.room_records.find_roll_call(room.id, 2) is None
    done = replace(call, state=RollCallState.DONE, done_at=START)
    async with sql_store.begin() as uow:
        await uow.room_records.update_roll_call(done)
    async with sql_store.read() as uow:
        assert await uow.room_records.running_roll_calls() == []
        assert await uow.room_records.roll_calls_of(room.id) == [done]
    with pytest.raises(ConflictError):
        async with sql_store.begin() as uow:
            await uow.room_records.add_roll_call(replace(call, id=new_id()), [])


async def test_a_version_of_minutes_is_written_once(sql_store: SqlStore) -> None:
    room = a_room()
    await kept(sql_store, room)

    def version(number: int) -> Minutes:
        return Minutes(
            id=new_id(), room_id=room.id, version=number, text="会", at=START, author="user:li"
        )

    second, first = version(2), version(1)
    async with sql_store.begin() as uow:
        await uow.room_records.add_minutes(second)
        await uow.room_records.add_minutes(first)
    with pytest.raises(ConflictError):
        async with sql_store.begin() as uow:
            await uow.room_records.add_minutes(version(2))
    async with sql_store.read() as uow:
        assert await uow.room_records.minutes_of(room.id) == [first, second]


def a_file(room: Room, path: str, **given: object) -> VideoRecording:
    content = {
        "id": new_id(),
        "room_id": room.id,
        "source_id": "s",
        "label": "执法仪7",
        "path": path,
        "seconds": 61.5,
        "sha256": "ab" * 32,
        "size": 2**35,
        "started_at": START,
        "stored_at": START - timedelta(days=400),
        "width": 1920,
        "height": 1080,
    }
    return VideoRecording(**content | given)


async def test_a_file_is_on_record_once_and_expires_by_its_class(sql_store: SqlStore) -> None:
    open_one, over = an_incident(number="1"), an_incident(number="2", stage=Stage.CLOSED)
    room = a_room()
    async with sql_store.begin() as uow:
        for incident in (open_one, over):
            await uow.incidents.add(incident)
    await kept(sql_store, room)
    old = a_file(room, "old.mp4")
    of_over = a_file(
        room, "over.mp4", incident_id=over.id, retention=Retention.INCIDENT, held=False
    )
    stay = [
        a_file(room, "held.mp4", held=True),
        a_file(room, "gone.mp4", deleted_at=START),
        a_file(room, "young.mp4", stored_at=START),
        a_file(room, "open.mp4", incident_id=open_one.id, retention=Retention.INCIDENT),
    ]
    async with sql_store.begin() as uow:
        for recording in (old, of_over, *stay):
            assert await uow.room_records.add_recording(recording)
        assert not await uow.room_records.add_recording(a_file(room, "old.mp4"))
    limits = {one: START - timedelta(days=90) for one in Retention}
    async with sql_store.read() as uow:
        assert await uow.room_records.expired_recordings(limits, 9) == [old, of_over]
        assert len(await uow.room_records.recordings_of(room.id)) == 6
        assert await uow.room_records.get_recording(old.id) == old
        with pytest.raises(NotFoundError):
            await uow.room_records.get_recording("nobody")


async def test_walls_are_ones_own_and_everybodys(sql_store: SqlStore) -> None:
    def wall(owner: str, name: str, **more: object) -> WallLayout:
        content = {
            "id": new_id(),
            "owner": owner,
            "name": name,
            "columns": 2,
            "tiles": ("cam:b7", "", "cam:b8", ""),
            "updated_at": START,
            "updated_by": "user:li",
        }
        return WallLayout(**content | more)

    mine, theirs, shared = wall("user:li", "b"), wall("user:chen", "b"), wall("", "a")
    async with sql_store.begin() as uow:
        for one in (mine, theirs, shared):
            await uow.room_records.put_layout(one)
    changed = replace(mine, tiles=("cam:b8",), columns=1)
    async with sql_store.begin() as uow:
        await uow.room_records.put_layout(changed)
    async with sql_store.read() as uow:
        assert await uow.room_records.layouts_for("user:li") == [shared, changed]
    with pytest.raises(ConflictError):
        async with sql_store.begin() as uow:
            await uow.room_records.put_layout(wall("user:li", "b"))
    async with sql_store.begin() as uow:
        await uow.room_records.delete_layout(changed.id)
    async with sql_store.read() as uow:
        assert await uow.room_records.find_layout("user:li", "b") is None
        assert await uow.room_records.layouts_for("user:li") == [shared]
