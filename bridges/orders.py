"""The media engine's port as orders of the worker protocol: one method an order, whoever carries it.

`client.MediaClient` sends an order to its worker, `pool.MediaPool` to the worker that has the call; a new order is
a method here and nothing there.
"""

from abc import ABC, abstractmethod

from bridges import protocol
from bridges.protocol import Args
from commhub.ports.media import EngineStatus, MediaOrder, RtpAddress, RtpRemote


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

    async def join_group(self, call_id: str, leg_id: str, group: str) -> None:
        await self.ask(protocol.JoinGroupArgs(call_id, leg_id, group))

    async def mute(self, leg_id: str, muted: bool) -> None:
        await self.ask(protocol.MuteArgs(leg_id, muted))

    async def key_group(self, call_id: str, group: str, down: bool) -> None:
        await self.ask(protocol.KeyGroupArgs(call_id, group, down))

    async def record(self, call_id: str, on: bool) -> None:
        await self.ask(protocol.RecordArgs(call_id, on))

    async def release(self, leg_id: str) -> None:
        await self.ask(protocol.ReleaseArgs(leg_id))

    async def status(self) -> EngineStatus:
        status: EngineStatus = protocol.read_as(EngineStatus, await self.ask(protocol.StatusArgs()))
        return status
