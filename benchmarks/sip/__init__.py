"""SIP: complete calls a second, a registration storm, a flood; SIPp is the phones, the hub is a whole one.

The control process has core 0 to itself; SIPp, the media worker and the flood share core 1. A complete call is a phone
that dials another with a digest, rings, is answered at once, talks and hangs up: two dialogs of the hub, audio ordered
at the worker, every step a row. Every run verifies itself: nothing failed at the callers, and the hub counted the
same legs; in the flood, its source was throttled and the memory stayed.

    python -m benchmarks sip [--only calls|register|flood] [--rate N] [--seconds S] [--phones N] [--json]
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.sip.flood import Flood
from benchmarks.sip.load import Counted, LoadError, Sipp, write_users
from benchmarks.sip.subject import PASSWORD, Subject
from commhub.wiring.hub_process import HubError, free_port

HUB_CORE, LOAD_CORE = 0, 1
CALLEES = 50
BESIDE_PER_S = 5.0
DIALOGS = 1_000
# Shorter than the silence after which the hub asks a phone whether it is there: SIPp has no answer to that.
LONGEST_TALK_S = 8.0
FLOOD_PER_S = 5_000
STORM_WITHIN_S = 60.0
MEMORY_MAY_GROW_MB = 96.0
_SLACK_S = 45.0


class NotDoneError(Exception):
    """A run that did not do its work; `figures` all the same."""

    def __init__(self, reason: str, figures: "Calls | Storm | Flooded") -> None:
        super().__init__(f"{reason}: {figures}")
        self.figures = figures


def _demand(is_so: bool, otherwise: str, figures: "Calls | Storm | Flooded") -> None:
    if not is_so:
        raise NotDoneError(otherwise, figures)


@dataclass(frozen=True, slots=True)
class Calls:
    """`pdd`: from the caller's INVITE with its digest to ringing; `answer`: to the answer of a phone that does so at
    once; both are what the hub adds. `cpu_ms` of control per call."""

    calls_per_s: float
    failed: int
    open_dialogs: int
    pdd_p50_ms: float
    pdd_p99_ms: float
    answer_p99_ms: float
    retransmitted: int
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Storm:
    """`calls_failed` of the calls that went on beside it."""

    phones: int
    register_storm_s: float
    failed: int
    calls: int
    calls_failed: int
    register_p99_ms: float


@dataclass(frozen=True, slots=True)
class Flooded:
    """`throttled` of the messages that were dropped unread; `memory_mb` how much the control process grew."""

    flood_per_s: float
    seconds: float
    calls: int
    calls_failed: int
    throttled: float
    memory_mb: float
    pdd_p99_ms: float
    cpu_share: float


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

    def caller(self, rate: float, seconds: float, talk_s: float) -> Sipp:
        return Sipp(
            "caller",
            self.hub.port,
            self._caller_port,
            self._place(),
            users=self._callers,
            rate=rate,
            total=max(1, round(rate * seconds)),
            talk_ms=round(talk_s * 1000),
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
            rate=rate,
            total=total,
        )


def _three_ports() -> tuple[int, int, int]:
    """Ports that nobody has, another run of this benchmark neither."""
    found: set[int] = set()
    while len(found) < 3:
        found.add(free_port(socket.SOCK_DGRAM))
    caller, callee, phones = found
    return caller, callee, phones


@contextmanager
def _highest(read: Callable[[], float]) -> Iterator[list[float]]:
    """The highest value read while the block runs."""
    over, highest = threading.Event(), [0.0]

    def look() -> None:
        while not over.wait(0.25):
            highest[0] = max(highest[0], read())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()


def measure_calls(bench: Bench, rate: float, seconds: float) -> Calls:
    """Calls at `rate`, each so long that about `DIALOGS` are open (a call is two). Raises NotDoneError when one
    failed, or the hub saw others than the callers made."""
    talk_s = min(DIALOGS / 2 / rate, LONGEST_TALK_S)
    hub = bench.hub
    legs_before, cpu_before = hub.metric("commhub_sip_legs_ended_total"), hub.cpu_s()
    with bench.callee(), bench.caller(rate, seconds, talk_s) as caller:
        with _highest(lambda: hub.metric("commhub_sip_legs")) as open_legs:
            counted = caller.finish(seconds + talk_s + _SLACK_S)
        ended = _settled(lambda: hub.metric("commhub_sip_legs") == 0)
    legs = hub.metric("commhub_sip_legs_ended_total") - legs_before
    found = Calls(
        calls_per_s=round(counted.succeeded / max(counted.seconds - talk_s, 0.001), 1),
        failed=counted.failed,
        open_dialogs=int(open_legs[0]),
        pdd_p50_ms=counted.percentile("1", 0.5),
        pdd_p99_ms=counted.percentile("1", 0.99),
        answer_p99_ms=counted.percentile("2", 0.99),
        retransmitted=counted.retransmitted,
        cpu_ms=round(1000 * (hub.cpu_s() - cpu_before) / max(counted.succeeded, 1), 2),
    )
    _demand(counted.succeeded + counted.failed == round(rate * seconds), "calls are missing", found)
    _demand(not found.failed, "calls failed", found)
    _demand(ended, "legs were left behind", found)
    _demand(legs == 2 * counted.succeeded, f"{legs:.0f} legs ended", found)
    return found


def measure_storm(bench: Bench, phones: int, rate: float) -> Storm:
    """All phones register anew, with calls beside them. Raises NotDoneError when one failed."""
    seconds = phones / rate
    with (
        bench.callee(),
        bench.caller(BESIDE_PER_S, seconds, 1.0) as caller,
        bench.registrations(rate, phones) as storm,
    ):
        registered = storm.finish(STORM_WITHIN_S + _SLACK_S)
        calls = caller.finish(seconds + _SLACK_S)
    found = Storm(
        phones=phones,
        register_storm_s=round(registered.seconds, 2),
        failed=registered.failed,
        calls=calls.succeeded + calls.failed,
        calls_failed=calls.failed,
        register_p99_ms=registered.percentile("1", 0.99),
    )
    _demand(registered.succeeded == phones, "registrations failed", found)
    _demand(not found.calls_failed, "calls failed beside the storm", found)
    return found


def measure_flood(bench: Bench, seconds: float) -> Flooded:
    """A flood beside calls. Raises NotDoneError when more than one call in a hundred failed, the source was not
    throttled, or memory grew."""
    hub = bench.hub
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    flood = Flood(hub.port, FLOOD_PER_S, seconds)
    process = context.Process(target=flood.run, args=(theirs,))
    # The first call proves its phone; a flood's neighbour is served from then on.
    with bench.callee(), bench.caller(BESIDE_PER_S, seconds, 1.0) as caller:
        memory, cpu = hub.memory_mb(), hub.cpu_s()
        process.start()
        sent, took = ours.recv()
        process.join()
        cpu = hub.cpu_s() - cpu
        calls = caller.finish(seconds + _SLACK_S)
    throttled = hub.metric("commhub_sip_throttled_total", who="source")
    found = Flooded(
        flood_per_s=round(sent / took, 1),
        seconds=round(took, 1),
        calls=calls.succeeded + calls.failed,
        calls_failed=calls.failed,
        throttled=round(throttled / sent, 3),
        memory_mb=round(hub.memory_mb() - memory, 1),
        pdd_p99_ms=calls.percentile("1", 0.99),
        cpu_share=round(cpu / took, 2),
    )
    _demand(sent >= 0.9 * FLOOD_PER_S * seconds, "the load could not flood", found)
    _demand(calls.succeeded >= 0.99 * found.calls, "calls failed beside the flood", found)
    _demand(found.throttled > 0.5, "the flood was not throttled", found)
    _demand(found.memory_mb < MEMORY_MAY_GROW_MB, "memory grew", found)
    return found


def _settled(is_true: Callable[[], bool], within_s: float = 40.0) -> bool:
    """Whether it becomes true in time: the hub lets go of a leg when its BYE is answered."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.2)):
        if is_true():
            return True
        pause.wait(0.2)
    return is_true()


