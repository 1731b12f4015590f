"""The control connection: births, deaths, telemetry, alarms and answers in, commands out. MQTT v5, QoS 1.

What a device says counts as received only when the core has committed it: the broker gets its PUBACK then, and for
an SOS the device its own acknowledgement. The session is kept at the broker under a stable client id, so whatever a
crash interrupts is delivered again, and the core's idempotency keys make it one.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from types import TracebackType

import structlog
from paho.mqtt.client import MQTTMessage

from commhub.domain.errors import InvalidError
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import run_forever
from commhub.ports.devices import CommandOrder
from commhub.ports.inward import PresenceIn, ReportsIn
from devices.alarms import Alarms
from devices.broker_files import MAX_PACKET_BYTES
from devices.errors import WireError
from devices.lanes import Lanes
from devices.link import Inbox, Link, MqttAddress, Session
from devices.metrics import FLOODED, RECEIVED, REFUSED, RETRIED
from devices.payloads import describe
from devices.presence import Presence
from devices.topics import DeviceTopic, SensorTopic, Topics, UpTopic

log = structlog.get_logger(__name__)

COMMAND_WITHIN_S = 5.0
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 10.0
# A presence or answer that cannot be stored is given up after this many attempts: the next one says it again. A
# report is tried for ever.
PRESENCE_ATTEMPTS = 6
LANE_LIMIT = 64
INBOX_LIMIT = 20_000
# Room for the members around `args`.
MAX_ARGS_BYTES = MAX_PACKET_BYTES - 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """`session_s`: how long the broker keeps what devices say while control is away. `coalesce_s`: a device's
    telemetry reaches the core at most this often, the newest."""

    address: MqttAddress
    tenant: str
    session_s: int = 3 * 86_400
    coalesce_s: float = 1.0


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A message with what its acknowledgement needs."""

    topic: str
    payload: bytes
    retained: bool
    qos: int
    mid: int
    generation: int


@dataclass(frozen=True, slots=True)
class _Job:
    """A message in its lane; None: the telemetry that has gathered for the device."""

    topic: UpTopic
    arrived: _Arrived | None


