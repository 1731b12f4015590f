"""A whole hub as a child process in a folder of its own: the demo, the tests and the benchmarks start one."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

import httpx

_PORTS = (10_000, 19_999)
# Three hubs that start at once beside the tests of others on two cores take a minute.
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 15.0
# Of the 200 ranges of media ports, as far apart as three can be: the next ones are those of the next process ids.
_APART = 67


class HubError(Exception):
    """The hub did not come up; the message ends with what it said."""


def free_port(*kinds: socket.SocketKind) -> int:
    """A port nobody has at this moment, for TCP or for all the `kinds`, below those the kernel gives to outgoing connections, which would
    otherwise often be faster than the program it is meant for."""
    for _ in range(1000):
        port = random.randint(*_PORTS)  # noqa: S311 - any will do
        if all(_is_free(port, kind) for kind in kinds or (socket.SOCK_STREAM,)):
            return port
    raise HubError("no free port")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


class HubProcess:
    """`commhub up` with data under `folder`, on ports nobody has unless `environment` names them. Hubs of one process that run
    at the same time have a `place` each, 0 to 2."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, place: int = 0
    ) -> None:
        self.folder = folder
        self.log = folder / "hub.log"
        rtp = 20_000 + (os.getpid() + place * _APART) % 200 * 200
        self.environment = {
            **os.environ,
            "COMMHUB_DATA_DIR": str(folder),
            "COMMHUB_HTTP__PORT": str(free_port()),
            "COMMHUB_SIP__PORT": str(free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)),
            "COMMHUB_SIP__TLS_PORT": str(free_port()),
            "COMMHUB_MQTT__PORT": str(free_port()),
            "COMMHUB_MEDIA__FIRST_PORT": str(rtp),
            "COMMHUB_MEDIA__LAST_PORT": str(rtp + 199),
            **(environment or {}),
        }
        # A configuration file of the caller's directory is not meant for this hub.
        self.environment.pop("COMMHUB_CONFIG", None)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        host = self.environment.get("COMMHUB_HTTP__HOST", "127.0.0.1")
        if ip_address(host).is_unspecified:
            host = "127.0.0.1"
        return f"http://{host}:{self.environment['COMMHUB_HTTP__PORT']}"

    def port(self, part: str) -> int:
        """The port of `http`, `sip` or `mqtt`."""
        return int(self.environment[f"COMMHUB_{part.upper()}__PORT"])

    def pid_of(self, part: str) -> int:
        """The process id of `control`, `worker` (the first; `worker-w1` the second), `broker` or their parent `up`
        just now. Raises OSError between two lives."""
        if part == "up" and self._process is not None:
            return self._process.pid
        if part == "worker":
            part = "worker-w0"
        return int((self.folder / "run" / f"{part}.pid").read_text())

    def kill(self, part: str) -> None:
        """kill -9 one part; the parent starts it again, if it is not the parent itself."""
        os.kill(self.pid_of(part), signal.SIGKILL)

    def start(self) -> None:
        """Start and return at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "commhub", "up"],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Return when the hub answers that it is ready. Raises HubError with the end of its log."""
        deadline = time.monotonic() + within_s
        last = "no answer"
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            with suppress(httpx.HTTPError):
                answer = httpx.get(f"{self.url}/readyz", timeout=2)
                if answer.status_code == httpx.codes.OK:
                    return
                last = answer.text
            time.sleep(0.05)
        raise HubError(f"the hub is not ready ({last}); its log ends:\n{self.log_tail()}")

    def log_tail(self, characters: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def stop(self) -> None:
        """Stop the hub and wait for its end."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> "HubProcess":
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
