"""The engine's thread: keeps the time of the ticks, and lets orders in between them.

A tick that is due while the last one still runs is done at once after it, so that far ends get every packet;
when more than `CATCH_UP` are due (the machine stood still), they are counted as missed and time is skipped.

What came of the orders leaves with what the tick tells, once a tick: to wake somebody in another thread for each of
them costs more than most orders do.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from bridges.audio.engine import TICK_S, AudioEngine
from bridges.audio.events import Output
from commhub.domain.errors import UnavailableError

log = structlog.get_logger(__name__)

CATCH_UP = 5


@dataclass(slots=True)
class Order:
    """Something to do with the engine. When it is delivered, `error` says why it was not done, or is None and `result`
    is what came of it."""

    work: Callable[[AudioEngine], object]
    result: object = None
    error: Exception | None = None

    def carry_out(self, engine: AudioEngine) -> None:
        try:
            self.result = self.work(engine)
        except Exception as error:  # noqa: BLE001 - every failure belongs to whoever gave the order
            self.error = error


Deliver = Callable[[Sequence[Order], Sequence[Output]], None]


class EngineThread:
    """Runs an engine from `start` to `stop`. `deliver` gets the orders that were carried out since the last time, oldest
    first, and what the tick tells; in the engine's thread."""

    def __init__(self, engine: AudioEngine, deliver: Deliver) -> None:
        self._engine = engine
        self._deliver = deliver
        self._orders: deque[Order] = deque()
        self._settled: list[Order] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audio-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the current tick end; orders still waiting are delivered as not done."""
        self._stopping.set()
        self._thread.join()
        left = [*self._orders]
        self._orders.clear()
        for order in left:
            order.error = UnavailableError("this worker is stopping")
        if left:
            self._deliver(left, ())

    def order(self, order: Order) -> None:
        """Have it carried out before the next tick. Safe from any thread."""
        self._orders.append(order)

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
        outputs: Sequence[Output] = ()
        try:
            for _ in range(len(self._orders)):
                order = self._orders.popleft()
                order.carry_out(engine)
                self._settled.append(order)
            outputs = engine.tick(began)
        except Exception:
            # The supervisor of the tick: one that fails must not silence every call of the worker.
            engine.counts.failed_ticks += 1
            if engine.counts.failed_ticks % 50 == 1:
                log.exception("tick_failed", failures=engine.counts.failed_ticks)
        settled, self._settled = self._settled, []
        if settled or outputs:
            self._deliver(settled, outputs)
        engine.counts.busy_us += round((time.monotonic() - began) * 1e6)
