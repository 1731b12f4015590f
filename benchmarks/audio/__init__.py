"""The audio engine's cost: a real worker with its control on one core, its far ends on the other.

3-party G.711 calls with the source locked and levels on. Each leg speaks a tone by its place in the call; sampled
legs must hear the other two and not themselves, and packets are counted at both ends, or the run fails. The cost is
the whole worker process's CPU (engine, recorder, event loop) per leg and tick. On loopback the sender's core does the
receiver's softirq work, so both shares are stated. Latency: how much later a mark in one leg's voice arrives at
another leg of its call than it was sent, with marks at every phase of the tick.

    python -m benchmarks audio [--legs N …] [--seconds S] [--own] [--json]
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from benchmarks.audio.load import Load, LoadReport
from benchmarks.audio.report import Figures, Machine
from benchmarks.audio.subject import Subject
from bridges.client import ClientConfig, MediaClient
from commhub.kit.clock import SystemClock
from commhub.ports.media import AudioFormat, EngineStatus, MediaOrder, RtpAddress, RtpRemote

PARTY = 3
WARM_S = 1.5


class _Control:
    """A control that is told and does nothing."""

    async def engine_status(self, status: EngineStatus) -> None: ...
    async def dtmf_received(self, leg_id: str, digit: str) -> None: ...
    async def leg_silent(self, leg_id: str, seconds: float) -> None: ...
    async def floor_moved(
        self, group: str, event: str, talker: str | None, calls: Sequence[str]
    ) -> None: ...
    async def recording_stored(
        self, call_id: str, path: str, seconds: float, sha256: str
    ) -> None: ...


async def _connect(control: str, load: Load, *, own: bool) -> list[RtpAddress]:
    """Reserve and connect every leg through the worker protocol, as the hub does."""
    config = ClientConfig(address=control, request_timeout_s=20.0)
    audio = AudioFormat(encoding="PCMU", payload_type=0)
    async with MediaClient(config, _Control(), SystemClock()) as media:

        async def one(leg: int) -> RtpAddress:
            order = MediaOrder(
                call_id=f"call{leg // PARTY}", leg_id=f"leg{leg}", near_signalling=not own
            )
            reserved = await media.reserve(order)
            await media.connect(order.leg_id, RtpRemote(address=load.address(leg), audio=audio))
            return reserved

        return await asyncio.gather(*map(one, range(load.legs)))


def measure(legs: int, seconds: float, *, own: bool) -> Figures:
    """One run. Raises AssertionError when the engine did not do its work."""
    with TemporaryDirectory() as folder, Subject(Path(folder), legs, core=0) as subject:
        load = Load(legs, PARTY, core=1)
        goals = asyncio.run(_connect(subject.control, load, own=own))
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=load.run, args=([goal.port for goal in goals], WARM_S + seconds + 1, theirs)
        )
        process.start()
        assert ours.recv() == "speaking"
        subject.sleep(WARM_S)
        machine, before = Machine.now(), subject.report()
        subject.sleep(seconds)
        after, machine_after = subject.report(), Machine.now()
        report: LoadReport = ours.recv()
        process.join()
    figures = Figures.of(legs, own, before, after, machine, machine_after, report)
    figures.verify()
    return figures


def main(argv: Sequence[str]) -> int:
    """Measure every size asked for; 1 when one did not do its work."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks audio")
    parser.add_argument("--legs", type=int, nargs="+", default=[300, 999])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--own", action="store_true", help="a socket pair a leg, as behind NAT")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    runs = []
    try:
        for legs in options.legs:
            runs.append(measure(legs - legs % PARTY, options.seconds, own=options.own))
            if not options.json:
                print(runs[-1].line(), flush=True)
    except AssertionError as error:
        print(f"the engine did not do its work: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"ours": asdict(runs[-1]), "runs": [asdict(run) for run in runs]}))
    return 0
