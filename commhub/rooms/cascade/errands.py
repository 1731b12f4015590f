"""Work that goes on beside everything else, one thing at a time for each key."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from commhub.domain.errors import DomainError

log = structlog.get_logger(__name__)


class Errands:
    """What is out. `what` names them in the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def is_out(self, key: str) -> bool:
        return key in self._tasks

    def send(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin, unless one with that key is out. What goes wrong is said in the log: whoever sent it looks again anyway."""
        if key not in self._tasks:
            task = asyncio.create_task(self._run(key, work), name=f"{self._what}-{key}")
            self._tasks[key] = task

    async def _run(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except DomainError as error:
            log.info("cascade_errand_failed", errand=self._what, of=key, reason=str(error))
        except Exception:  # one picture's fault is not the others'
            log.exception("cascade_errand_broke", errand=self._what, of=key)
        finally:
            self._tasks.pop(key, None)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
