"""The worker's side of pulled cameras: who is pulled, the process that does it, and its packets into the forwarder.

A camera that stops is a source that is gone, until it comes back; control is told of both, the log of the first of a row. The
process is there as long as there is something to pull; when it dies it is started again and told everything anew.
"""

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import numpy as np
import structlog

from bridges.transport.batch import VIDEO_STRIDE
from bridges.transport.peer import Outlet
from bridges.transport.sdp import OfferedCodec
from bridges.transport.sealing import RtpBatch
from bridges.video.events import SessionLost, SourceStarted
from bridges.video.forwarder import Forwarder, SourceHandle
from bridges.video.ingest import letters
from bridges.video.streams import CodecTypes, LayerStream, SourceStreams
from commhub.domain.errors import ConflictError, DomainError, InvalidError
from commhub.kit.clock import Clock
from commhub.ports.video import IngestOrder, Layer, VideoCodec

log = structlog.get_logger(__name__)

PULLS_LIMIT = 64
_SCHEMES = ("rtsp://", "rtsps://")
_PAYLOAD_TYPE = 96
_AGAIN_S = 1.0
_LETTERS_AT_ONCE = 16
"""So many are read before others have their turn."""


@dataclass(slots=True)
class PullCounts:
    """All since the start of the worker: `came` pictures that began to arrive, `lost` that ended or could not be had, `refused`
    layers that did not fit their source, `crashes` of the process."""

    came: int = 0
    lost: int = 0
    refused: int = 0
    crashes: int = 0


class _Deaf:
    """A camera hears no RTCP of ours: RTSP has no way to ask for a key frame, its next one is waited for."""

    outlet: Outlet | None = None

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> None:
        """Never called while there is no way out."""


@dataclass(eq=False, slots=True)
class _Pull:
    number: int
    order: IngestOrder
    codec: OfferedCodec | None = None
    source: SourceHandle | None = None
    is_noted: bool = False


