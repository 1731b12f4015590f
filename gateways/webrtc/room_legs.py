"""Participants as legs of a room's call: the driver of `room:PARTICIPANT_ID`.

A participant's voice comes to the video worker with the picture and goes on from there as plain RTP, so to the audio engine it
is a leg like a phone's (decision 10). All sessions of a participant share one leg. Which session carries which leg is
rooms' to remember (`RoomsIn`), so that this driver keeps nothing that a restart of control would lose.

A leg whose sound was lost is not over: a browser offers again by itself and has `return_within_s` to do so; when it was the
audio worker that was lost, the leg gets another place there and no browser notices.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType

import structlog

from commhub.domain.call import Cause, Leg
from commhub.domain.errors import ConflictError, DomainError, InvalidError, NotFoundError
from commhub.domain.people import Scheme
from commhub.ports.inward import CallsIn
from commhub.ports.media import AudioFormat, MediaEngine, MediaOrder, RtpAddress, RtpRemote
from commhub.ports.rooms import RoomsIn, Seat
from commhub.ports.store import Store
from commhub.ports.telephony import LegOrder, shape_of
from commhub.ports.video import SoundPlace, VideoEngine
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.metrics import RETURNS
from gateways.webrtc.waiting import WaitingLegs

log = structlog.get_logger(__name__)

SOUND = AudioFormat(
    encoding="opus", payload_type=111, clock_rate=48000, fmtp="minptime=10;useinbandfec=1"
)
"""What crosses between the two engines, whatever payload types the browsers chose."""


class RoomLegs(AbstractAsyncContextManager["RoomLegs"]):
    """Implements `commhub.ports.telephony.LegDriver`, `Recovering` and `Readdressing` for `room:PARTICIPANT_ID`."""

    def __init__(
        self, config: WebRtcConfig, store: Store, media: MediaEngine, calls: CallsIn
    ) -> None:
        self._config = config
        self._store = store
        self._media = media
        self._calls = calls
        self._rooms: RoomsIn | None = None
        self._video: VideoEngine | None = None
        self._waiting = WaitingLegs("room", media, calls)

    def connect(self, rooms: RoomsIn, video: VideoEngine) -> None:
        """Hand over the rooms and the picture engine, which were themselves handed what this driver serves."""
        self._rooms, self._video = rooms, video

    async def __aenter__(self) -> "RoomLegs":
        await self._waiting.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._waiting.__aexit__(exc_type, exc, traceback)

    # --- commhub.ports.telephony -----------------------------------------------------------------------------

    async def place(self, order: LegOrder) -> None:
        """Expect the participant's sound for as long as a phone would ring."""
        if order.leg_id not in self._waiting:
            patience = partial(self._give_up, order.leg_id, order.ring_for_s, Cause.NO_ANSWER)
            self._waiting.begin(order.leg_id, patience)

    async def answer(self, leg_id: str) -> None:
        """Participants come by an offer and never dial by themselves. Raises InvalidError."""
        raise InvalidError(f"leg {leg_id} is a participant's, who never calls the hub")

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """Take the sound away; the picture goes on. Raises UnavailableError."""
        del cause
        self._waiting.stop(leg_id)
        for session_id in await self._sessions_of(leg_id):
            try:
                await self._engine.place_sound(session_id, None)
            except DomainError as error:
                log.warning("room_sound_not_ended", session=session_id, reason=str(error))
        await self._media.release(leg_id)

    async def recover(self, leg_id: str) -> bool:
        """The audio worker has lost the leg: it is given another place there."""
        if leg_id not in self._waiting:
            self._waiting.begin(leg_id, partial(self._seat_again, leg_id))
        return True

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        """The audio engine expects the leg at another address."""
        await self._place_sessions(SoundPlace(leg_id=leg_id, address=address, audio=SOUND))

    # --- what sessions do ------------------------------------------------------------------------------------

    async def expect(self, seat: Seat) -> SoundPlace:
        """Where the audio engine expects the leg's voice. Raises NotFoundError for a leg that is over, UnavailableError."""
        leg = await self._find(seat.leg_id)
        order = MediaOrder(call_id=leg.call_id, leg_id=leg.id, shape=shape_of(leg))
        return SoundPlace(leg_id=leg.id, address=await self._media.reserve(order), audio=SOUND)

    async def carried(self, leg_id: str, sound_from: RtpAddress) -> None:
        """A session carries the leg: connect it. Raises ConflictError when it was hung up meanwhile."""
        await self._connect(leg_id, sound_from)
        if leg_id in self._waiting and (await self._find(leg_id)).connected_at is not None:
            RETURNS.labels("returned").inc()
        self._waiting.stop(leg_id)
        await self._calls.leg_connected(leg_id, SOUND.encoding)
        try:
            await self._find(leg_id)
        except NotFoundError as error:
            # Its sound must not outlive it.
            await self._media.release(leg_id)
            raise ConflictError("the leg was hung up meanwhile") from error

    async def left(self, leg_id: str) -> None:
        """A session that carried the leg said goodbye: the last one ends it."""
        if not await self._sessions_of(leg_id):
            self._waiting.stop(leg_id)
            await self._calls.leg_ended(leg_id, Cause.HUNG_UP, None)
            await self._media.release(leg_id)

    async def lost(self, leg_id: str) -> None:
        """A session that carried the leg is gone without a goodbye: its browser is given time to come back."""
        if leg_id not in self._waiting and not await self._sessions_of(leg_id):
            within_s = self._config.return_within_s
            self._waiting.begin(leg_id, partial(self._give_up, leg_id, within_s, Cause.MEDIA_LOST))

    async def look_after(self) -> None:
        """The picture engine came, perhaps without what it had: see which participants have no session any more."""
        async with self._store.read() as uow:
            calls = await uow.calls.live_here()
            legs = [leg for call in calls for leg in await uow.calls.legs_of(call.id)]
        for leg in legs:
            if leg.is_live and leg.endpoint.scheme is Scheme.ROOM:
                await self.lost(leg.id)

    # --- inside ----------------------------------------------------------------------------------------------

    @property
    def _engine(self) -> VideoEngine:
        if self._video is None:
            raise InvalidError("the picture engine is not connected yet")
        return self._video

    async def _sessions_of(self, leg_id: str) -> list[str]:
        if self._rooms is None:
            return []
        return [session.session_id for session in await self._rooms.sessions_of(leg_id)]

    async def _find(self, leg_id: str) -> Leg:
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        if leg is None or not leg.is_live or leg.endpoint.scheme is not Scheme.ROOM:
            raise NotFoundError("no participant of a live call has this leg")
        return leg

    async def _connect(self, leg_id: str, sound_from: RtpAddress) -> None:
        remote = RtpRemote(address=sound_from, audio=SOUND, rtcp_mux=True)
        await self._media.connect(leg_id, remote)

    async def _place_sessions(self, place: SoundPlace) -> None:
        """All sessions of the leg speak to this place, which is told where they speak from."""
        addresses = [
            await self._engine.place_sound(session_id, place)
            for session_id in await self._sessions_of(place.leg_id)
        ]
        sound_from = next((one for one in addresses if one is not None), None)
        if sound_from is not None:
            await self._connect(place.leg_id, sound_from)

    async def _seat_again(self, leg_id: str) -> None:
        try:
            leg = await self._find(leg_id)
            await self._place_sessions(await self.expect(Seat(call_id=leg.call_id, leg_id=leg_id)))
        except NotFoundError:
            return
        except DomainError as error:
            await self._waiting.end(leg_id, Cause.MEDIA_LOST, str(error))

    async def _give_up(self, leg_id: str, after_s: float, cause: Cause) -> None:
        await asyncio.sleep(max(0.0, after_s))
        if await self._sessions_of(leg_id):
            # The news of its loss was older than its return.
            return
        if cause is Cause.MEDIA_LOST:
            RETURNS.labels("lost").inc()
        await self._waiting.end(leg_id, cause, None)
