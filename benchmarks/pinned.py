"""What every benchmark of an engine needs: a worker of ours on a core of its own, a control that only listens, and how
figures are asked for and told.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

OUR_CORE, LOAD_CORE = 0, 1
NO_JANUS = "janus is not installed, so it is not measured (apt-get install janus)"


class Deaf:
    """A control that is told and does nothing, whatever it is told."""

    def __getattr__(self, name: str) -> Callable[..., Coroutine[None, None, None]]:
        async def told(*_args: object) -> None: ...

        return told


class PinnedWorker:
    """A process of ours, running while entered. `target` is called there with `arguments` and a pipe: it says ready, and
    ends when it is told anything it does not know."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._pipe: Connection
        self._process: multiprocessing.context.SpawnProcess

    def _prepare(self, target: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(*arguments, theirs))

    def __enter__(self) -> Self:
        self._process.start()
        assert self._pipe.recv() == "ready"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.is_alive():
            self._pipe.send("stop")
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
        self._folder.cleanup()


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that all such benchmarks have."""
    parser.add_argument("--peer", choices=["janus", "none"], default="janus")
    parser.add_argument("--json", action="store_true")


def as_json(runs: Sequence[Any], peers: Mapping[str, Any]) -> str:
    """Figures (dataclasses) as one line: ours is the first run."""
    return json.dumps(
        {
            "ours": asdict(runs[0]),
            "peers": {name: asdict(one) for name, one in peers.items()},
            "runs": [asdict(one) for one in runs],
        }
    )
