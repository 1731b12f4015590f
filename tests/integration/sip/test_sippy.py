"""A whole call with sippy's user agent: another stack's transactions, digests and dialogs against ours."""

import asyncio
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

from fakes import sippy_phone
from fakes.servers import free_port
from fakes.sipp_phones import PASSWORD
from fakes.waiting import eventually

from commhub.domain.call import Cause


class Phone:
    """Its process; `said` is what it has said so far."""

    def __init__(self, process):
        self._process = process
        self.said = []
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self):
        while line := await self._process.stdout.readline():
            self.said.append(line.decode().strip())

    async def tell(self, command):
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def until(self, line):
        try:
            await eventually(lambda: line in self.said)
        except AssertionError as error:
            raise AssertionError(f"no «{line}»: {self.said}") from error


@asynccontextmanager
async def sippy(edge, password=PASSWORD):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, sippy_phone.__file__, str(edge.port)),
        *(str(free_port(socket.SOCK_DGRAM)), "1001", password),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    phone = Phone(process)
    try:
        await phone.until("ready")
        yield phone
    finally:
        process.kill()
        await process.wait()
        await phone.listening


async def test_it_registers_is_called_and_hung_up_by_the_desk(edge):
    async with sippy(edge) as phone:
        await phone.tell("register")
        await phone.until("registered")
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await phone.until("CCEventDisconnect")

    await eventually(lambda: edge.gateway.legs == 0)
    # It sends from several threads: its 200 may overtake its 180.
    assert edge.calls.states(leg)[-1] == "connected"


async def test_it_is_called_and_hangs_up(edge):
    async with sippy(edge) as phone:
        await phone.tell("register")
        await phone.until("registered")
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        await phone.tell("hang up")
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


async def test_it_dials_is_answered_and_hangs_up(edge):
    async with sippy(edge) as phone:
        await phone.tell("dial 2000")
        await eventually(lambda: edge.calls.offers)
        leg = edge.calls.offers[0].leg_id
        await phone.until("CCEventRing")
        await edge.gateway.answer(leg)
        await phone.until("CCEventConnect")
        await phone.tell("hang up")
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


async def test_it_proves_itself_by_sha_256_alone(edge):
    edge.config = replace(edge.config, digest_algorithms=("SHA-256",))
    await edge.restart()
    async with sippy(edge) as phone:
        await phone.tell("register")
        await phone.until("registered")
        await phone.tell("dial 2000")
        await eventually(lambda: edge.calls.offers)


async def test_with_a_wrong_password_it_neither_registers_nor_calls(edge):
    async with sippy(edge, password="guess") as phone:
        await phone.tell("register")
        await eventually(lambda: any(line.startswith("refused") for line in phone.said))
        await phone.tell("dial 2000")
        await phone.until("CCEventFail")

    assert await edge.bindings("1001") == []
    assert edge.calls.offers == []
