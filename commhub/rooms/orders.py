"""What the picture engine, the calls and the cameras are told, after the transaction that decided it is committed.

An order that fails is that one's affair and said in the log: what was decided stands in the rows, and is said again when
the engine comes back or a camera is asked anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from commhub.domain.account import Principal
from commhub.domain.errors import DomainError
from commhub.domain.room import Pull, Source
from commhub.kit.clock import Clock
from commhub.kit.sealing import Seal, SealError
from commhub.ports.inside import DeviceOrders, RoomSound
from commhub.ports.rooms import RoomRight, RoomToken, RoomTokens
from commhub.ports.video import IngestOrder, Layer, VideoEngine
from commhub.rooms.config import RoomConfig

log = structlog.get_logger(__name__)

START, STOP = "live.start", "live.stop"
ROOMS = Principal(id="rooms", name="rooms", kind="system", roles=frozenset())
"""Whoever does what nobody asked for: the rules of rooms themselves."""

_LAYERS = ("main", "sub")


@dataclass(slots=True)
class Orders:
    """Gathered inside a transaction, carried out after it. Sessions and sources by id, legs by id; with each leg or source what
    it is to be."""

    release: list[str] = field(default_factory=list)
    mute: list[tuple[str, bool]] = field(default_factory=list)
    record: list[tuple[str, bool]] = field(default_factory=list)
    spotlight: list[tuple[str, str | None]] = field(default_factory=list)
    pull: list[Pull] = field(default_factory=list)
    start: list[Source] = field(default_factory=list)
    fetch: list[tuple[str, Layer]] = field(default_factory=list)
    stop: list[Source] = field(default_factory=list)
    silence: list[tuple[str, bool]] = field(default_factory=list)
    hold: list[tuple[str, bool]] = field(default_factory=list)
    hang_up: list[str] = field(default_factory=list)
    close: list[str] = field(default_factory=list)


class Orderly:
    """Carries orders out."""

    def __init__(
        self,
        video: VideoEngine,
        sound: RoomSound,
        devices: DeviceOrders,
        tokens: RoomTokens,
        clock: Clock,
        config: RoomConfig,
        seal: Seal,
    ) -> None:
        self.video = video
        self.sound = sound
        self.seal = seal
        self._devices = devices
        self._tokens = tokens
        self._clock = clock
        self._config = config
        self.fetch: Callable[[str, Layer], None] = lambda source_id, layer: None
        """Has another hub's picture come, no better than that."""
        self.looked: Callable[[str], None] = lambda room_id: None
        """Told of a room in which a far end came or went."""

    async def carry_out(self, orders: Orders, by: Principal = ROOMS) -> None:
        """Tell everybody. Who is to be gone goes first."""
        await self._tell_calls(orders, by)
        await self._tell_engine(orders)
        for source in orders.stop:
            await _attempt("stop", source.id, self._camera(source, STOP, by))
        for source_id, layer in orders.fetch:
            self.fetch(source_id, layer)
        for source in orders.start:
            await _attempt("start", source.id, self._camera(source, START, by))

    async def _tell_calls(self, orders: Orders, by: Principal) -> None:
        for leg_id in orders.hang_up:
            await _attempt("hang_up", leg_id, self.sound.hang_up(leg_id, by))
        for call_id in orders.close:
            await _attempt("close", call_id, self.sound.close(call_id, by))
        for leg_id, muted in orders.silence:
            await _attempt("silence", leg_id, self.sound.mute(leg_id, muted, by))
        for leg_id, held in orders.hold:
            await _attempt("hold", leg_id, self.sound.hold(leg_id, held, by))

    async def _tell_engine(self, orders: Orders) -> None:
        for session_id in orders.release:
            await _attempt("release", session_id, self.video.release(session_id))
        for pull in orders.pull:
            await self._fetch(pull)
        for source_id, muted in orders.mute:
            await _attempt("mute", source_id, self.video.mute(source_id, muted))
        for room_id, shown in orders.spotlight:
            await _attempt("spotlight", room_id, self.video.spotlight(room_id, shown))
        for source_id, on in orders.record:
            await _attempt("record", source_id, self.video.record(source_id, on))

    async def _fetch(self, pull: Pull) -> None:
        try:
            url = self.seal.open(pull.url)
        except SealError as error:
            # The hub's secrets are not those of this database: whoever put it in has to again.
            log.warning("camera_address_unreadable", pull=pull.id, reason=str(error))
            return
        await _attempt("pull", pull.id, self.video.ingest(_ingest_of(pull, url)))

    async def _camera(self, source: Source, op: str, by: Principal) -> None:
        """Ask a body camera to send, or to stop sending, this source."""
        if source.device is None:
            return
        args: dict[str, object] = {"source": source.id}
        if op == START:
            args["whip"] = f"{self._config.public_url}/whip/{source.room_id}?source={source.id}"
            args["token"] = self._tokens.sign(self._token_of(source, by))
            args["layers"] = list(_LAYERS)
        await self._devices.order(
            source.device, op, args, by.actor, self._config.camera_answers_within
        )

    def _token_of(self, source: Source, by: Principal) -> RoomToken:
        until = self._clock.now() + self._config.camera_token_for
        return RoomToken(
            id=f"source:{source.id}",
            room_id=source.room_id,
            rights=(RoomRight.PUBLISH,),
            expires_at=int(until.timestamp()),
            made_by=by.actor,
            participant_id=source.participant_id,
            source_id=source.id,
        )


def _ingest_of(pull: Pull, url: str) -> IngestOrder:
    return IngestOrder(
        session_id=pull.id,
        room_id=pull.room_id,
        source_id=pull.source_id,
        url=url,
        layer=Layer(pull.layer),
    )


async def _attempt(what: str, of: str, work: Awaitable[None]) -> None:
    try:
        await work
    except DomainError as error:
        log.warning("room_order_failed", order=what, of=of, code=error.code, reason=str(error))