def main(argv: Sequence[str]) -> int:
    """Measure what was asked for; 1 when it did not do its work."""
    options = _options(argv)
    os.sched_setaffinity(0, {LOAD_CORE} if (os.cpu_count() or 1) > 1 else {0})
    found: dict[str, Calls | Storm | Flooded] = {}
    faults: list[str] = []
    wanted = [options.only] if options.only else ["calls", "register", "flood"]
    with tempfile.TemporaryDirectory(prefix="commhub-sip-") as folder:
        bench = Bench(Path(folder), options.phones)
        try:
            with bench.hub:
                for name in wanted:
                    try:
                        figures = _measure(bench, name, options)
                    except NotDoneError as error:
                        faults.append(f"{name}: {error}")
                        figures = error.figures
                    found[name] = figures
                    if not options.json:
                        print(f"{name}: {figures}", flush=True)
        except (LoadError, HubError) as error:
            faults.append(str(error))
    for fault in faults:
        print(f"NOT DONE: {fault}", file=sys.stderr)
    if options.json:
        print(json.dumps(_flat(found)))
    return 1 if faults else 0


def _flat(found: dict[str, Calls | Storm | Flooded]) -> dict[str, object]:
    """The figures that are compared between versions at the top, each measurement whole below."""
    top: dict[str, object] = {"failed": 0}
    for figures in found.values():
        match figures:
            case Calls():
                top["calls_per_s"] = figures.calls_per_s
                top["open_dialogs"] = figures.open_dialogs
                top["pdd_p99_ms"] = figures.pdd_p99_ms
                failed = figures.failed
            case Storm():
                top["register_storm_s"] = figures.register_storm_s
                failed = figures.failed + figures.calls_failed
            case Flooded():
                top["flood_per_s"] = figures.flood_per_s
                failed = figures.calls_failed
        top["failed"] = int(str(top["failed"])) + failed
    return top | {name: asdict(figures) for name, figures in found.items()}


def _measure(bench: Bench, name: str, options: argparse.Namespace) -> Calls | Storm | Flooded:
    if name == "calls":
        return measure_calls(bench, options.rate, options.seconds)
    if name == "register":
        return measure_storm(bench, options.phones, options.register_rate)
    return measure_flood(bench, options.flood_seconds)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sip")
    parser.add_argument("--only", choices=["calls", "register", "flood"])
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=8.0, help="of calls")
    parser.add_argument("--phones", type=int, default=10_000)
    parser.add_argument("--register-rate", type=float, default=200.0, help="registrations a second")
    parser.add_argument("--flood-seconds", type=float, default=6.0, help="60 for the real thing")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


__all__ = ["Counted", "main"]
