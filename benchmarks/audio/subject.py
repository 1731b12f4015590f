"""The worker under measurement: a process pinned to one core, asked over a pipe what it has used and counted."""

import asyncio
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import structlog

from benchmarks.audio.load import Load
from benchmarks.audio.used import Used
from bridges.audio.config import AudioConfig
from bridges.client import ClientConfig, MediaClient
from bridges.worker import MediaWorker, WorkerConfig, tune_process
from commhub.kit.clock import SystemClock
from commhub.ports.media import AudioFormat, EngineStatus, MediaOrder, RtpAddress, RtpRemote

FIRST_PORT = 30_000


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
    """Our worker for `legs` legs on `core`; `own`: a socket pair a leg, as behind NAT."""

    name = "ours"

    def __init__(self, legs: int, core: int, *, own: bool = False) -> None:
        self._own = own
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name)
        self._control = f"unix:{folder}/worker.sock"
        audio = AudioConfig(
            recordings=folder / "recordings",
            bind_host="0.0.0.0",
            port_min=FIRST_PORT,
            port_max=FIRST_PORT + 2 * legs + 99,
            max_legs=max(legs, 64),
        )
        config = WorkerConfig(name="bench", control=self._control, audio=audio)
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
        if self._process.is_alive():
            self._pipe.send("stop")
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
        self._folder.cleanup()

    def connect(self, load: Load) -> list[RtpAddress]:
        """Reserve and connect every leg through the worker protocol, as the hub does."""
        return asyncio.run(_connect(self._control, load, own=self._own))

    def used(self) -> Used:
        self._pipe.send("report")
        used: Used = self._pipe.recv()
        return used

    def sleep(self, seconds: float) -> None:
        """Let the measured time pass; fails at once when the worker dies."""
        gone = threading.Event()
        assert not gone.wait(seconds)
        assert self._process.is_alive(), "the worker died"


async def _connect(control: str, load: Load, *, own: bool) -> list[RtpAddress]:
    config = ClientConfig(address=control, request_timeout_s=20.0)
    audio = AudioFormat(encoding="PCMU", payload_type=0)
    async with MediaClient(config, _Control(), SystemClock()) as media:

        async def one(leg: int) -> RtpAddress:
            order = MediaOrder(
                call_id=f"call{leg // load.party}", leg_id=f"leg{leg}", near_signalling=not own
            )
            reserved = await media.reserve(order)
            await media.connect(order.leg_id, RtpRemote(address=load.address(leg), audio=audio))
            return reserved

        return await asyncio.gather(*map(one, range(load.legs)))
