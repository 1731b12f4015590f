"""The hub under measurement: a whole `commhub up`, its control process alone on one core, accounts already there."""

import asyncio
import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from commhub.db import migrate, open_store
from commhub.domain.facts import Fact
from commhub.kit.bus import Bus
from commhub.kit.clock import SystemClock
from commhub.ports.edge_store import SipBinding
from commhub.wiring.hub_process import HubProcess
from gateways.sip.digest import hash_account

REALM = "commhub"
PASSWORD = "benchmark"
_FIRST_RTP, _LAST_RTP = 40_000, 49_999
_TICKS = os.sysconf("SC_CLK_TCK")


class Subject:
    """`phones` accounts named from 100000 on, all registered at `port` of this machine; further ones, each at its own
    port, are in `at`."""

    def __init__(
        self, folder: Path, phones: int, at: dict[str, int], port: int, *, own: int, other: int
    ) -> None:
        self._folder = folder
        self._names = [str(100_000 + number) for number in range(phones)]
        self._at = dict.fromkeys(self._names, port) | at
        self._own, self._other = own, other
        self._http = httpx.Client(timeout=10)
        self._hub = HubProcess(
            folder,
            {
                "COMMHUB_MEDIA__FIRST_PORT": str(_FIRST_RTP),
                "COMMHUB_MEDIA__LAST_PORT": str(_LAST_RTP),
                "COMMHUB_SIP__REALM": REALM,
            },
        )

    def __enter__(self) -> Self:
        asyncio.run(self._settle())
        self._hub.__enter__()
        # The audio of these calls is another benchmark's: its worker shares a core with the load.
        _pin(self._hub.pid_of("control"), self._own)
        _pin(self._hub.pid_of("worker"), self._other)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
        self._hub.__exit__(kind, error, trace)

    async def _settle(self) -> None:
        """Accounts and registrations, written before the hub runs: they are not what is measured."""
        url = f"sqlite:///{self._folder / 'commhub.db'}"
        self._folder.mkdir(parents=True, exist_ok=True)
        await migrate(url)
        until = datetime.now(UTC) + timedelta(hours=1)
        bus: Bus[Fact] = Bus()
        async with open_store(url, bus=bus, clock=SystemClock()) as store, store.begin() as uow:
            for name in self._at:
                await uow.sip.put_account(hash_account(name, REALM, PASSWORD))
            for name, port in self._at.items():
                await uow.sip.put_binding(
                    SipBinding(
                        account=name,
                        contact=f"sip:{name}@127.0.0.1:{port}",
                        call_id="settled",
                        cseq=1,
                        expires_at=until,
                        received=f"127.0.0.1:{port}",
                        transport="UDP",
                        agent="SIPp",
                    )
                )

    @property
    def port(self) -> int:
        return self._hub.port("sip")

    @property
    def names(self) -> list[str]:
        return self._names

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels; 0 when there are none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        # This one alone: all of them would cost the hub as much as a call.
        text = self._http.get(f"{self._hub.url}/metrics", params={"name[]": name}).text
        total = 0.0
        for line in text.splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match and all(one in (match[1] or "") for one in wanted):
                total += float(match[2])
        return total

    def memory_mb(self) -> float:
        """What the control process has in memory now."""
        status = Path(f"/proc/{self._hub.pid_of('control')}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(match[1]) / 1024 if match else 0.0

    def cpu_s(self) -> float:
        """CPU seconds of the control process."""
        stat = Path(f"/proc/{self._hub.pid_of('control')}/stat").read_text().rpartition(")")[2]
        fields = stat.split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def _pin(pid: int, core: int) -> None:
    """All threads of a process to one core; those it makes later inherit it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            os.sched_setaffinity(int(thread.name), {core})
