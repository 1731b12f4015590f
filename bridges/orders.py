"""The media engine's port as orders of the worker protocol: one method an order, whoever carries it.

`client.MediaClient` sends an order to its worker, `pool.MediaPool` to the worker that has the call; a new order is
a method here and nothing there.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from bridges import protocol
from bridges.protocol import Args
from commhub.ports.media import (
    EngineStatus,
    FloorAction,
    LegShape,
    MediaOrder,
    Playback,
    RadioStanding,
    RtpAddress,
    RtpRemote,
    WebRtcOrder,
)


class MediaOrders(ABC):
    """Implements `commhub.ports.media.MediaEngine` by `ask`."""

    @abstractmethod
    async def ask(self, args: Args) -> object:
        """Have the order carried out; its JSON-ready result. Raises what the port says."""

    async def reserve(self, order: MediaOrder) -> RtpAddress:
        address: RtpAddress = protocol.read_as(RtpAddress, await self.ask(order))
        return address

    async def connect(self, leg_id: str, remote: RtpRemote) -> None:
        await self.ask(protocol.ConnectArgs(leg_id, remote))

    async def answer(self, order: WebRtcOrder, offer: str) -> str:
        answer: str = protocol.read_as(str, await self.ask(protocol.AnswerArgs(order, offer)))
        return answer

    async def join_group(self, call_id: str, leg_id: str, group: str) -> None:
        await self.ask(protocol.JoinGroupArgs(call_id, leg_id, group))

    async def shape(self, leg_id: str, shape: LegShape) -> None:
        await self.ask(protocol.ShapeArgs(leg_id, shape))

    async def watch(self, leg_id: str, on: bool) -> None:
        await self.ask(protocol.WatchArgs(leg_id, on))

    async def move(self, leg_id: str, call_id: str) -> None:
        await self.ask(protocol.MoveArgs(leg_id, call_id))

    async def command_floor(self, group: str, action: FloorAction, participant: str | None) -> None:
        await self.ask(protocol.CommandFloorArgs(group, action, participant))

    async def enroll(self, radios: Sequence[RadioStanding], whole: bool) -> None:
        await self.ask(protocol.EnrollArgs(tuple(radios), whole))

    async def key_group(self, call_id: str, group: str, down: bool) -> None:
        await self.ask(protocol.KeyGroupArgs(call_id, group, down))

    async def record(self, call_id: str, on: bool, per_leg: bool = False) -> None:
        await self.ask(protocol.RecordArgs(call_id, on, per_leg))

    async def play(self, playback: Playback) -> None:
        await self.ask(playback)

    async def stop_playing(self, playback_id: str) -> None:
        await self.ask(protocol.StopPlayingArgs(playback_id))

    async def send_digits(self, leg_id: str, digits: str) -> None:
        await self.ask(protocol.SendDigitsArgs(leg_id, digits))

    async def release(self, leg_id: str) -> None:
        await self.ask(protocol.ReleaseArgs(leg_id))

    async def status(self) -> EngineStatus:
        status: EngineStatus = protocol.read_as(EngineStatus, await self.ask(protocol.StatusArgs()))
        return status
