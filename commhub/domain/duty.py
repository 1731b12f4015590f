"""The duty number (值班电话): who dials it waits for a desk, not for a person.

A waiting caller rings at every desk at once; whoever answers first has them. When nobody does, the line's overflow
rings one address after another beside the desks. A caller who gives up is a missed call (未接来电) until somebody
called back or said that this is settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from commhub.domain.errors import ConflictError
from commhub.domain.geo import Point
from commhub.domain.people import Endpoint

DUTY_CATEGORY = "duty_call"
"""Of the report a call to the duty number becomes, unless its line names another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """After so many seconds of waiting `to` is called as well: a phone rings beside the desks, a radio group has the
    caller put on its air."""

    after_s: float
    to: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyLine:
    """`numbers` are what is dialled for it: extensions, and the numbers under which trunks know us. `overflow` in the
    order of its times."""

    name: str
    numbers: tuple[str, ...]
    category: str = DUTY_CATEGORY
    overflow: tuple[Overflow, ...] = ()


@dataclass(frozen=True, slots=True)
class DutyLines:
    """All lines of a hub; no number belongs to two."""

    lines: Sequence[DutyLine] = ()

    def dialled(self, number: str) -> DutyLine | None:
        """The line somebody means who dials `number`."""
        return next((line for line in self.lines if number in line.numbers), None)

    def named(self, name: str) -> DutyLine | None:
        """None for a line the settings no longer have."""
        return next((line for line in self.lines if line.name == name), None)


NO_LINES = DutyLines()


class DutyState(StrEnum):
    """WAITING rings; TAKEN talks with somebody of ours; MISSED gave up and was not called back; CLOSED is history."""

    WAITING = "waiting"
    TAKEN = "taken"
    MISSED = "missed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCall:
    """A call to a duty line; `id` is the call's. `dialled` is the number. `answering` is the leg of the desk that is
    just answering. `step` counts the overflow addresses that were called. `taken_by` is the address that took it;
    `call_back` the last call back to a missed caller. `responder_id` and `point`: who calls, and where they were."""

    id: str
    line: str
    dialled: str
    caller: Endpoint
    offered_at: datetime
    caller_name: str | None = None
    responder_id: str | None = None
    point: Point | None = None
    state: DutyState = DutyState.WAITING
    step: int = 0
    answering: str | None = None
    report_id: str | None = None
    incident_id: str | None = None
    taken_by: str | None = None
    taken_at: datetime | None = None
    ended_at: datetime | None = None
    call_back: str | None = None
    settled_by: str | None = None

    def waited_s(self, now: datetime) -> float:
        """How long the caller waited, to one decimal."""
        until = self.taken_at or self.ended_at or now
        return round((until - self.offered_at).total_seconds(), 1)

    def next_overflow(self, line: DutyLine | None) -> tuple[Overflow, datetime] | None:
        """What is called next, and when; None when nothing is left, or nobody waits."""
        if line is None or self.state is not DutyState.WAITING or self.step >= len(line.overflow):
            return None
        overflow = line.overflow[self.step]
        return overflow, self.offered_at + timedelta(seconds=overflow.after_s)

    def answered_from(self, leg_id: str) -> "DutyCall":
        """A desk's leg is on its way to the caller."""
        return replace(self, answering=leg_id)

    def forwarded(self) -> "DutyCall":
        """One more address of the overflow was called."""
        return replace(self, step=self.step + 1)

    def take(self, by: str, at: datetime) -> "DutyCall":
        """Somebody of ours talks with the caller."""
        return replace(self, state=DutyState.TAKEN, taken_by=by, taken_at=at)

    def end(self, at: datetime, declined_by: str | None = None) -> "DutyCall":
        """The call is over: history if somebody took it or sent it away, else missed."""
        if self.state is DutyState.CLOSED:
            return self
        missed = self.state is not DutyState.TAKEN and declined_by is None
        state = DutyState.MISSED if missed else DutyState.CLOSED
        return replace(self, state=state, ended_at=self.ended_at or at, settled_by=declined_by)

    def settle(self, by: str) -> "DutyCall":
        """Nobody need call back any more. Settling twice is fine; raises ConflictError while the call goes on."""
        if self.state is DutyState.CLOSED:
            return self
        if self.state is not DutyState.MISSED:
            raise ConflictError("this call is not over; only a missed one is settled")
        return replace(self, state=DutyState.CLOSED, settled_by=by)
