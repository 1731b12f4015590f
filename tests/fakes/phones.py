"""The pyVoIP phone as a process of its own, commanded over its page."""

import asyncio
import socket
import sys
from contextlib import asynccontextmanager

import httpx
from fakes.servers import free_port
from fakes.waiting import eventually


class SimulatedPhone:
    """`state()` and `do("talk", on=True)` of a running phone."""

    def __init__(self, base, process):
        # A connection each: one that is kept may be closed by the page at the moment it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=base, timeout=30, limits=limits)
        self._process = process

    async def state(self):
        return (await self._http.get("/state")).json()

    async def do(self, command, **body):
        answer = await self._http.post(f"/do/{command}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def is_up(self):
        try:
            return await self.state()
        except httpx.TransportError:
            assert self._process.returncode is None, "the phone ended"
            return None

    async def until(self, wanted, within_s=8.0):
        """Wait until `wanted(state)` is true; the state then."""

        async def look():
            state = await self.state()
            return state if wanted(state) else None

        return await eventually(look, within_s=within_s)

    async def close(self):
        await self._http.aclose()


@asynccontextmanager
async def simulated_phone(user, password, hub_port, *more):
    """A registering phone; it is on the line when `registered` is in its state."""
    http, rtp = free_port(), free_port(socket.SOCK_DGRAM)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.phone", "--user", user, "--password", password),
        *("--server", f"127.0.0.1:{hub_port}", "--http-port", str(http)),
        *("--sip-port", str(free_port(socket.SOCK_DGRAM))),
        *("--rtp-low", str(rtp), "--rtp-high", str(rtp + 40)),
        *more,
    )
    phone = SimulatedPhone(f"http://127.0.0.1:{http}", process)
    try:
        await eventually(phone.is_up, within_s=20)
        yield phone
    finally:
        await phone.close()
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
