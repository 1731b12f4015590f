"""A video worker as a process, a control that remembers what it tells, and how far ends are brought in."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from bridges.video import protocol
from commhub.ports.video import Layer, PublishOrder, ViewOrder

SCRIPT = Path(__file__).parent / "video_process.py"


class News:
    """A control that remembers what the picture engine tells."""

    def __init__(self):
        self.started = []
        self.lost = []
        self.boots = []
        self.speakers = []
        self.recorded = []
        self.status = None

    async def source_started(self, room_id, source_id, codec, layers):
        self.started.append((room_id, source_id, codec, layers))

    async def session_lost(self, session_id, reason):
        self.lost.append((session_id, reason))

    async def speaker_moved(self, room_id, source_id):
        self.speakers.append((room_id, source_id))

    async def measured(self, status):
        self.status = status

    async def keyframe_wanted(self, session_id): ...

    async def recording_stored(self, recorded):
        self.recorded.append(recorded)

    async def recording_failed(self, source_id, reason): ...

    async def engine_came(self, boot_id):
        self.boots.append(boot_id)


class Process:
    """The worker's process, started again on demand; `said` is its log."""

    def __init__(self, folder):
        self.address = f"unix:{folder}/v0.sock"
        self.recordings = folder / "recordings"
        self.process = None
        self._log = folder / "v0.log"

    async def start(self):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(SCRIPT),
                self.address,
                str(self.recordings),
                env=environment,
                stderr=log,
            )

    @property
    def said(self):
        return self._log.read_text()

    async def kill(self):
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()


async def counts(video):
    """What the worker counted."""
    return await video.ask(protocol.CountsArgs())


async def publish(video, who, session="s1", *, source="cam", layer=Layer.MAIN, **order):
    answered = await video.publish(
        PublishOrder(session_id=session, room_id="r1", source_id=source, layer=layer, **order),
        await who.offer(),
    )
    await who.accept(answered.sdp)
    return answered


async def view(video, who, session="v1", *, source="cam", **order):
    answered = await video.view(
        ViewOrder(session_id=session, room_id="r1", source_id=source, **order), await who.offer()
    )
    await who.accept(answered.sdp)
    return answered
