"""A camera publishes: a WHIP session (RFC 9725) a layer, begun anew for as long as the picture is wanted.

A hub or worker that went away is tried again with growing pauses; a hub that refuses the token, or has the room no more, is not.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import aioice.ice
import httpx
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from simulators.footage import LAYERS, load
from simulators.tracks import PictureLoop, ToneLoop

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_ANSWER_WITHIN_S = 10.0
_CONNECT_WITHIN_S = 10.0
# aioice gives a silent far end half a minute; the desk should not look at nothing for so long.
_CHECK_EVERY_S, _CHECKS = 1, 3
_FOR_GOOD = frozenset({400, 401, 403, 404, 406, 415, 422})


class RefusedError(Exception):
    """The hub refused the publication for good: another try would be refused too."""


class UnreachableError(Exception):
    """It did not come about now, and may later."""


@dataclass(slots=True)
class _Session:
    """One layer on its way. `lost` is set when the far end went."""

    connection: RTCPeerConnection
    picture: PictureLoop
    resource: str | None = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Publication:
    """One source, in its layers. `first` tells how the first try went."""

    source: str
    whip: str
    token: str = field(repr=False)
    layers: tuple[str, ...]
    tone: int
    first: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    starts: int = 0
    refused: str | None = None
    trouble: str | None = None
    _sessions: dict[str, _Session] = field(default_factory=dict)

    def state(self) -> Mapping[str, Any]:
        """`showing` is the number burnt into the picture that went last. Without the token."""
        return {
            "source": self.source,
            "starts": self.starts,
            "refused": self.refused,
            "trouble": self.trouble,
            "layers": {
                layer: {
                    "state": session.connection.connectionState,
                    "sent": session.picture.sent,
                    "showing": session.picture.showing,
                }
                for layer, session in self._sessions.items()
            },
        }

    async def run(self) -> None:
        """Publish until cancelled, or refused for good."""
        try:
            async with httpx.AsyncClient(timeout=_ANSWER_WITHIN_S) as http:
                await self._keep_up(http)
        except RefusedError as error:
            self.refused = str(error)
            self._tell_first(error)
        finally:
            self._tell_first(UnreachableError("stopped before it began"))

    async def _keep_up(self, http: httpx.AsyncClient) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._start(http)
                pause_s = _FIRST_PAUSE_S
                await self._until_lost()
                self.trouble = "the hub went away"
            except (httpx.HTTPError, UnreachableError) as error:
                self.trouble = str(error) or type(error).__name__
                self._tell_first(error)
            finally:
                await self._end(http)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _start(self, http: httpx.AsyncClient) -> None:
        """Publish all layers. Raises RefusedError, UnreachableError."""
        pictures = {layer: await asyncio.to_thread(load, LAYERS[layer]) for layer in self.layers}
        self.starts += 1
        for layer in self.layers:
            session = self._sessions[layer] = _connect(
                PictureLoop(pictures[layer]),
                ToneLoop(self.tone) if layer == "main" else None,
                self.whip,
            )
            await self._offer(http, layer, session)
        for session in self._sessions.values():
            await _connected(session)
        self.trouble = None
        self._tell_first(None)

    async def _offer(self, http: httpx.AsyncClient, layer: str, session: _Session) -> None:
        connection = session.connection
        await connection.setLocalDescription(await connection.createOffer())
        answer = await http.post(
            f"{self.whip}&layer={layer}",
            content=connection.localDescription.sdp,
            headers={**self._authorization, "Content-Type": "application/sdp"},
        )
        if answer.status_code != 201:
            said = f"{layer}: {answer.status_code} {answer.text[:200]}"
            raise (RefusedError if answer.status_code in _FOR_GOOD else UnreachableError)(said)
        session.resource = urljoin(self.whip, answer.headers["location"])
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))

    async def _until_lost(self) -> None:
        """Return when a layer is lost; the others begin anew with it."""
        waiting = [asyncio.ensure_future(one.lost.wait()) for one in self._sessions.values()]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _end(self, http: httpx.AsyncClient) -> None:
        """Say goodbye, as far as somebody is there to hear it."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.connection.close()
            if session.resource is not None:
                with suppress(httpx.HTTPError):
                    await http.delete(session.resource, headers=self._authorization)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _tell_first(self, error: Exception | None) -> None:
        if self.first.done():
            return
        if error is None:
            self.first.set_result(None)
        else:
            self.first.set_exception(error)
            # Whoever asked may have gone; that is no fault to be reported at the end of the process.
            self.first.exception()


