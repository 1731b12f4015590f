"""The peer beside us: Janus' AudioBridge with plain RTP participants, one room a call, driven by its WebSocket API.

Janus is given its cheapest shape for G.711: rooms at 8 kHz, no audio-level extension, no events to the others, no
other plugin loaded, and a prebuffering of one packet, which is our playout depth.
"""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from benchmarks.audio.load import Load
from benchmarks.audio.used import Used, cpu_of
from commhub.ports.media import RtpAddress

_FOLDERS = ("/usr/lib/x86_64-linux-gnu/janus", "/usr/lib/aarch64-linux-gnu/janus", "/usr/lib/janus")
_READY_S = 10.0
_FIRST_PORT = 36_000
_ROOM = "janus.plugin.audiobridge"


def found() -> str | None:
    """Where Janus' modules are; None where it is not installed."""
    if shutil.which("janus") is None:
        return None
    return next((folder for folder in _FOLDERS if Path(folder).is_dir()), None)


class Janus:
    """A Janus of our own on `core`, for as long as the context is open."""

    name = "janus"

    def __init__(self, core: int) -> None:
        self._core = core
        self._folder = TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None
        self._api: JanusApi | None = None

    def __enter__(self) -> Self:
        modules = found()
        assert modules is not None, "janus is not installed (apt-get install janus)"
        port = free_port()
        _configure(Path(self._folder.name), modules, port)
        self._process = subprocess.Popen(
            ["taskset", "-c", str(self._core), "janus", "-F", self._folder.name, "-N"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._api = JanusApi(dial(port), _ROOM)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._api is not None:
            self._api.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()

    def connect(self, load: Load) -> list[RtpAddress]:
        """A room a call and a plain RTP participant a leg; returns where each leg sends to."""
        api = self._api
        assert api is not None
        goals = []
        for leg in range(load.legs):
            call = leg // load.party
            if leg % load.party == 0:
                api.create_room(call + 1)
            goals.append(api.join(call + 1, load.address(leg)))
        return goals

    def used(self) -> Used:
        """What its process has used so far; it counts nothing that it tells."""
        process = self._process
        assert process is not None
        assert process.poll() is None, "janus died"
        user_s, system_s = cpu_of(process.pid)
        return Used(time.monotonic(), user_s, system_s, {})

    def sleep(self, seconds: float) -> None:
        """Let the measured time pass."""
        assert not threading.Event().wait(seconds)


class JanusApi:
    """Janus' JSON over a WebSocket: one session, one handle a participant. Used by one thread at a time."""

    def __init__(self, socket_: ClientConnection, plugin: str) -> None:
        self._socket = socket_
        self._plugin = plugin
        self._turn = threading.Lock()
        self._numbers = iter(range(1, 1 << 30))
        self._session = self._ask({"janus": "create"})["data"]["id"]
        self.handle = self.attach()
        """For what concerns no participant."""

    def close(self) -> None:
        self._socket.close()

    def create_room(self, room: int) -> None:
        self._message(
            self.handle,
            {
                "request": "create",
                "room": room,
                "sampling_rate": 8000,
                "audiolevel_ext": False,
                "audiolevel_event": False,
                "default_prebuffering": 1,
                "allow_rtp_participants": True,
            },
        )

    def join(self, room: int, address: RtpAddress) -> RtpAddress:
        rtp = {"ip": address.host, "port": address.port, "payload_type": 0}
        answer = self._message(
            self.attach(), {"request": "join", "room": room, "codec": "pcmu", "rtp": rtp}
        )
        return RtpAddress("127.0.0.1", int(answer["rtp"]["port"]))

    def attach(self) -> int:
        asked = {"janus": "attach", "plugin": self._plugin, "session_id": self._session}
        return int(self._ask(asked)["data"]["id"])

    def event(
        self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """What the plugin answers to a message, with its description if it has one."""
        asked = {
            "janus": "message",
            "session_id": self._session,
            "handle_id": handle,
            "body": body,
            **({} if jsep is None else {"jsep": jsep}),
        }
        answer = self._ask(asked)
        data = answer["plugindata"]["data"]
        assert "error" not in data, f"janus: {data['error']}"
        return answer

    def _message(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = self.event(handle, body)["plugindata"]["data"]
        return data

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        with self._turn:
            transaction = str(next(self._numbers))
            self._socket.send(json.dumps({**message, "transaction": transaction}))
            for answer in self._answers(transaction):
                if answer["janus"] != "ack":
                    assert answer["janus"] != "error", f"janus: {answer}"
                    return answer
        raise AssertionError("janus closed its connection")

    def _answers(self, transaction: str) -> Iterator[dict[str, Any]]:
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv(timeout=10))
            if answer.get("transaction") == transaction:
                yield answer


def _configure(folder: Path, modules: str, port: int) -> None:
    configure(folder, modules, port, "audiobridge")
    (folder / "janus.plugin.audiobridge.jcfg").write_text(
        f'general: {{ rtp_port_range = "{_FIRST_PORT}-40000" local_ip = "127.0.0.1" events = false }}\n'
    )


def configure(
    folder: Path, modules: str, port: int, plugin: str, general: str = "", nat: str = ""
) -> None:
    """Write the files of a Janus with that one plugin, its WebSocket API on `port`, and nothing else."""
    (folder / "janus.jcfg").write_text(
        f"""general: {{ configs_folder = "{folder}" plugins_folder = "{modules}/plugins"
transports_folder = "{modules}/transports" events_folder = "{modules}/events"
loggers_folder = "{modules}/loggers" debug_level = 2 log_to_stdout = false session_timeout = 0 {general} }}
media: {{ rtp_port_range = "{_FIRST_PORT}-40000" }}
nat: {{ nice_debug = false {nat} }}
plugins: {{ disable = "{",".join(_others(modules, "plugins", plugin))}" }}
transports: {{ disable = "{",".join(_others(modules, "transports", "websockets"))}" }}
events: {{ broadcast = false }}
"""
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f'general: {{ json = "compact" ws = true ws_port = {port} ws_ip = "127.0.0.1" }}\n'
    )


def _others(modules: str, kind: str, wanted: str) -> list[str]:
    """The names of every module but one: what Janus must not load."""
    return sorted(path.name for path in Path(modules, kind).glob("*.so") if wanted not in path.name)


def dial(port: int) -> ClientConnection:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            return connect(f"ws://127.0.0.1:{port}", subprotocols=["janus-protocol"])  # type: ignore[list-item]  # a NewType of str
        except OSError:
            assert time.monotonic() < deadline, "janus did not start"
            threading.Event().wait(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
