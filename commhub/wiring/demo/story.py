"""The story of an incident, told only through the public API and the simulators.

Each step either shows what it claims or raises StoryError; nothing looks into the hub from behind.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import yaml

from commhub.wiring.demo.cast import Cast, StoryError, Talker, expect, step, until
from commhub.wiring.demo.settle import Desk
from commhub.wiring.demo.watching import watch_live

# A tone counts as heard this far over the floor, and one's own voice as absent at this level below the others'.
HEARD_OVER_FLOOR_DB = 20.0
ABSENT_BELOW_DB = 30.0
RULES = "street-dispatch"
SIDE_BY_SIDE = timedelta(seconds=1)


def tell(cast: Cast) -> None:
    """Play all steps. Raises StoryError at the first that fails."""
    with step(cast, "b7 raises SOS; the rules register it, rank the responders and dispatch one"):
        incident = raise_sos(cast, "有人受伤，请求支援")
    with step(cast, "the dispatcher opens b7's live view and sees what it shows now, in 1080p"):
        watch_live(cast)
    with step(
        cast, "the responder's WeChat Work shows the card; 接单 is tapped and the card says so"
    ):
        user = accept_card(cast, incident)
    with step(cast, "two phones and a radio group in one bridged call, each hearing the others"):
        hold_call(cast, incident)
    with step(
        cast, "完成 is tapped; the dispatcher verifies and closes; the timeline has all of it"
    ):
        finish_and_close(cast, incident, user)
    with step(cast, "nobody accepts the second SOS; its clock escalates it to the next responder"):
        escalate(cast)


# --- the steps -------------------------------------------------------------------------------------------


def timeline(cast: Cast, incident_id: str) -> list[dict[str, Any]]:
    """All lines of an incident's timeline, oldest first."""
    page = cast.desk.get(f"/incidents/{incident_id}/timeline")
    items: list[dict[str, Any]] = page["items"]
    return items


def raise_sos(cast: Cast, text: str) -> str:
    """The body camera's button; returns the id of the incident that came of it, dispatched."""
    before = {row["id"] for row in cast.desk.get("/incidents", open="true")["items"]}
    cast.bodycam.do("sos", text=text)
    until("the body camera gets its acknowledgement", lambda: cast.bodycam.state()["acknowledged"])

    def dispatched() -> str | None:
        for row in cast.desk.get("/incidents", open="true")["items"]:
            if row["id"] not in before and row["stage"] == "dispatched":
                incident_id: str = row["id"]
                return incident_id
        return None

    incident_id: str = until("a dispatched incident", dispatched)
    file = cast.desk.get(f"/incidents/{incident_id}")
    expect(file["incident"]["category"] == "sos", f"category is {file['incident']['category']}")
    expect(file["incident"]["point"], "the incident has no position")
    expect(file["incident"]["responder_id"], "no responsible person")
    kinds = [entry["kind"] for entry in timeline(cast, incident_id)]
    for kind in (
        "report_received",
        "rules_decided",
        "incident_registered",
        "responders_ranked",
        "task_dispatched",
    ):
        expect(kind in kinds, f"the timeline has no {kind}: {kinds}")
    decided = next(e for e in timeline(cast, incident_id) if e["kind"] == "rules_decided")
    expect(decided["data"]["trace"], "the rules left no trace")
    return incident_id


def wecom_user_of(cast: Cast, responder_id: str) -> str:
    """The WeCom user id of a responder."""
    for responder in cast.desk.get("/directory/responders"):
        if responder["id"] == responder_id:
            for endpoint in responder["endpoints"]:
                if endpoint.startswith("wecom:"):
                    name: str = endpoint.removeprefix("wecom:")
                    return name
    raise StoryError(f"{responder_id} has no WeCom address")


def responder_of(cast: Cast, incident_id: str) -> str:
    """Who has the incident now."""
    responder: str = cast.desk.get(f"/incidents/{incident_id}")["incident"]["responder_id"]
    return responder


