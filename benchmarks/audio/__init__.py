"""The audio engine's cost: a real worker with its control on one core, its far ends on the other, a peer beside us.

G.711 calls of three with the source locked, RTCP both ways, concealment, adaptive playout and levels on. Each leg
speaks a tone by its place in the call; sampled legs must hear the others and not themselves, and packets are counted
at both ends, or the run fails. The cost is the whole process's CPU (ours: engine, recorder, event loop) per leg and
tick. On loopback the sender's core does the receiver's softirq work, so both shares are stated. Latency: how much
later a mark in one leg's voice arrives at another leg of its call than it was sent, with marks at every phase of the
tick. The peers carry the same calls for the same far ends on the same core, one after the other.

    python -m benchmarks audio [--legs N …] [--peer janus|none] [--own] [--lecture] [--radios] [--loss P] [--seconds S] [--json]
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

import structlog

from benchmarks.audio import janus
from benchmarks.audio.load import Load, LoadReport
from benchmarks.audio.radios import Broker, RadioReport, Radios
from benchmarks.audio.report import Figures, Machine, RadioFigures
from benchmarks.audio.subject import Subject
from benchmarks.audio.used import Bench
from benchmarks.pinned import LOAD_CORE, NO_JANUS, OUR_CORE, add_common, as_json

PARTY = 3
WARM_S = 1.5
LECTURE = 503
"""Three who talk and five hundred who listen, in one call."""
RADIO_CALLS, RADIO_PARTY = 20, 15
BROKER_PORT = 18_893


def measure(
    open_bench: AbstractContextManager[Bench],
    load: Load,
    seconds: float,
    beside: Callable[[], None] = lambda: None,
) -> tuple[Figures, LoadReport]:
    """One run; `beside` starts other far ends when the calls are there. Raises AssertionError when the mixer did
    not do its work."""
    with open_bench as bench:
        goals = bench.connect(load)
        beside()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        ports = [goal.port for goal in goals]
        process = context.Process(target=load.run, args=(ports, WARM_S + seconds + 1, theirs))
        process.start()
        assert ours.recv() == "speaking"
        bench.sleep(WARM_S)
        machine, before = Machine.now(), bench.used()
        bench.sleep(seconds)
        after, machine_after = bench.used(), Machine.now()
        report: LoadReport = ours.recv()
        process.join()
    figures = Figures.of(bench.name, load, before, after, machine, machine_after, report)
    figures.verify()
    return figures, report


def measure_radios(seconds: float) -> RadioFigures:
    """Twenty groups of ten radios beside three hundred phones, in twenty calls."""
    load = Load(
        legs=RADIO_CALLS * RADIO_PARTY, party=RADIO_PARTY, core=LOAD_CORE, quiet_calls=(0,),
        marked_calls=(RADIO_CALLS - 1,),
    )  # fmt: skip
    with Broker(LOAD_CORE, BROKER_PORT) as broker:
        radios = Radios(groups=RADIO_CALLS, core=LOAD_CORE, port=broker.port)
        subject = Subject(
            load.legs,
            OUR_CORE,
            broker=broker.port,
            keys=lambda group: not radios.spoken_by_radio(group),
        )
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        speaking = WARM_S + seconds + 1
        process = context.Process(target=radios.run, args=(speaking, theirs))

        def speak() -> None:
            process.start()
            assert ours.recv() == "speaking"

        figures, phones = measure(subject, load, seconds, beside=speak)
        heard: RadioReport = ours.recv()
        process.join()
    found = RadioFigures.of(figures, radios, phones, heard)
    found.verify()
    return found


def main(argv: Sequence[str]) -> int:
    """Measure every size asked for; 1 when one did not do its work."""
    options = _options(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    runs: list[Figures] = []
    peers: dict[str, Figures] = {}

    def run(open_bench: Callable[[], AbstractContextManager[Bench]], load: Load) -> Figures:
        figures, _ = measure(open_bench(), load, options.seconds)
        if not options.json:
            print(figures.line(), flush=True)
        return figures

    try:
        if options.radios:
            found = measure_radios(options.seconds)
            print(json.dumps({"ours": asdict(found)}) if options.json else found.line())
            return 0
        for load in _loads(options):
            ours = run(lambda: Subject(load.legs, OUR_CORE, own=options.own), load)  # noqa: B023 - called at once
            runs.append(ours)
        if (peer := _peer(options)) is not None:
            load = Load(runs[0].legs, runs[0].party, LOAD_CORE, reports=False)
            peers["janus"] = run(lambda: peer, load)
            ratio = round(peers["janus"].us_per_leg_tick / runs[0].us_per_leg_tick, 2)
            print(f"janus costs {ratio} times our CPU at {load.legs} legs", file=sys.stderr)
    except AssertionError as error:
        print(f"a mixer did not do its work: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(as_json(runs, peers))
    return 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks audio")
    parser.add_argument("--legs", type=int, nargs="+", default=[300])
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--own", action="store_true", help="a socket pair a leg, as behind NAT")
    parser.add_argument("--lecture", action="store_true", help="3 talkers, 500 listeners, one call")
    parser.add_argument(
        "--loss", type=float, default=0.0, help="part of packets never sent, 0 to 1"
    )
    parser.add_argument(
        "--radios", action="store_true", help="20 groups of 10 radios beside 300 phones"
    )
    add_common(parser)
    return parser.parse_args(argv)


def _loads(options: argparse.Namespace) -> list[Load]:
    if options.lecture:
        return [Load(LECTURE, LECTURE, LOAD_CORE, talkers=3, loss=options.loss)]
    sizes = [legs - legs % PARTY for legs in options.legs]
    return [Load(legs, PARTY, LOAD_CORE, loss=options.loss) for legs in sizes]


def _peer(options: argparse.Namespace) -> janus.Janus | None:
    if options.peer == "none" or options.lecture:
        return None
    if janus.found() is None:
        print(NO_JANUS, file=sys.stderr)
        return None
    return janus.Janus(OUR_CORE)
