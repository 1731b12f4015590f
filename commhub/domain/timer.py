"""Clock (时限): a deadline on a stage, kept as a row so that it outlives every restart."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ClockName(StrEnum):
    """Which promise the deadline is about."""

    ACCEPT = "accept"


class TimerState(StrEnum):
    """A row that cannot be handled is QUARANTINED with its error, and never blocks the others."""

    ARMED = "armed"
    FIRED = "fired"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """UNIQUE(incident, clock, step): arming the same step twice is one timer."""

    id: str
    incident_id: str
    clock: ClockName
    step: int
    due_at: datetime
    task_id: str | None = None
    state: TimerState = TimerState.ARMED
    error: str | None = None