def stage_of(cast: Cast, incident_id: str) -> str:
    stage: str = cast.desk.get(f"/incidents/{incident_id}")["incident"]["stage"]
    return stage


def newest_card(cast: Cast, user: str) -> dict[str, Any] | None:
    """The newest card on that user's phone."""
    phone = cast.wecom.state()["users"].get(user.lower(), {"cards": []})
    cards: list[dict[str, Any]] = phone["cards"]
    return cards[-1] if cards else None


def _buttons(card: Mapping[str, Any]) -> list[str]:
    return [button["key"] for button in card["buttons"]]


def accept_card(cast: Cast, incident_id: str) -> str:
    """Tap 接单 on the newest card of whoever has the incident; returns the WeCom user."""
    number = cast.desk.get(f"/incidents/{incident_id}")["incident"]["number"]
    user = wecom_user_of(cast, responder_of(cast, incident_id))

    def card() -> dict[str, Any] | None:
        newest = newest_card(cast, user)
        return newest if newest and number in str(newest) and "accept" in _buttons(newest) else None

    shown = until(f"{user}'s card of {number}", card)
    cast.wecom.do("tap", user=user, task_id=shown["task_id"], key="accept")
    until("the incident is accepted", lambda: stage_of(cast, incident_id) == "accepted")

    def updated() -> bool:
        newest = newest_card(cast, user)
        return newest is not None and newest["updates"] > 0 and "accept" not in _buttons(newest)

    until("the card says that it was accepted", updated)
    return user


def hold_call(cast: Cast, incident_id: str) -> None:
    """Bridge the phones with the radio group and measure who hears whom, in both directions of the floor."""
    talkers = [*cast.phones, cast.radio]
    path = connect(cast.desk, [talker.endpoint for talker in talkers], incident_id)
    try:
        for phone in cast.phones:
            phone.talk(True)
        # The phones speak: their voice takes the floor, and the radios hear both.
        hears(cast.radio, cast.phones)
        for phone in cast.phones:
            hears(phone, [other for other in cast.phones if other is not phone])
        # The radio presses its key: the phones hear it, and one another still.
        cast.radio.talk(True)
        for phone in cast.phones:
            hears(phone, [other for other in talkers if other is not phone])
        does_not_hear(cast.radio, [cast.radio])
    finally:
        for talker in talkers:
            talker.talk(False)
    cast.desk.delete(path)
    until("the call is over", lambda: cast.desk.get(path)["ended_at"])


def connect(desk: Desk, endpoints: Sequence[str], incident_id: str) -> str:
    """A call with these legs, all of them connected; the path to it."""
    call = desk.post("/calls", {"legs": endpoints, "incident": incident_id})
    path = f"/calls/{call['id']}"

    def all_connected() -> bool:
        legs = desk.get(path)["legs"]
        failed = [leg for leg in legs if leg["state"] == "ended"]
        expect(not failed, f"a leg ended: {failed}")
        return all(leg["state"] == "connected" for leg in legs)

    until("all legs are connected", all_connected, within_s=45)
    return path


def hears(listener: Talker, others: Sequence[Talker]) -> None:
    """All of `others` stand out of what `listener` hears, and its own tone does not."""

    def heard() -> bool:
        levels = listener.levels()
        loudest = max(levels[f"{other.tone:g}"] for other in others)
        return (
            all(
                levels[f"{other.tone:g}"] >= levels["floor"] + HEARD_OVER_FLOOR_DB
                for other in others
            )
            and levels[f"{listener.tone:g}"] <= loudest - ABSENT_BELOW_DB
        )

    names = ", ".join(other.endpoint for other in others)
    try:
        until(f"{listener.endpoint} hears {names} and not itself", heard)
    except StoryError as error:
        raise StoryError(f"{error}; it hears {dict(listener.levels())}") from error


def does_not_hear(listener: Talker, others: Sequence[Talker]) -> None:
    levels = listener.levels()
    loud = [other.endpoint for other in others if levels[f"{other.tone:g}"] > -ABSENT_BELOW_DB]
    expect(not loud, f"{listener.endpoint} hears {loud}: {dict(levels)}")


