"""Orders on their way to the engine's thread and back: what each has the engine do, and who waits for it."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from bridges import protocol, wire
from bridges.audio.engine import AudioEngine
from bridges.audio.thread import Order
from bridges.control import Reply
from commhub.ports.media import MediaOrder, Playback

T = TypeVar("T")


class ControlsOrder(Order):
    """An order of control."""

    def __init__(self, args: protocol.EngineArgs, reply: Reply) -> None:
        super().__init__(lambda engine: carry_out(engine, args))
        self.args = args
        self._reply = reply

    def settle(self) -> None:
        if self.error is None:
            self._reply.done(self.result)
        else:
            self._reply.failed(self.error)


class OwnOrder(Order, Generic[T]):
    """An order of the worker's own; its outcome is waited for."""

    def __init__(self, work: Callable[[AudioEngine], T]) -> None:
        super().__init__(work)
        self.outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        if self.outcome.done():
            return
        if self.error is None:
            self.outcome.set_result(cast("T", self.result))
        else:
            self.outcome.set_exception(self.error)


def carry_out(engine: AudioEngine, args: protocol.EngineArgs) -> object:  # noqa: C901, PLR0912 - a flat list
    """One order of control, between two ticks; its JSON-ready result. A new order is one more case."""
    result: object = None
    match args:
        case MediaOrder():
            result = wire.plain(engine.reserve(args))
            if args.remote is not None:
                engine.connect(args.leg_id, args.remote)
        case protocol.ConnectArgs(leg_id, remote):
            engine.connect(leg_id, remote)
        case protocol.JoinGroupArgs(call_id, leg_id, group):
            engine.join_group(call_id, leg_id, group)
        case protocol.ShapeArgs(leg_id, shape):
            engine.shape(leg_id, shape)
        case protocol.WatchArgs(leg_id, on):
            engine.watch(leg_id, on)
        case protocol.MoveArgs(leg_id, call_id):
            engine.move(leg_id, call_id)
        case protocol.CommandFloorArgs(group, action, participant):
            engine.command_floor(group, action, participant)
        case protocol.EnrollArgs(radios, whole):
            engine.enroll(radios, whole)
        case protocol.KeyGroupArgs(call_id, group, down):
            engine.key_group(call_id, group, down)
        case protocol.RecordArgs(call_id, on, per_leg):
            engine.record(call_id, on, per_leg)
        case Playback():
            engine.play(args)
        case protocol.StopPlayingArgs(playback_id):
            engine.stop_playing(playback_id)
        case protocol.SendDigitsArgs(leg_id, digits):
            engine.send_digits(leg_id, digits)
        case protocol.ReleaseArgs(leg_id):
            engine.release(leg_id)
    return result
