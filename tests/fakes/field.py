"""A field for tests: the real broker on a free port, devices that say exactly what the test wants, and the core's ear."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from fakes.clock import ScriptedClock
from fakes.servers import free_port
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from prometheus_client import REGISTRY

from commhub.ports.devices import DeviceCredential
from commhub.ports.inward import DeviceBirth, DeviceTelemetry, NewReport, ReportReceipt
from commhub.ports.voice import VoiceFrame
from devices.broker import Broker
from devices.broker_files import CONTROL_USER, VOICE_USER, BrokerConfig
from devices.connection import DeviceGateway, GatewayConfig
from devices.credentials import BrokerCredentials
from devices.link import MqttAddress

TENANT = "test"
PREFIX = f"ch/v1/{TENANT}/"


@dataclass
class Field:
    """The broker, and who is welcome."""

    config: BrokerConfig
    broker: Broker
    credentials: BrokerCredentials
    hashes: dict[str, str] = field(default_factory=dict)

    def address(self, user: str) -> MqttAddress:
        """The address of one of the hub's own users, or of a device whose secret is its name."""
        secrets = {
            CONTROL_USER: self.config.control_secret,
            VOICE_USER: self.config.voice_secret,
        }
        return MqttAddress(
            host=self.config.host,
            port=self.config.port,
            user=user,
            secret=secrets.get(user, f"{user}-secret"),
        )

    async def admit(self, devices: Mapping[str, Sequence[str]]) -> None:
        """Make exactly these devices (with their groups) welcome; the secret of b7 is b7-secret."""
        for device in devices:
            self.hashes.setdefault(device, self.credentials.hash_secret(f"{device}-secret"))
        await self.credentials.publish(
            [
                DeviceCredential(
                    device_id=device, password_hash=self.hashes[device], groups=tuple(groups)
                )
                for device, groups in devices.items()
            ]
        )

    def device(self, user: str, **options: Any) -> "RawDevice":
        """A device that is not connected yet."""
        return RawDevice(self.address(user), **options)


def broker_config(folder: Path) -> BrokerConfig:
    return BrokerConfig(
        data_dir=folder / "mqtt",
        tenant=TENANT,
        control_secret="control-secret",
        voice_secret="voice-secret",
        port=free_port(),
    )


@asynccontextmanager
async def running_field(folder: Path) -> AsyncIterator[Field]:
    """The broker running as the hub runs it."""
    config = broker_config(folder)
    async with Broker(config) as broker:
        yield Field(config, broker, BrokerCredentials(config))


def refused(verb: str, reason: str) -> float:
    """How many messages were refused for that reason so far."""
    labels = {"verb": verb, "reason": reason}
    return REGISTRY.get_sample_value("commhub_devices_refused_total", labels) or 0.0


@asynccontextmanager
async def gateway_of(
    site: Field, reports: "FakeReports", presence: "FakePresence", clock: ScriptedClock
) -> AsyncIterator[DeviceGateway]:
    """A gateway that is up, with a short beat for telemetry."""
    config = GatewayConfig(address=site.address(CONTROL_USER), tenant=TENANT, coalesce_s=0.05)
    async with DeviceGateway(config, reports, presence, clock) as opened:
        async with asyncio.timeout(5):
            await opened.wait_up()
        yield opened


