"""What a responder reads on the card of a task (Chinese: the people in the field), and when it changes."""

from datetime import datetime
from zoneinfo import ZoneInfo

from commhub.domain.incident import Incident
from commhub.domain.message import CardAction
from commhub.domain.task import Task, TaskStage
from commhub.ports.inside import CardChange, TaskCard

LEVELS = {1: "特别重大", 2: "重大", 3: "较大", 4: "一般"}
ASKING = (CardAction.ACCEPT, CardAction.RETURN)
ACCEPTED = (CardAction.FINISH,)


def clock_time(at: datetime, zone: ZoneInfo) -> str:
    """HH:MM of the town's wall clock."""
    return at.astimezone(zone).strftime("%H:%M")


def card_of(
    incident: Incident, task: Task, text: str, *, zone: ZoneInfo, link: str | None
) -> TaskCard:
    """The card that asks for `task`; at most six rows, which is what WeCom shows."""
    rows = [("编号", incident.number), ("级别", LEVELS.get(incident.level, str(incident.level)))]
    if incident.place:
        rows.append(("地点", incident.place))
    elif incident.point:
        rows.append(("位置", f"{incident.point.lat:.5f}, {incident.point.lon:.5f}"))
    if incident.reporter:
        rows.append(("上报", incident.reporter))
    if incident.accept_by:
        rows.append(("请于", f"{clock_time(incident.accept_by, zone)} 前接单"))
    return TaskCard(
        incident_id=incident.id,
        task_id=task.id,
        title=("【演练】" if incident.drill else "") + incident.title,
        body=text,
        fields=tuple(rows),
        actions=ASKING,
        link=link.format(incident_id=incident.id) if link else None,
    )


_STILL_POSSIBLE = {
    TaskStage.DISPATCHED: ASKING,
    TaskStage.ACCEPTED: ACCEPTED,
    TaskStage.ON_SCENE: ACCEPTED,
}


def state_of(task: Task, zone: ZoneInfo, *, holder: str | None, by: str = "") -> CardChange:
    """What the card of `task` says now. `holder` is who has the incident instead, once this task is over."""
    return CardChange(
        status=_status_of(task, zone, holder), actions=_STILL_POSSIBLE.get(task.stage, ()), by=by
    )


def _status_of(task: Task, zone: ZoneInfo, holder: str | None) -> str:
    status, moment = {
        TaskStage.DISPATCHED: ("待接单", None),
        TaskStage.ACCEPTED: ("已接单", task.accepted_at),
        TaskStage.ON_SCENE: ("已到场", task.on_scene_at),
        TaskStage.HANDLED: ("已完成", task.ended_at),
        TaskStage.RETURNED: ("已退单", task.ended_at),
        TaskStage.ESCALATED: ("已转派", None),
        TaskStage.CANCELLED: ("已改派" if holder else "已取消", None),
    }[task.stage]
    if moment is not None:
        status += f" {clock_time(moment, zone)}"
    return f"{status}，现由{holder}处理" if holder and not task.is_open else status
