"""Incidents both ways over a line that is cut again and again: what was lost, what came twice, what came in another order.

Half of them are opened at the street and reported up, half at the district and assigned down; each gets one more line when it is handed
over. What came of it is read from the databases of both, not asked of the hubs that are under test.
"""

import asyncio
import json
import random
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.cascade.hubs import TierHub, start_hub, wait_linked
from benchmarks.cascade.proxy import Line
from commhub.kit.ids import new_id
from commhub.wiring.demo.above import pair
from commhub.wiring.hub_process import free_port

_SENDERS = 6
_ANSWERED_WITHIN_S = 60.0
_AGAIN_S = 0.2
_LINKED_WITHIN_S = 60.0
_DOWN_S = (0.05, 0.5)
_QUIET_FOR_S = 60.0
"""Both hubs get this long to take the next line before it is given up."""
_LOOK_EVERY_S = 1.0
_UNTOLD = "their_stage_moved"
"""A hub's own note of how another one stands; it is not told on."""


@dataclass(slots=True)
class Exchanged:
    """What came of it, counted in the databases. `lost` and `doubled` of incidents and of the lines that were written of them;
    `out_of_order` incidents whose lines stand in another order at the other hub. `settled_s` from the last request on."""

    incidents: int = 0
    cuts: int = 0
    lines: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    refused: int = 0
    seconds: float = 0.0
    settled_s: float = 0.0
    integrity: str = "unknown"

    @property
    def is_clean(self) -> bool:
        faults = (self.lost, self.doubled, self.out_of_order, self.refused)
        return self.incidents > 0 and not any(faults) and self.integrity == "ok"


@dataclass(slots=True)
class _Side:
    """One hub, and what is opened at it."""

    tier: TierHub
    hand_over: str
    body: dict[str, str]
    opened: list[str] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.tier.hub.folder / "commhub.db"


class Exchange:
    """One run over two hubs that are paired over `line`."""

    def __init__(self, street: TierHub, district: TierHub, line: Line) -> None:
        self._line = line
        self._up = _Side(street, "report-up", {})
        self._down = _Side(district, "assign-down", {"peer": street.name})
        self._done = 0
        self._is_over = False

    async def run(self, incidents: int, cuts: int, seed: int = 11) -> Exchanged:
        """Raises AssertionError when a hub refuses a request."""
        outcome, began = Exchanged(), time.monotonic()
        cutting = asyncio.create_task(self._cut(incidents, cuts, random.Random(seed)))
        numbers = iter(range(incidents))
        async with asyncio.TaskGroup() as group:
            for _ in range(_SENDERS):
                group.create_task(self._send(numbers))
        self._is_over, sent = True, time.monotonic()
        await cutting
        await self._settle(outcome)
        outcome.incidents = self._done
        outcome.cuts = self._line.cuts
        outcome.settled_s = round(time.monotonic() - sent, 1)
        outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    async def _send(self, numbers: Iterator[int]) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            for number in numbers:
                side = self._down if number % 2 else self._up
                body = {"category": "waste", "text": f"事件 {number}", "grid": "g-01"}
                told = await _post(client, side.tier, "/incidents", body)
                incident = str(told["id"])
                side.opened.append(incident)
                path = f"/tiers/incidents/{incident}/{side.hand_over}"
                await _post(client, side.tier, path, side.body)
                comment = {"action": "comment", "note": f"补充 {number}"}
                await _post(client, side.tier, f"/incidents/{incident}/actions", comment)
                self._done += 1

    async def _cut(self, incidents: int, cuts: int, chance: random.Random) -> None:
        """Evenly over the run; each one cuts a link that was there."""
        for number in range(cuts):
            due = (number + 1) * incidents / (cuts + 1)
            await self._when_due(due)
            self._line.cut()
            await asyncio.sleep(chance.uniform(*_DOWN_S))
            self._line.mend()

    async def _when_due(self, handed_over: float) -> None:
        """Raises AssertionError when the hubs do not link again."""
        deadline = time.monotonic() + _LINKED_WITHIN_S
        while not self._line.is_carrying or (self._done < handed_over and not self._is_over):
            if self._line.is_carrying:
                deadline = time.monotonic() + _LINKED_WITHIN_S
            assert time.monotonic() < deadline, "the hubs do not link again"
            await asyncio.sleep(0.01)

    async def _settle(self, outcome: Exchanged) -> None:
        """Count when nothing waits any more, until both have everything or nothing more comes. The whole is only counted at the end: that
        takes seconds of what the hubs need."""
        last, changed_at = (-1, -1), time.monotonic()
        while True:
            waits, _ = now = await asyncio.to_thread(self._progress)
            is_over = time.monotonic() - changed_at > _QUIET_FOR_S
            if is_over or (not waits and now == last):
                await asyncio.to_thread(self._count, outcome)
                if is_over or not outcome.lost:
                    return
            if now != last:
                last, changed_at = now, time.monotonic()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _progress(self) -> tuple[int, int]:
        """How many messages wait, and how far both timelines are."""
        waits = lines = 0
        for side in (self._up, self._down):
            with _reading(side.database) as database:
                waits += _one(database, "select count(*) from tier_outbox where state = 'waiting'")
                lines += _one(database, "select max(seq) from timeline")
        return waits, lines

    def _count(self, outcome: Exchanged) -> None:
        outcome.lines = outcome.lost = outcome.doubled = outcome.out_of_order = outcome.refused = 0
        with _reading(self._up.database) as street, _reading(self._down.database) as district:
            _compare(self._up, street, district, outcome)
            _compare(self._down, district, street, outcome)
            known = {*self._up.opened, *self._down.opened}
            for database in (street, district):
                there = {row[0] for row in database.execute("select id from incidents")}
                outcome.doubled += len(there - known)
                outcome.refused += _one(
                    database, "select count(*) from tier_outbox where code is not null"
                )
            checks = {
                one.execute("pragma integrity_check").fetchone()[0] for one in (street, district)
            }
            outcome.integrity = "ok" if checks == {"ok"} else "; ".join(sorted(checks))


