"""What a process under measurement has used."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.audio.load import Load
from commhub.ports.media import RtpAddress

_HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of the process so far, and what it counts of itself (a peer may count nothing)."""

    at: float
    user_s: float
    system_s: float
    counts: dict[str, int] = field(default_factory=dict)


class Bench(Protocol):
    """A mixer under measurement: ours or a peer. `connect` makes the load's calls."""

    name: str

    def connect(self, load: Load) -> list[RtpAddress]: ...
    def used(self) -> Used: ...
    def sleep(self, seconds: float) -> None:
        """Let the measured time pass; fails at once when the process dies."""
        ...


def cpu_of(pid: int) -> tuple[float, float]:
    """User and system CPU seconds of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / _HERTZ, int(fields[12]) / _HERTZ
