"""The decision step: every waiting report becomes an incident, in batches of one transaction each.

RECEIVED rows are the queue, so a kill at any moment loses nothing and doubles nothing: the batch's commit moves
its reports on together with their incidents, or not at all. When a batch fails its reports go one by one. What
may pass by itself (UnavailableError) is tried again with growing pauses; a report that fails for itself is set
aside with its error and a bare incident that asks a person to look. A report the rules cannot decide on is no
failure: it is registered with a safe decision and says so, because a lost alarm costs lives.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from commhub.domain.errors import DomainError, InvalidError, UnavailableError
from commhub.domain.facts import ReportQuarantined
from commhub.domain.incident import Incident
from commhub.domain.people import Loop
from commhub.domain.report import Report, ReportStage
from commhub.kit.clock import Clock
from commhub.kit.patience import Patience
from commhub.kit.supervise import Doorbell
from commhub.ports.decisions import Decision, Decisions
from commhub.ports.inside import Registrar, Registration
from commhub.ports.store import Store, UnitOfWork
from commhub.reports.intake import quarantined
from commhub.reports.metrics import DOUBTFUL, QUARANTINED

log = structlog.get_logger(__name__)

SAFE_LEVEL = 2
SAFE_ACCEPT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidingConfig:
    """`batch`: as many as one transaction takes while the hub keeps up, because new reports wait for it; with a
    backlog it doubles up to `most`, because long transactions decide faster. `tries`: how often an error we do not
    know is met before the report is set aside. `poll_s`: how soon a row of another process is seen."""

    batch: int = 20
    most: int = 160
    tries: int = 3
    poll_s: float = 2.0
    mode: str = "normal"


class Decider:
    """Turns waiting reports into incidents."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        decisions: Decisions,
        registrar: Registrar,
        config: DecidingConfig,
    ) -> None:
        self._store = store
        self._clock = clock
        self._decisions = decisions
        self._registrar = registrar
        self._config = config
        self._size = config.batch
        self._bell = Doorbell()
        self._patience = Patience(clock)
        self._waiters: defaultdict[str, list[asyncio.Event]] = defaultdict(list)

    def wake(self) -> None:
        self._bell.ring()

    async def decide_within(
        self, uow: UnitOfWork, report: Report, incident_id: str, origin: str
    ) -> Incident:
        """Register a report that was just written as the incident that another hub opened. Raises UnavailableError; anything
        else that goes wrong is an InvalidError, so that the other hub hears of it instead of sending it for ever."""
        new = replace(self._decide(report), incident_id=incident_id, origin=origin)
        try:
            (incident,) = await self._registrar.register(uow, [new])
        except UnavailableError:
            raise
        except Exception as error:
            log.exception("adoption_failed", report=report.id)
            raise InvalidError(f"it cannot be registered here: {error!r}"[:500]) from error
        return incident

    async def run(self) -> None:
        """Decide until cancelled. Raises when the store cannot even be read: whoever supervises starts it again."""
        while True:
            if not await self.decide_waiting():
                await self._bell.wait(self._config.poll_s)

    async def decide_waiting(self) -> int:
        """Decide on one batch and return how many reports left the queue."""
        try:
            decided = await self._decide_together()
        except Exception as error:  # noqa: BLE001 - the supervisor of this queue: logged, then one by one
            log.warning("report_batch_failed", error=repr(error))
            decided = await self._decide_one_by_one()
        for report_id in decided:
            self._patience.forget(report_id)
            for event in self._waiters.get(report_id, ()):
                event.set()
        if decided:
            self._registrar.wake()
        return len(decided)

    async def wait(self, report_id: str, timeout_s: float) -> str:
        """See `commhub.ports.inside.Intake.wait_for_incident`."""
        decided = asyncio.Event()
        self._waiters[report_id].append(decided)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wait_until(report_id, decided)
        except TimeoutError:
            raise UnavailableError(
                "the report is safe, but its incident is not registered yet", report_id=report_id
            ) from None
        finally:
            self._waiters[report_id].remove(decided)
            if not self._waiters[report_id]:
                del self._waiters[report_id]

    async def _wait_until(self, report_id: str, decided: asyncio.Event) -> str:
        while True:
            async with self._store.read() as uow:
                report = await uow.reports.get(report_id)
            if report.incident_id is not None:
                return report.incident_id
            if report.stage is ReportStage.QUARANTINED:
                raise InvalidError(
                    "no incident could be registered for the report; it is set aside for a person",
                    report_id=report_id,
                )
            try:
                # Another process may decide on it, and nobody rings here then.
                async with asyncio.timeout(self._config.poll_s):
                    await decided.wait()
            except TimeoutError:
                continue

    # --- batches -------------------------------------------------------------------------------------

    async def _decide_together(self) -> list[str]:
        async with self._store.begin() as uow:
            reports = self._patience.ready(await self._waiting(uow), lambda r: r.id)
            reports = reports[: self._size]
            if reports:
                await self._registrar.register(uow, [self._decide(r) for r in reports])
        is_behind = len(reports) == self._size
        self._size = min(2 * self._size, self._config.most) if is_behind else self._config.batch
        return [report.id for report in reports]

    async def _waiting(self, uow: UnitOfWork) -> Sequence[Report]:
        return await uow.reports.waiting(self._size + len(self._patience))

    async def _decide_one_by_one(self) -> list[str]:
        async with self._store.read() as uow:
            waiting = await self._waiting(uow)
        self._patience.keep_only({report.id for report in waiting})
        ready = self._patience.ready(waiting, lambda r: r.id)[: self._size]
        return [report.id for report in ready if await self._decide_alone(report.id)]

    async def _decide_alone(self, report_id: str) -> bool:
        """Return whether the report left the queue."""
        try:
            async with self._store.begin() as uow:
                report = await self._still_waiting(uow, report_id)
                if report is not None:
                    await self._registrar.register(uow, [self._decide(report)])
        except UnavailableError as error:
            log.warning("report_postponed", report=report_id, error=str(error))
            self._patience.failed(report_id)
            return False
        except Exception as error:
            failures = self._patience.failed(report_id)
            log.exception("report_failed", report=report_id, failures=failures)
            if isinstance(error, DomainError) or failures >= self._config.tries:
                return await self._set_aside(report_id, repr(error))
            return False
        return report is not None

    async def _still_waiting(self, uow: UnitOfWork, report_id: str) -> Report | None:
        """The report, claimed for this transaction; None when somebody else has it or had it."""
        return next((r for r in await self._waiting(uow) if r.id == report_id), None)

    # --- one report ----------------------------------------------------------------------------------

    def _decide(self, report: Report) -> Registration:
        """Ask the rules. Raises UnavailableError only."""
        try:
            decision = self._decisions.decide(report, mode=self._config.mode)
        except UnavailableError:
            raise
        except Exception as error:
            DOUBTFUL.inc()
            log.exception("report_not_decidable", report=report.id)
            return Registration(
                report=report,
                decision=safe_decision(report),
                attention=str(error) or type(error).__name__,
            )
        return Registration(report=report, decision=decision)

    async def _set_aside(self, report_id: str, error: str) -> bool:
        """Quarantine with a bare incident, or without when even that fails."""
        try:
            return await self._quarantine(report_id, error, bare=True)
        except UnavailableError:
            return False
        except Exception:
            log.exception("bare_incident_failed", report=report_id)
        return await self._quarantine(report_id, error, bare=False)

    async def _quarantine(self, report_id: str, error: str, *, bare: bool) -> bool:
        async with self._store.begin() as uow:
            report = await self._still_waiting(uow, report_id)
            if report is None:
                return False
            incident = await self._registrar.register_bare(uow, report, error) if bare else None
            incident_id = incident.id if incident else None
            await uow.reports.update(quarantined(report, incident_id, error))
            uow.record(
                ReportQuarantined(
                    at=self._clock.now(),
                    incident_id=incident_id,
                    report_id=report.id,
                    reason=error,
                )
            )
        QUARANTINED.inc()
        return True


def safe_decision(report: Report) -> Decision:
    """What holds when the rules cannot say: the duty leader is asked (no team matches), as if it were serious."""
    level = report.level if isinstance(report.level, int) and 1 <= report.level <= 4 else SAFE_LEVEL
    return Decision(
        ruleset="",
        version="",
        loop=Loop.COMMUNITY,
        team="",
        skills=frozenset(),
        alarm=1,
        channels=(),
        clocks={"accept": SAFE_ACCEPT},
        level=level,
        fell_to_default=True,
    )
