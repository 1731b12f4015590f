"""A viewer without a screen: it watches by WHEP (draft-ietf-wish-whep), decodes and tells what it sees.

    python -m simulators.viewer --http-port 9120

`POST /do/watch {"whep", "headers"?, "listen"?}` watches, with those headers for the hub to know who asks, and listens when told for which
tones (hertz); 503 (the camera is being started) is asked again. `POST /do/stop` stops. `/state` shows the pictures: their size, how many, how long after asking and after the hub's answer the
first one came, and the number burnt into the last one, by which its age can be told; and of the sound the level of each tone and of the floor (`levels`, dBFS).
"""

import asyncio
import contextlib
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler, VideoFrame

from simulators.footage import read_number
from simulators.page import create_page, serve
from simulators.publishing import h264_only, reach_like
from simulators.tones import RATE, ToneMeter

_AGAIN_S = 0.3
_WITHIN_S = 60.0
"""A body camera three hubs away is asked hop by hop, and then begins."""


class Viewer:
    """The viewer behind the page."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=30)
        self._connection: RTCPeerConnection | None = None
        self._resource: tuple[str, Mapping[str, str]] | None = None
        self._taking: list[asyncio.Task[None]] = []
        self._listens_for: list[float] = []
        self._meter = ToneMeter()
        self._coming: asyncio.Task[None] | None = None
        self._refused: str | None = None
        self._asked_at = self._answered_at = 0.0
        self._seen: dict[str, Any] = {}

    def state(self) -> Mapping[str, Any]:
        """What the page shows."""
        connection = self._connection
        return {
            "watching": connection.connectionState if connection is not None else None,
            "refused": self._refused,
            "frames": 0,
            **self._seen,
            "heard": self._meter.samples,
            "levels": self._meter.levels(self._listens_for),
        }

    async def watch(self, body: dict[str, Any]) -> dict[str, Any]:
        """Watch, another picture than before, if any; `refused` in the state is what the hub said when it will not have it."""
        await self.stop({})
        url, headers = str(body["whep"]), dict(body.get("headers") or {})
        self._listens_for = [float(tone) for tone in body.get("listen") or ()]
        self._coming = asyncio.create_task(self._come(url, headers), name="watch")
        return {}

    async def _come(self, url: str, headers: Mapping[str, str]) -> None:
        reach_like(url)
        connection = self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if self._listens_for:
            connection.addTransceiver("audio", direction="recvonly")
        h264_only(connection.addTransceiver("video", direction="recvonly"))
        connection.on("track", self._take)
        self._asked_at = time.monotonic()
        try:
            await connection.setLocalDescription(await connection.createOffer())
            answer = await self._offer(url, connection.localDescription.sdp, headers)
        except (httpx.HTTPError, ValueError) as error:
            self._refused = str(error) or type(error).__name__
            return
        self._resource = urljoin(url, answer.headers["location"]), headers
        self._answered_at = time.monotonic()
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))

    async def _offer(self, url: str, offer: str, headers: Mapping[str, str]) -> httpx.Response:
        deadline = time.monotonic() + _WITHIN_S
        while True:
            answer = await self._http.post(
                url, content=offer, headers={**headers, "Content-Type": "application/sdp"}
            )
            if answer.status_code == 201:
                return answer
            if answer.status_code != 503 or time.monotonic() > deadline:
                raise ValueError(f"{answer.status_code} {answer.text[:300]}")
            await asyncio.sleep(_AGAIN_S)

    async def stop(self, body: dict[str, Any]) -> dict[str, Any]:
        """Watch no more."""
        del body
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        self._seen, self._refused = {}, None
        self._meter, self._listens_for = ToneMeter(), []
        connection, self._connection = self._connection, None
        taking, self._taking = self._taking, []
        for task in taking:
            task.cancel()
        if connection is not None:
            await connection.close()
        resource, self._resource = self._resource, None
        if resource is not None:
            with contextlib.suppress(httpx.HTTPError):
                await self._http.delete(resource[0], headers=resource[1])
        return {}

    def _take(self, track: MediaStreamTrack) -> None:
        work = self._hear(track) if track.kind == "audio" else self._see(track)
        self._taking.append(asyncio.ensure_future(work))

    async def _hear(self, track: MediaStreamTrack) -> None:
        meter, to_mono = self._meter, AudioResampler("s16", "mono", RATE)
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if not isinstance(frame, AudioFrame):
                    continue
                for part in to_mono.resample(frame):
                    meter.hear(part.to_ndarray()[0])

    async def _see(self, track: MediaStreamTrack) -> None:
        frames = first_ms = since_ms = 0
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if not isinstance(frame, VideoFrame):
                    continue
                frames += 1
                if frames == 1:
                    first_ms = round((time.monotonic() - self._asked_at) * 1000)
                    since_ms = round((time.monotonic() - self._answered_at) * 1000)
                number = read_number(np.asarray(frame.to_ndarray(format="gray"), np.uint8))
                self._seen = {
                    "frames": frames,
                    "width": frame.width,
                    "height": frame.height,
                    "number": number,
                    "first_picture_ms": first_ms,
                    "first_since_answer_ms": since_ms,
                }


async def run(host: str, port: int) -> None:
    """Be the viewer until told to stop."""
    viewer = Viewer()
    page = create_page("Viewer", viewer.state, {"watch": viewer.watch, "stop": viewer.stop})
    try:
        await serve(page, host, port)
    finally:
        await viewer.stop({})


def main() -> None:
    """Read the command line and run."""
    parser = ArgumentParser(description="A viewer without a screen")
    parser.add_argument("--http-host", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, required=True, help="where the page is served")
    options = parser.parse_args()
    asyncio.run(run(options.http_host, options.http_port))


if __name__ == "__main__":
    main()
