"""The voice connection of a media worker: MQTT 3.1.1, a clean session, QoS 0 for speech.

3.1.1 because it costs little more than half of v5 per message; a connection (and process) of its own because on
contended cores speech beside anything else arrives seconds late. Speech that cannot be sent now is worthless soon, so
it waits in a short queue that loses its oldest; floor messages are state, so the last one of each always arrives.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import structlog
from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessage, MQTTMessageInfo

from commhub.domain.errors import UnavailableError
from commhub.ports.voice import VoiceFrame, VoiceSink
from devices import frames
from devices.errors import WireError
from devices.link import Inbox, Link, MqttAddress, Session
from devices.metrics import FRAMES_BAD, FRAMES_DROPPED, FRAMES_IN, FRAMES_OUT, REFUSED
from devices.payloads import Death, FloorRequest, describe, read
from devices.topics import DeviceTopic, Topics

log = structlog.get_logger(__name__)

# Frames handed to the network thread and not yet on the socket. More than a tick of many groups, less than anybody
# would hear as delay.
WINDOW = 256
INBOX_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceConfig:
    """`queue_frames`: speech waiting beyond what the network thread has; at the bound the oldest goes."""

    address: MqttAddress
    tenant: str
    queue_frames: int = 512


@dataclass(frozen=True, slots=True)
class _Said:
    """A floor message or a last will, on its way to the loop."""

    device: str
    verb: str
    payload: bytes


class VoiceConnection(AbstractAsyncContextManager["VoiceConnection"]):
    """Implements `commhub.ports.voice.VoiceLink` while the context is open. Make it on the loop it will live on.

    Its methods are called on that loop; `VoiceSink.frame_received` comes from the network thread.
    """

    def __init__(self, config: VoiceConfig) -> None:
        self._topics = Topics(config.tenant)
        self._sink: VoiceSink | None = None
        self._loop = asyncio.get_running_loop()
        self._inbox: Inbox[_Said] = Inbox(self._take, INBOX_LIMIT)
        self._speech: deque[tuple[str, bytes]] = deque()
        self._queue_frames = config.queue_frames
        self._under_way: deque[MQTTMessageInfo] = deque()
        self._pump_called = False
        self._waiting_floor: dict[tuple[str, str], tuple[bytes, bool]] = {}
        every = self._topics.every
        self._link = Link(
            "voice",
            config.address,
            [
                (every("d/+/up/ptt/+"), 0),
                (every("d/+/up/floor"), 1),
                (every("d/+/up/death"), 1),
            ],
            session=Session(version_5=False),
            on_message=self._arrive,
            on_change=self._changed,
            on_sent=self._sent,
        )

    def deliver_to(self, sink: VoiceSink) -> None:
        """Whom frames and floor messages go to; before that they are dropped."""
        self._sink = sink

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected and everything subscribed."""
        return self._link.is_up

    async def wait_up(self) -> None:
        """Return as soon as the connection is up."""
        await self._link.wait_up()

    async def __aenter__(self) -> "VoiceConnection":
        await self._link.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._link.__aexit__(exc_type, exc, traceback)

    # --- out, on the loop --------------------------------------------------------------------------------

    def send_frame(self, group: str, frame: VoiceFrame) -> None:
        """Publish to the group; dropped and counted when it cannot be encoded."""
        try:
            topic, data = self._topics.speech(group), frames.encode(frame)
        except WireError as error:
            FRAMES_BAD.labels(f"out_{error.reason}").inc()
            return
        if len(self._speech) >= self._queue_frames:
            self._speech.popleft()
            FRAMES_DROPPED.inc()
        self._speech.append((topic, data))
        self._pump()

    def send_floor(self, device_id: str, message: Mapping[str, object]) -> None:
        """Answer one device."""
        group = str(message.get("group", ""))
        self._publish_floor(self._topics.down(device_id, "floor"), group, message, retain=False)

    def publish_floor(self, group: str, message: Mapping[str, object]) -> None:
        """Tell the group, retained."""
        self._publish_floor(self._topics.floor(group), group, message, retain=True)

    def _publish_floor(
        self, topic: str, group: str, message: Mapping[str, object], *, retain: bool
    ) -> None:
        data = json.dumps(dict(message), ensure_ascii=False).encode()
        try:
            self._link.publish(topic, data, qos=1, retain=retain)
        except UnavailableError:
            # While the broker is away only the last state of each group, and the last answer, is still true.
            key = (topic, group)
            self._waiting_floor.pop(key, None)
            self._waiting_floor[key] = (data, retain)

    def _pump(self) -> None:
        """Hand speech to the network thread while its window has room."""
        self._pump_called = False
        while self._under_way and _has_left(self._under_way[0]):
            self._under_way.popleft()
        while self._speech and len(self._under_way) < WINDOW:
            topic, data = self._speech.popleft()
            try:
                self._under_way.append(self._link.publish(topic, data, qos=0))
            except UnavailableError:
                FRAMES_DROPPED.inc(1 + len(self._speech))
                self._speech.clear()
                return
            FRAMES_OUT.inc()

    def _changed(self, up: bool) -> None:
        self._under_way.clear()
        if not up:
            return
        waiting, self._waiting_floor = self._waiting_floor, {}
        for (topic, group), (data, retain) in waiting.items():
            try:
                self._link.publish(topic, data, qos=1, retain=retain)
            except UnavailableError:
                self._waiting_floor.setdefault((topic, group), (data, retain))

    # --- in ----------------------------------------------------------------------------------------------

    def _sent(self) -> None:
        """On the network thread: a message has left, so there is room."""
        if self._speech and not self._pump_called:
            self._pump_called = True
            self._loop.call_soon_threadsafe(self._pump)

    def _arrive(self, message: MQTTMessage) -> None:
        """On the network thread: frames go straight to the engine, everything else to the loop."""
        sink = self._sink
        if sink is None:
            return
        try:
            topic = self._topics.parse(message.topic)
        except WireError as error:
            REFUSED.labels("voice", error.reason).inc()
            return
        payload = bytes(message.payload)
        match topic:
            case DeviceTopic(device, "ptt", str(group)):
                _frame_arrived(sink, device, group, payload)
            case DeviceTopic(device, "floor" | "death" as verb) if payload and not message.retain:
                self._inbox.put(_Said(device, verb, payload), droppable=True)

    def _take(self, batch: Sequence[_Said]) -> None:
        sink = self._sink
        if sink is None:
            return
        for said in batch:
            try:
                _hand_over(sink, said)
            except WireError as error:
                REFUSED.labels(said.verb, error.reason).inc()
                log.warning(
                    "device_message_refused", sender=said.device, verb=said.verb, **describe(error)
                )
            except Exception:  # supervisor: the engine's fault with one message is not the others'
                log.exception("voice_sink_failed", sender=said.device, verb=said.verb)


def _has_left(info: MQTTMessageInfo) -> bool:
    return info.rc != MQTT_ERR_SUCCESS or info.is_published()


def _frame_arrived(sink: VoiceSink, device: str, group: str, payload: bytes) -> None:
    try:
        frame = frames.decode(payload)
    except WireError as error:
        FRAMES_BAD.labels(error.reason).inc()
        return
    FRAMES_IN.inc()
    sink.frame_received(device, group, frame)


def _hand_over(sink: VoiceSink, said: _Said) -> None:
    """Raises WireError for a payload that cannot be read."""
    if said.verb == "death":
        read(Death, said.payload, said.device)
        sink.device_left(said.device)
        return
    request = read(FloorRequest, said.payload, said.device)
    sink.floor_received(said.device, request.model_dump(exclude={"device"}))
