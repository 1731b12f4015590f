"""Cameras fetched by RTSP: in a room as long as they are wanted, whatever engine and camera do, and their passwords nowhere."""

from dataclasses import replace

import pytest
from fakes.rooms import LI, desk

from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.room import RoomMode, SourceState
from commhub.kit.sealing import Seal
from commhub.ports.video import Layer, VideoCodec
from commhub.rooms.inviting import NewInvitation
from commhub.rooms.pulling import NewPull
from commhub.rooms.service import RoomWish

MAIN, SUB = "rtsp://admin:pass-4711@10.0.0.9/main", "rtsp://admin:pass-4711@10.0.0.9/sub"


async def put(town, room, **more):
    new = NewPull(**{"label": "东门", "url": MAIN, "sub_url": SUB, **more})
    async with town.store.begin() as uow:
        source = await town.feature.pulling.add(uow, room.id, new, LI)
    await town.feature.pulling.start(room.id)
    return source


async def came(town, room, source, *layers):
    await town.feature.events.source_started(
        room.id, source.id, VideoCodec.H264, layers or (Layer.MAIN, Layer.SUB)
    )


def fetched(town):
    return [order for (order,) in town.video.told("ingest")]


async def test_a_camera_is_fetched_in_its_layers_and_is_there_once_it_is_seen(town):
    room = await town.open(mode=RoomMode.WALL)
    source = await put(town, room, unit_id="u1")
    assert [(one.source_id, one.url, one.layer) for one in fetched(town)] == [
        (source.id, MAIN, Layer.MAIN),
        (source.id, SUB, Layer.SUB),
    ]
    assert (source.state, source.unit_id) == (SourceState.STARTING, "u1")
    await came(town, room, source)
    assert (await town.source(source.id)).state is SourceState.LIVE
    assert (await town.states(room))["东门"] == "joined"
    admission = await town.ask(room, source=source.id)
    assert admission.source_id == source.id


async def test_a_camera_that_is_lost_is_idle_until_it_comes_back(town):
    room = await town.open(mode=RoomMode.WALL)
    source = await put(town, room)
    await came(town, room, source)
    main, sub = (one.session_id for one in fetched(town))
    await town.feature.events.session_lost(main, "it sends nothing")
    assert (await town.source(source.id)).state is SourceState.LIVE
    await town.feature.events.session_lost(sub, "it sends nothing")
    assert (await town.source(source.id)).state is SourceState.IDLE
    await came(town, room, source, Layer.MAIN)
    assert (await town.source(source.id)).state is SourceState.LIVE
    assert town.video.told("release") == []


