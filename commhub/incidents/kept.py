"""The rules' decision as it is kept on the incident (JSON), so that a later step decides by the same words."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from commhub.domain.people import Loop
from commhub.ports.decisions import Decision, EscalationStep


def keep(decision: Decision) -> dict[str, object]:
    """JSON of a decision; durations are seconds."""
    return {
        "ruleset": decision.ruleset,
        "version": decision.version,
        "loop": decision.loop.value,
        "team": decision.team,
        "skills": sorted(decision.skills),
        "alarm": decision.alarm,
        "channels": list(decision.channels),
        "clocks": {name: length.total_seconds() for name, length in decision.clocks.items()},
        "level": decision.level,
        "escalation": [_keep_step(step) for step in decision.escalation],
        "trace": dict(decision.trace),
        "fell_to_default": decision.fell_to_default,
    }


def outcome_of(decision: Decision) -> dict[str, object]:
    """What was decided, without how: for the timeline, where the trace stands beside it."""
    beside = {"ruleset", "version", "trace", "fell_to_default", "escalation"}
    return {name: value for name, value in keep(decision).items() if name not in beside}


def recall(kept: Mapping[str, Any]) -> Decision:
    """The decision back from `keep`. Of an incident without one: an empty team, so that its leader is asked."""
    return Decision(
        ruleset=kept.get("ruleset", ""),
        version=kept.get("version", ""),
        loop=Loop(kept.get("loop", Loop.COMMUNITY)),
        team=kept.get("team", ""),
        skills=frozenset(kept.get("skills", ())),
        alarm=kept.get("alarm", 1),
        channels=tuple(kept.get("channels", ())),
        clocks={name: timedelta(seconds=s) for name, s in kept.get("clocks", {}).items()},
        level=kept.get("level", 4),
        escalation=tuple(_recall_step(step) for step in kept.get("escalation", ())),
        trace=kept.get("trace", {}),
        fell_to_default=kept.get("fell_to_default", False),
    )


def _keep_step(step: EscalationStep) -> dict[str, object]:
    return {
        "clock": step.clock,
        "after": step.after,
        "act": step.act,
        "to": step.to,
        "via": list(step.via),
        "repeat": step.repeat,
        "every": step.every.total_seconds() if step.every else None,
    }


def _recall_step(kept: Mapping[str, Any]) -> EscalationStep:
    every = kept["every"]
    return EscalationStep(
        clock=kept["clock"],
        after=kept["after"],
        act=kept["act"],
        to=kept["to"],
        via=tuple(kept["via"]),
        repeat=kept["repeat"],
        every=timedelta(seconds=every) if every is not None else None,
    )
