"""The simulated equipment of the demo: one process each, started by name, stopped by id."""

import base64
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import httpx

from commhub.kit.ids import new_secret
from commhub.wiring.demo.settle import Keys
from commhub.wiring.demo.town import (
    DEVICES,
    PHONES,
    RESPONDERS,
    TELEPHONE_TONE,
    TONES,
    FieldDevice,
    Phone,
)
from commhub.wiring.hub_process import HubError, HubProcess, free_port

STOP_WITHIN_S = 5.0
# The desk waits for the first one, and a map that moves is nicer to look at.
TELL_POSITION_EVERY_S = 1.0
VIEWER = "viewer"
CORP_ID = "wwdemo0000000000"
AGENT_ID = 1000002


class Simulator:
    """One simulator at its HTTP page. `do` raises HubError with what the page answered."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    def state(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/state", timeout=5)
        state: dict[str, Any] = answer.raise_for_status().json()
        return state

    def do(self, command: str, **arguments: object) -> Any:
        answer = httpx.post(f"{self.url}/do/{command}", json=arguments, timeout=15)
        if answer.is_error:
            raise HubError(f"{self.name}: {command}: {answer.text[:300]}")
        return answer.json()


class WeComTenant:
    """The simulated WeCom app: the hub's settings and the stand-in server's arguments agree on it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.secret = new_secret()
        self.token = new_secret(12)
        self.aes_key = base64.b64encode(os.urandom(32)).decode().rstrip("=")

    def environment(self) -> dict[str, str]:
        """The hub's settings."""
        return {
            "COMMHUB_WECOM__API_BASE": f"http://127.0.0.1:{self.port}",
            "COMMHUB_WECOM__CORP_ID": CORP_ID,
            "COMMHUB_WECOM__AGENT_ID": str(AGENT_ID),
            "COMMHUB_WECOM__SECRET": self.secret,
            "COMMHUB_WECOM__CALLBACK_TOKEN": self.token,
            "COMMHUB_WECOM__CALLBACK_AES_KEY": self.aes_key,
        }

    def arguments(self, hub: HubProcess) -> list[str]:
        """The stand-in server's command line."""
        users = [
            endpoint.removeprefix("wecom:")
            for responder in RESPONDERS
            for endpoint in responder["endpoints"]
            if endpoint.startswith("wecom:")
        ]
        return [
            *("--port", str(self.port), "--callback-url", f"{hub.url}/wecom/callback"),
            *("--corp-id", CORP_ID, "--agent-id", str(AGENT_ID), f"--secret={self.secret}"),
            # «=» keeps a value that begins with a dash from looking like an option.
            *(f"--token={self.token}", f"--aes-key={self.aes_key}", "--users", ",".join(users)),
        ]


class TelephoneAccount:
    """The simulated Twilio account: the hub's settings and the stand-in server's arguments agree on it."""

    number = "+15550100100"

    def __init__(self) -> None:
        self.port = free_port()
        self.sid = "AC" + os.urandom(16).hex()
        self.token = new_secret()

    def environment(self) -> dict[str, str]:
        """The hub's settings. Whoever dials our number reaches the desk's phone."""
        return {
            "COMMHUB_TWILIO__API_BASE": f"http://127.0.0.1:{self.port}",
            "COMMHUB_TWILIO__ACCOUNT_SID": self.sid,
            "COMMHUB_TWILIO__AUTH_TOKEN": self.token,
            "COMMHUB_TWILIO__NUMBER": self.number,
            "COMMHUB_TWILIO__ALLOWED_PREFIXES": '["+86"]',
            "COMMHUB_TWILIO__INBOUND": f'{{"{self.number}": "{PHONES[0].name}"}}',
        }

    def arguments(self, hub: HubProcess) -> list[str]:
        """The stand-in server's command line."""
        return [
            *("--port", str(self.port), "--hub", hub.url, "--number", self.number),
            *("--account-sid", self.sid, f"--auth-token={self.token}"),
            *("--tone", f"{TELEPHONE_TONE:g}", "--listen", _listen()),
        ]