async def test_a_camera_that_cannot_be_had_says_why(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    source = await put(town, room, sub_url=None)
    (order,) = fetched(town)
    await town.feature.events.session_lost(order.session_id, "Server returned 401 Unauthorized")
    assert (await town.source(source.id)).state is SourceState.IDLE
    told = await town.last(incident, "source_moved")
    assert (told["state"], told["why"]) == ("idle", "Server returned 401 Unauthorized")


async def test_an_engine_that_forgot_everything_is_told_what_to_fetch(town):
    room = await town.open(mode=RoomMode.WALL)
    source = await put(town, room)
    await came(town, room, source)
    town.video.sessions.clear()
    town.video.orders.clear()
    await town.feature.events.engine_came("2")
    assert [one.layer for one in fetched(town)] == [Layer.MAIN, Layer.SUB]
    assert (await town.source(source.id)).state is SourceState.IDLE
    town.video.orders.clear()
    await town.feature.events.engine_came("2")
    assert fetched(town) == []


async def test_an_engine_that_is_away_when_a_camera_is_put_in_fetches_it_later(town):
    room = await town.open(mode=RoomMode.WALL)
    town.video.unavailable = True
    await put(town, room)
    assert fetched(town) == []
    town.video.unavailable = False
    await town.feature.events.engine_came("1")
    assert len(fetched(town)) == 2


@pytest.mark.parametrize("way", ["removed", "participant", "ended"])
async def test_a_camera_that_is_taken_out_is_fetched_no_more_and_its_address_forgotten(town, way):
    room = await town.open()
    source = await put(town, room)
    await came(town, room, source)
    sessions = {one.session_id for one in fetched(town)}
    if way == "removed":
        await town.feature.pulling.remove(room.id, source.id, LI)
        await town.feature.pulling.remove(room.id, source.id, LI)
    elif way == "participant":
        await town.feature.host.remove(room.id, source.participant_id, desk())
    else:
        await town.feature.rooms.end(room.id, LI)
    assert {one for (one,) in town.video.told("release")} >= sessions
    assert (await town.source(source.id)).state is SourceState.ENDED
    async with town.store.read() as uow:
        assert await uow.rooms.pulls_of(room.id) == []
        assert await uow.rooms.sessions_of(room.id) == []


async def test_what_is_no_camera_is_refused(town):
    room = await town.open()
    for url in ("http://10.0.0.9/", "file:///etc/passwd", "rtsp://a b/", "camera"):
        with pytest.raises(InvalidError):
            await put(town, room, url=url)
        with pytest.raises(InvalidError):
            await put(town, room, sub_url=url)
    await town.feature.invitations.invite(room.id, NewInvitation(to="cam:b7"), LI)
    (body_camera,) = (await town.file(room)).sources
    with pytest.raises(ConflictError):
        await town.feature.pulling.remove(room.id, body_camera.id, LI)
    await town.feature.rooms.end(room.id, LI)
    with pytest.raises(ConflictError):
        await put(town, room)


async def test_a_pulled_camera_is_recorded_and_shown_like_any_other(town):
    room = await town.open(recording=True)
    source = await put(town, room)
    await came(town, room, source)
    assert town.video.told("record") == [(source.id, True)]
    await town.feature.rooms.change(room.id, RoomWish(spotlight=source.id), LI)
    assert town.video.told("spotlight") == [(room.id, source.id)]
    await town.feature.host.mute_source(room.id, source.id, desk(), muted=True)
    assert town.video.told("mute") == [(source.id, True)]


async def test_the_password_is_in_no_answer_audit_timeline_or_text_of_an_object(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    source = await put(town, room)
    await came(town, room, source)
    async with town.store.read() as uow:
        pulls = await uow.rooms.pulls_of(room.id)
        entries = await uow.timeline.of_incident(incident.id)
        audit = await uow.audit.list(None, 200)
    shown = [*map(str, pulls), *map(str, entries), *map(str, audit), str(fetched(town))]
    shown.append(str(await town.file(room)))
    assert "pass-4711" not in " ".join(shown)
    assert [row.detail for row in audit if row.action == "room.add_source"] == [source.id]


async def rows_of(town, room):
    async with town.store.read() as uow:
        return list(await uow.rooms.pulls_of(room.id))


async def test_addresses_are_sealed_in_the_store(town):
    room = await town.open(mode=RoomMode.WALL)
    await put(town, room)
    rows = await rows_of(town, room)
    assert len(rows) == 2
    assert not any("pass-4711" in row.url or "10.0.0.9" in row.url for row in rows)
    town.video.sessions.clear()
    town.video.orders.clear()
    await town.feature.events.engine_came("2")
    assert [one.url for one in fetched(town)] == [MAIN, SUB]
    assert await rows_of(town, room) == rows


async def test_an_address_from_before_they_were_sealed_is_sealed_when_the_engine_comes(town):
    room = await town.open(mode=RoomMode.WALL)
    await put(town, room, sub_url=None)
    (row,) = await rows_of(town, room)
    async with town.store.begin() as uow:
        await uow.rooms.delete_pull(row.id)
        await uow.rooms.add_pull(replace(row, url=MAIN))
    town.video.sessions.clear()
    town.video.orders.clear()
    await town.feature.events.engine_came("2")
    assert [(one.session_id, one.url) for one in fetched(town)] == [(row.id, MAIN)]
    (after,) = await rows_of(town, room)
    assert after.id == row.id
    assert "pass-4711" not in after.url


async def test_an_address_sealed_under_another_secret_disturbs_no_other_camera(town):
    room = await town.open(mode=RoomMode.WALL)
    await put(town, room, sub_url=None)
    (row,) = await rows_of(town, room)
    async with town.store.begin() as uow:
        await uow.rooms.delete_pull(row.id)
        foreign = Seal("another", "camera-addresses").close(MAIN)
        await uow.rooms.add_pull(replace(row, url=foreign))
    second = await put(town, room, label="西门", sub_url=None)
    town.video.sessions.clear()
    town.video.orders.clear()
    await town.feature.events.engine_came("2")
    assert [one.source_id for one in fetched(town)] == [second.id]
