"""Minutes (会议纪要): free text in versions that are never changed, and its export with who attended when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError
from commhub.domain.roll_call import RollCall, RollCallItem, Verdict
from commhub.domain.room import Participant, Room
from commhub.domain.room_facts import MinutesWritten
from commhub.domain.room_records import Minutes
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.store import Store, UnitOfWork

KINDS = {
    "user": "用户",
    "guest": "来宾",
    "phone": "电话",
    "radio": "对讲",
    "camera": "摄像",
    "tier": "上下级",
}
ROLES = {"host": "主持人", "presenter": "参会人", "viewer": "观看者"}
VERDICTS = {
    Verdict.PENDING: "点调中",
    Verdict.PRESENT: "在位",
    Verdict.FAULTY: "音视频异常",
    Verdict.ABSENT: "未应答",
}


@dataclass(frozen=True, slots=True)
class _Meeting:
    room: Room
    people: Sequence[Participant]
    minutes: Minutes | None
    roll_calls: Sequence[tuple[RollCall, Sequence[RollCallItem]]]
    incident: str | None


class MinutesService:
    """Use cases of minutes. `zone` is whose time the export tells."""

    def __init__(self, store: Store, clock: Clock, zone: ZoneInfo) -> None:
        self._store = store
        self._clock = clock
        self._zone = zone

    async def write(self, room_id: str, text: str, based_on: int, by: Principal) -> Minutes:
        """The next version, after `based_on` (0: the first). It may be written after the room has ended, too. Raises
        ConflictError when somebody wrote another one meanwhile."""
        now = self._clock.now()
        async with self._store.begin() as uow:
            room = await uow.rooms.get(room_id)
            known = await uow.room_records.minutes_of(room_id)
            if len(known) != based_on:
                raise ConflictError("somebody wrote another version meanwhile", latest=len(known))
            version = Minutes(
                id=new_id(),
                room_id=room_id,
                version=based_on + 1,
                text=text,
                at=now,
                author=by.actor,
            )
            await uow.room_records.add_minutes(version)
            uow.record(
                MinutesWritten(
                    at=now,
                    actor=by.actor,
                    incident_id=room.incident_id,
                    room_id=room_id,
                    name=room.name,
                    version=version.version,
                )
            )
        return version

    async def all(self, room_id: str) -> Sequence[Minutes]:
        """Oldest version first. Raises NotFoundError for an unknown room."""
        async with self._store.read() as uow:
            await uow.rooms.get(room_id)
            return await uow.room_records.minutes_of(room_id)

    async def export(self, room_id: str) -> str:
        """The latest version as Markdown, with attendance and roll-calls, in Chinese: it goes into the file of the incident."""
        async with self._store.read() as uow:
            meeting = await _load(uow, room_id)
        return "\n".join(
            [
                *self._head(meeting),
                "",
                "## 纪要",
                "",
                meeting.minutes.text if meeting.minutes else "（无）",
                "",
                "## 出席情况",
                "",
                *self._attendance(meeting),
                *self._roll_calls(meeting),
                "",
            ]
        )

    def _head(self, meeting: _Meeting) -> list[str]:
        room = meeting.room
        drill = "【演练】" if room.drill else ""
        lines = [f"# 会议纪要：{drill}{_cell(room.name)}", "", f"- 会议号：{room.number}"]
        if meeting.incident is not None:
            lines.append(f"- 事件编号：{meeting.incident}")
        lines.append(f"- 开始：{self._at(room.created_at)}")
        lines.append(f"- 结束：{self._at(room.ended_at)}")
        if meeting.minutes is not None:
            written = self._at(meeting.minutes.at)
            lines.append(f"- 第 {meeting.minutes.version} 版，{meeting.minutes.author}，{written}")
        return lines

    def _attendance(self, meeting: _Meeting) -> list[str]:
        now = meeting.room.ended_at or self._clock.now()
        rows = [
            f"| {_cell(one.name)} | {KINDS[one.kind]} | {ROLES[one.role]} | {self._at(one.first_joined_at)} "
            f"| {self._at(one.left_at)} | {_span(one.attended_s(now))} |"
            for one in meeting.people
        ]
        return [
            "| 姓名 | 类别 | 身份 | 首次入会 | 最后离会 | 在会时长 |",
            "|---|---|---|---|---|---|",
            *rows,
        ]

    def _roll_calls(self, meeting: _Meeting) -> list[str]:
        lines: list[str] = []
        for roll_call, items in meeting.roll_calls:
            lines += ["", f"## 第 {roll_call.n} 次点调（{self._at(roll_call.created_at)}）", ""]
            lines += ["| 姓名 | 结果 | 应答 | 往返时延 | 画面 |", "|---|---|---|---|---|"]
            lines += [
                f"| {_cell(item.name)} | {VERDICTS[item.verdict]} | {self._at(item.answered_at)} "
                f"| {_trip(item)} | {_picture(item)} |"
                for item in items
            ]
        return lines

    def _at(self, moment: datetime | None) -> str:
        return "—" if moment is None else f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"


async def _load(uow: UnitOfWork, room_id: str) -> _Meeting:
    room = await uow.rooms.get(room_id)
    versions = await uow.room_records.minutes_of(room_id)
    incident = None
    if room.incident_id is not None:
        incident = (await uow.incidents.get(room.incident_id)).number
    return _Meeting(
        room=room,
        people=await uow.rooms.participants_of(room_id),
        minutes=versions[-1] if versions else None,
        roll_calls=[
            (one, await uow.room_records.items_of(one.id))
            for one in await uow.room_records.roll_calls_of(room_id)
        ],
        incident=incident,
    )


def _cell(text: str) -> str:
    """Text that keeps a table a table, and no heading or link of its own."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("[", "\\[")


def _span(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}"


def _trip(item: RollCallItem) -> str:
    return "—" if item.round_trip_ms is None else f"{item.round_trip_ms:.0f} ms"


def _picture(item: RollCallItem) -> str:
    return f"{item.height}p，{item.fps:g} 帧/秒" if item.height else "—"