def _compare(
    side: _Side, ours: sqlite3.Connection, theirs: sqlite3.Connection, outcome: Exchanged
) -> None:
    """What `side` opened and wrote, as it is there and at the other hub."""
    there = {row[0] for row in theirs.execute("select id from incidents")}
    outcome.lost += sum(one not in there for one in side.opened)
    name = side.tier.name
    written: dict[str, list[int]] = {}
    for incident, seq in ours.execute(
        "select incident_id, seq from timeline where hub = ? and kind != ? order by seq",
        (name, _UNTOLD),
    ):
        written.setdefault(incident, []).append(seq)
    came: dict[str, list[int]] = {}
    for incident, seq in theirs.execute(
        "select incident_id, origin_seq from timeline where hub = ? order by seq", (name,)
    ):
        came.setdefault(incident, []).append(seq)
    for incident, lines in written.items():
        got = came.get(incident, [])
        outcome.lines += len(lines)
        outcome.lost += len(set(lines) - set(got))
        outcome.doubled += len(got) - len(set(got))
        outcome.out_of_order += got != sorted(got)


def _one(database: sqlite3.Connection, question: str) -> int:
    return int(database.execute(question).fetchone()[0] or 0)


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


async def _post(
    client: httpx.AsyncClient, tier: TierHub, path: str, body: dict[str, str]
) -> dict[str, object]:
    cookie = "; ".join(f"{name}={value}" for name, value in tier.desk.cookies.items())
    headers = {"Cookie": cookie, "Origin": tier.hub.url, "Idempotency-Key": new_id()}
    deadline = time.monotonic() + _ANSWERED_WITHIN_S
    while True:
        try:
            answer = await client.post(f"{tier.hub.url}/api/v1{path}", json=body, headers=headers)
            break
        except httpx.TransportError as error:
            # A connection that idled on a busy machine may be closed under a request; the key makes it the same one again.
            if time.monotonic() > deadline:
                raise AssertionError(f"{tier.name} {path}: {error!r}") from error
            await asyncio.sleep(_AGAIN_S)
    assert answer.is_success, f"{tier.name} {path}: {answer.status_code} {answer.text[:300]}"
    told: dict[str, object] = answer.json()
    return told


@asynccontextmanager
async def two_hubs() -> AsyncIterator[tuple[TierHub, TierHub, Line]]:
    """Street and district; what the street says to the district passes a line."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="commhub-exchange-")))
        port = free_port()
        async with Line(("127.0.0.1", port)) as line:
            above = {
                "COMMHUB_HTTP__PORT": str(port),
                "COMMHUB_HTTP__PUBLIC_URL": f"http://{line.host}:{line.port}",
            }
            with ThreadPoolExecutor(2) as pool:
                starting = [
                    asyncio.wrap_future(pool.submit(start_hub, folder, place, name, environment))
                    for place, (name, environment) in enumerate(
                        {"street": {}, "district": above}.items()
                    )
                ]
                hubs = await asyncio.gather(*starting)
            for one in hubs:
                stack.callback(one.stop)
            street, district = hubs
            await asyncio.to_thread(pair, street.desk, street.name, district.desk)
            await asyncio.to_thread(wait_linked, street)
            yield street, district, line


async def run_exchange(incidents: int, cuts: int) -> Exchanged:
    """The whole of it. Raises AssertionError, HubError, StoryError."""
    async with two_hubs() as (street, district, line):
        return await Exchange(street, district, line).run(incidents, cuts)


def show(outcome: Exchanged, *, as_json: bool) -> int:
    """Print it; 0 when nothing was lost, doubled or out of order."""
    if as_json:
        print(json.dumps(asdict(outcome)))
    else:
        for name, value in asdict(outcome).items():
            print(f"{name:14} {value}")
    print("clean" if outcome.is_clean else "NOT CLEAN", file=sys.stderr)
    return 0 if outcome.is_clean else 1
