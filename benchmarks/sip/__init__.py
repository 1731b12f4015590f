"""SIP: complete calls a second, overload, a registration storm, a flood; SIPp is the phones, the hub is a whole one.

The control process has core 0 to itself; SIPp, the media worker and the flood share core 1. A complete call is a phone
that dials another with a digest, rings, is answered at once, talks and hangs up: two dialogs of the hub, audio ordered
at the worker, every step a row. Every run verifies itself: nothing failed at the callers, and the hub counted the
same legs; in the flood, its source was throttled and the memory stayed.

    python -m benchmarks sip [--only calls|overload|register|flood] [--rate N] [--seconds S] [--phones N] [--json]

Without `--rate` the highest rate that is held is looked for.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.sip.bench import CALLEES, LOAD_CORE, Bench, Figures, NotDoneError
from benchmarks.sip.calls import Calls, Overload, find_rate, measure_calls, measure_overload
from benchmarks.sip.flooded import Flooded, measure_flood
from benchmarks.sip.load import LoadError
from benchmarks.sip.storm import Storm, measure_storm
from commhub.wiring.hub_process import HubError

_KINDS = ("calls", "overload", "register", "flood")


def main(argv: Sequence[str]) -> int:
    """Measure what was asked for; 1 when it did not do its work."""
    options = _options(argv)
    os.sched_setaffinity(0, {LOAD_CORE} if (os.cpu_count() or 1) > 1 else {0})
    found: dict[str, Calls | Overload | Storm | Flooded] = {}
    faults: list[str] = []
    wanted = [options.only] if options.only else _KINDS
    phones = options.phones if "register" in wanted else CALLEES
    with tempfile.TemporaryDirectory(prefix="commhub-sip-") as folder:
        bench = Bench(Path(folder), phones)
        try:
            with bench.hub:
                for name in wanted:
                    try:
                        figures: Figures = _measure(bench, name, options)
                    except NotDoneError as error:
                        faults.append(f"{name}: {error}")
                        figures = error.figures
                    assert isinstance(figures, Calls | Overload | Storm | Flooded)
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


def _flat(found: dict[str, Calls | Overload | Storm | Flooded]) -> dict[str, object]:
    """The figures that are compared between versions at the top, each measurement whole below."""
    top: dict[str, object] = {}
    failed = 0
    for figures in found.values():
        tops = figures.tops()
        failed += int(str(tops.pop("failed")))
        top |= tops
    return top | {"failed": failed} | {name: asdict(figures) for name, figures in found.items()}


def _measure(
    bench: Bench, name: str, options: argparse.Namespace
) -> Calls | Overload | Storm | Flooded:
    if name == "calls" and options.rate is None:
        return find_rate(bench)
    if name == "calls":
        return measure_calls(bench, options.rate, options.seconds)
    if name == "overload":
        return measure_overload(bench, options.rate, options.seconds)
    if name == "register":
        return measure_storm(bench, options.phones, options.register_rate)
    return measure_flood(bench, options.flood_seconds)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sip")
    parser.add_argument("--only", choices=_KINDS)
    parser.add_argument("--rate", type=float, help="calls a second; the highest that is held")
    parser.add_argument("--seconds", type=float, default=8.0, help="of calls")
    parser.add_argument("--phones", type=int, default=10_000)
    parser.add_argument("--register-rate", type=float, default=200.0, help="registrations a second")
    parser.add_argument("--flood-seconds", type=float, default=6.0, help="60 for the real thing")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


__all__ = ["main"]
