"""Street, district and city as one: three whole hubs on this machine, joined as they are in a town.

A camera at the street sends 1080p30 H.264 at 4.2 Mbit/s; ten viewers watch in the city, one at the district and one at the street, so that
what each hop adds is read from the same packet's arrival at either end. One viewer's pictures are decoded. Then a phone at the street
and one in the city speak, the whole district is killed (kill -9) and started again (`--away` seconds later), and at last everybody leaves.

    python -m benchmarks cascade [--viewers N] [--seconds S] [--away S] [--json]
    python -m benchmarks cascade --exchange N [--cuts N] [--json]

`--exchange` sends N incidents, half of them up and half down, over a link that a proxy cuts again and again.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

import structlog

from benchmarks.cascade.exchange import run_exchange, show
from benchmarks.cascade.hubs import three_hubs
from benchmarks.cascade.measure import Cascade
from benchmarks.cascade.report import Figures
from benchmarks.video import stream
from commhub.wiring.demo.cast import StoryError
from commhub.wiring.hub_process import HubError


def main(argv: Sequence[str]) -> int:
    """1 when the hubs did not do their work."""
    options = _options(argv)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    try:
        if options.exchange:
            outcome = asyncio.run(run_exchange(options.exchange, options.cuts))
            return show(outcome, as_json=options.json)
        figures = _pictures(options.viewers, options.seconds, options.away)
    except (AssertionError, HubError, StoryError) as error:
        print(f"the hubs did not do their work: {error}", file=sys.stderr)
        return 1
    print(figures.as_json() if options.json else figures.line())
    for fault in figures.faults:
        print(f"the hubs did not do their work: {fault}", file=sys.stderr)
    return 1 if figures.faults else 0


def _pictures(viewers: int, seconds: float, away_s: float) -> Figures:
    stream.pictures()
    with three_hubs() as hubs:
        return asyncio.run(Cascade(hubs, viewers, seconds, away_s).run())


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks cascade")
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--away", type=float, default=0.0)
    parser.add_argument("--exchange", type=int, default=0, metavar="INCIDENTS")
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)
