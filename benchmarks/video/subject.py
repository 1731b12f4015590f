"""Those who forward, each a process pinned to one core: our video worker, and Janus' VideoRoom with one event loop."""

import asyncio
import logging
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Protocol, Self

import structlog

from benchmarks.audio.janus import configure, found, free_port
from benchmarks.pinned import PinnedWorker
from benchmarks.video.signalling import JanusSignalling, OurSignalling, Signalling
from bridges.serving import tune_process
from bridges.transport.port import PortConfig
from bridges.video.worker import VideoWorker, VideoWorkerConfig


class Bench(Protocol):
    """A forwarder under measurement, running while entered."""

    name: str

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    @property
    def pid(self) -> int: ...
    @property
    def signalling(self) -> Signalling: ...
    def counts(self) -> dict[str, int]:
        """What it says it did; a peer says nothing."""
        ...


async def _serve(config: VideoWorkerConfig, pipe: Connection) -> None:
    async with VideoWorker(config) as worker:
        tune_process()
        await asyncio.to_thread(pipe.send, "ready")
        while await asyncio.to_thread(pipe.recv) == "counts":
            pipe.send(worker.counts.as_dict())


def _run(config: VideoWorkerConfig, core: int, pipe: Connection) -> None:
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    os.sched_setaffinity(0, {core})
    asyncio.run(_serve(config, pipe))


class Subject(PinnedWorker):
    """Our video worker on `core`."""

    name = "ours"

    def __init__(self, core: int) -> None:
        super().__init__()
        self._control = f"unix:{self._folder.name}/video.sock"
        config = VideoWorkerConfig(
            name="bench",
            control=self._control,
            webrtc=PortConfig(max_peers=1024),
            recordings=Path(self._folder.name, "recordings"),
        )
        self._prepare(_run, config, core)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def signalling(self) -> OurSignalling:
        return OurSignalling(self._control)

    def counts(self) -> dict[str, int]:
        self._pipe.send("counts")
        counts: dict[str, int] = self._pipe.recv()
        return counts


class Janus:
    """A Janus of our own on `core`, in its cheapest shape: one plugin, one event loop for all its connections."""

    name = "janus"

    def __init__(self, core: int) -> None:
        self._core = core
        self._folder = TemporaryDirectory()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        modules = found()
        assert modules is not None, "janus is not installed (apt-get install janus)"
        configure(
            Path(self._folder.name),
            modules,
            self._port,
            "videoroom",
            general="event_loops = 1",
            nat='ice_lite = true ice_enforce_list = "lo,127.0.0.1"',
        )
        self._process = subprocess.Popen(
            ["taskset", "-c", str(self._core), "janus", "-F", self._folder.name, "-N"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def signalling(self) -> Signalling:
        return JanusSignalling(self._port)

    def counts(self) -> dict[str, int]:
        return {}
