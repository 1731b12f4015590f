"""What every measurement has: a hub with its phones, figures, and a verdict on them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks.sip.load import PATIENCE_S, Pace, Sipp, write_users
from benchmarks.sip.subject import PASSWORD, Subject
from commhub.wiring.hub_process import free_port

HUB_CORE, LOAD_CORE = 0, 1
CALLEES = 50
BESIDE_PER_S = 5.0
SLACK_S = 45.0
# What the hub counts is read so often, while it works.
_LOOK_EVERY_S = 0.5


class Figures(Protocol):
    """What a measurement found; a dataclass."""

    def tops(self) -> dict[str, object]:
        """The figures that are compared between versions; `failed` is one of them."""
        ...


class NotDoneError(Exception):
    """A run that did not do its work; `figures` all the same."""

    def __init__(self, reason: str, figures: Figures) -> None:
        super().__init__(f"{reason}: {figures}")
        self.figures = figures


def demand(is_so: bool, otherwise: str, figures: Figures) -> None:
    """Raises NotDoneError."""
    if not is_so:
        raise NotDoneError(otherwise, figures)


class Bench:
    """One hub with its phones, for one measurement after another."""

    def __init__(self, folder: Path, phones: int) -> None:
        self._folder = folder
        self._caller_port, self._callee_port, self._phones_port = _three_ports()
        # All are registered already: a storm is what follows a power cut, not what a town's first day is like.
        callees = [str(900_000 + number) for number in range(CALLEES)]
        self.hub = Subject(
            folder / "hub",
            max(phones, 2 * CALLEES),
            dict.fromkeys(callees, self._callee_port),
            self._phones_port,
            own=HUB_CORE,
            other=LOAD_CORE,
        )
        names = self.hub.names
        self._callers = write_users(
            folder / "callers.csv",
            [(name, PASSWORD, callees[n % CALLEES]) for n, name in enumerate(names[:CALLEES])],
        )
        self._phones = write_users(
            folder / "phones.csv", [(name, PASSWORD, "") for name in names[:phones]]
        )
        self._runs = 0

    def _place(self) -> Path:
        self._runs += 1
        return self._folder / f"run{self._runs}"

    def caller(
        self, rate: float, seconds: float, talk_s: float, patience_s: int = PATIENCE_S
    ) -> Sipp:
        return Sipp(
            "caller",
            self.hub.port,
            self._caller_port,
            self._place(),
            users=self._callers,
            pace=Pace(
                rate=rate,
                total=max(1, round(rate * seconds)),
                talk_ms=round(talk_s * 1000),
                patience_s=patience_s,
            ),
        )

    def callee(self) -> Sipp:
        return Sipp("callee", self.hub.port, self._callee_port, self._place())

    def registrations(self, rate: float, total: int) -> Sipp:
        return Sipp(
            "register",
            self.hub.port,
            self._phones_port,
            self._place(),
            users=self._phones,
            pace=Pace(rate=rate, total=total),
        )


def _three_ports() -> tuple[int, int, int]:
    """Ports that nobody has, another run of this benchmark neither."""
    found: set[int] = set()
    while len(found) < 3:
        found.add(free_port(socket.SOCK_DGRAM))
    caller, callee, phones = found
    return caller, callee, phones


@contextmanager
def highest(read: Callable[[], float]) -> Iterator[list[float]]:
    """The highest value read while the block runs."""
    over, highest = threading.Event(), [0.0]

    def look() -> None:
        while not over.wait(_LOOK_EVERY_S):
            highest[0] = max(highest[0], read())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()


def settled(is_true: Callable[[], bool], within_s: float = 40.0) -> bool:
    """Whether it becomes true in time: the hub lets go of a leg when its BYE is answered."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.2)):
        if is_true():
            return True
        pause.wait(0.2)
    return is_true()
