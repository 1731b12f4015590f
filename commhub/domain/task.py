"""Task (任务): one responder's share of an incident, with a stage machine of its own."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from commhub.domain.errors import IllegalMoveError


class TaskStage(StrEnum):
    """`escalated`: the accept clock ran out and the next responder has it; `returned`: 退单."""

    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    ON_SCENE = "on_scene"
    HANDLED = "handled"
    RETURNED = "returned"
    ESCALATED = "escalated"
    CANCELLED = "cancelled"


class TaskAction(StrEnum):
    """What a responder (or a clock, or the desk on their behalf) does to a task."""

    ACCEPT = "accept"
    ARRIVE = "arrive"
    FINISH = "finish"
    RETURN = "return"
    ESCALATE = "escalate"
    CANCEL = "cancel"


OPEN_TASK_STAGES = frozenset({TaskStage.DISPATCHED, TaskStage.ACCEPTED, TaskStage.ON_SCENE})

TASK_MOVES: dict[TaskAction, tuple[frozenset[TaskStage], TaskStage]] = {
    TaskAction.ACCEPT: (frozenset({TaskStage.DISPATCHED}), TaskStage.ACCEPTED),
    TaskAction.ARRIVE: (frozenset({TaskStage.ACCEPTED}), TaskStage.ON_SCENE),
    # The field may report «done» without having pressed «on scene».
    TaskAction.FINISH: (frozenset({TaskStage.ACCEPTED, TaskStage.ON_SCENE}), TaskStage.HANDLED),
    TaskAction.RETURN: (OPEN_TASK_STAGES, TaskStage.RETURNED),
    TaskAction.ESCALATE: (frozenset({TaskStage.DISPATCHED}), TaskStage.ESCALATED),
    TaskAction.CANCEL: (OPEN_TASK_STAGES, TaskStage.CANCELLED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`attempt` counts the responders tried for this incident, from 1."""

    id: str
    incident_id: str
    responder_id: str
    unit_id: str
    dispatched_at: datetime
    attempt: int = 1
    stage: TaskStage = TaskStage.DISPATCHED
    accepted_at: datetime | None = None
    on_scene_at: datetime | None = None
    ended_at: datetime | None = None
    note: str | None = None

    @property
    def is_open(self) -> bool:
        return self.stage in OPEN_TASK_STAGES


def move_task(task: Task, action: TaskAction, at: datetime, note: str | None = None) -> Task:
    """Return the task after `action`. Raises IllegalMoveError, naming the stage, when it is not legal."""
    sources, target = TASK_MOVES[action]
    if task.stage not in sources:
        raise IllegalMoveError(
            f"the task is {task.stage}, so it cannot {action}", stage=task.stage, action=action
        )
    return replace(
        task,
        stage=target,
        accepted_at=at if target is TaskStage.ACCEPTED else task.accepted_at,
        on_scene_at=at if target is TaskStage.ON_SCENE else task.on_scene_at,
        ended_at=task.ended_at if target in OPEN_TASK_STAGES else at,
        note=note or task.note,
    )
