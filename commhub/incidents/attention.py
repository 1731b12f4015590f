"""What the desk must look at, as one text on the incident: a line `code: sentence` for each reason.

Codes are stable, so that the console can translate them and a step can take back its own reason only.
"""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from commhub.domain.facts import AttentionRaised
from commhub.domain.incident import Incident
from commhub.incidents.metrics import ATTENTION
from commhub.ports.store import UnitOfWork


class Why(StrEnum):
    """Reasons of this room; `delivery_failed` comes from messages."""

    DEFAULT_RULE = "default_rule"
    NOT_DECIDABLE = "not_decidable"
    NOT_REGISTRABLE = "not_registrable"
    NOBODY_AVAILABLE = "nobody_available"
    NOBODY_ACCEPTS = "nobody_accepts"
    UNREACHABLE = "unreachable"
    CLOCK_FAILED = "clock_failed"
    DELIVERY_FAILED = "delivery_failed"


# What is settled once a responder has the task.
ABOUT_REACHING = frozenset(
    {Why.NOBODY_AVAILABLE, Why.NOBODY_ACCEPTS, Why.UNREACHABLE, Why.DELIVERY_FAILED}
)


def has(incident: Incident, code: str) -> bool:
    """Whether that reason stands on the incident."""
    return any(line.startswith(f"{code}: ") for line in _lines(incident))


def raise_on(uow: UnitOfWork, incident: Incident, code: str, text: str, at: datetime) -> Incident:
    """Return the incident with the reason, recorded on its timeline unless it stood there already."""
    if has(incident, code):
        return incident
    ATTENTION.labels(code).inc()
    uow.record(AttentionRaised(at=at, incident_id=incident.id, code=code, text=text))
    line = f"{code}: {' '.join(text.split())}"[:500]
    return replace(incident, needs_attention="\n".join([*_lines(incident), line]))


def settle(incident: Incident, codes: frozenset[Why] = ABOUT_REACHING) -> Incident:
    """Return the incident without these reasons."""
    kept = [line for line in _lines(incident) if line.partition(":")[0] not in codes]
    return replace(incident, needs_attention="\n".join(kept) or None)


def _lines(incident: Incident) -> list[str]:
    return incident.needs_attention.split("\n") if incident.needs_attention else []
