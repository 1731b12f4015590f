"""Child processes: restarted when they die, stopped by id, gone with their parent."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.waiting import eventually

from commhub.wiring.children import ChildSpec, dies_with_parent, keep_running

PRINT_PID = (
    "import os,pathlib,sys,time;"
    "p=pathlib.Path(sys.argv[1]);"
    "f=p.open('a');f.write(f'{os.getpid()}\\n');f.close();"
    "time.sleep(60)"
)


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def spec(tmp_path):
    return ChildSpec(
        "sleeper",
        [sys.executable, "-c", PRINT_PID, str(tmp_path / "pids")],
        dict(os.environ),
    )


async def test_a_child_that_is_killed_is_started_again_and_stopped_at_the_end(spec, tmp_path):
    task = asyncio.create_task(keep_running(spec))
    (first,) = await eventually(lambda: pids(tmp_path / "pids"))
    os.kill(first, signal.SIGKILL)
    _, second = await eventually(lambda: len(p := pids(tmp_path / "pids")) == 2 and p)
    assert alive(second)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not alive(second)


async def test_a_child_does_not_outlive_its_killed_parent(spec, tmp_path):
    command = [*dies_with_parent(spec.command)]
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import subprocess,sys;subprocess.Popen(sys.argv[1:]).wait()",
        *command,
    )
    (child,) = await eventually(lambda: pids(tmp_path / "pids"))
    parent.kill()
    await parent.wait()
    assert await eventually(lambda: not alive(child))
