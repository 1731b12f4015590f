"""Real servers for tests: each on a free port, in a folder of its own, stopped by its process id."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from commhub.wiring.hub_process import free_port

START_WITHIN_S = 20.0
FAKES = Path(__file__).parent


def program(name: str, package: str, *, beside: str = "/usr/sbin", first: str | None = None) -> str:
    """The path of an installed program; fails with what to install when it is missing."""
    found = shutil.which(name, path=first) or shutil.which(name, path=beside)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: apt-get install {package} (or: make system)")
    return found


def system_python() -> str:
    """The distribution's Python, for which it has bindings of GStreamer; fails with what to install when it is missing."""
    return program("python3", "python3-gi gir1.2-gst-rtsp-server-1.0", first="/usr/bin")


def listens(port: int) -> bool:
    """Whether a TCP server accepts on the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def is_bound(port: int) -> bool:
    """Whether some process listens on the TCP port, seen in the kernel's table: for peers that a probing connection
    would confuse."""
    listening = f":{port:04X} 00000000:0000 0A"
    return any(listening in line for line in Path("/proc/net/tcp").read_text().splitlines())


@contextmanager
def running(
    command: Sequence[str], ready: Callable[[], bool], *, within_s: float = START_WITHIN_S
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; what it printed is in the error when it does not come up."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + within_s
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    said = output.read().decode(errors="replace")[-2000:]
                    raise RuntimeError(f"{command[0]} did not come up: {said}")
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running_redis() -> Iterator[str]:
    """A Redis without persistence; its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program("redis-server", "redis-server"),
            *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(Path(folder))),
        ]
        with running(command, lambda: listens(port)):
            yield f"redis://127.0.0.1:{port}/0"


# Nothing of a test outlives it, so the disk is not waited for.
_POSTGRESQL_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def _postgresql_program(name: str) -> str:
    """Debian keeps the server's programs beside each version, outside PATH; the newest is taken."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    return program(name, "postgresql", beside=str(versions[-1]) if versions else "/usr/sbin")


@contextmanager
def running_postgresql() -> Iterator[str]:
    """A PostgreSQL of its own; the URL of its maintenance database. It refuses to be root, so root runs it
    as the user `postgres` that the package made."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="commhub-postgresql-") as folder:
        as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        data = str(Path(folder) / "data")
        initdb = [_postgresql_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust"]
        subprocess.run(
            [*as_user, *initdb, "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        server = [_postgresql_program("postgres"), "-D", data, "-k", folder]
        settings = [f"--{setting}" for setting in _POSTGRESQL_SETTINGS]
        address = ["-c", "listen_addresses=127.0.0.1", "-p", str(port)]
        # It listens before it answers.
        asking = [_postgresql_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]

        def answers() -> bool:
            return subprocess.run(asking, check=False).returncode == 0

        with running([*as_user, *server, *settings, *address], answers):
            yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def mosquitto_beside(admission: Path, port: int, own: Path) -> Iterator[None]:
    """deploy/mosquitto/run.sh as docker-compose.yml runs it, on the hub's folder `admission` and this port; `own`
    is the broker's folder. It and mosquitto end with the block."""
    deploy = Path(__file__).parents[2] / "deploy" / "mosquitto"
    text = (deploy / "mosquitto.conf").read_text()
    text = text.replace("/var/lib/commhub/mqtt", str(admission))
    text = text.replace("listener 1883", f"listener {port}").replace(
        "/var/lib/mosquitto/", f"{own}/"
    )
    # Started by root, mosquitto would become a user who may not read the hub's files.
    configuration = own / "beside.conf"
    configuration.write_text(text + ("user root\n" if os.geteuid() == 0 else ""))
    beside = Path(program("mosquitto", "mosquitto")).parent
    process = subprocess.Popen(
        [str(deploy / "run.sh"), str(configuration), str(admission)],
        env={**os.environ, "PATH": f"{beside}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
