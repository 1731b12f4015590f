"""The embedded broker: mosquitto as a child process that the hub configures and keeps running.

`Broker` supervises it from an asyncio program. A parent that supervises children of its own takes `prepare_broker`
instead: the files are written and the command line comes back. Either way the broker is told of new credentials
through its pid file (`devices.credentials`), so it does not matter whose child it is.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType

import structlog

from commhub.kit.supervise import run_forever
from devices.broker_files import BrokerConfig, write_configuration
from devices.errors import BrokerError
from devices.metrics import BROKER_STARTS

log = structlog.get_logger(__name__)

READY_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
_POLL_S = 0.05
# Distributions put daemons where an ordinary user's PATH does not look.
_DAEMON_DIRS = "/usr/sbin:/usr/local/sbin"


def find_mosquitto() -> str:
    """The path of mosquitto. Raises BrokerError, naming the package, when it is absent."""
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path=_DAEMON_DIRS)
    if path is None:
        raise BrokerError("mosquitto is not installed (Debian: apt install mosquitto)")
    return path


def prepare_broker(config: BrokerConfig) -> Sequence[str]:
    """Write the configuration and return the command line that runs it. Raises BrokerError."""
    program = find_mosquitto()
    write_configuration(config)
    return [program, "-c", str(config.conf_file.absolute())]


class Broker(AbstractAsyncContextManager["Broker"]):
    """Runs mosquitto while the context is open. Entering waits until it listens, or raises BrokerError."""

    def __init__(self, config: BrokerConfig) -> None:
        self._config = config
        self._task: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=5)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running broker's process id; None between two runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def __aenter__(self) -> "Broker":
        command = prepare_broker(self._config)
        ended = asyncio.Event()
        self._task = asyncio.create_task(
            run_forever("mosquitto", lambda: self._run(command), on_failure=lambda _: ended.set()),
            name="mosquitto",
        )
        try:
            await self._wait_until_it_listens(ended)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _wait_until_it_listens(self, ended: asyncio.Event) -> None:
        """Raises BrokerError when it ends first (a port that is taken), or says nothing for too long."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not (ended.is_set() or await self._listens()):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            ended.set()
        if ended.is_set():
            said = "; ".join(self._said) or "it said nothing"
            raise BrokerError(f"mosquitto did not start: {said}")

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self, command: Sequence[str]) -> None:
        """One life of the broker; its log lines become ours. Raises BrokerError when it ends."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        self._process = process
        BROKER_STARTS.inc()
        log.info("broker_started", pid=process.pid, port=self._config.port)
        try:
            await self._relay_log(process)
            status = await process.wait()
        finally:
            await _end(process)
        raise BrokerError(f"mosquitto ended with status {status}")

    async def _relay_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - it was asked for as a pipe
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            if line:
                self._said.append(line)
                log.warning("broker_said", line=line)

    async def _listens(self) -> bool:
        """Whether our own child answers on the port: a stranger who took the port does not count."""
        if self.pid is None or read_pid(self._config) != self.pid:
            return False
        try:
            _, writer = await asyncio.open_connection(self._config.host, self._config.port)
        except OSError:
            return False
        writer.close()
        return self.pid is not None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop the process by its own id: ask, then insist."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        log.warning("broker_killed", pid=process.pid)
        process.kill()
        await process.wait()


def read_pid(config: BrokerConfig) -> int | None:
    """The process id in the pid file, if a mosquitto has it now: the file outlives a broker that was killed."""
    try:
        pid = int(config.pid_file.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return None
    return pid if name == "mosquitto" else None
