"""Child processes under a parent that outlives them: restart with back-off, stop by process id.

A child dies with its parent (`setpriv --pdeathsig`), so that no broker or worker is left behind holding ports
when the parent is killed.
"""

import asyncio
import random
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

STOP_WITHIN_S = 8.0
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 2.0
HEALTHY_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `environment` is the whole environment of the child; `pid_file` tells operators who it is."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    pid_file: Path | None = None


def own_command(*arguments: str) -> list[str]:
    """The command line of one of our own processes, in this interpreter."""
    return [sys.executable, "-m", "commhub", *arguments]


def dies_with_parent(command: Sequence[str]) -> list[str]:
    """Wrap a command so that the kernel ends it when its parent is gone."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else list(command)


async def keep_running(spec: ChildSpec, stopping: asyncio.Event | None = None) -> None:
    """Run the child and start it again whenever it ends, until cancelled; then stop it.

    Once `stopping` is set nothing is started again: a Ctrl+C reaches parent and children alike.
    """
    loop = asyncio.get_running_loop()
    delay = FIRST_DELAY_S
    while True:
        started = loop.time()
        process = await asyncio.create_subprocess_exec(
            *dies_with_parent(spec.command), env=dict(spec.environment) or None
        )
        log.info("child_started", child=spec.name, pid=process.pid)
        if spec.pid_file is not None:
            spec.pid_file.write_text(f"{process.pid}\n")
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await stop(process, spec.name)
            raise
        finally:
            if spec.pid_file is not None:
                spec.pid_file.unlink(missing_ok=True)
        if stopping is not None and stopping.is_set():
            return
        if loop.time() - started > HEALTHY_AFTER_S:
            delay = FIRST_DELAY_S
        log.error("child_ended", child=spec.name, status=status, restart_in_s=round(delay, 1))
        await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        delay = min(delay * 2, MAX_DELAY_S)


async def stop(process: asyncio.subprocess.Process, name: str) -> None:
    """Ask the process to end, and insist after `STOP_WITHIN_S` seconds."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        log.warning("child_killed", child=name, pid=process.pid)
        process.kill()
        await process.wait()
