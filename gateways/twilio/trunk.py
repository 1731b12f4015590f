"""The way of one leg's RTP to the media engine and back: a connected UDP socket, so that only the engine is heard.

It looks after itself. An engine that was replaced may have the leg elsewhere, and says so only when asked, so
silence from it is answered by reserving again, which is idempotent.
"""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from commhub.domain.errors import DomainError
from commhub.kit.clock import Clock
from commhub.ports.media import AudioFormat, MediaEngine, MediaOrder, RtpAddress, RtpRemote
from gateways.twilio.metrics import DROPPED
from gateways.twilio.voice import PCMU, TELEPHONE_EVENT, voice_of

log = structlog.get_logger(__name__)

# RFC 5761 §4: the engine's reports come here too, and are of no use to Twilio.
_RTCP_TYPES = (bytes([192]), bytes([223]))

AUDIO = AudioFormat(encoding="PCMU", payload_type=PCMU, dtmf_payload_type=TELEPHONE_EVENT)


class Trunk(asyncio.DatagramProtocol):
    """Use it with `async with`: entering reserves and connects the leg. Leaving closes the socket and keeps the
    leg, so that the next stream finds it. `hear` gets the µ-law the far end should play."""

    def __init__(
        self, media: MediaEngine, order: MediaOrder, hear: Callable[[bytes], None], clock: Clock
    ) -> None:
        self._media = media
        self._order = order
        self._hear = hear
        self._clock = clock
        self._transport: asyncio.DatagramTransport | None = None
        self._address: RtpAddress | None = None
        self._heard_at = clock.monotonic()
        self._asked = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Raises UnavailableError (no worker), OSError (no way to it)."""
        try:
            await self._join()
        except BaseException:
            self._hang()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hang()

    def send(self, packet: bytes) -> None:
        """One packet to the engine; while none is there, nowhere."""
        if self._transport is not None:
            self._transport.sendto(packet)

    async def keep(self, silent_s: float) -> None:
        """Look for the engine again whenever nothing came from it for so long. Runs until it is cancelled."""
        while True:
            rest = self._heard_at + silent_s - self._clock.monotonic()
            if rest > 0 and not await self._is_asked_within(rest):
                continue
            self._asked.clear()
            try:
                await self._join()
            except (DomainError, OSError) as error:
                log.warning(
                    "twilio_leg_without_engine", leg_id=self._order.leg_id, reason=str(error)
                )
            self._heard_at = self._clock.monotonic()

    async def _is_asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return False
        return True

    def look_again(self) -> None:
        """The engine may have the leg elsewhere now, or not at all: `keep` asks at once."""
        self._asked.set()

    async def _join(self) -> None:
        address = await self._media.reserve(self._order)
        if address != self._address or self._transport is None:
            self._hang()
            await self._open(address)
        if self._transport is None:
            raise OSError("the socket to the media engine was closed")
        host, port = self._transport.get_extra_info("sockname")[:2]
        # Muxed: the port above ours is somebody else's, who wants no reports.
        remote = RtpRemote(address=RtpAddress(host, port), audio=AUDIO, rtcp_mux=True)
        await self._media.connect(self._order.leg_id, remote)

    async def _open(self, address: RtpAddress) -> None:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, remote_addr=(address.host, address.port), family=family
        )
        self._address = address

    def _hang(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._transport = self._address = None

    # asyncio.DatagramProtocol

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        self._heard_at = self._clock.monotonic()
        voice = voice_of(data)
        if voice is not None:
            self._hear(voice)
        elif not _RTCP_TYPES[0] <= data[1:2] <= _RTCP_TYPES[1]:
            DROPPED.labels("no_voice").inc()

    def error_received(self, exc: Exception) -> None:
        """The engine's port is closed: `keep` will ask where the leg is now."""
        del exc
        DROPPED.labels("engine_away").inc()
