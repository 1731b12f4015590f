"""How the far ends get in: by the picture engine's protocol to our worker, by its WebSocket API to Janus' VideoRoom."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, cast

from benchmarks.audio.janus import JanusApi, dial
from benchmarks.pinned import Deaf
from benchmarks.video.far_end import FarEnd
from bridges.reach import ClientConfig
from bridges.video.client import VideoClient
from commhub.kit.clock import SystemClock
from commhub.ports.video import PublishOrder, VideoIn, ViewOrder

_ROOM, _SOURCE = "bench", "camera"
_JANUS_ROOM = 4242
_PLUGIN = "janus.plugin.videoroom"


class Signalling(Protocol):
    """Entered in the load's process."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    async def publish(self, far_end: FarEnd) -> None:
        """Exchange descriptions; the far end connects by itself."""
        ...

    async def view(self, far_end: FarEnd, number: int) -> None: ...


@dataclass(slots=True)
class OurSignalling:
    """By `VideoEngine` to the worker at `control`, as the hub does."""

    control: str
    _client: VideoClient | None = None
    _stack: AsyncExitStack | None = None

    @property
    def engine(self) -> VideoClient:
        """While entered."""
        assert self._client is not None
        return self._client

    async def __aenter__(self) -> Self:
        client = VideoClient(
            ClientConfig(address=self.control, request_timeout_s=20.0), SystemClock()
        )
        client.deliver_to(cast("VideoIn", Deaf()))
        self._stack = AsyncExitStack()
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stack is not None:
            await self._stack.aclose()

    async def publish(self, far_end: FarEnd) -> None:
        assert self._client is not None
        order = PublishOrder(session_id="publisher", room_id=_ROOM, source_id=_SOURCE)
        answered = await self._client.publish(order, far_end.offer(publishes=True))
        far_end.accept(answered.sdp)

    async def view(self, far_end: FarEnd, number: int) -> None:
        assert self._client is not None
        order = ViewOrder(session_id=f"viewer-{number}", room_id=_ROOM, source_id=_SOURCE)
        answered = await self._client.view(order, far_end.offer(publishes=False))
        far_end.accept(answered.sdp)


@dataclass(slots=True)
class JanusSignalling:
    """By a session of its API for all; a viewer is offered the stream and answers."""

    port: int
    _api: JanusApi | None = None
    _feed: int = 0

    async def __aenter__(self) -> Self:
        self._api = await asyncio.to_thread(lambda: JanusApi(dial(self.port), _PLUGIN))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._api is not None:
            self._api.close()

    async def publish(self, far_end: FarEnd) -> None:
        api = self._api
        assert api is not None
        await self._ask(
            api.handle,
            {
                "request": "create",
                "room": _JANUS_ROOM,
                "publishers": 1,
                "bitrate": 0,
                "videocodec": "h264",
                "audiocodec": "opus",
            },
        )
        handle = await asyncio.to_thread(api.attach)
        joined = await self._ask(
            handle, {"request": "join", "ptype": "publisher", "room": _JANUS_ROOM}
        )
        self._feed = int(joined["plugindata"]["data"]["id"])
        offer = {"type": "offer", "sdp": far_end.offer(publishes=True)}
        answer = await self._ask(handle, {"request": "publish"}, offer)
        far_end.accept(answer["jsep"]["sdp"])

    async def view(self, far_end: FarEnd, number: int) -> None:
        del number
        api = self._api
        assert api is not None
        handle = await asyncio.to_thread(api.attach)
        offered = await self._ask(
            handle,
            {
                "request": "join",
                "ptype": "subscriber",
                "room": _JANUS_ROOM,
                "streams": [{"feed": self._feed}],
            },
        )
        answer = {"type": "answer", "sdp": far_end.answer(offered["jsep"]["sdp"])}
        await self._ask(handle, {"request": "start"}, answer)

    async def _ask(
        self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None
    ) -> dict[str, Any]:
        assert self._api is not None
        return await asyncio.to_thread(self._api.event, handle, body, jsep)
