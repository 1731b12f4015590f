"""What every worker does alike: it starts part by part, listens for control when all of it is there, and ends in the other order.

What it serves control with, and what its parts are, is each worker's own.
"""

import asyncio
import gc
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Generic, Protocol, Self

import structlog

from bridges.control import ControlServer, Reply
from bridges.wire import ArgsT, ControlAddress, Dialect, Message
from commhub.domain.errors import UnavailableError
from commhub.kit.clock import Clock, SystemClock
from commhub.kit.ids import new_id

log = structlog.get_logger(__name__)

_SWITCH_INTERVAL_S = 0.0005
"""How long one thread may keep the interpreter while another waits: the engine of sound, and the recorder of pictures, have threads."""


class Reachable(Protocol):
    """Of a worker's configuration, how control finds it: `control` is unix:PATH or tcp:HOST:PORT; `secret` is needed to listen
    beyond this machine."""

    @property
    def name(self) -> str: ...
    @property
    def control(self) -> str: ...
    @property
    def secret(self) -> str | None: ...


class Worker(ABC, Generic[ArgsT]):
    """One worker, running while entered. `boot_id` is this life of it."""

    def __init__(self, reachable: Reachable, clock: Clock | None) -> None:
        self._reachable = reachable
        self._clock = clock or SystemClock()
        self.boot_id = new_id()
        self._control: ControlServer[ArgsT] | None = None
        self._stack = AsyncExitStack()

    @property
    def address(self) -> ControlAddress:
        """Where control reaches this worker."""
        if self._control is None:
            raise UnavailableError("this worker is not running")
        return self._control.address

    async def __aenter__(self) -> Self:
        """Raises InvalidError for a wrong address, and what the parts raise: UnavailableError or OSError when a port is taken,
        OSError for the disk."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            pulse = asyncio.create_task(self._pulse(), name="worker-pulse")
            stack.callback(pulse.cancel)
            self._stack = stack.pop_all()
        log.info("worker_started", worker=self._reachable.name, control=str(self.address))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        log.info("worker_stopped", worker=self._reachable.name)

    @abstractmethod
    async def _start(self, stack: AsyncExitStack) -> None:
        """Start the parts, each with its end on the stack, and `_serve` last."""

    @abstractmethod
    async def _pulse(self) -> None:
        """What the worker does again and again, until cancelled."""

    @abstractmethod
    def _begin(self, args: ArgsT, reply: Reply) -> None:
        """Begin a request now, in its turn."""

    async def _serve(
        self,
        stack: AsyncExitStack,
        words: Dialect[ArgsT, Any],
        *,
        acknowledged: Callable[[str], None],
        untold: Callable[[], Iterable[Message]],
    ) -> None:
        """Let control in. `acknowledged` and `untold` are as in `ControlServer`."""
        reachable = self._reachable
        control = ControlServer(
            ControlAddress.parse(reachable.control),
            reachable.secret,
            {"worker": reachable.name, "boot_id": self.boot_id},
            words,
            begin=self._begin,
            acknowledged=acknowledged,
            untold=untold,
        )
        self._control = await stack.enter_async_context(control)


def tune_process() -> None:
    """Make a process a worker's own: short turns for the event loop, and what is loaded by now stays, so that the collector need
    not walk it while media wait."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
