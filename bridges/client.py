"""The media engine as a port, over a connection to one audio worker (`reach`).

After each (re)connection the engine's status is told first, then events in the order they happened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bridges import protocol
from bridges.audio.events import (
    DtmfReceived,
    Event,
    FloorMoved,
    LegMeasured,
    LegSilent,
    LegVanished,
    PlaybackEnded,
    RecordingFailed,
    VoiceHeard,
)
from bridges.orders import MediaOrders
from bridges.protocol import Args, Message
from bridges.reach import ClientConfig, Connection, WorkerClient
from commhub.kit.clock import Clock
from commhub.ports.inward import MediaIn
from commhub.ports.media import EngineStatus, RecordedFile

__all__ = ["Ask", "ClientConfig", "MediaClient", "Welcome"]

_WELCOME_WITHIN_S = 20.0

Ask = Callable[[Args], Awaitable[object]]
Welcome = Callable[[EngineStatus, Ask], Awaitable[None]]
"""Told what a worker has, each time it was reached, before any order goes to it but those asked here."""


class MediaClient(WorkerClient[Args, Event], MediaOrders):
    """Implements `commhub.ports.media.MediaEngine` and feeds `inward`. With `welcome` the status goes there
    instead."""

    def __init__(
        self, config: ClientConfig, inward: MediaIn, clock: Clock, *, welcome: Welcome | None = None
    ) -> None:
        super().__init__(config, protocol.WORDS, clock)
        self._inward = inward
        self._welcome = welcome
        self._status: EngineStatus | None = None

    async def _meet(self, connection: Connection[Args], hello: Message) -> None:
        del hello
        answer = await connection.request(protocol.StatusArgs())
        status: EngineStatus = protocol.read_as(EngineStatus, answer)
        self._status = status
        if self._welcome is not None:
            async with asyncio.timeout(_WELCOME_WITHIN_S):
                await self._welcome(status, connection.request)

    async def _met(self) -> None:
        if self._welcome is None and self._status is not None:
            await self._deliver("engine_status", self._inward.engine_status(self._status))

    def _receipt_of(self, event: Event) -> str | None:
        return event.path if isinstance(event, RecordedFile) else None

    def _inward_of(self, event: Event) -> Coroutine[Any, Any, None]:
        telling: Coroutine[Any, Any, None]
        match event:
            case DtmfReceived(leg_id, digit):
                telling = self._inward.dtmf_received(leg_id, digit)
            case LegSilent(leg_id, seconds):
                telling = self._inward.leg_silent(leg_id, seconds)
            case LegVanished(leg_id):
                telling = self._inward.leg_vanished(leg_id)
            case LegMeasured(meter):
                telling = self._inward.leg_measured(meter)
            case VoiceHeard(leg_id, speaks, level):
                telling = self._inward.voice_heard(leg_id, level if speaks else None)
            case FloorMoved():
                telling = self._inward.floor_moved(
                    event.group, event.event, event.talker, event.calls, event.cause, event.queue
                )
            case RecordedFile():
                telling = self._inward.recording_stored(event)
            case RecordingFailed(call_id, leg, reason):
                telling = self._inward.recording_failed(call_id, leg, reason)
            case PlaybackEnded(playback_id, call_id, reason):
                telling = self._inward.playback_ended(playback_id, call_id, reason)
        return telling
