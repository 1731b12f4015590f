"""The forwarder's cost: a real video worker with its control on one core, its camera and viewers on the other, a peer
beside us.

One camera sends 1080p30 H.264 at 4.2 Mbit/s over SRTP, each viewer gets it over SRTP on a connection of its own, with reports, REMB
and repairs. Every packet of every viewer is accounted for, some viewers' pictures are decoded, or the run fails. The
cost is the whole process's CPU per packet that arrived at a viewer. Both processes are pinned; on loopback the sender's
core does the receiver's softirq work too.

    python -m benchmarks video [--subscribers N …] [--peer janus|none] [--seconds S] [--first-picture [JOINS]] [--json]

`--first-picture` adds newcomers in real browsers (`newcomers`).
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

import structlog

from benchmarks.audio.janus import found
from benchmarks.pinned import LOAD_CORE, NO_JANUS, OUR_CORE, add_common, as_json
from benchmarks.video import newcomers, stream
from benchmarks.video.load import Load, LoadReport
from benchmarks.video.newcomers import Newcomers
from benchmarks.video.report import Figures
from benchmarks.video.subject import Bench, Janus, Subject


def measure(bench: Bench, load: Load) -> Figures:
    """One run. Raises AssertionError when the forwarder did not do its work."""
    with bench:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=load.run, args=(bench.signalling, bench.pid, theirs))
        process.start()
        told: LoadReport | str = ours.recv()
        process.join()
        assert isinstance(told, LoadReport), f"{bench.name}: {told}"
        figures = Figures.of(bench.name, load, told, bench.counts())
    figures.verify()
    return figures


def main(argv: Sequence[str]) -> int:
    """Measure every size asked for; 1 when one did not do its work."""
    options = _options(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stream.pictures()
    runs: list[Figures] = []
    peers: dict[str, Figures] = {}

    def run(open_bench: Callable[[int], Bench], viewers: int) -> Figures:
        figures = measure(open_bench(OUR_CORE), Load(viewers, options.seconds, LOAD_CORE))
        if not options.json:
            print(figures.line(), flush=True)
        return figures

    try:
        runs.extend(run(Subject, viewers) for viewers in options.subscribers)
        if options.peer == "janus" and found() is None:
            print(NO_JANUS, file=sys.stderr)
        elif options.peer == "janus":
            peers["janus"] = run(Janus, options.subscribers[0])
            ratio = round(peers["janus"].us_per_packet / runs[0].us_per_packet, 2)
            print(f"janus costs {ratio} times our CPU a packet", file=sys.stderr)
        joined = _newcomers(options)
    except AssertionError as error:
        print(f"a forwarder did not do its work: {error}", file=sys.stderr)
        return 1
    if options.json:
        told = json.loads(as_json(runs, peers))
        print(json.dumps(told | {"newcomers": asdict(joined)} if joined else told))
    elif joined:
        print(joined.line())
    return 0


def _newcomers(options: argparse.Namespace) -> Newcomers | None:
    """What was asked for of it, where it can be had."""
    if not options.first_picture:
        return None
    missing = newcomers.lacking()
    if missing is not None:
        print(missing, file=sys.stderr)
        return None
    return newcomers.measure(OUR_CORE, options.first_picture)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks video")
    parser.add_argument("--subscribers", type=int, nargs="+", default=[80])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument(
        "--first-picture", type=int, nargs="?", const=24, default=0, metavar="JOINS"
    )
    add_common(parser)
    return parser.parse_args(argv)