class DeviceGateway(AbstractAsyncContextManager["DeviceGateway"]):
    """Implements `commhub.ports.devices.DeviceControl` while the context is open.

    Make it on the loop it will live on. Entering does not wait for the broker: the hub works without its devices, and `on_status` says when they come.
    """

    def __init__(
        self,
        config: GatewayConfig,
        reports: ReportsIn,
        presence: PresenceIn,
        clock: Clock,
        on_status: Callable[[bool], None] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._topics = Topics(config.tenant)
        self._presence = Presence(presence, clock)
        self._alarms = Alarms(reports, self._presence.boot_of, self._tell)
        self._on_status = on_status
        self._lanes: Lanes[_Job] = Lanes("field", self._work, LANE_LIMIT)
        self._stack = AsyncExitStack()
        self._gathered = asyncio.Event()
        self._inbox: Inbox[_Arrived] = Inbox(self._take, INBOX_LIMIT)
        every = self._topics.every
        self._link = Link(
            "control",
            config.address,
            [
                *((every(f"d/+/up/{verb}"), 1) for verb in ("birth", "death", "sos", "rsp")),
                (every("d/+/up/tele"), 0),
                (every("s/+/up/alarm"), 1),
            ],
            session=Session(expiry_s=config.session_s, manual_ack=True),
            on_message=self._arrive,
            on_change=self._changed,
        )

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected and everything subscribed."""
        return self._link.is_up

    async def wait_up(self) -> None:
        """Return as soon as the gateway is up."""
        await self._link.wait_up()

    async def __aenter__(self) -> "DeviceGateway":
        # Left in this order reversed: first no more messages, then no more work, never an acknowledgement too many.
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._lanes)
            flush = asyncio.create_task(
                run_forever("telemetry", self._flush_telemetry), name="telemetry"
            )
            stack.push_async_callback(_cancel, flush)
            await stack.enter_async_context(self._link)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def command(self, order: CommandOrder) -> None:
        """Queue the command with the broker. Raises UnavailableError, InvalidError for what cannot be sent."""
        left_s = None
        payload: dict[str, object] = {"id": order.id, "op": order.op, "args": dict(order.args)}
        if order.expires_at is not None:
            left_s = (order.expires_at - self._clock.now()).total_seconds()
            if left_s <= 0:
                raise InvalidError("the command has expired already")
            payload["exp"] = int(order.expires_at.timestamp())
        try:
            topic = self._topics.down(order.device_id, "cmd")
            data = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
        except (WireError, ValueError, TypeError) as error:
            raise InvalidError(f"the command cannot be sent: {error}") from error
        if len(data) > MAX_ARGS_BYTES:
            raise InvalidError(f"a command has at most {MAX_ARGS_BYTES} bytes")
        await self._link.publish_acknowledged(
            topic, data, expiry_s=left_s, within_s=COMMAND_WITHIN_S
        )

    # --- in ----------------------------------------------------------------------------------------------

    def _arrive(self, message: MQTTMessage) -> None:
        """On the network thread."""
        arrived = _Arrived(
            message.topic,
            bytes(message.payload),
            message.retain,
            message.qos,
            message.mid,
            self._link.generation,
        )
        # QoS 1 is bounded by what the broker may have unacknowledged with us.
        if not self._inbox.put(arrived, droppable=message.qos == 0):
            FLOODED.inc()

    def _changed(self, up: bool) -> None:
        if self._on_status is not None:
            self._on_status(up)

    def _take(self, batch: Sequence[_Arrived]) -> None:
        for arrived in batch:
            try:
                topic = self._topics.parse(arrived.topic)
            except WireError as error:
                _refuse("unknown", "unknown", error)
                self._acknowledge(arrived)
                continue
            RECEIVED.labels(topic.verb).inc()
            match topic:
                case DeviceTopic(device, "tele"):
                    self._gather(device, arrived)
                case DeviceTopic(device):
                    if topic.verb == "death":
                        self._queue_telemetry(device)
                    self._queue(device, _Job(topic, arrived))
                case SensorTopic(sensor):
                    self._queue(f"s/{sensor}", _Job(topic, arrived))

    def _queue(self, lane: str, job: _Job) -> None:
        if not self._lanes.put(lane, job):
            FLOODED.inc()
            log.warning("device_flooded", sender=lane, verb=job.topic.verb)
            self._acknowledge(job.arrived)

    def _gather(self, device: str, arrived: _Arrived) -> None:
        try:
            self._presence.gather(device, arrived.payload)
        except WireError as error:
            _refuse(device, "tele", error)
        else:
            self._gathered.set()

    def _queue_telemetry(self, device: str) -> None:
        if self._presence.has_gathered(device):
            self._queue(device, _Job(DeviceTopic(device, "tele"), None))

    async def _flush_telemetry(self) -> None:
        while True:
            await self._gathered.wait()
            await asyncio.sleep(self._config.coalesce_s)
            self._gathered.clear()
            for device in self._presence.gathered_devices():
                self._queue_telemetry(device)

    async def _work(self, lane: str, job: _Job) -> None:
        """Handle one message until it is committed or refused, and acknowledge it only then."""
        try:
            if await self._handle_until_done(lane, job):
                self._acknowledge(job.arrived)
        except WireError as error:
            _refuse(lane, job.topic.verb, error)
            self._acknowledge(job.arrived)

    async def _handle_until_done(self, lane: str, job: _Job) -> bool:
        delay, attempt = FIRST_RETRY_S, 0
        is_report = job.topic.verb in ("sos", "alarm")
        while True:
            attempt += 1
            try:
                await self._handle(job)
            except WireError:
                raise
            except Exception:  # supervisor: whatever the core failed with, this message is not lost
                RETRIED.labels(job.topic.verb).inc()
                log.exception(
                    "device_message_failed", sender=lane, verb=job.topic.verb, attempt=attempt
                )
            else:
                return True
            if not is_report and attempt >= PRESENCE_ATTEMPTS:
                return True
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_RETRY_S)

    async def _handle(self, job: _Job) -> None:
        arrived = job.arrived
        match job.topic:
            case DeviceTopic(device, "tele"):
                await self._presence.flush(device)
            case DeviceTopic(device, "birth") if arrived is not None:
                await self._presence.born(device, arrived.payload, retained=arrived.retained)
            case DeviceTopic(device, "death") if arrived is not None:
                await self._presence.died(device, arrived.payload)
            case DeviceTopic(device, "rsp") if arrived is not None:
                await self._presence.answered(device, arrived.payload)
            case DeviceTopic(device, "sos") if arrived is not None:
                await self._alarms.sos(device, arrived.payload)
            case SensorTopic(sensor, "alarm") if arrived is not None:
                await self._alarms.sensor(sensor, arrived.payload)

    def _acknowledge(self, arrived: _Arrived | None) -> None:
        if arrived is not None and arrived.qos:
            self._link.acknowledge(arrived.mid, arrived.generation)

    # --- out ---------------------------------------------------------------------------------------------

    async def _tell(self, device: str, op: str, args: dict[str, object], expiry_s: float) -> None:
        """Send a command nobody waits for. Raises UnavailableError."""
        data = json.dumps({"id": new_id(), "op": op, "args": args}, ensure_ascii=False).encode()
        await self._link.publish_acknowledged(
            self._topics.down(device, "cmd"), data, expiry_s=expiry_s, within_s=COMMAND_WITHIN_S
        )


def _refuse(sender: str, verb: str, error: WireError) -> None:
    REFUSED.labels(verb, error.reason).inc()
    log.warning("device_message_refused", sender=sender, verb=verb, **describe(error))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
