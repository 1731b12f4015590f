"""The worker under measurement: a process pinned to one core, asked over a pipe what it has used and counted."""

import asyncio
import os
import resource
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import structlog

from benchmarks.audio.load import Load
from benchmarks.audio.radios import TENANT, group_name
from benchmarks.audio.used import Used
from benchmarks.pinned import Deaf, PinnedWorker
from bridges.audio.config import AudioConfig
from bridges.client import ClientConfig, MediaClient
from bridges.serving import tune_process
from bridges.worker import MediaWorker, WorkerConfig
from commhub.kit.clock import SystemClock
from commhub.ports.inward import MediaIn
from commhub.ports.media import (
    AudioFormat,
    MediaOrder,
    RtpAddress,
    RtpRemote,
)
from devices.link import MqttAddress
from devices.voice import VoiceConfig, VoiceConnection

FIRST_PORT = 30_000


def _used(worker: MediaWorker) -> Used:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Used(time.monotonic(), usage.ru_utime, usage.ru_stime, worker.counts.as_dict())


async def _serve(config: WorkerConfig, broker: int | None, pipe: Connection) -> None:
    tune_process()
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(MediaWorker(config))
        if broker is not None:
            address = MqttAddress(host="127.0.0.1", port=broker, user="bench", secret="bench")
            voice = VoiceConnection(VoiceConfig(address=address, tenant=TENANT))
            voice.deliver_to(worker.sink)
            worker.attach_voice(await stack.enter_async_context(voice))
            await voice.wait_up()
        await asyncio.to_thread(pipe.send, "ready")
        while await asyncio.to_thread(pipe.recv) == "report":
            pipe.send(_used(worker))


def _run(config: WorkerConfig, core: int, broker: int | None, pipe: Connection) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    os.sched_setaffinity(0, {core})
    asyncio.run(_serve(config, broker, pipe))


class Subject(PinnedWorker):
    """Our worker for `legs` legs on `core`; `own`: a socket pair a leg, as behind NAT. With a broker's port, every
    call is joined by a radio group, and the dispatcher keys those that `keys` names for it."""

    name = "ours"

    def __init__(
        self,
        legs: int,
        core: int,
        *,
        own: bool = False,
        broker: int | None = None,
        keys: Callable[[int], bool] | None = None,
    ) -> None:
        super().__init__()
        self._own = own
        self._keys = keys
        folder = Path(self._folder.name)
        self._control = f"unix:{folder}/worker.sock"
        audio = AudioConfig(
            recordings=folder / "recordings",
            bind_host="0.0.0.0",
            port_min=FIRST_PORT,
            port_max=FIRST_PORT + 2 * legs + 99,
            max_legs=legs + 64,
        )
        config = WorkerConfig(name="bench", control=self._control, audio=audio)
        self._prepare(_run, config, core, broker)

    def connect(self, load: Load) -> list[RtpAddress]:
        """Reserve and connect every leg through the worker protocol, as the hub does."""
        return asyncio.run(_connect(self._control, load, own=self._own, keys=self._keys))

    def used(self) -> Used:
        self._pipe.send("report")
        used: Used = self._pipe.recv()
        return used

    def sleep(self, seconds: float) -> None:
        """Let the measured time pass; fails at once when the worker dies."""
        gone = threading.Event()
        assert not gone.wait(seconds)
        assert self._process.is_alive(), "the worker died"


async def _connect(
    control: str, load: Load, *, own: bool, keys: Callable[[int], bool] | None
) -> list[RtpAddress]:
    config = ClientConfig(address=control, request_timeout_s=20.0)
    audio = AudioFormat(encoding="PCMU", payload_type=0)
    async with MediaClient(config, cast("MediaIn", Deaf()), SystemClock()) as media:

        async def one(leg: int) -> RtpAddress:
            order = MediaOrder(
                call_id=f"call{leg // load.party}", leg_id=f"leg{leg}", near_signalling=not own
            )
            reserved = await media.reserve(order)
            await media.connect(order.leg_id, RtpRemote(address=load.address(leg), audio=audio))
            return reserved

        goals = await asyncio.gather(*map(one, range(load.legs)))
        if keys is not None:
            for call in range(load.legs // load.party):
                await media.join_group(f"call{call}", f"group{call}", group_name(call))
                if keys(call):
                    await media.key_group(f"call{call}", group_name(call), True)
        return goals
