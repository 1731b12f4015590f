"""A media worker as a process of its own, to be killed:
`python worker_process.py CONTROL RECORDINGS FIRST_PORT [NAME JOURNAL]`.

And a control to be killed: `python worker_process.py --control CONTROL CALL PORT…` connects a phone on each port to
the call, prints where each is to send, and stays.
"""

import asyncio
import json
import sys
from pathlib import Path

import structlog

from bridges.audio.config import AudioConfig
from bridges.client import ClientConfig, MediaClient
from bridges.worker import WorkerConfig, run_worker
from commhub.kit.clock import SystemClock
from commhub.ports.media import AudioFormat, MediaOrder, RtpAddress, RtpRemote

PCMU = AudioFormat(encoding="PCMU", payload_type=0, dtmf_payload_type=101)


class Deaf:
    """A control that does nothing with what it is told."""

    async def engine_status(self, status): ...
    async def dtmf_received(self, leg_id, digit): ...
    async def leg_silent(self, leg_id, seconds): ...
    async def leg_vanished(self, leg_id): ...
    async def leg_measured(self, meter): ...
    async def voice_heard(self, leg_id, level_dbov): ...
    async def leg_readdressed(self, leg_id, address): ...
    async def floor_moved(self, group, event, talker, calls, cause, queue): ...
    async def recording_stored(self, file): ...
    async def recording_failed(self, call_id, leg_id, reason): ...
    async def playback_ended(self, playback_id, call_id, reason): ...


async def be_worker(
    control: str, recordings: str, first_port: str, name: str = "w0", journal: str | None = None
) -> None:
    port = int(first_port)
    audio = AudioConfig(recordings=Path(recordings), port_min=port, port_max=port + 99)
    kept = Path(journal) if journal else None
    await run_worker(WorkerConfig(name=name, control=control, audio=audio, journal=kept))


async def be_control(control: str, call: str, *ports: str) -> None:
    config = ClientConfig(address=control, request_timeout_s=10)
    async with MediaClient(config, Deaf(), SystemClock()) as media:
        goals = []
        for n, port in enumerate(ports):
            # Every other leg has a socket of its own.
            order = MediaOrder(call_id=call, leg_id=f"leg{n}", near_signalling=n % 2 == 0)
            goals.append((await media.reserve(order)).port)
            remote = RtpRemote(address=RtpAddress("127.0.0.1", int(port)), audio=PCMU)
            await media.connect(f"leg{n}", remote)
        await media.record(call, True)
        sys.stdout.write(json.dumps(goals) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if sys.argv[1] == "--control":
        asyncio.run(be_control(*sys.argv[2:]))
    else:
        asyncio.run(be_worker(*sys.argv[1:]))
