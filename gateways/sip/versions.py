"""What a leg that rings is offered: one description, or two where its phones are of both IP versions, because a description can
name an address of one only.

The leg has its place in the media engine in one version. Phones of the other are offered a second place, that of a spare leg,
so each hears of an address it reaches. When one of them answers, the leg takes over the place that was offered there; the
port is asked for by number, as after the loss of a worker, and whoever answered is told of another by re-INVITE where it
cannot be had.
"""

from dataclasses import replace

import structlog

from commhub.domain.errors import UnavailableError
from commhub.ports.media import MediaEngine, MediaOrder, RtpAddress
from gateways.sip import sdp

log = structlog.get_logger(__name__)

_SPARE = ".other-version"
_HOLD = ".held-open"


class Offers:
    """Those of one ringing leg. `order` and `address` are its place, `first` the offer of it."""

    def __init__(
        self,
        media: MediaEngine,
        terms: sdp.Terms,
        order: MediaOrder,
        address: RtpAddress,
        *,
        local: sdp.Local | None = None,
        first: bytes | None = None,
        picture: RtpAddress | None = None,
    ) -> None:
        """`local` and `first`: what a former process offered."""
        self._media = media
        self._terms = terms
        self._order = order
        self._has_picture = picture is not None
        self._other: bytes | None = None
        self.local = local or sdp.Local.new()
        self.address = address
        self.first = first or sdp.offer(terms, address, self.local, picture=picture)

    def begin_anew(self, terms: sdp.Terms, address: RtpAddress) -> None:
        """The leg has another place, and nobody rings for the one before."""
        self.address = address
        self.first = sdp.offer(terms, address, self.local)

    async def to(self, *, ipv6: bool) -> bytes:
        """The offer for a far end of that version; the first where the workers are not reached by it."""
        if ipv6 == _is_six(self.address):
            return self.first
        if self._other is None:
            try:
                place = await self._media.reserve(self._beside(_SPARE, ipv6=ipv6))
            except UnavailableError as error:
                log.info(
                    "sip_other_version_not_offered", leg_id=self._order.leg_id, reason=str(error)
                )
                return self.first
            # The same keys for all of them; a picture is received by the first version only.
            before = b"" if self._has_picture else self.first
            self._other = sdp.offer(self._terms, place, self.local, before)
        return self._other

    async def settle(self, offered: bytes) -> RtpAddress | None:
        """Whoever was made that offer has answered it: the leg is received there and nowhere else, or, where that cannot be
        had, at the address that is returned. Raises SdpError and UnavailableError."""
        told = sdp.voice_address(offered)
        if _is_six(told) == _is_six(self.address):
            await self.leave()
            return None
        leg_id = self._order.leg_id
        # A call without any leg would forget which worker it is on, and what was ordered for all of it.
        await self._media.reserve(self._beside(_HOLD, ipv6=False))
        try:
            await self._media.release(leg_id)
            await self._media.release(leg_id + _SPARE)
            wanted = replace(self._beside("", ipv6=_is_six(told)), port=told.port)
            self.address = await self._media.reserve(wanted)
        finally:
            self._other = None
            await self._media.release(leg_id + _HOLD)
        return None if self.address == told else self.address

    async def leave(self) -> None:
        """Nobody will answer at the second place."""
        if self._other is not None:
            self._other = None
            await self._media.release(self._order.leg_id + _SPARE)

    def _beside(self, name: str, *, ipv6: bool) -> MediaOrder:
        leg_id = self._order.leg_id + name
        return replace(self._order, leg_id=leg_id, ipv6=ipv6, near_signalling=False, port=0)


def _is_six(address: RtpAddress) -> bool:
    return ":" in address.host
