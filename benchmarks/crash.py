"""kill -9 of the control process while reports pour in: what was acknowledged must be there, once.

A whole hub runs on SQLite; senders keep a steady rate with an Idempotency-Key each and try again until they are
acknowledged. After the last restart every acknowledged report must have exactly one incident, with a task and a
queued delivery, within ten seconds.

    python -m benchmarks crash [--kills N] [--rate PER_SECOND] [--json]
"""

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from commhub.domain.people import Role
from commhub.wiring.demo.equipment import WeComTenant
from commhub.wiring.demo.settle import ADMIN, Desk, add_people, settle_people
from commhub.wiring.hub_process import HubProcess

SENDERS = 48
SETTLE_WITHIN_S = 10.0
RESTART_WITHIN_S = 30.0
# What was to be sent while control was away is sent afterwards, as fast as the hub takes it.
CATCH_UP_WITHIN_S = 120.0
# As patient as a real client, so that the senders leave the processor to the hub that is starting.
RETRY_AFTER_S = 0.5


@dataclass(slots=True)
class Outcome:
    """What happened. `restart_s`: from each kill to the next acknowledgement; `settled_s`: from the last
    acknowledged restart until the last report had its incident, task and delivery."""

    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    repeats: int = 0
    lost: int = 0
    doubled: int = 0
    without_incident: int = 0
    without_task: int = 0
    without_delivery: int = 0
    integrity: str = "unknown"
    settled_s: float = 0.0
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0
    restart_p50_s: float = 0.0
    restart_max_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        faults = (
            self.lost,
            self.doubled,
            self.without_incident,
            self.without_task,
            self.without_delivery,
        )
        settled = self.settled_s <= SETTLE_WITHIN_S
        return self.acknowledged > 0 and not any(faults) and settled and self.integrity == "ok"


@dataclass(slots=True)
class _Traffic:
    """Reports under way."""

    url: str
    key: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    repeats: int = 0

    async def send(self, client: httpx.AsyncClient, number: int) -> None:
        """Send one report until it is acknowledged; the same key every time."""
        began = time.monotonic()
        body = {"category": "waste", "text": f"报告 {number}", "grid": "g-01"}
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": f"crash-{number}"}
        for attempt in range(10_000):
            try:
                answer = await client.post(f"{self.url}/api/v1/reports", json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == httpx.codes.CREATED:
                self.acknowledged[f"crash-{number}"] = answer.json()["report_id"]
                self.latencies.append(time.monotonic() - began)
                self.repeats += attempt > 0
                return
            if answer is not None and answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                raise RuntimeError(f"report refused: {answer.status_code} {answer.text}")
            await asyncio.sleep(RETRY_AFTER_S)


async def _pour(traffic: _Traffic, rate: float, stop: asyncio.Event) -> int:
    """Send `rate` reports a second until told to stop, then finish what is under way; how many were sent."""
    queue: asyncio.Queue[int | None] = asyncio.Queue()

    async def sender() -> None:
        async with httpx.AsyncClient(timeout=10) as client:
            while (number := await queue.get()) is not None:
                await traffic.send(client, number)

    senders = [asyncio.create_task(sender()) for _ in range(SENDERS)]
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        while sent < (time.monotonic() - began) * rate:
            queue.put_nowait(sent)
            sent += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.01)
    for _ in senders:
        queue.put_nowait(None)
    await asyncio.wait_for(asyncio.gather(*senders), CATCH_UP_WITHIN_S)
    return sent


async def _kill_at_random(
    hub: HubProcess, traffic: _Traffic, kills: int, chance: random.Random
) -> list[float]:
    """kill -9 control `kills` times; how long each time until something was acknowledged again."""
    restarts = []
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        victim = hub.pid_of("control")
        hub.kill("control")
        killed = time.monotonic()
        await _new_life(hub, victim, killed)
        # What was answered before the kill may still arrive: only what comes after the restart counts.
        before = len(traffic.acknowledged)
        while len(traffic.acknowledged) == before:
            if time.monotonic() - killed > RESTART_WITHIN_S:
                raise RuntimeError(f"nothing acknowledged after a kill:\n{hub.log_tail()}")
            await asyncio.sleep(0.01)
        restarts.append(time.monotonic() - killed)
    return restarts


