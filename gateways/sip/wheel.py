"""Timers by the ten thousand: a call has some ten, nearly all are cancelled before they fire, and half of them run for
32 s (RFC 3261 table 4).

The event loop sorts each timer by itself and keeps a cancelled one, with all it refers to, until its time comes. Here
those of one moment share a slot; only slots are sorted, and the loop knows of the next one alone. A cancelled timer is
forgotten at once: a session timer (RFC 4028) of a call that took a minute would be kept for half an hour. A timer fires
up to `GRAIN_S` late, one of half a minute and more up to `LONG_GRAIN_S`, and never early.
"""

import asyncio
import heapq
import math
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

GRAIN_S = 0.01
LONG_S = 30.0
LONG_GRAIN_S = 0.1
_LONG_GRAINS = round(LONG_GRAIN_S / GRAIN_S)


class _Timer:
    """Implements `machines.TimerHandle`."""

    __slots__ = ("_slot", "action")

    def __init__(self, action: Callable[[], object], slot: "_Slot") -> None:
        self.action: Callable[[], object] | None = action
        self._slot = slot

    def cancel(self) -> None:
        self.action = None
        self._slot.pop(self, None)


_Slot = dict[_Timer, None]


class TimerWheel:
    """Implements `machines.Scheduler` on an event loop. Its timers end with `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, _Slot] = {}
        self._order: list[int] = []
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0

    def call_later(self, delay: float, callback: Callable[[], object], /) -> _Timer:
        """Call it after so many seconds; never before the loop has turned."""
        number = math.ceil((self._loop.time() + delay) / GRAIN_S)
        if delay >= LONG_S:
            number += -number % _LONG_GRAINS
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            heapq.heappush(self._order, number)
            if self._armed is None or number < self._armed_for:
                self._arm(number)
        timer = _Timer(callback, slot)
        slot[timer] = None
        return timer

    def close(self) -> None:
        """Nothing fires any more."""
        for slot in self._slots.values():
            slot.clear()
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
            timers = list(slot)
            # A timer and its slot hold each other no longer.
            slot.clear()
            for timer in timers:
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
