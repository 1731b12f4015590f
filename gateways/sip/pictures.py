"""The pictures of legs: from the room a leg is in to the picture engine, and back to the room.

Which leg has a picture is the rooms' to know (`ports.rooms.RoomPictures`), where it goes the engine's; a leg's picture has the leg's
id there, so nothing has to be remembered. Nothing here fails a call: what cannot be had is said in the log, and the voice goes on.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from commhub.domain.errors import DomainError
from commhub.ports.media import RtpAddress
from commhub.ports.rooms import RoomPicture, RoomPictures
from commhub.ports.video import PlainOrder, PlainRemote, VideoEngine
from gateways.sip import metrics, sdp
from gateways.sip.sdp import Terms

log = structlog.get_logger(__name__)

T = TypeVar("T")

MEDIA_CONTROL = "application/media_control+xml"
FAST_UPDATE = (
    b'<?xml version="1.0" encoding="utf-8"?>\r\n<media_control><vc_primitive><to_encoder>'
    b"<picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n"
)
"""RFC 5168 §5."""
_LONGEST_WISH = 2_048


class Pictures:
    """Those of all legs of a gateway; without `connect` there are none."""

    def __init__(self) -> None:
        self._rooms: RoomPictures | None = None
        self._engine: VideoEngine | None = None
        self._had: set[str] = set()
        """Legs of which the engine or the rooms may know something."""

    def connect_to(self, rooms: RoomPictures, engine: VideoEngine) -> None:
        """Hand over what both need this gateway first."""
        self._rooms, self._engine = rooms, engine

    @property
    def legs(self) -> tuple[str, ...]:
        """Those with a picture."""
        return tuple(self._had)

    def resumed(self, leg_id: str, local_sdp: bytes) -> bool:
        """Whether a leg of a former process has a picture: our description had one."""
        has_one = sdp.picture_address(local_sdp) is not None
        if has_one:
            self._had.add(leg_id)
        return has_one

    async def place(self, leg_id: str, voice: RtpAddress) -> RtpAddress | None:
        """Where the leg's picture is received, in the IP version of its `voice`; None when it is in no room (what it had there is
        over), or there is no engine."""
        if self._rooms is None or self._engine is None:
            return None
        asked = await _attempt(leg_id, lambda: self._asked(leg_id))
        if asked is None:
            return None
        (picture,) = asked
        if picture is None:
            await self.release(leg_id)
            return None
        engine = self._engine
        order = PlainOrder(
            session_id=leg_id,
            room_id=picture.room_id,
            source_id=picture.source_id,
            ipv6=":" in voice.host,
        )
        address = await _attempt(leg_id, lambda: engine.reserve_plain(order))
        if address is not None:
            self._had.add(leg_id)
        return address

    async def place_for(
        self, leg_id: str, body: bytes, terms: Terms, voice: RtpAddress
    ) -> RtpAddress | None:
        """The same, for an offer that may have a picture."""
        if not sdp.wants_picture(body, terms):
            return None
        return await self.place(leg_id, voice)

    async def settle(self, leg_id: str, remote: PlainRemote | None) -> None:
        """This is agreed of the leg's picture; None: there is none (any more)."""
        if leg_id not in self._had or self._rooms is None or self._engine is None:
            return
        if remote is None:
            await self.release(leg_id)
            return
        await _attempt(leg_id, lambda: self._begin(leg_id, remote))

    async def _begin(self, leg_id: str, remote: PlainRemote) -> bool:
        rooms, engine = self._rooms, self._engine
        picture = await self._picture_of(leg_id)
        if picture is None or rooms is None or engine is None:
            await self.release(leg_id)
            return False
        # Who waits to be let in sees nothing and is not seen.
        sends = remote.sends and picture.may_show and not picture.waits
        receives = remote.receives and not picture.waits
        agreed = PlainRemote(
            address=remote.address,
            video=remote.video,
            sends=sends,
            receives=receives,
            rtcp=remote.rtcp,
            rtcp_mux=remote.rtcp_mux,
            srtp=remote.srtp,
        )
        await engine.connect_plain(leg_id, agreed)
        if not picture.waits:
            await rooms.picture_agreed(leg_id, picture, sends=sends)
        metrics.PICTURES.set(len(self._had))
        return True

    async def refresh(self, leg_id: str) -> None:
        """The far end says that it lost its picture."""
        engine = self._engine
        if engine is not None and leg_id in self._had:
            await _attempt(leg_id, lambda: engine.refresh(leg_id))

    async def release(self, leg_id: str) -> None:
        """The leg has no picture any more."""
        rooms, engine = self._rooms, self._engine
        if leg_id not in self._had or rooms is None or engine is None:
            return
        await _attempt(leg_id, lambda: rooms.picture_over(leg_id, "left"))
        await _attempt(leg_id, lambda: self._forget(leg_id, engine))

    async def _forget(self, leg_id: str, engine: VideoEngine) -> None:
        """One that cannot be told now is told when it comes back (`SipGateway.engine_came`)."""
        await engine.release(leg_id)
        self._had.discard(leg_id)
        metrics.PICTURES.set(len(self._had))

    async def _asked(self, leg_id: str) -> tuple[RoomPicture | None]:
        """What rooms say, told apart from that they could not be asked."""
        return (await self._picture_of(leg_id),)

    async def _picture_of(self, leg_id: str) -> RoomPicture | None:
        return None if self._rooms is None else await self._rooms.picture_of(leg_id)


def wants_update(body: bytes) -> bool:
    """Whether a media_control body asks for a whole picture; what else it may say is nobody's."""
    return len(body) <= _LONGEST_WISH and b"picture_fast_update" in body


async def _attempt(leg_id: str, work: Callable[[], Awaitable[T]]) -> T | None:
    """The voice must not suffer for the picture."""
    try:
        return await work()
    except DomainError as error:
        metrics.PICTURES_FAILED.inc()
        log.warning("sip_picture_failed", leg_id=leg_id, reason=str(error))
    except Exception:
        metrics.PICTURES_FAILED.inc()
        log.exception("sip_picture_failed", leg_id=leg_id)
    return None