async def _new_life(hub: HubProcess, victim: int, killed: float) -> None:
    """Return when the parent has started the next control process. Raises RuntimeError."""
    while True:
        with suppress(OSError, ValueError):
            if hub.pid_of("control") != victim:
                return
        if time.monotonic() - killed > RESTART_WITHIN_S:
            raise RuntimeError(f"control was not started again:\n{hub.log_tail()}")
        await asyncio.sleep(0.01)


def _settle(hub: HubProcess) -> str:
    """People who can be dispatched, and a key that may report."""
    passwords = add_people(hub, {ADMIN: (Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN)})
    with Desk(hub.url, ADMIN, passwords[ADMIN]) as desk:
        settle_people(desk)
        made = desk.post("/accounts/keys", {"name": "crash", "roles": [Role.INTEGRATION]})
    key: str = made["secret"]
    return key


def _count(database: Path, traffic: _Traffic, outcome: Outcome) -> None:
    """Look into the database itself, not through the hub that is under test."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "with task_counts as (select incident_id, count(*) n from tasks group by 1),"
            " cards as (select m.incident_id, count(*) n from deliveries d"
            "  join messages m on m.tenant = d.tenant and m.id = d.message_id"
            "  where d.kind = 'send' group by 1),"
            " siblings as (select incident_id, count(*) n from reports group by 1)"
            " select r.id, r.idempotency_key, r.incident_id, coalesce(t.n, 0), coalesce(c.n, 0), s.n"
            " from reports r left join task_counts t using (incident_id)"
            " left join cards c using (incident_id) left join siblings s using (incident_id)"
        ).fetchall()
        outcome.integrity = connection.execute("pragma integrity_check").fetchone()[0]
    ids = {row[0] for row in rows}
    outcome.lost = sum(report_id not in ids for report_id in traffic.acknowledged.values())
    keys = [row[1] for row in rows]
    outcome.doubled = len(keys) - len(set(keys)) + sum(row[5] > 1 for row in rows if row[2])
    outcome.without_incident = sum(row[2] is None for row in rows)
    outcome.without_task = sum(row[3] != 1 for row in rows if row[2])
    outcome.without_delivery = sum(row[4] < 1 for row in rows if row[2])


async def run_crash(kills: int, rate: float, seed: int = 7) -> Outcome:
    """Run the whole story and count. Raises RuntimeError when the hub does not come back."""
    outcome = Outcome(kills=kills)
    with tempfile.TemporaryDirectory(prefix="commhub-crash-") as folder:
        # A WeCom that nothing answers for: deliveries queue up, and their retries are part of the load.
        hub = HubProcess(Path(folder) / "hub", WeComTenant().environment())
        with hub:
            traffic = _Traffic(hub.url, await asyncio.to_thread(_settle, hub))
            stop = asyncio.Event()
            pouring = asyncio.create_task(_pour(traffic, rate, stop))
            restarts = await _kill_at_random(hub, traffic, kills, random.Random(seed))
            stop.set()
            outcome.sent = await pouring
            began = time.monotonic()
            while True:
                await asyncio.to_thread(_count, hub.folder / "commhub.db", traffic, outcome)
                waiting = outcome.without_incident + outcome.without_task + outcome.without_delivery
                outcome.settled_s = round(time.monotonic() - began, 2)
                if not waiting or outcome.settled_s > SETTLE_WITHIN_S:
                    break
                await asyncio.sleep(0.1)
    latencies = sorted(traffic.latencies)
    outcome.acknowledged, outcome.repeats = len(traffic.acknowledged), traffic.repeats
    outcome.latency_p50_ms = round(1000 * statistics.median(latencies), 1)
    outcome.latency_p99_ms = round(1000 * latencies[int(len(latencies) * 0.99)], 1)
    outcome.restart_p50_s = round(statistics.median(restarts), 2)
    outcome.restart_max_s = round(max(restarts), 2)
    return outcome


def main(arguments: Sequence[str]) -> int:
    """Print the outcome; 0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100.0, help="reports a second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    outcome = asyncio.run(run_crash(options.kills, options.rate))
    if options.json:
        print(json.dumps(asdict(outcome)))
    else:
        for name, value in asdict(outcome).items():
            print(f"{name:18} {value}")
    print("clean" if outcome.is_clean else "NOT CLEAN", file=sys.stderr)
    return 0 if outcome.is_clean else 1
