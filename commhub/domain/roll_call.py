"""Roll-call (点调): is everybody there, can they be seen and heard, and how far away are they? A row for each answer."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from commhub.domain.people import Endpoint


class RollCallState(StrEnum):
    """RUNNING until every item is answered or its time is up."""

    RUNNING = "running"
    DONE = "done"


class Verdict(StrEnum):
    """PENDING is being called. FAULTY came, but cannot be seen or heard."""

    PENDING = "pending"
    PRESENT = "present"
    FAULTY = "faulty"
    ABSENT = "absent"


class Check(StrEnum):
    """Of a picture or a voice; NOT_ASKED where there is none to be expected."""

    NOT_ASKED = "not_asked"
    PENDING = "pending"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCall:
    """The `n`-th of its room. What is not there at `until` is absent."""

    id: str
    room_id: str
    n: int
    created_at: datetime
    created_by: str
    until: datetime
    state: RollCallState = RollCallState.RUNNING
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCallItem:
    """One expected participant. `rung`: the hub called it anew, `answered_at` is when it was there. `round_trip_ms` over the
    network; `height` and `fps` of the picture as it arrives; `packets` of its voice that had arrived when it was
    called, to see that more do. `peer` is the neighbour whose it is, or (with an `origin`, its name over all hubs) who told of
    somebody in its half; what is found of those is told."""

    id: str
    roll_call_id: str
    participant_id: str
    name: str
    called_at: datetime
    endpoint: Endpoint | None = None
    rung: bool = False
    answered_at: datetime | None = None
    round_trip_ms: float | None = None
    picture: Check = Check.NOT_ASKED
    height: int = 0
    fps: float = 0.0
    voice: Check = Check.NOT_ASKED
    packets: int | None = None
    verdict: Verdict = Verdict.PENDING
    peer: str | None = None
    origin: str | None = None

    @property
    def is_settled(self) -> bool:
        return self.verdict is not Verdict.PENDING


def judge(item: RollCallItem, *, last_chance: bool) -> Verdict:
    """The verdict on what was found so far. Before the last chance, what is not good yet is still waited for."""
    checks = {item.picture, item.voice}
    if item.answered_at is None:
        return Verdict.ABSENT if last_chance else Verdict.PENDING
    if checks <= {Check.GOOD, Check.NOT_ASKED}:
        return Verdict.PRESENT
    return Verdict.FAULTY if last_chance else Verdict.PENDING
