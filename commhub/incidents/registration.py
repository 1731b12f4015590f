"""Registering (立案): a report and the rules' decision become an incident that somebody has been asked to handle.

Implements `ports.inside.Registrar` in the transaction of the decision step.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from commhub.domain.facts import IncidentRegistered, RulesDecided
from commhub.domain.incident import Incident, Stage
from commhub.domain.people import Loop
from commhub.domain.report import Report, ReportStage, told
from commhub.incidents import attention, kept
from commhub.incidents.attention import Why
from commhub.incidents.config import IncidentConfig
from commhub.incidents.crew import Crew
from commhub.incidents.dispatching import Case, Dispatcher
from commhub.incidents.metrics import REGISTERED
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.decisions import Decision
from commhub.ports.inside import Registration
from commhub.ports.store import UnitOfWork

TITLE_LENGTH = 60
BARE_LEVEL = 2


class Registry:
    """Opens incidents."""

    def __init__(self, clock: Clock, dispatcher: Dispatcher, config: IncidentConfig) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._config = config

    async def register(
        self, uow: UnitOfWork, registrations: Sequence[Registration]
    ) -> Sequence[Incident]:
        """See `commhub.ports.inside.Registrar.register`."""
        crew = await Crew.load(uow)
        return [await self._register(uow, registration, crew) for registration in registrations]

    async def _register(self, uow: UnitOfWork, new: Registration, crew: Crew) -> Incident:
        now = self._clock.now()
        report, decision = new.report, new.decision
        incident = replace(
            await self._incident_of(uow, report, now, new.incident_id, new.origin),
            level=decision.level,
            loop=decision.loop,
            team=decision.team,
            decision=kept.keep(decision),
        )
        await uow.incidents.add(incident)
        await uow.reports.update(
            replace(report, stage=ReportStage.ATTACHED, incident_id=incident.id)
        )
        _record_opening(uow, incident, report, decision, now)
        case = Case(uow, now, incident, decision, report, crew, tasks=[])
        _mark_doubts(case, new.attention)
        if not await self._dispatcher.ask_next(case):
            await self._dispatcher.look_again(case)
        await case.save()
        REGISTERED.labels(str(report.drill).lower()).inc()
        return case.incident

    async def register_bare(self, uow: UnitOfWork, report: Report, why: str) -> Incident:
        """See `commhub.ports.inside.Registrar.register_bare`."""
        now = self._clock.now()
        incident = await self._incident_of(uow, report, now)
        incident = attention.raise_on(uow, incident, Why.NOT_REGISTRABLE, why, now)
        await uow.incidents.add(incident)
        uow.record(told(report, incident.id))
        uow.record(_registered(incident, now))
        REGISTERED.labels(str(report.drill).lower()).inc()
        return incident

    async def _incident_of(
        self,
        uow: UnitOfWork,
        report: Report,
        now: datetime,
        incident_id: str | None = None,
        origin: str | None = None,
    ) -> Incident:
        day = now.astimezone(self._config.time_zone).strftime("%Y%m%d")
        return Incident(
            id=incident_id or new_id(),
            number=f"{day}-{await uow.incidents.next_number(day):04d}",
            category=report.category,
            title=title_of(report),
            level=report.level or BARE_LEVEL,
            loop=Loop.COMMUNITY,
            stage=Stage.REGISTERED,
            opened_at=now,
            updated_at=now,
            place=report.place,
            point=report.point,
            grid=report.grid,
            reporter=report.reporter,
            drill=report.drill,
            origin=origin or self._config.origin,
        )


def _record_opening(
    uow: UnitOfWork, incident: Incident, report: Report, decision: Decision, now: datetime
) -> None:
    uow.record(told(report, incident.id))
    uow.record(
        RulesDecided(
            at=now,
            actor="rules",
            incident_id=incident.id,
            ruleset=decision.ruleset,
            version=decision.version,
            outcome=kept.outcome_of(decision),
            trace=decision.trace,
            fell_to_default=decision.fell_to_default,
        )
    )
    uow.record(_registered(incident, now))


def _registered(incident: Incident, now: datetime) -> IncidentRegistered:
    return IncidentRegistered(
        at=now,
        incident_id=incident.id,
        number=incident.number,
        category=incident.category,
        level=incident.level,
        loop=incident.loop.value,
        team=incident.team,
    )


def _mark_doubts(case: Case, doubt: str | None) -> None:
    """Ask a person to look at what the rules did not really decide."""
    if doubt is not None:
        why, text = Why.NOT_DECIDABLE, f"the rules could not decide: {doubt}"
    elif case.decision.fell_to_default:
        why, text = Why.DEFAULT_RULE, "only the catch-all rule matched; check category and team"
    else:
        return
    case.incident = attention.raise_on(case.uow, case.incident, why, text, case.now)


def title_of(report: Report) -> str:
    """The first line of what was told; the category, and the place, when nothing was."""
    line = next((line.strip() for line in report.text.splitlines() if line.strip()), "")
    title = line or " ".join(filter(None, (report.category, report.place)))
    return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1] + "…"
