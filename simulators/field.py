"""What every simulated field device shares: its MQTT connection with birth, last will and reconnection.

It follows the device's side of the protocol as a real one would: the birth is retained and said again after every
reconnection, the will of the last connection is taken away then, commands wait at the broker while it is away.
"""

import asyncio
import json
import socket
import time
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

Heard = Callable[[str, bytes], None]

SESSION_S = 3600
KEEPALIVE_S = 10


def base_parser(description: str) -> ArgumentParser:
    """The options every field device has."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--id", required=True, help="the device's id, which is its MQTT user")
    parser.add_argument("--secret", required=True, help="what POST fleet answered")
    parser.add_argument("--mqtt-host", default="127.0.0.1")
    parser.add_argument("--mqtt-port", type=int, default=1883)
    parser.add_argument("--tenant", default="default")
    parser.add_argument("--http-host", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, required=True, help="where the page is served")
    return parser


class FieldDevice(AbstractAsyncContextManager["FieldDevice"]):
    """A device on the air while the context is open. `heard` gets (topic below the prefix, payload) on the loop;
    `lost` is called there when the connection breaks."""

    def __init__(
        self,
        options: Namespace,
        birth: Mapping[str, Any],
        *,
        listens_to: Sequence[tuple[str, int]],
        heard: Heard,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.id: str = options.id
        self.boot = uuid.uuid4().hex
        self.is_connected = False
        self.connections = 0
        self._address = (options.mqtt_host, options.mqtt_port)
        self._prefix = f"ch/v1/{options.tenant}/"
        self._own = f"d/{options.id}/"
        self._birth = {"boot": self.boot, **birth}
        self._listens_to = [(f"{self._own}dn/cmd", 1), *listens_to]
        self._heard = heard
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=options.id, protocol=mqtt.MQTTv5
        )
        self._client.username_pw_set(options.id, options.secret)
        will = json.dumps({"boot": self.boot})
        self._client.will_set(self._topic("up/death"), will, qos=1, retain=True)
        self._client.reconnect_delay_set(1, 5)
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received

    async def __aenter__(self) -> "FieldDevice":
        properties = _session(SESSION_S)
        self._client.connect_async(
            *self._address, KEEPALIVE_S, clean_start=False, properties=properties
        )
        self._client.loop_start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Switched off in order: nobody sends the will then, so the device says its death itself.
        self.say("death", {"boot": self.boot}, retain=True)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def say(
        self, verb: str, payload: Mapping[str, Any], *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish JSON below the device's own `up/`."""
        self._client.publish(self._topic(f"up/{verb}"), json.dumps(payload), qos, retain)

    def say_bytes(self, verb: str, payload: bytes) -> None:
        """Publish bytes below the device's own `up/`, at most once."""
        self._client.publish(self._topic(f"up/{verb}"), payload, 0)

    def _topic(self, verb: str) -> str:
        return f"{self._prefix}{self._own}{verb}"

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
            return
        client.subscribe([(self._prefix + topic, qos) for topic, qos in self._listens_to])
        client.publish(self._topic("up/death"), b"", 1, retain=True)
        client.publish(self._topic("up/birth"), json.dumps(self._birth), 1, retain=True)
        self._loop.call_soon_threadsafe(self._went, True)

    def _disconnected(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, flags, code, properties
        self._loop.call_soon_threadsafe(self._went, False)

    def _received(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        topic = message.topic.removeprefix(self._prefix)
        self._loop.call_soon_threadsafe(self._heard, topic, bytes(message.payload))

    # --- on the loop -------------------------------------------------------------------------------------

    def _went(self, up: bool) -> None:
        if up:
            self.connections += 1
        elif self.is_connected:
            self._lost()
        self.is_connected = up


class Commands:
    """The commands a device got, and its answers: delivered at once, then read, then done. One that takes its time or may
    fail is in `work`, by its op: what that raises is told as the detail of `failed`."""

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], None],
        work: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[None]]] | None = None,
    ) -> None:
        self._answer = answer
        self._work = work or {}
        self._working: set[asyncio.Task[None]] = set()
        self.seen: dict[str, dict[str, Any]] = {}

    def take(self, command: Mapping[str, Any]) -> bool:
        """Carry the command out; False when it came before or came too late."""
        command_id = str(command["id"])
        if command_id in self.seen:
            return False
        expires = command.get("exp")
        if expires is not None and expires < time.time():
            return False
        args = {key: "…" if key == "token" else value for key, value in _args_of(command).items()}
        self.seen[command_id] = {"op": command["op"], "args": args}
        for state in ("delivered", "read"):
            self._say(command_id, state)
        work = self._work.get(command["op"])
        if work is None:
            self._say(command_id, "done")
        else:
            task = asyncio.create_task(self._do(command_id, work(_args_of(command))))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return True

    async def _do(self, command_id: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it was, the hub is to be told
            self._say(command_id, "failed", str(error)[:500] or type(error).__name__)
        else:
            self._say(command_id, "done")

    def _say(self, command_id: str, state: str, detail: str | None = None) -> None:
        self.seen[command_id]["state"] = state
        if detail is not None:
            self.seen[command_id]["detail"] = detail
        self._answer({"id": command_id, "state": state, **({"detail": detail} if detail else {})})


def _args_of(command: Mapping[str, Any]) -> Mapping[str, Any]:
    args: Mapping[str, Any] = command.get("args") or {}
    return args


async def together(*work: Awaitable[None]) -> None:
    """Run until the first ends (the page, when it is told to stop), then end the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def _session(seconds: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.SessionExpiryInterval = seconds
    return properties


def _send_at_once(_client: object, _data: object, sock: Any) -> None:
    """A word of speech leaves at once: small messages must not wait for the acknowledgement of the one before
    (RFC 896), which a peer may hold back for 40 ms."""
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
