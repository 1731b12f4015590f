"""A video worker as a process, a control that remembers what it tells, and how far ends are brought in."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from bridges.video import protocol
from commhub.ports.video import Layer, PublishOrder, PushOrder, ViewOrder

SCRIPT = Path(__file__).parent / "video_process.py"


class News:
    """A control that remembers what the picture engine tells."""

    def __init__(self):
        self.started = []
        self.lost = []
        self.boots = []
        self.connected = []
        self.pushes_lost = []
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

    async def push_connected(self, session_id):
        self.connected.append(session_id)

    async def push_lost(self, session_id, reason):
        self.pushes_lost.append((session_id, reason))


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


async def push(lower, upper, session="p1", *, source="cam", by=None, **order):
    """Send a source of one engine on to another, which has it as `up-SOURCE`; `by`: a path (`fakes.lossy`) its packets take."""
    offer = await lower.offer_push(
        PushOrder(session_id=session, room_id="r1", source_id=source, **order)
    )
    answered = await upper.publish(
        PublishOrder(session_id=f"up-{session}", room_id="r2", source_id=f"up-{source}"), offer
    )
    await lower.push_answered(session, answered.sdp if by is None else by.through(answered.sdp))
    return answered