def _connect(picture: PictureLoop, tone: ToneLoop | None, hub: str) -> _Session:
    reach_like(hub)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    session = _Session(connection, picture)
    if tone is not None:
        connection.addTransceiver(tone, direction="sendrecv")
    h264_only(connection.addTransceiver(picture, direction="sendonly"))

    def follow() -> None:
        if connection.connectionState in {"failed", "closed"}:
            session.lost.set()

    connection.on("connectionstatechange", follow)
    connection.on("track", lambda track: asyncio.ensure_future(_ignore(track)))
    return session


async def _connected(session: _Session) -> None:
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            while session.connection.connectionState != "connected":
                if session.lost.is_set():
                    raise UnreachableError("no connection came about")
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise UnreachableError("no connection came about in time") from error


async def _ignore(track: MediaStreamTrack) -> None:
    """What the room says is not listened to, but has to be taken."""
    with suppress(MediaStreamError):
        while True:
            await track.recv()


def h264_only(transceiver: RTCRtpTransceiver) -> None:
    """Offer no other codec than the one a camera has."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences(
        [codec for codec in codecs if codec.mimeType in {"video/H264", "video/rtx"}]
    )


def reach_like(url: str) -> None:
    """Have aiortc reach a hub on this machine, and notice within seconds when it is gone: it leaves loopback out and
    has no settings, and this process has nothing else to do."""
    aioice.ice.CONSENT_INTERVAL, aioice.ice.CONSENT_FAILURES = _CHECK_EVERY_S, _CHECKS
    if urlsplit(url).hostname in {"127.0.0.1", "localhost"}:
        aioice.ice.get_host_addresses = _loopback


def _loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    del use_ipv4, use_ipv6
    return ["127.0.0.1"]


class LivePictures:
    """All publications of a camera, by source. `done` hears of the outcome of a start."""

    def __init__(self, tone: int) -> None:
        self._tone = tone
        self._running: dict[str, tuple[Publication, asyncio.Task[None]]] = {}

    def state(self) -> list[Mapping[str, Any]]:
        return [publication.state() for publication, _ in self._running.values()]

    async def start(self, args: Mapping[str, Any]) -> None:
        """Begin; what goes on already just goes on. Returns when the picture is on its way. Raises RefusedError with what the
        hub said, UnreachableError or httpx.HTTPError while tries go on, ValueError for a command of another form."""
        publication = _publication(args, self._tone)
        known = self._running.get(publication.source)
        if known is not None and not known[1].done():
            # A newer token is good for longer.
            known[0].token = publication.token
            await asyncio.shield(known[0].first)
            return
        task = asyncio.create_task(publication.run(), name=f"live-{publication.source}")
        self._running[publication.source] = publication, task
        await asyncio.shield(publication.first)

    async def stop(self, args: Mapping[str, Any]) -> None:
        """End; one that is not sent is fine."""
        known = self._running.pop(str(args["source"]), None)
        if known is not None:
            known[1].cancel()
            with suppress(asyncio.CancelledError):
                await known[1]

    async def close(self) -> None:
        """End all."""
        for source in list(self._running):
            await self.stop({"source": source})


def _publication(args: Mapping[str, Any], tone: int) -> Publication:
    layers = tuple(args.get("layers") or ("main",))
    unknown = [layer for layer in layers if layer not in LAYERS]
    if unknown:
        raise ValueError(f"this camera has no layer {unknown[0]}")
    try:
        source, whip, token = (str(args[name]) for name in ("source", "whip", "token"))
    except KeyError as error:
        raise ValueError(f"live.start lacks {error.args[0]}") from error
    return Publication(source=source, whip=whip, token=token, layers=layers, tone=tone)
