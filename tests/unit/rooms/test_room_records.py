"""What stays of rooms: recordings of pictures, minutes with who attended, the layouts of walls."""

from datetime import timedelta

import pytest
from fakes.clock import START
from fakes.rooms import CHEN, LI, WANG, a_file, a_guest

from commhub.domain.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from commhub.domain.incident import Stage
from commhub.domain.recording import Retention
from commhub.ports.video import RecordedVideo
from commhub.rooms.roll_calls import NewRollCall
from commhub.rooms.walls import NewLayout


async def test_a_recorded_room_records_what_is_there_and_what_comes(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    first, _ = await town.publish(room)
    for _ in range(2):
        await town.feature.recordings.switch(room.id, LI, on=True)
    second, _ = await town.publish(room, by=CHEN)
    orders = town.video.told("record")
    assert orders == [(first.source_id, True)] * 2 + [(second.source_id, True)]
    assert (await town.kinds(incident)).count("room_recording_switched") == 1
    await town.feature.recordings.switch(room.id, LI, on=False)
    assert town.video.told("record")[-2:] == [(first.source_id, False), (second.source_id, False)]


async def test_a_recording_is_a_row_and_a_line_once(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    admission, _ = await town.publish(room)
    recorded = a_file(town, room, admission.source_id)
    for _ in range(3):
        await town.feature.events.recording_stored(recorded)
    (recording,) = await town.feature.recordings.of_room(room.id)
    assert (recording.label, recording.height, recording.retention, recording.started_at) == (
        "li",
        1080,
        Retention.INCIDENT,
        START,
    )
    stored = await town.last(incident, "video_recording_stored")
    assert (stored["recording_id"], stored["sha256"]) == (recording.id, "ab" * 32)
    assert (await town.kinds(incident)).count("video_recording_stored") == 1


async def test_whoever_takes_a_recording_is_on_the_audit(town):
    room = await town.open()
    admission, _ = await town.publish(room)
    await town.feature.events.recording_stored(a_file(town, room, admission.source_id))
    (recording,) = await town.feature.recordings.of_room(room.id)
    _, path = await town.feature.recordings.fetch(room.id, recording.id, CHEN)
    assert path.read_bytes() == b"picture"
    (row,) = await town.audited("room_recording.read")
    assert (row.actor, row.subject) == ("user:chen", recording.id)
    other = await town.open()
    with pytest.raises(NotFoundError):
        await town.feature.recordings.fetch(other.id, recording.id, CHEN)


async def test_a_file_outside_the_folder_is_nobodys(town, tmp_path):
    (tmp_path / "secret").write_text("x")
    room = await town.open()
    admission, _ = await town.publish(room)
    recorded = a_file(town, room, admission.source_id, name="a.mp4")
    await town.feature.events.recording_stored(
        RecordedVideo(
            **{name: getattr(recorded, name) for name in recorded.__slots__ if name != "path"},
            path="../secret",
        )
    )
    (recording,) = await town.feature.recordings.of_room(room.id)
    with pytest.raises(NotFoundError):
        await town.feature.recordings.fetch(room.id, recording.id, CHEN)


async def test_a_recording_that_failed_is_told_and_the_health_says_so(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    admission, _ = await town.publish(room)
    await town.feature.events.recording_failed(admission.source_id, "disk full")
    assert not town.feature.events.recordings_work
    assert (await town.last(incident, "video_recording_failed"))["reason"] == "disk full"
    await town.feature.events.recording_stored(a_file(town, room, admission.source_id))
    assert town.feature.events.recordings_work


async def test_a_file_goes_when_its_time_is_up_unless_it_is_held_or_its_incident_open(town):
    incident = await town.incident()
    room, of_incident = await town.open(), await town.open(incident_id=incident.id)
    for one, names in ((room, ("go.mp4", "held.mp4")), (of_incident, ("open.mp4",))):
        admission, _ = await town.publish(one, session=f"s-{one.id}")
        for name in names:
            await town.feature.events.recording_stored(a_file(town, one, admission.source_id, name))
    recordings = town.feature.recordings
    held = {one.path: one for one in await recordings.of_room(room.id)}["held.mp4"]
    await recordings.hold(room.id, held.id, LI, held=True)
    town.clock.advance(timedelta(days=400).total_seconds())
    assert await recordings.sweep() == 1
    assert await recordings.sweep() == 0
    folder = recordings.folder
    assert sorted(path.name for path in folder.iterdir()) == ["held.mp4", "open.mp4"]
    await town.close_incident(incident, Stage.CLOSED)
    assert await recordings.sweep() == 1
    assert (await town.kinds(incident))[-1] == "video_recording_deleted"
    gone = next(o for o in await recordings.of_room(room.id) if o.path == "go.mp4")
    with pytest.raises(NotFoundError, match="time was up"):
        await recordings.fetch(room.id, gone.id, LI)


# --- minutes -----------------------------------------------------------------------------------------------


async def test_minutes_have_versions_and_of_two_writers_one_is_told(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id)
    minutes = town.feature.minutes
    await minutes.write(room.id, "第一版", 0, LI)
    with pytest.raises(ConflictError) as refused:
        await minutes.write(room.id, "另一个第一版", 0, CHEN)
    assert refused.value.details == {"latest": 1}
    await minutes.write(room.id, "第二版", 1, CHEN)
    assert [(one.version, one.text, one.author) for one in await minutes.all(room.id)] == [
        (1, "第一版", "user:li"),
        (2, "第二版", "user:chen"),
    ]
    assert (await town.kinds(incident)).count("minutes_written") == 2


async def test_the_export_has_the_text_who_attended_and_the_roll_call(town):
    incident = await town.incident()
    room = await town.open(incident_id=incident.id, name="积水|会商")
    _, token = await a_guest(town, room, "老周")
    _, session = await town.publish(room, token=token)
    town.clock.advance(3725)
    await town.feature.doors.session_closed(session, "left")
    await town.feature.roll_calls.start(room.id, NewRollCall(), LI)
    town.clock.advance(30)
    await town.feature.roll_calls.look()
    await town.feature.minutes.write(room.id, "转移群众 12 人。", 0, LI)
    await town.feature.rooms.end(room.id, LI)
    text = await town.feature.minutes.export(room.id)
    assert "# 会议纪要：积水\\|会商" in text
    assert f"- 事件编号：{incident.number}" in text
    assert "转移群众 12 人。" in text
    # The hub's clock is UTC, the town's is eight hours ahead.
    joined, left = "2026-03-02 16:00:00", "2026-03-02 17:02:05"
    assert f"| 老周 | 来宾 | 参会人 | {joined} | {left} | 1:02:05 |" in text
    assert "| li | 用户 | 主持人 | — | — | 0:00:00 |" in text
    assert "## 第 1 次点调" in text
    assert "| 老周 | 未应答 |" in text


async def test_minutes_may_be_written_after_the_room_is_over(town):
    room = await town.open()
    await town.feature.rooms.end(room.id, LI)
    assert (await town.feature.minutes.write(room.id, "会后", 0, LI)).version == 1
    with pytest.raises(NotFoundError):
        await town.feature.minutes.write("nobody", "x", 0, LI)


# --- walls -------------------------------------------------------------------------------------------------


async def test_a_wall_is_ones_own_or_everybodys(town):
    walls = town.feature.walls
    mine = NewLayout(name="早班", columns=2, tiles=("cam:b7", "", "cam:b8", ""))
    await walls.put(mine, LI)
    await walls.put(NewLayout(name="值班", columns=1, tiles=("cam:b7",), shared=True), LI)
    assert [(one.name, one.owner) for one in await walls.all(LI)] == [
        ("值班", ""),
        ("早班", "user:li"),
    ]
    assert [one.name for one in await walls.all(CHEN)] == ["值班"]
    with pytest.raises(NotAllowedError):
        await walls.put(NewLayout(name="值班", columns=1, tiles=("cam:b9",), shared=True), WANG)


async def test_put_again_a_wall_is_replaced_and_deleted_it_is_gone(town):
    walls = town.feature.walls
    for tiles in (("cam:b7",), ("cam:b8", "cam:b7")):
        await walls.put(NewLayout(name="早班", columns=1, tiles=tiles), LI)
    (wall,) = await walls.all(LI)
    assert wall.tiles == ("cam:b8", "cam:b7")
    await walls.delete("早班", LI, shared=False)
    assert await walls.all(LI) == []
    with pytest.raises(NotFoundError):
        await walls.delete("早班", LI, shared=False)


async def test_a_wall_of_seventeen_is_refused(town):
    tiles = tuple(f"cam:{n}" for n in range(17))
    with pytest.raises(InvalidError):
        await town.feature.walls.put(NewLayout(name="x", columns=4, tiles=tiles), LI)
