"""One far end of the WebRTC port: its ICE credentials, its proven addresses, its DTLS association and SRTP keys.

Media may overtake our handshake by a packet or two, so what comes early is kept and replayed. The far end is
alive as long as its checks come, or, where we ask, its answers (RFC 7675 §5.1): a closed laptop says no goodbye.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsParameters

from bridges.transport.checking import Checking
from bridges.transport.counts import TransportCounts
from bridges.transport.private import IcePath, SrtpKeys, keys_of, open_dtls
from bridges.transport.sealing import (
    RTP_HEADER,
    Handle,
    MediaArena,
    RtpBatch,
    Scratch,
    is_rtcp,
)
from bridges.transport.ssrcs import Ssrcs
from bridges.transport.stun import Address, Check, Credentials, answer_check

log = structlog.get_logger(__name__)

_EARLY_LIMIT = 64
_RECORD_LIMIT = 64
_HANDSHAKE_S = 30.0
_PATH_LIMIT = 8
"""Addresses a peer may have proven: its networks, before and after it moved."""

Deliver = Callable[[bytes], None]
DeliverBatch = Callable[[RtpBatch], None]


@dataclass(frozen=True, slots=True)
class Outlet:
    """The way to a far end: our socket, its address, the session that seals (None: plain RTP) and by how many bytes.
    Another object whenever one of them changes."""

    fd: int
    address: Address
    handle: Handle | None
    tag: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What all peers of a port share."""

    fd: int
    transmit: Callable[[bytes, Address], None]
    scratch: Scratch
    counts: TransportCounts


class FarEnd(Protocol):
    """To whom packets go; a `Peer`, or the plain RTP of a SIP call."""

    @property
    def outlet(self) -> Outlet | None:
        """None while there is no way to it."""
        ...

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> None:
        """Seal one packet and send it; counted and dropped while there is no way."""
        ...


