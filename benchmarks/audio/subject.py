"""The worker under measurement: a process pinned to one core, asked over a pipe what it has used and counted."""

import asyncio
import multiprocessing
import os
import resource
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from bridges.audio.config import AudioConfig
from bridges.worker import MediaWorker, WorkerConfig, tune_process

FIRST_PORT = 30_000


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of the process, and the engine's counts, at one moment."""

    at: float
    user_s: float
    system_s: float
    counts: dict[str, int]


def _used(worker: MediaWorker) -> Used:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Used(time.monotonic(), usage.ru_utime, usage.ru_stime, worker.counts.as_dict())


async def _serve(config: WorkerConfig, pipe: Connection) -> None:
    tune_process()
    async with MediaWorker(config) as worker:
        await asyncio.to_thread(pipe.send, "ready")
        while await asyncio.to_thread(pipe.recv) == "report":
            pipe.send(_used(worker))


def _run(config: WorkerConfig, core: int, pipe: Connection) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    os.sched_setaffinity(0, {core})
    asyncio.run(_serve(config, pipe))


class Subject:
    """A worker for `legs` legs on `core`."""

    def __init__(self, folder: Path, legs: int, core: int) -> None:
        self.control = f"unix:{folder}/worker.sock"
        audio = AudioConfig(
            recordings=folder / "recordings",
            bind_host="0.0.0.0",
            port_min=FIRST_PORT,
            port_max=FIRST_PORT + 2 * legs + 99,
            max_legs=max(legs, 64),
        )
        config = WorkerConfig(name="bench", control=self.control, audio=audio)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(config, core, theirs))

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
        self._pipe.send("stop")
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def report(self) -> Used:
        self._pipe.send("report")
        used: Used = self._pipe.recv()
        return used

    def sleep(self, seconds: float) -> None:
        """Let the measured time pass; fails at once when the worker dies."""
        gone = threading.Event()
        assert not gone.wait(seconds)
        assert self._process.is_alive(), "the worker died"
