"""One connection to the broker on paho's own network thread, with the loop's side of it in asyncio.

paho on its own thread costs a fifth of what an asyncio wrapper does, so the thread stays and only what it found
crosses over: in batches for control (`Inbox`), not at all for voice frames, which are handled where they arrive.

Whoever reconnects is we, not paho: with jitter, and so that nothing but the network thread ever writes to the socket
(paho writes from the caller's thread while its own is not running, which is why nothing is published then).
"""

import asyncio
import math
import random
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Generic, TypeVar

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from commhub.domain.errors import UnavailableError
from devices.metrics import CONNECTED, RECONNECTIONS

log = structlog.get_logger(__name__)

CONNECT_WITHIN_S = 5.0
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 10.0
KEEPALIVE_S = 15
# MQTT 5.0 §2.4: the broker took the message, and nobody is there to get it.
_NO_SUBSCRIBER = 0x10
_REFUSED_FROM = 0x80

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttAddress:
    """Where the broker is and who we are to it. `authority`: the PEM file that proves the broker (TLS is on)."""

    host: str
    port: int
    user: str
    secret: str
    authority: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the broker keeps for us. None of it exists in MQTT 3.1.1 with a clean session (`version_5` False).

    `expiry_s`: how long it queues for us while we are away. `receive_maximum`: unacknowledged messages at once.
    """

    version_5: bool = True
    expiry_s: int = 0
    receive_maximum: int = 1000
    manual_ack: bool = False


class Inbox(Generic[T]):
    """Hands what the network thread found to the loop, as many at once as there are."""

    def __init__(self, deliver: Callable[[Sequence[T]], None], limit: int) -> None:
        self._deliver = deliver
        self._limit = limit
        self._waiting: deque[T] = deque()
        self._lock = Lock()
        self._called = False
        self._loop = asyncio.get_running_loop()

    def put(self, item: T, *, droppable: bool) -> bool:
        """Called on the network thread. False: over the bound, so a droppable item was dropped."""
        with self._lock:
            if droppable and len(self._waiting) >= self._limit:
                return False
            self._waiting.append(item)
            if self._called:
                return True
            self._called = True
        self._loop.call_soon_threadsafe(self._drain)
        return True

    def _drain(self) -> None:
        with self._lock:
            batch = tuple(self._waiting)
            self._waiting.clear()
            self._called = False
        self._deliver(batch)


class Link(AbstractAsyncContextManager["Link"]):
    """Keeps connected while the context is open; entering does not wait for the broker.

    `on_message` and `on_sent` run on the network thread, `on_change` (up or down) on the loop.
    """

    def __init__(
        self,
        name: str,
        address: MqttAddress,
        subscriptions: Sequence[tuple[str, int]],
        *,
        session: Session,
        on_message: Callable[[mqtt.MQTTMessage], None],
        on_change: Callable[[bool], None],
        on_sent: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._address = address
        self._subscriptions = subscriptions
        self._session = session
        self._on_message = on_message
        self._on_change = on_change
        self._on_sent = on_sent
        self._client = self._new_client()
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._acknowledged: dict[int, asyncio.Future[ReasonCode]] = {}
        self._open = False
        # Packet ids belong to one connection: an id of the last one would acknowledge another message.
        self.generation = 0

    @property
    def is_up(self) -> bool:
        """Connected and subscribed to everything."""
        return self._ready.is_set()

    async def wait_up(self) -> None:
        """Return as soon as the link is up."""
        await self._ready.wait()

    async def __aenter__(self) -> "Link":
        self._keeper = asyncio.create_task(self._keep_connected(), name=f"mqtt-{self._name}")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not cancelled: an attempt to connect that is under way in its thread must end before we do.
        self._stopping.set()
        self._lost.set()
        if self._keeper is not None:
            await self._keeper

    def acknowledge(self, mid: int, generation: int) -> None:
        """Send PUBACK for a QoS 1 message of that connection; a later connection gets the message again anyway.

        Not in the order of arrival, which [MQTT-4.6.0-2] asks for: one message that cannot be committed would hold
        up everybody's. mosquitto and the others match by packet id.
        """
        if self._open and generation == self.generation:
            self._client.ack(mid, 1)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> mqtt.MQTTMessageInfo:
        """Hand the message to the network thread. Raises UnavailableError while not connected; a connection that
        breaks just now costs a QoS 0 message, while one of QoS 1 goes out with the next connection."""
        if not self._open:
            raise UnavailableError("the device broker is not reachable")
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc not in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN):
            raise UnavailableError(f"the message cannot be sent: {mqtt.error_string(info.rc)}")
        return info

    async def publish_acknowledged(
        self, topic: str, payload: bytes, *, expiry_s: float | None, within_s: float
    ) -> None:
        """Publish with QoS 1 and wait for the broker's PUBACK. Raises UnavailableError, also when the broker has
        nobody to keep the message for. After a time-out the message may still arrive."""
        mid = self.publish(topic, payload, qos=1, properties=expiring(expiry_s)).mid
        future: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._acknowledged[mid] = future
        try:
            async with asyncio.timeout(within_s):
                code = await future
        except TimeoutError as error:
            raise UnavailableError("the device broker does not answer") from error
        finally:
            self._acknowledged.pop(mid, None)
        if code.value == _NO_SUBSCRIBER:
            raise UnavailableError("the device is away and the broker keeps nothing for it")
        if code.value >= _REFUSED_FROM:
            raise UnavailableError(f"the device broker refused the message: {code}")

    def _new_client(self) -> mqtt.Client:
        session = self._session
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._address.user,
            clean_session=None if session.version_5 else True,
            protocol=mqtt.MQTTv5 if session.version_5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=session.manual_ack,
        )
        client.username_pw_set(self._address.user, self._address.secret)
        if self._address.authority is not None:
            client.tls_set(ca_certs=str(self._address.authority))
        client.connect_timeout = CONNECT_WITHIN_S
        client.max_inflight_messages_set(session.receive_maximum)
        client.on_socket_open = _send_at_once
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_publish = self._published
        return client

    # --- on the loop -------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        delay = FIRST_DELAY_S
        while not self._stopping.is_set():
            self._lost.clear()
            if await asyncio.to_thread(self._connect):
                self._client.loop_start()
                await self._lost.wait()
                if self.is_up:
                    delay = FIRST_DELAY_S
                await asyncio.to_thread(self._disconnect)
                self._went_down()
            try:
                async with asyncio.timeout(delay * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter
                    await self._stopping.wait()
            except TimeoutError:
                delay = min(delay * 2, MAX_DELAY_S)

    def _went_up(self) -> None:
        log.info("mqtt_connected", connection=self._name)
        CONNECTED.labels(self._name).set(1)
        self._ready.set()
        self._on_change(True)

    def _went_down(self) -> None:
        if not self.is_up:
            return
        self._ready.clear()
        CONNECTED.labels(self._name).set(0)
        if not self._stopping.is_set():
            RECONNECTIONS.labels(self._name).inc()
            log.warning("mqtt_connection_lost", connection=self._name)
        self._on_change(False)

    def _settle(self, mid: int, code: ReasonCode) -> None:
        future = self._acknowledged.get(mid)
        if future is not None and not future.done():
            future.set_result(code)

    # --- in a worker thread ------------------------------------------------------------------------------

    def _connect(self) -> bool:
        address = self._address
        try:
            if self._session.version_5:
                properties = _properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = self._session.expiry_s
                properties.ReceiveMaximum = self._session.receive_maximum
                self._client.connect(
                    address.host,
                    address.port,
                    KEEPALIVE_S,
                    clean_start=self._session.expiry_s == 0,
                    properties=properties,
                )
            else:
                self._client.connect(address.host, address.port, KEEPALIVE_S)
        except OSError as error:
            log.warning("mqtt_unreachable", connection=self._name, reason=str(error))
            return False
        return True

    def _disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # --- on the network thread ---------------------------------------------------------------------------

    def _connected(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del userdata, flags, properties
        if code.is_failure:
            log.error("mqtt_refused", connection=self._name, reason=str(code))
            return
        self.generation += 1
        self._open = True
        client.subscribe(list(self._subscriptions))

    def _subscribed(
        self,
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        codes: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        del client, userdata, mid, properties
        refused = [str(code) for code in codes if code.is_failure]
        if refused:
            log.error("mqtt_subscription_refused", connection=self._name, reasons=refused)
            return
        self._loop.call_soon_threadsafe(self._went_up)

    def _disconnected(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, flags, code, properties
        self._open = False
        self._loop.call_soon_threadsafe(self._lost.set)

    def _received(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        try:
            self._on_message(message)
        except (
            Exception
        ):  # an error here would end the network thread, and with it everybody's messages
            log.exception("mqtt_message_failed", connection=self._name)

    def _published(
        self,
        client: mqtt.Client,
        userdata: Any,
        mid: int,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, properties
        if self._on_sent is not None:
            self._on_sent()
        if self._acknowledged:
            self._loop.call_soon_threadsafe(self._settle, mid, code)


def expiring(after_s: float | None) -> Properties | None:
    """PUBLISH properties that let the broker drop the message after that many seconds."""
    if after_s is None:
        return None
    properties = _properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = max(1, math.ceil(after_s))
    return properties


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves this one untyped


def _send_at_once(_client: object, _data: object, sock: Any) -> None:
    """A word of speech leaves at once: small messages must not wait for the acknowledgement of the one before
    (RFC 896), which a peer may hold back for 40 ms."""
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
