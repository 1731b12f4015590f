"""The engine's thread: keeps the time of the ticks, and lets orders in between them.

A tick that is due while the last one still runs is done at once after it, so that far ends get every packet;
when more than `CATCH_UP` are due (the machine stood still), they are counted as missed and time is skipped.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import structlog

from bridges.audio.engine import TICK_S, AudioEngine
from bridges.audio.events import Output

log = structlog.get_logger(__name__)

CATCH_UP = 5

T = TypeVar("T")


class _Order(Generic[T]):
    """Something to do with the engine, and who waits for it."""

    def __init__(self, work: Callable[[AudioEngine], T]) -> None:
        self.future: Future[T] = Future()
        self._work = work

    def carry_out(self, engine: AudioEngine) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._work(engine))
        except Exception as error:  # noqa: BLE001 - every failure belongs to whoever waits for the order
            self.future.set_exception(error)


class EngineThread:
    """Runs an engine from `start` to `stop`. `deliver` gets each tick's outputs, in the engine's thread."""

    def __init__(self, engine: AudioEngine, deliver: Callable[[list[Output]], None]) -> None:
        self._engine = engine
        self._deliver = deliver
        self._orders: deque[_Order[object]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audio-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the current tick end; orders still waiting are cancelled."""
        self._stopping.set()
        self._thread.join()
        while self._orders:
            self._orders.popleft().future.cancel()

    def order(self, work: Callable[[AudioEngine], T]) -> Future[T]:
        """Have `work` done before the next tick."""
        order = _Order(work)
        self._orders.append(order)  # type: ignore[arg-type]  # a deque of orders of any result
        return order.future

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            due += TICK_S
            ahead = due - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            elif -ahead > CATCH_UP * TICK_S:
                skipped = int(-ahead / TICK_S)
                self._engine.skip(skipped)
                due += skipped * TICK_S
            elif -ahead > TICK_S:
                self._engine.counts.missed_ticks += 1
            self._step()

    def _step(self) -> None:
        engine = self._engine
        began = time.monotonic()
        try:
            for _ in range(len(self._orders)):
                self._orders.popleft().carry_out(engine)
            outputs = engine.tick(began)
            if outputs:
                self._deliver(outputs)
        except Exception:
            # The supervisor of the tick: one that fails must not silence every call of the worker.
            engine.counts.failed_ticks += 1
            if engine.counts.failed_ticks % 50 == 1:
                log.exception("tick_failed", failures=engine.counts.failed_ticks)
        engine.counts.busy_us += round((time.monotonic() - began) * 1e6)
