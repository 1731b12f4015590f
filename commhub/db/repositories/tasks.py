"""Tasks of incidents."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import dispatch
from commhub.domain.task import OPEN_TASK_STAGES, Task

_TABLE = dispatch.tasks
_TASKS = Rows(Task, _TABLE)


class SqlTasks(Repository):
    """Implements commhub.ports.store.Tasks."""

    async def add(self, task: Task) -> None:
        self._tx.add(_TABLE, _TASKS.to_row(task))

    async def get(self, task_id: str) -> Task:
        return await self._get(_TASKS, task_id, "task")

    async def update(self, task: Task) -> None:
        self._tx.update(_TABLE, _TASKS.to_row(task))

    async def of_incident(self, incident_id: str) -> Sequence[Task]:
        return await self._all(
            _TASKS,
            self._select(_TASKS)
            .where(_TABLE.c.incident_id == incident_id)
            .order_by(_TABLE.c.dispatched_at, _TABLE.c.attempt, _TABLE.c.id),
        )

    async def open_counts(self) -> Mapping[str, int]:
        await self._tx.hold("open task counts")
        rows = await self._tx.rows(
            select(_TABLE.c.responder_id, func.count())
            .where(self._tx.mine(_TABLE), _TABLE.c.stage.in_(sorted(OPEN_TASK_STAGES)))
            .group_by(_TABLE.c.responder_id)
        )
        return dict(rows)