def finish_and_close(cast: Cast, incident_id: str, user: str) -> None:
    """Finish it; the timeline must tell all of it, in order."""
    finish(cast, incident_id, user)
    _check_timeline(timeline(cast, incident_id))


def finish(cast: Cast, incident_id: str, user: str) -> None:
    """完成 on the card, then verify and close at the desk."""
    card = newest_card(cast, user)
    expect(card is not None and "finish" in _buttons(card), f"no 完成 on the card: {card}")
    cast.wecom.do("tap", user=user, task_id=card["task_id"] if card else "", key="finish")
    until("the incident is handled", lambda: stage_of(cast, incident_id) == "handled")
    actions = f"/incidents/{incident_id}/actions"
    cast.desk.post(actions, {"action": "verify", "note": "电话回访，已处理"})
    closed = cast.desk.post(actions, {"action": "close", "note": "结案"})
    expect(closed["stage"] == "closed", f"the stage is {closed['stage']}")


def _check_timeline(entries: list[dict[str, Any]]) -> None:
    """Every step is there, in this order, with who and when."""
    steps = [
        ("report_received", None),
        ("rules_decided", None),
        ("incident_registered", None),
        ("responders_ranked", None),
        ("task_dispatched", None),
        ("ack_received", "accept"),
        ("task_moved", "accept"),
        ("call_started", None),
        ("leg_moved", None),
        ("floor_moved", None),
        ("call_ended", None),
        ("ack_received", "finish"),
        ("task_moved", "finish"),
        ("stage_moved", "verify"),
        ("stage_moved", "close"),
    ]
    rest = iter(entries)
    for kind, action in steps:
        found = any(
            entry["kind"] == kind and action in (None, entry["data"].get("action"))
            for entry in rest
        )
        told = [entry["kind"] for entry in entries]
        expect(found, f"the timeline lacks {kind} {action or ''} in its place: {told}")
    expect(all(entry["actor"] and entry["at"] for entry in entries), "a line without who or when")
    # Lines stand in the order of their commits; what happened side by side may be told a moment out of step.
    times = [datetime.fromisoformat(entry["at"]) for entry in entries]
    expect(
        all(later >= earlier - SIDE_BY_SIDE for earlier, later in pairwise(times)),
        f"the timeline is not in the order of time: {[str(at.time()) for at in times]}",
    )


def escalate(cast: Cast) -> None:
    """With an accept clock of seconds, an SOS that nobody accepts goes to the next responder."""
    original = cast.desk.get(f"/rules/{RULES}")["yaml"]
    cast.desk.put(f"/rules/{RULES}", {"yaml": _with_quick_clock(original)})
    try:
        incident_id = raise_sos(cast, "无人接单演示")
        first = responder_of(cast, incident_id)

        def escalated() -> Any:
            return [e for e in timeline(cast, incident_id) if e["kind"] == "task_escalated"]

        until("the timeline says that it was escalated", escalated, within_s=45)
    finally:
        cast.desk.put(f"/rules/{RULES}", {"yaml": original})
    told = escalated()[0]
    second = until(
        "another responder has it",
        lambda: (now := responder_of(cast, incident_id)) != first and now,
    )
    expect(told["actor"] == "clock", f"escalated by {told['actor']}")
    user = wecom_user_of(cast, second)
    until(f"{user} has a card to accept", lambda: (c := newest_card(cast, user)) and _buttons(c))
    accept_card(cast, incident_id)


def _with_quick_clock(text: str) -> str:
    """The same rules with an accept clock of three seconds, as a version of its own."""
    rules = yaml.safe_load(text)
    rules["version"] = f"{rules['version']}+quick"
    table = rules["tables"]["sla"]
    column = len(table["when"]) + table["then"].index("accept")
    for row in table["rows"]:
        row[column] = 0.05
    return yaml.safe_dump(rules, allow_unicode=True, sort_keys=False)