class Equipment:
    """All simulators of the town. Starting returns at once; `wait_online` when all of them are there."""

    def __init__(
        self, hub: HubProcess, keys: Keys, tenant: WeComTenant, telephone: TelephoneAccount
    ) -> None:
        self._hub = hub
        self._keys = keys
        self._tenant = tenant
        self._telephone = telephone
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.simulators: dict[str, Simulator] = {}

    def start_networks(self) -> None:
        """WeCom and the telephone network are there whether the hub is or not."""
        self._run("wecom", "simulators.wecom", self._tenant.port, self._tenant.arguments(self._hub))
        telephone = self._telephone
        self._run("telephone", "simulators.twilio", telephone.port, telephone.arguments(self._hub))

    def start_field(self) -> None:
        """Phones, radios and cameras, once their accounts are in `keys`."""
        for phone in PHONES:
            self.start_phone(phone, self._hub, self._keys)
        for device in DEVICES:
            self._start_device(device)
        http = free_port()
        self._run(VIEWER, "simulators.viewer", http, ["--http-port", str(http)])

    def start_phone(self, phone: Phone, hub: HubProcess, keys: Keys) -> None:
        """A phone of that hub, whose account is in its `keys`."""
        http, rtp = free_port(), free_port(socket.SOCK_DGRAM)
        arguments = [
            *("--user", phone.name, f"--password={keys.phones[phone.name]}"),
            *("--server", f"127.0.0.1:{hub.port('sip')}"),
            *("--sip-port", str(free_port(socket.SOCK_DGRAM))),
            *("--rtp-low", str(rtp), "--rtp-high", str(rtp + 20)),
            *("--tone", f"{phone.tone:g}", "--listen", _listen(), "--http-port", str(http)),
        ]
        self._run(f"phone-{phone.name}", "simulators.phone", http, arguments)

    def _start_device(self, device: FieldDevice) -> None:
        http = free_port()
        arguments = [
            *("--id", device.id, f"--secret={self._keys.devices[device.id]}"),
            *("--mqtt-host", "127.0.0.1", "--mqtt-port", str(self._hub.port("mqtt"))),
            *("--http-port", str(http), "--lat", str(device.lat), "--lon", str(device.lon)),
            *("--every", f"{TELL_POSITION_EVERY_S:g}"),
        ]
        if device.kind == "bodycam":
            arguments += ["--tone", f"{device.tone:.0f}"]
        if device.group is not None:
            arguments += [
                "--group",
                device.group,
                "--tone",
                f"{device.tone:g}",
                "--listen",
                _listen(),
            ]
        self._run(f"{device.kind}-{device.id}", f"simulators.{device.kind}", http, arguments)

    def _run(self, name: str, module: str, port: int, arguments: list[str]) -> None:
        log = (self._hub.folder / f"{name}.log").open("ab")
        with log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", module, *arguments],
                stdout=log,
                stderr=log,
                cwd=self._hub.folder,
            )
        self.simulators[name] = Simulator(name, f"http://127.0.0.1:{port}")

    def wait_online(self, within_s: float = 60.0) -> None:
        """Return when every page answers and says it is registered or connected. Raises HubError."""
        deadline = time.monotonic() + within_s
        for name, simulator in self.simulators.items():
            while not is_online(simulator):
                if time.monotonic() > deadline or self._processes[name].poll() is not None:
                    said = (self._hub.folder / f"{name}.log").read_text(errors="replace")[-1500:]
                    raise HubError(f"{name} did not come up; its log ends:\n{said}")
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop them all and wait for their end."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def is_online(simulator: Simulator) -> bool:
    """Whether the simulator answers and has found the hub."""
    with suppress(httpx.HTTPError):
        state = simulator.state()
        return bool(state.get("registered", state.get("connected", True)))
    return False


def _listen() -> str:
    return ",".join(f"{tone:g}" for tone in TONES)
