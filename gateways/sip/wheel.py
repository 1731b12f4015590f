"""Timers by the ten thousand: a call has some ten, nearly all are cancelled before they fire, and half of them run for
32 s (RFC 3261 table 4).

The event loop sorts each timer by itself and keeps a cancelled one, with all it refers to, until its time comes. Here
those of one moment share a slot; only slots are sorted, and the loop knows of the next one alone. A timer fires up to
`GRAIN_S` late and never early.
"""

import asyncio
import heapq
import math
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

GRAIN_S = 0.01


class _Timer:
    """Implements `machines.TimerHandle`."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], object]) -> None:
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        self.action = None


class TimerWheel:
    """Implements `machines.Scheduler` on an event loop. Its timers end with `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[_Timer]] = {}
        self._order: list[int] = []
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0

    def call_later(self, delay: float, callback: Callable[[], object], /) -> _Timer:
        """Call it after so many seconds; never before the loop has turned."""
        timer = _Timer(callback)
        number = math.ceil((self._loop.time() + delay) / GRAIN_S)
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = [timer]
            heapq.heappush(self._order, number)
            if self._armed is None or number < self._armed_for:
                self._arm(number)
        else:
            slot.append(timer)
        return timer

    def close(self) -> None:
        """Nothing fires any more."""
        self._slots.clear()
        self._order.clear()
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _arm(self, number: int) -> None:
        if self._armed is not None:
            self._armed.cancel()
        self._armed_for = number
        self._armed = self._loop.call_at(number * GRAIN_S, self._turn)

    def _turn(self) -> None:
        """Fire what is due; what that starts anew belongs to the next turn."""
        self._armed = None
        now = self._loop.time() / GRAIN_S
        due = []
        # The loop calls a little early when that is within its clock's resolution.
        while self._order and (self._order[0] <= now or self._order[0] == self._armed_for):
            due.append(self._slots.pop(heapq.heappop(self._order)))
        if self._order:
            self._arm(self._order[0])
        for slot in due:
            for timer in slot:
                self._fire(timer)

    def _fire(self, timer: _Timer) -> None:
        action, timer.action = timer.action, None
        if action is None:
            return
        try:
            action()
        except Exception:
            # One timer's fault is not the others'.
            log.exception("sip_timer_failed")
