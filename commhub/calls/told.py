"""Facts of legs, as every move tells them."""

from collections.abc import Mapping
from datetime import datetime

from commhub.domain.call import Call, Leg
from commhub.domain.call_facts import LegMoved, LegShaped


def moved(leg: Leg, call: Call, *, at: datetime, actor: str) -> LegMoved:
    """The fact of a leg's state."""
    return LegMoved(
        at=at,
        actor=actor,
        incident_id=call.incident_id,
        call_id=call.id,
        leg_id=leg.id,
        endpoint=str(leg.endpoint),
        state=leg.state,
        cause=leg.cause,
        detail=leg.detail,
    )


def shaped(
    leg: Leg, call: Call, change: Mapping[str, object], *, at: datetime, actor: str
) -> LegShaped:
    """The fact of what the desk made of a leg."""
    return LegShaped(
        at=at,
        actor=actor,
        incident_id=call.incident_id,
        call_id=call.id,
        leg_id=leg.id,
        endpoint=str(leg.endpoint),
        change=change,
    )
