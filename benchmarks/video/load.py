"""The far ends as a process on the other core: one camera and many viewers, and what they found."""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from aiortc.rtcdtlstransport import RTCCertificate

from benchmarks.audio.used import cpu_of
from benchmarks.video.camera import Camera
from benchmarks.video.far_end import FarEnd
from benchmarks.video.signalling import Signalling
from benchmarks.video.viewers import SAMPLED, Viewers

_POLL_S = 0.003
_SETTLE_S = 3.0
_DRAIN_S = 0.4
_AT_ONCE = 6
"""Viewers that shake hands at the same time."""
_JOIN_S = 30.0


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the viewers found between two looks at the subject's CPU time (`cpu_s`), and before: `first_picture_ms` of each
    viewer. `lost` packets of `expected` never came to somebody."""

    seconds: float
    sent: int
    received: int
    expected: int
    lost: int
    duplicates: int
    delays_ms: tuple[float, float, float]
    first_picture_ms: tuple[float, ...]
    decoded: list[list[tuple[int, int]]]
    nacked: int
    repaired: int
    reports: int
    cpu_s: float
    kernel_s: float
    load_cpu_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """`viewers` of one camera for `seconds`, on `core`; `pid` is the forwarder that is measured."""

    viewers: int
    seconds: float
    core: int

    def run(self, signalling: Signalling, pid: int, pipe: Connection) -> None:
        """Send the report, or the sentence that says what went wrong."""
        os.sched_setaffinity(0, {self.core})
        gc.freeze()
        try:
            pipe.send(asyncio.run(self._run(signalling, pid)))
        except Exception as error:  # noqa: BLE001 - whatever it was is told as a sentence, and fails the run
            first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            pipe.send(f"{type(first).__name__}: {first}")

    async def _run(self, signalling: Signalling, pid: int) -> LoadReport:
        certificate = RTCCertificate.generateCertificate()
        async with signalling:
            publisher = FarEnd(certificate)
            await signalling.publish(publisher)
            await publisher.connect()
            camera = Camera(publisher)
            viewers = Viewers(camera, self.viewers)
            playing = asyncio.create_task(_play(camera, viewers))
            try:
                await self._join(signalling, certificate, viewers)
                await _until(lambda: not viewers.blind, lambda: viewers.blind[:3], playing)
                await asyncio.sleep(_SETTLE_S)
                viewers.learn_again()
                await _until(lambda: not viewers.unknown, lambda: viewers.unknown, playing)
                gc.collect()
                gc.disable()
                return await self._measure(camera, viewers, pid, playing)
            finally:
                playing.cancel()

    async def _join(
        self, signalling: Signalling, certificate: RTCCertificate, viewers: Viewers
    ) -> None:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def join(number: int) -> None:
            async with turn:
                far_end = FarEnd(certificate)
                await signalling.view(far_end, number)
                await far_end.connect()
                step = max(1, self.viewers // SAMPLED)
                viewers.add(far_end, is_sampled=number % step == 0)

        async with asyncio.TaskGroup() as group:
            for number in range(self.viewers):
                group.create_task(join(number))

    async def _measure(
        self, camera: Camera, viewers: Viewers, pid: int, playing: "asyncio.Task[None]"
    ) -> LoadReport:
        viewers.is_measuring = True
        received, began, first = viewers.received, time.monotonic(), camera.count
        own, before = cpu_of(os.getpid()), cpu_of(pid)
        await asyncio.sleep(self.seconds)
        after, own_after = cpu_of(pid), cpu_of(os.getpid())
        lasted, counted = time.monotonic() - began, viewers.received - received
        last = camera.count
        if playing.done():
            playing.result()
        await asyncio.sleep(_DRAIN_S)
        viewers.is_measuring = False
        playing.cancel()
        delays = np.concatenate(viewers.delays) * 1000
        missing = viewers.lost(first, last)
        return LoadReport(
            seconds=lasted,
            sent=last - first,
            received=counted,
            expected=(last - first) * self.viewers,
            lost=int(missing.sum()),
            duplicates=viewers.duplicates,
            delays_ms=tuple(np.percentile(delays, (50, 95, 99)).round(2).tolist()),
            first_picture_ms=tuple((one.first_picture_s or 0) * 1000 for one in viewers.all),
            decoded=viewers.decoded(),
            nacked=sum(one.nacked for one in viewers.all),
            repaired=sum(one.repaired for one in viewers.all),
            reports=sum(one.reports for one in viewers.all),
            cpu_s=sum(after) - sum(before),
            kernel_s=after[1] - before[1],
            load_cpu_s=sum(own_after) - sum(own),
        )


async def _play(camera: Camera, viewers: Viewers) -> None:
    while True:
        camera.play()
        viewers.poll()
        await asyncio.sleep(_POLL_S)


async def _until(
    condition: Callable[[], bool], why_not: Callable[[], object], playing: "asyncio.Task[None]"
) -> None:
    deadline = time.monotonic() + _JOIN_S
    while not condition():
        if playing.done():
            playing.result()
        assert time.monotonic() < deadline, f"viewers that never saw a picture: {why_not()}"
        await asyncio.sleep(0.05)