@dataclass(eq=False, slots=True)
class Pulls:
    """All cameras a worker pulls. `tell` is told of those that come and go."""

    forwarder: Forwarder
    clock: Clock
    tell: Callable[[SourceStarted | SessionLost], None]
    counts: PullCounts = field(default_factory=PullCounts)
    _pulls: dict[str, _Pull] = field(default_factory=dict)
    _last: int = 0
    _keeper: asyncio.Task[None] | None = None
    _process: Process | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._pulls)

    @property
    def process_id(self) -> int | None:
        """Of the process that pulls; None while there is none."""
        return None if self._process is None else self._process.pid

    def codec_of(self, source_id: str) -> OfferedCodec | None:
        """What a pulled source sends; None for one that is not there."""
        return next(
            (
                one.codec
                for one in self._pulls.values()
                if one.order.source_id == source_id and one.source is not None
            ),
            None,
        )

    # Orders --------------------------------------------------------------------------------------------------

    def begin(self, order: IngestOrder) -> None:
        """Pull a camera until released; the same order again changes nothing, another one begins anew. Raises InvalidError for an
        address that is none of RTSP, ConflictError when too many are pulled."""
        known = self._pulls.get(order.session_id)
        if known is not None and known.order == order:
            return
        if not order.url.lower().startswith(_SCHEMES) or any(char <= " " for char in order.url):
            raise InvalidError("a camera's address begins with rtsp:// or rtsps://")
        if known is None and len(self._pulls) >= PULLS_LIMIT:
            raise ConflictError(f"this worker pulls at most {PULLS_LIMIT} streams")
        self.release(order.session_id)
        self._last += 1
        pull = self._pulls[order.session_id] = _Pull(self._last, order)
        self._write({"number": pull.number, "url": order.url})
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="video-pulls")

    def release(self, session_id: str) -> None:
        """Pull it no more; an unknown one is fine."""
        pull = self._pulls.pop(session_id, None)
        if pull is not None:
            self._close(pull)
            self._write({"number": pull.number})

    async def close(self) -> None:
        """End all, and the process."""
        for session_id in list(self._pulls):
            self.release(session_id)
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    # The process ---------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            try:
                await self._live()
            except OSError as error:
                log.warning("video_puller_not_started", reason=error.strerror)
            self.counts.crashes += 1
            for pull in self._pulls.values():
                self._lost(pull, "the process that pulls it ended")
            await asyncio.sleep(_AGAIN_S)

    async def _live(self) -> None:
        """Run the process until its end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        loop = asyncio.get_running_loop()
        with ours:
            ours.setblocking(False)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "bridges.video.ingest.puller", str(theirs.fileno())),
                    stdin=PIPE,
                    pass_fds=(theirs.fileno(),),
                )
            self._process = process
            loop.add_reader(ours, self._read, ours)
            try:
                for pull in self._pulls.values():
                    self._write({"number": pull.number, "url": pull.order.url})
                code = await process.wait()
                log.warning("video_puller_ended", code=code)
            finally:
                loop.remove_reader(ours)
                self._process = None
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def _write(self, order: Mapping[str, object]) -> None:
        """To the process, if there is one; another one is told everything."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    # What it writes ------------------------------------------------------------------------------------------

    def _read(self, ours: socket.socket) -> None:
        for _ in range(_LETTERS_AT_ONCE):
            try:
                letter = ours.recv(letters.LETTER_LIMIT)
            except BlockingIOError:
                break
            except OSError:
                letter = b""
            if not letter:
                asyncio.get_running_loop().remove_reader(ours)
                break
            self._take(letter)
        self.forwarder.flush()

    def _take(self, letter: bytes) -> None:
        kind, number = letters.HEAD.unpack_from(letter)
        pull = next((one for one in self._pulls.values() if one.number == number), None)
        if pull is None:
            return
        if kind == letters.NEWS:
            news = letters.news_of(letter)
            if "live" in news:
                self._came(pull, news["live"])
            else:
                self._lost(pull, str(news.get("lost")))
        elif pull.source is not None:
            pull.source.take_rtp(_batch_of(letters.packets_of(letter)), self.clock.monotonic())

    def _came(self, pull: _Pull, profile: object) -> None:
        order = pull.order
        self._close(pull)
        pull.codec = OfferedCodec(
            codec=VideoCodec.H264,
            payload_type=_PAYLOAD_TYPE,
            parameters={
                "packetization-mode": "1",
                **({"profile-level-id": profile} if isinstance(profile, str) else {}),
            },
            rtx_type=None,
            feedback=frozenset(),
        )
        others = {
            one.order.layer
            for one in self._pulls.values()
            if one.source is not None and one.order.source_id == order.source_id
        }
        streams = SourceStreams(
            codec=VideoCodec.H264,
            types=CodecTypes(payload=_PAYLOAD_TYPE),
            layers=(LayerStream(layer=order.layer),),
            nack=False,
            remb=False,
        )
        try:
            pull.source = self.forwarder.add_source(
                order.session_id, order.source_id, order.room_id, streams, _Deaf()
            )
        except DomainError as error:
            self.counts.refused += 1
            log.warning("pulled_camera_refused", session=order.session_id, reason=str(error))
            return
        self.counts.came += 1
        pull.is_noted = False
        log.info("pulled_camera_came", session=order.session_id, layer=order.layer.name)
        if others:
            layers = tuple(Layer(one) for one in sorted({*others, order.layer}))
            self.tell(SourceStarted(order.room_id, order.source_id, VideoCodec.H264, layers))

    def _lost(self, pull: _Pull, reason: str) -> None:
        self._close(pull)
        self.counts.lost += 1
        if not pull.is_noted:
            pull.is_noted = True
            log.warning("pulled_camera_lost", session=pull.order.session_id, reason=reason)
            self.tell(SessionLost(pull.order.session_id, reason))

    def _close(self, pull: _Pull) -> None:
        source, pull.source = pull.source, None
        if source is not None:
            source.close()

    def numbers(self) -> dict[str, int]:
        """How many there are, and what was counted."""
        there = sum(one.source is not None for one in self._pulls.values())
        counted = {f"pulls_{kind}": value for kind, value in asdict(self.counts).items()}
        return {**counted, "now_pulled": len(self._pulls), "now_pulled_live": there}


def _batch_of(packets: list[bytes]) -> RtpBatch:
    data = np.zeros((len(packets), VIDEO_STRIDE), np.uint8)
    for row, packet in enumerate(packets):
        data[row, : len(packet)] = np.frombuffer(packet, np.uint8)
    sizes = np.array([len(packet) for packet in packets], np.int64)
    return RtpBatch(data, np.arange(len(packets)), sizes)
