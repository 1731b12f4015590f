"""Domain objects for tests: short to write, complete where it matters."""

from datetime import datetime
from typing import Any

from fakes.clock import START

from commhub.domain.call import Call, Leg
from commhub.domain.incident import Incident, Stage
from commhub.domain.message import Delivery, Message, MessageKind
from commhub.domain.people import Endpoint, Loop, Responder, Scheme, Unit
from commhub.domain.recording import Recording
from commhub.domain.report import Report, Source
from commhub.domain.task import Task
from commhub.domain.timer import ClockName, Timer
from commhub.kit.ids import new_id


def an_incident(**given: Any) -> Incident:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "number": "20260302-001",
        "category": "fire",
        "title": "Smoke in the stairwell",
        "level": 2,
        "loop": Loop.STREET,
        "stage": Stage.REGISTERED,
        "opened_at": START,
        "updated_at": START,
    }
    return Incident(**defaults | given)


def a_report(**given: Any) -> Report:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "source": Source.DEVICE,
        "idempotency_key": new_id(),
        "category": "sos",
        "text": "help",
        "received_at": START,
    }
    return Report(**defaults | given)


def a_task(incident_id: str, **given: Any) -> Task:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "incident_id": incident_id,
        "responder_id": "zhang",
        "unit_id": "u1",
        "dispatched_at": START,
    }
    return Task(**defaults | given)


def a_timer(incident_id: str, due_at: datetime = START, **given: Any) -> Timer:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "incident_id": incident_id,
        "clock": ClockName.ACCEPT,
        "step": 1,
        "due_at": due_at,
    }
    return Timer(**defaults | given)


def a_message(**given: Any) -> Message:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "dedup_key": new_id(),
        "kind": MessageKind.TASK_CARD,
        "title": "Go there",
        "body": "Smoke",
        "created_at": START,
    }
    return Message(**defaults | given)


def a_delivery(message_id: str, next_at: datetime = START, **given: Any) -> Delivery:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "message_id": message_id,
        "channel": "wecom",
        "recipient": "zhangsan",
        "next_at": next_at,
    }
    return Delivery(**defaults | given)


def a_unit(**given: Any) -> Unit:
    defaults: dict[str, Any] = {"id": "u1", "name": "Street brigade", "team": "fire"}
    return Unit(**defaults | given)


def a_responder(**given: Any) -> Responder:
    defaults: dict[str, Any] = {"id": "zhang", "name": "Zhang", "unit_id": "u1"}
    return Responder(**defaults | given)


def a_call(**given: Any) -> Call:
    defaults: dict[str, Any] = {"id": new_id(), "created_at": START, "created_by": "user:li"}
    return Call(**defaults | given)


def a_leg(call_id: str, **given: Any) -> Leg:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "call_id": call_id,
        "endpoint": Endpoint(Scheme.SIP, "1001"),
        "created_at": START,
    }
    return Leg(**defaults | given)


def a_recording(call_id: str, **given: Any) -> Recording:
    defaults: dict[str, Any] = {
        "id": new_id(),
        "call_id": call_id,
        "path": f"2026-03-02/{call_id}.wav",
        "seconds": 2.0,
        "sha256": "ab" * 32,
        "stored_at": START,
        "started_at": START,
    }
    return Recording(**defaults | given)