class Peer:
    """A far end from its offer, or its answer, on. `deliver` gets its RTP in the clear packet by packet, or `deliver_batch`
    all that came at once; `deliver_rtcp` its RTCP."""

    def __init__(
        self,
        remote: RTCDtlsParameters,
        certificate: RTCCertificate,
        *,
        is_server: bool,
        wire: Wire,
        deliver: Deliver,
        deliver_rtcp: Deliver,
        deliver_batch: DeliverBatch | None,
        now: float,
    ) -> None:
        self.credentials = Credentials()
        self.checking: Checking | None = None
        self.remote = remote
        self.is_server = is_server
        self.fingerprints = certificate.getFingerprints()
        self.addresses: list[Address] = []
        self.goal: Address | None = None
        """Where ours go: the path the far end nominated, or the first one it proved."""
        self.alive_at = now
        self.takes_batches = deliver_batch is not None
        self._transmit = wire.transmit
        self._fd = wire.fd
        self._scratch = wire.scratch
        self._counts = wire.counts
        self._deliver = deliver
        self._deliver_rtcp = deliver_rtcp
        self._deliver_batch = deliver_batch
        self._outlet: Outlet | None = None
        self._path = IcePath(self._send_record, _RECORD_LIMIT)
        self._dtls = open_dtls(self._path, certificate, is_server=is_server)
        # Asked for every packet, and aiortc makes a string of it each time.
        self._is_open = False
        self._dtls.on("statechange", self._note_state)
        self._handshake: asyncio.Task[None] | None = None
        self._keys: SrtpKeys | None = None
        self._early: list[bytes] = []
        self._ssrcs = Ssrcs()
        self._closed = False

    @property
    def is_connected(self) -> bool:
        """Whether media can flow both ways."""
        return self._is_open and self._keys is not None and not self._closed

    def _note_state(self) -> None:
        self._is_open = self._dtls.state == "connected"

    @property
    def has_failed(self) -> bool:
        gave_up = self._handshake is not None and self._handshake.done() and self._keys is None
        return self._closed or gave_up or self._dtls.state in {"failed", "closed"}

    def ask(self, checking: Checking) -> None:
        """It answered an offer of ours: we ask for the path, by the credentials that were offered."""
        self.credentials, self.checking = checking.ours, checking

    def restart(self) -> None:
        """Give new ICE credentials (RFC 8445 §2.4); media goes on by the old path until a new one is proven."""
        self.credentials = Credentials()

    # Inward --------------------------------------------------------------------------------------------------

    def take_check(self, data: bytes, source: Address, now: float) -> Check | None:
        """Answer a connectivity check for us; None when it is forged."""
        check = answer_check(data, self.credentials, source)
        if check is None:
            return None
        if source not in self.addresses:
            self.addresses.append(source)
        if self.checking is not None:
            # Which path it is to be is for us to say, and its consent is its answers.
            self.checking.heard(source, now)
            return check
        self.alive_at = now
        if check.nominated or self.goal is None:
            self.goal = source
        self._begin()
        return check

    def take_answer(self, data: bytes, source: Address, now: float) -> bool:
        """An answer to a check of ours; False when it is none."""
        checking = self.checking
        if checking is None or not checking.take(data, source, now):
            return False
        if source not in self.addresses:
            self.addresses.append(source)
        if checking.path is not None and checking.answered_at is not None:
            self.goal, self.alive_at = checking.path, checking.answered_at
            self._begin()
        return True

    def _begin(self) -> None:
        """Shake hands, once there is a path."""
        if self._handshake is None:
            self._handshake = asyncio.create_task(self._shake_hands(), name="dtls-handshake")

    def surplus_address(self) -> Address | None:
        """Give up the oldest proven address that is not in use when there are too many."""
        if len(self.addresses) <= _PATH_LIMIT:
            return None
        oldest = next(one for one in self.addresses if one != self.goal)
        self.addresses.remove(oldest)
        return oldest

    def take_record(self, record: bytes) -> None:
        if not self._path.feed(record):
            self._counts.crowded += 1

    def take_media(self, packet: bytes) -> None:
        """One SRTP or SRTCP packet."""
        keys = self._keys
        if keys is None:
            self._keep_early(packet)
            return
        if len(packet) < RTP_HEADER:
            self._counts.refused_packets += 1
            return
        rtcp = is_rtcp(packet[1])
        if not rtcp and not self._may_speak(_ssrc_of(packet)):
            return
        handle = keys.inward_handle
        clear = self._scratch.open(handle, packet, rtcp=rtcp)
        if not rtcp:
            self._spoke([] if clear is None else [_ssrc_of(packet)], keys)
        if clear is None:
            self._counts.refused_packets += 1
        elif rtcp:
            self._deliver_rtcp(clear)
        else:
            self._deliver(clear)

    def take_batch(self, arena: MediaArena, rows: Sequence[int]) -> None:
        """SRTP and SRTCP of this peer where it was received, in the order it came; opened in place."""
        keys, deliver = self._keys, self._deliver_batch
        sizes = arena.sizes(max(rows) + 1)
        if keys is None or deliver is None:
            for row in rows:
                self._keep_early(arena.data[row, : sizes[row]].tobytes())
            return
        handle = keys.inward_handle
        media: list[int] = []
        for row in rows:
            head = arena.data[row]
            if sizes[row] < RTP_HEADER:
                self._counts.refused_packets += 1
            elif is_rtcp(int(head[1])):
                report = arena.open_rtcp(handle, row)
                if report is None:
                    self._counts.refused_packets += 1
                else:
                    self._deliver_rtcp(report)
            elif self._may_speak(int(arena.words[row, 2])):
                media.append(row)
        if not media:
            return
        batch = arena.open_rtp(handle, media)
        self._counts.refused_packets += len(media) - len(batch)
        self._spoke(dict.fromkeys(batch.ssrcs.tolist()), keys)
        if len(batch):
            deliver(batch)

    def _keep_early(self, packet: bytes) -> None:
        if len(self._early) < _EARLY_LIMIT:
            self._early.append(packet)
            self._counts.early += 1
        else:
            self._counts.early_lost += 1

    def _may_speak(self, ssrc: int) -> bool:
        # Its checks come every few seconds, which is exact enough and costs no look at the clock.
        if self._ssrcs.may_speak(ssrc, self.alive_at):
            return True
        self._counts.crowded += 1
        return False

    def _spoke(self, ssrcs: Iterable[int], keys: SrtpKeys) -> None:
        for ssrc in self._ssrcs.spoke(ssrcs, self.alive_at):
            keys.inward.remove_stream(ssrc)

    # Outward -------------------------------------------------------------------------------------------------

    @property
    def outlet(self) -> Outlet | None:
        """The way by which a batch goes; None while media cannot flow."""
        keys, goal = self._keys, self.goal
        if keys is None or goal is None or not self.is_connected:
            self._outlet = None
        elif self._outlet is None or self._outlet.address != goal:
            self._outlet = Outlet(self._fd, goal, keys.outward_handle, keys.tag)
        return self._outlet

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> None:
        """Protect one RTP (or RTCP) packet and send it; counted and dropped while there is no way."""
        if not self.is_connected or self._keys is None or self.goal is None:
            self._counts.unsent += 1
            return
        sealed = self._scratch.seal(self._keys.outward_handle, packet, rtcp=is_rtcp)
        if sealed is None:
            self._counts.unsent += 1
            return
        self._transmit(sealed, self.goal)

    def _send_record(self, record: bytes) -> None:
        if self.goal is not None:
            self._transmit(record, self.goal)

    # Life ----------------------------------------------------------------------------------------------------

    async def _shake_hands(self) -> None:
        self._counts.handshakes += 1
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await self._dtls.start(self.remote)
        except TimeoutError:
            log.info("dtls_handshake_too_slow")
        except Exception:
            # A library's assertion about one peer's records must not touch the others.
            log.exception("dtls_handshake_broke")
        if self._dtls.state != "connected":
            self._counts.failed_handshakes += 1
            log.warning("dtls_handshake_failed", state=self._dtls.state)
            return
        self._use(keys_of(self._dtls))

    def _use(self, keys: SrtpKeys) -> None:
        self._keys = keys
        early, self._early = self._early, []
        if self.takes_batches and early:
            self.take_batch(MediaArena.holding(early), range(len(early)))
            return
        for packet in early:
            self.take_media(packet)

    async def close(self) -> None:
        """Say goodbye (close_notify) and forget the keys."""
        if self._closed:
            return
        self._closed = True
        if self._handshake is not None and not self._handshake.done():
            self._handshake.cancel()
        with suppress(ConnectionError):
            await self._dtls.stop()
        self._path.end()
        self._early.clear()


def _ssrc_of(packet: bytes) -> int:
    return int.from_bytes(packet[8:12], "big")
