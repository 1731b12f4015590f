"""Simulated field devices as processes of their own, and their pages."""

import asyncio
import sys
from contextlib import ExitStack

import httpx
from fakes.field import Field
from fakes.servers import free_port, listens, running
from fakes.waiting import eventually


class Simulator:
    """A running simulator's page."""

    def __init__(self, port: int, pid: int) -> None:
        self.pid = pid
        # A connection each: one that is kept may be closed by the page at the moment it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, limits=limits
        )

    async def state(self) -> dict:
        return (await self._client.get("/state")).json()

    async def do(self, command: str, **body: object) -> dict:
        answer = await self._client.post(f"/do/{command}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def shows(self, **wanted: object) -> dict:
        """Wait until the state has these values; the whole state."""

        async def fits() -> dict | None:
            state = await self.state()
            return state if all(state[k] == v for k, v in wanted.items()) else None

        return await eventually(fits, within_s=10)


async def start(
    processes: ExitStack, site: Field, name: str, device: str, *options: str
) -> Simulator:
    port = free_port()
    command = [
        *(sys.executable, "-m", f"simulators.{name}", "--id", device),
        *("--secret", f"{device}-secret", "--mqtt-port", str(site.config.port)),
        *("--tenant", "test", "--http-port", str(port), *options),
    ]
    process = await asyncio.to_thread(
        processes.enter_context, running(command, lambda: listens(port))
    )
    return Simulator(port, process.pid)