class RawDevice(AbstractAsyncContextManager["RawDevice"]):
    """An MQTT v5 client that says what it is told and remembers what it hears."""

    def __init__(
        self,
        address: MqttAddress,
        *,
        secret: str | None = None,
        client_id: str | None = None,
        will: Mapping[str, Any] | None = None,
        session_s: int = 0,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.refusal: str | None = None
        self.is_connected = False
        self.id = address.user
        self._address = address
        self._session_s = session_s
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or address.user,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(address.user, secret or address.secret)
        if will is not None:
            self._client.will_set(f"{self.own}up/death", json.dumps(will), 1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda c, u, m: self.heard.append(
            (m.topic.removeprefix(PREFIX), bytes(m.payload))
        )
        self._granted: dict[int, asyncio.Future[None]] = {}
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        self._publishes: dict[int, asyncio.Future[int]] = {}

    @property
    def own(self) -> str:
        return f"{PREFIX}d/{self.id}/"

    async def __aenter__(self) -> "RawDevice":
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._session_s
        self._client.connect(
            self._address.host,
            self._address.port,
            clean_start=self._session_s == 0,
            properties=properties,
        )
        self._client.loop_start()
        async with asyncio.timeout(5):
            await self._settled.wait()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def vanish(self) -> None:
        """Lose the connection without a word, so that the broker sends the will."""
        self._client.socket().close()
        await asyncio.to_thread(self._client.loop_stop)

    async def subscribe(self, *topics: str) -> None:
        """Subscribe below the tenant's prefix and wait for the SUBACK."""
        _, mid = self._client.subscribe([(PREFIX + topic, 1) for topic in topics])
        future = self._loop.create_future()
        self._granted[mid] = future
        async with asyncio.timeout(5):
            await future

    async def say(
        self, topic: str, payload: Any, *, qos: int = 1, retain: bool = False
    ) -> int | None:
        """Publish below the prefix; the reason code of the PUBACK (QoS 1)."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        mid = self._client.publish(PREFIX + topic, data, qos, retain).mid
        if qos == 0:
            return None
        future = self._loop.create_future()
        self._publishes[mid] = future
        async with asyncio.timeout(5):
            return await future

    async def up(self, verb: str, payload: Any, *, qos: int = 1, retain: bool = False) -> None:
        """Publish on one's own branch."""
        await self.say(f"d/{self.id}/up/{verb}", payload, qos=qos, retain=retain)

    def on(self, topic: str) -> list[Any]:
        """What was heard on a topic, JSON read."""
        return [json.loads(payload) for heard, payload in self.heard if heard == topic]

    @property
    def commands(self) -> list[Any]:
        return self.on(f"d/{self.id}/dn/cmd")

    def _on_connect(self, client: Any, userdata: Any, flags: Any, code: Any, props: Any) -> None:
        self.is_connected = not code.is_failure
        self.refusal = str(code) if code.is_failure else None
        self._loop.call_soon_threadsafe(self._settled.set)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, code: Any, props: Any) -> None:
        self.is_connected = False
        self._loop.call_soon_threadsafe(self._settled.set)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, codes: Any, props: Any) -> None:
        self._loop.call_soon_threadsafe(self._resolve, self._granted, mid, None)

    def _on_publish(self, client: Any, userdata: Any, mid: int, code: Any, props: Any) -> None:
        self._loop.call_soon_threadsafe(self._resolve, self._publishes, mid, code.value)

    @staticmethod
    def _resolve(waiting: dict[int, Any], mid: int, value: Any) -> None:
        if mid in waiting:
            waiting.pop(mid).set_result(value)


class FakeReports:
    """Commits reports by key. `failures` are raised first; while `gate` is closed nothing is committed."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.committed: dict[str, NewReport] = {}
        self.attempts: list[NewReport] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, report: NewReport) -> ReportReceipt:
        self.attempts.append(report)
        if self.failures:
            raise self.failures.pop(0)
        await self.gate.wait()
        repeated = report.idempotency_key in self.committed
        self.committed[report.idempotency_key] = report
        return ReportReceipt(report_id=f"report of {report.idempotency_key}", repeated=repeated)


class FakePresence:
    """Remembers what it was told, in order."""

    def __init__(self) -> None:
        self.births: list[DeviceBirth] = []
        self.deaths: list[tuple[str, str]] = []
        self.telemetry: list[DeviceTelemetry] = []
        self.answers: list[tuple[str, str, str, str | None]] = []
        self.order: list[tuple[str, str]] = []
        self.failures: list[Exception] = []

    def _note(self, verb: str, device_id: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.order.append((verb, device_id))

    async def device_born(self, birth: DeviceBirth) -> None:
        self._note("birth", birth.device_id)
        self.births.append(birth)

    async def device_died(self, device_id: str, boot_id: str, at: datetime) -> None:
        self._note("death", device_id)
        self.deaths.append((device_id, boot_id))

    async def device_reported(self, telemetry: DeviceTelemetry) -> None:
        self._note("telemetry", telemetry.device_id)
        self.telemetry.append(telemetry)

    async def command_answered(
        self, device_id: str, command_id: str, state: str, detail: str | None, at: datetime
    ) -> None:
        self._note("answer", device_id)
        self.answers.append((device_id, command_id, state, detail))

    async def phone_seen(self, account: str, online: bool, agent: str | None) -> None:
        raise AssertionError("no phone speaks MQTT")


class FakeVoiceSink:
    """The engine's ear."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, str, VoiceFrame]] = []
        self.floor: list[tuple[str, Mapping[str, object]]] = []
        self.left: list[str] = []

    def frame_received(self, device_id: str, group: str, frame: VoiceFrame) -> None:
        self.frames.append((device_id, group, frame))

    def floor_received(self, device_id: str, message: Mapping[str, object]) -> None:
        self.floor.append((device_id, message))

    def device_left(self, device_id: str) -> None:
        self.left.append(device_id)
