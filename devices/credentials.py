"""Who the broker lets in, kept by the control process although the broker may be another process's child.

The files are replaced and the broker found by its pid file is told to read them again (SIGHUP). mosquitto (2.0)
then checks every live session against the new files: whoever is missing, or whose secret changed, is cut off at
once, and what a device may hear is checked with every message. The integration tests prove both by delivery.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import structlog

from commhub.domain.errors import UnavailableError
from commhub.ports.devices import DeviceCredential
from devices.broker import read_pid
from devices.broker_files import BrokerConfig, hash_secret, write_admission
from devices.errors import BrokerError

log = structlog.get_logger(__name__)

_HANDLER_WITHIN_S = 5.0
_POLL_S = 0.02


class BrokerCredentials:
    """Implements `commhub.ports.devices.Credentials`."""

    def __init__(self, config: BrokerConfig) -> None:
        self._config = config
        self._lock = asyncio.Lock()

    def hash_secret(self, secret: str) -> str:
        """mosquitto's `$7$` form."""
        return hash_secret(secret)

    async def publish(self, credentials: Sequence[DeviceCredential]) -> None:
        """Make exactly these devices welcome. Raises UnavailableError when the files cannot be written; a broker
        that is not running reads them when it starts."""
        async with self._lock:
            try:
                await asyncio.to_thread(write_admission, self._config, credentials)
            except (OSError, BrokerError) as error:
                raise UnavailableError(
                    f"the broker's credentials cannot be written: {error}"
                ) from error
            reloaded = await reload_broker(self._config)
        log.info("credentials_published", devices=len(credentials), reloaded=reloaded)


async def reload_broker(config: BrokerConfig) -> bool:
    """Tell the running broker to read its files again; False when none runs. Raises UnavailableError when one runs
    but cannot be told: whoever lost their place would still be inside."""
    pid = await _ready_pid(config)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise UnavailableError(
            "the broker belongs to another user, so it cannot be told"
        ) from error
    return True


async def _ready_pid(config: BrokerConfig) -> int | None:
    """The running broker, once it can take the signal: mosquitto writes its pid file before it installs the handler,
    and would die of the signal in between."""
    try:
        async with asyncio.timeout(_HANDLER_WITHIN_S):
            while True:
                pid = read_pid(config)
                if pid is None or _takes_hangup(pid):
                    return pid
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise UnavailableError("the broker does not take the signal to reload") from error


def _takes_hangup(pid: int) -> bool:
    """Whether the process has a handler for SIGHUP (proc(5), SigCgt)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1))
