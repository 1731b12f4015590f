"""The picture engine's port as orders of the protocol: one method an order, whoever carries it."""

from abc import ABC, abstractmethod
from typing import Self

from bridges import wire
from bridges.video import protocol
from bridges.video.protocol import Args
from commhub.domain.errors import UnavailableError
from commhub.ports.media import RtpAddress
from commhub.ports.video import (
    Answered,
    IngestOrder,
    Layer,
    PlainOrder,
    PlainRemote,
    PublishOrder,
    PushesIn,
    PushOrder,
    SoundPlace,
    VideoIn,
    VideoStatus,
    ViewOrder,
)


class VideoOrders(ABC):
    """Implements `commhub.ports.video.VideoEngine` by `ask`."""

    @abstractmethod
    async def ask(self, args: Args) -> object:
        """Have the order carried out; its JSON-ready result. Raises what the port says."""

    async def publish(self, order: PublishOrder, offer: str) -> Answered:
        return _answered(await self.ask(protocol.PublishArgs(order, offer)))

    async def view(self, order: ViewOrder, offer: str) -> Answered:
        return _answered(await self.ask(protocol.ViewArgs(order, offer)))

    async def offer_push(self, order: PushOrder) -> str:
        return str(await self.ask(protocol.OfferPushArgs(order)))

    async def push_answered(self, session_id: str, answer: str) -> None:
        await self.ask(protocol.PushAnsweredArgs(session_id, answer))

    async def offer_watch(self, order: PublishOrder) -> str:
        return str(await self.ask(protocol.OfferWatchArgs(order)))

    async def watch_answered(self, session_id: str, answer: str) -> None:
        await self.ask(protocol.WatchAnsweredArgs(session_id, answer))

    async def place_sound(self, session_id: str, sound: SoundPlace | None) -> RtpAddress | None:
        result = await self.ask(protocol.PlaceSoundArgs(session_id, sound))
        address: RtpAddress | None = wire.read_as(RtpAddress, result) if result else None
        return address

    async def show(self, session_id: str, source_id: str, best: Layer) -> None:
        await self.ask(protocol.ShowArgs(session_id, source_id, best))

    async def mute(self, source_id: str, muted: bool) -> None:
        await self.ask(protocol.MuteArgs(source_id, muted))

    async def spotlight(self, room_id: str, source_id: str | None) -> None:
        await self.ask(protocol.SpotlightArgs(room_id, source_id))

    async def voice(self, room_id: str, source_id: str, level_dbov: float | None) -> None:
        await self.ask(protocol.VoiceArgs(room_id, source_id, level_dbov))

    async def left(self, room_id: str, source_id: str) -> None:
        await self.ask(protocol.LeftArgs(room_id, source_id))

    async def request_keyframe(self, source_id: str) -> None:
        await self.ask(protocol.RequestKeyframeArgs(source_id))

    async def record(self, source_id: str, on: bool) -> None:
        await self.ask(protocol.RecordArgs(source_id, on))

    async def release(self, session_id: str) -> None:
        await self.ask(protocol.ReleaseArgs(session_id))

    async def status(self) -> VideoStatus:
        status: VideoStatus = wire.read_as(VideoStatus, await self.ask(protocol.StatusArgs()))
        return status

    async def reserve_plain(self, order: PlainOrder) -> RtpAddress:
        address: RtpAddress = wire.read_as(
            RtpAddress, await self.ask(protocol.ReservePlainArgs(order))
        )
        return address

    async def connect_plain(self, session_id: str, remote: PlainRemote) -> None:
        await self.ask(protocol.ConnectPlainArgs(session_id, remote))

    async def refresh(self, session_id: str) -> None:
        await self.ask(protocol.RefreshArgs(session_id))

    async def ingest(self, order: IngestOrder) -> None:
        await self.ask(protocol.IngestArgs(order))


class NoVideo(VideoOrders):
    """The engine of a hub that has none (`media.video_workers` is 0): every order is refused."""

    is_connected = False

    def deliver_to(self, inward: VideoIn) -> None:
        """There is never anything to tell."""

    def deliver_pushes_to(self, inward: PushesIn) -> None:
        """The same."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def ask(self, args: Args) -> object:
        del args
        raise UnavailableError("this hub has no video worker (setting media.video_workers)")


def _answered(result: object) -> Answered:
    answered: Answered = wire.read_as(Answered, result)
    return answered
