"""SIPp, the reference peer: plays a scenario file against the hub and says whether every message was right."""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.servers import program


class Sipp:
    """A running SIPp. `finish` waits for its end and fails with its own words when a step was wrong."""

    def __init__(self, process, folder, port):
        self._process = process
        self._folder = Path(folder)
        self.port = port

    async def finish(self, within_s=15.0):
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"SIPp did not end: {self.log()}") from None
        if self._process.returncode != 0:
            raise AssertionError(f"SIPp says {self._process.returncode}: {self.log()}")

    def log(self):
        """Everything it noted: errors, unexpected messages, the trace."""
        texts = [path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log"))]
        return "\n".join(texts)[-9000:]

    @property
    def is_over(self):
        return self._process.returncode is not None

    async def stop(self):
        if not self.is_over:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def sipp(
    scenario, hub_port, port, *, user="1001", password="", to="1001", keys=(), transport="u1"
):
    """Run `scenario` once from 127.0.0.1:`port`, over UDP (u1) or TCP (t1). `keys` are further [key] values as
    (name, value)."""
    with tempfile.TemporaryDirectory() as folder:
        values = [("user", user), ("password", password), *keys]
        command = [
            program("sipp", "sip-tester"),
            f"127.0.0.1:{hub_port}",
            *("-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-s", to),
            *("-t", transport),
            *("-au", user, "-ap", password, "-nostdin", "-timeout", "20s", "-timeout_error"),
            *("-trace_err", "-error_file", f"{folder}/errors.log"),
            *("-trace_msg", "-message_file", f"{folder}/messages.log"),
            *(word for name, value in values for word in ("-key", name, value)),
        ]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        peer = Sipp(process, folder, port)
        try:
            yield peer
        finally:
            await peer.stop()
