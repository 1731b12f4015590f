"""The story's part that is played between street, district and city.

As in `story`, each step looks at public interfaces only, and at those of the hub that the claim is about.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from commhub.wiring.demo.cast import (
    Cast,
    CastAbove,
    PhoneTalker,
    RadioTalker,
    expect,
    step,
    until,
)
from commhub.wiring.demo.settle import Desk
from commhub.wiring.demo.story import accept_card, connect, finish, hears, raise_sos
from commhub.wiring.demo.town import CITY, DISTRICT, STREET
from commhub.wiring.demo.watching import see

WITHIN_S = 60.0


def tell_above(cast: Cast, above: CastAbove) -> None:
    """Play all steps. Raises StoryError at the first that fails."""
    with step(cast, "street, district and city know each other: every link is up at both ends"):
        look_at_links(cast, above)
    with step(cast, "the district finds the street's radio and body camera in its address book"):
        look_at_directory(above)
    with step(cast, "an SOS is reported up: district and city have the incident under the same id"):
        incident = report_up(cast, above)
    with step(cast, "the street whistles the district's police, who check in; both sides see it"):
        whistle(cast, above, incident)
    with step(
        cast, "the city opens a meeting over all tiers and sees the street's body camera in 1080p"
    ):
        watch_from_the_city(cast, above, incident)
    with step(
        cast, "street radio and city phone in a call of the district, each hearing the other"
    ):
        talk_over_tiers(cast, above, incident)
    with step(cast, "the city's order reaches the street by way of the district"):
        orders = order_down(cast, above, incident)
    with step(cast, "the street finishes, answers and closes; the city sees the loop closed"):
        close_the_loop(cast, above, incident, orders)


def look_at_links(cast: Cast, above: CastAbove) -> None:
    """Each desk sees its neighbours, and no further."""
    expected = [
        (cast.desk, {DISTRICT.hub: "upper"}),
        (above.district, {STREET.hub: "lower", CITY.hub: "upper"}),
        (above.city, {DISTRICT.hub: "lower"}),
    ]
    for desk, neighbours in expected:
        peerings = desk.get("/tiers/peerings")
        seen = {peering["peer"]: peering["relation"] for peering in peerings}
        expect(seen == neighbours, f"{desk.url} has the neighbours {seen}")
        down = [peering["reason"] for peering in peerings if not peering["up"]]
        expect(not down, f"a link of {desk.url} is down: {down}")


def look_at_directory(above: CastAbove) -> None:
    """What the street shares can be reached from the district."""

    def reachable() -> bool:
        seen = {
            one["address"] for one in above.district.get("/tiers/directory") if one["reachable"]
        }
        return {f"radio:r12@{STREET.hub}", f"cam:b7@{STREET.hub}"} <= seen

    until("the district reaches radio and body camera", reachable, WITHIN_S)


def report_up(cast: Cast, above: CastAbove) -> str:
    """From street to district, from there to the city. Each has a number, a stage and a timeline of its own, and the one id."""
    incident = raise_sos(cast, "请求区里支援")
    cast.desk.post(f"/tiers/incidents/{incident}/report-up", {"note": "本街力量不足"})
    until("the district has the incident", lambda: has(above.district, incident), WITHIN_S)
    above.district.post(f"/tiers/incidents/{incident}/report-up", {"note": "请市里关注"})
    until("the city has the incident", lambda: has(above.city, incident), WITHIN_S)
    for desk in (above.district, above.city):
        told = desk.get(f"/incidents/{incident}")["incident"]
        expect(told["origin"] == STREET.hub, f"at {desk.url} it began at {told['origin']}")
    until(
        "the street knows the district's number and stage",
        lambda: all(share_of(cast.desk, incident, DISTRICT.hub)[f"their_{one}"] for one in ("number", "stage")),
        WITHIN_S,
    )  # fmt: skip
    until(
        "the city's timeline has what street and district wrote",
        lambda: {STREET.hub, DISTRICT.hub, CITY.hub} <= hubs_of(above.city, incident),
        WITHIN_S,
    )
    return incident


def whistle(cast: Cast, above: CastAbove, incident: str) -> None:
    """吹哨报到: a department of the district is called by the street, and its desk says who came."""
    asked = {"units": ["police"], "within_minutes": 10, "note": "请到场处置"}
    called = cast.desk.post(f"/tiers/incidents/{incident}/whistle", asked)[0]
    until(
        "the district hears the whistle",
        lambda: (
            called["id"] in {one["id"] for one in common(above.district, incident)["check_ins"]}
        ),
        WITHIN_S,
    )
    path = f"/tiers/incidents/{incident}/check-ins/{called['id']}"
    above.district.post(path, {"by": "何勇"})

    def came() -> bool:
        mine = common(cast.desk, incident)["check_ins"]
        return [one["by"] for one in mine if one["state"] == "checked_in"] == ["何勇"]

    until("the street sees who came", came, WITHIN_S)


def watch_from_the_city(cast: Cast, above: CastAbove, incident: str) -> None:
    """One meeting, a half of it at each hub. The street takes its body camera in, which sends because somebody in the city looks."""
    city = above.city
    room = city.post("/rooms", {"name": "三级联合会商", "incident": incident})["id"]
    city.post(f"/rooms/{room}/cascades", {"peer": DISTRICT.hub, "beyond": [STREET.hub]})
    half = until(
        "the street has its half of the meeting, of the same incident",
        lambda: _open_room(cast.desk, incident),
        WITHIN_S,
    )
    cast.desk.post(f"/rooms/{half}/invitations", {"to": "cam:b7"})
    source = until(
        "the city's meeting has the picture", lambda: _street_source(city, room), WITHIN_S
    )
    way = [STREET.hub, DISTRICT.hub, CITY.hub]
    expect(source["via"] == way, f"it came via {source['via']}")
    see(cast, city, room, source["source_id"])
    city.delete(f"/rooms/{room}")


def _open_room(desk: Desk, incident: str) -> str | None:
    rooms = desk.get("/rooms", open="true", incident=incident)["items"]
    return next((room["id"] for room in rooms), None)


def _street_source(desk: Desk, room: str) -> dict[str, Any] | None:
    sources = desk.get(f"/rooms/{room}/cascades")["sources"]
    return next((one for one in sources if one["origin"].startswith(f"{STREET.hub}/")), None)


def talk_over_tiers(cast: Cast, above: CastAbove, incident: str) -> None:
    """Two neighbours' terminals bridged by the hub between them."""
    radio = RadioTalker(cast.radio.page, f"{cast.radio.endpoint}@{STREET.hub}", cast.radio.tone)
    phone = PhoneTalker(above.phone.page, f"{above.phone.endpoint}@{CITY.hub}", above.phone.tone)
    path = connect(above.district, [radio.endpoint, phone.endpoint], incident)
    try:
        phone.talk(True)
        hears(radio, [phone])
        radio.talk(True)
        hears(phone, [radio])
    finally:
        for talker in (radio, phone):
            talker.talk(False)
    above.district.delete(path)
    until("the call is over", lambda: above.district.get(path)["ended_at"])


def order_down(cast: Cast, above: CastAbove, incident: str) -> Sequence[tuple[Desk, str]]:
    """督办, hop by hop: who is to answer what, from below to above."""
    orders = []
    for upper, lower, peer in (
        (above.city, above.district, DISTRICT.hub),
        (above.district, cast.desk, STREET.hub),
    ):
        wanted = {"peer": peer, "text": "立即处置并反馈结果", "within_minutes": 30}
        order = upper.post(f"/tiers/incidents/{incident}/supervise", wanted)["id"]
        until(
            f"the order {order} is at {peer}",
            partial(_is_ordered, lower, incident, order),
            WITHIN_S,
        )
        orders.append((lower, order))
    return orders[::-1]


def close_the_loop(
    cast: Cast, above: CastAbove, incident: str, orders: Sequence[tuple[Desk, str]]
) -> None:
    """What was ordered is done, answered from below to above, and seen there."""
    finish(cast, incident, accept_card(cast, incident))
    for desk, order in orders:
        path = f"/tiers/incidents/{incident}/supervisions/{order}/answer"
        desk.post(path, {"answer": "已处置完毕"})
    _, last = orders[-1]
    until(
        "the city has its answer",
        lambda: _orders(above.city, incident)[last]["answer"] == "已处置完毕",
        WITHIN_S,
    )
    until(
        "the district knows that the street closed it",
        lambda: share_of(above.district, incident, STREET.hub)["their_stage"] == "closed",
        WITHIN_S,
    )
    until(
        "the city's timeline has the street's closing",
        lambda: any(
            entry["kind"] == "stage_moved"
            and entry["hub"] == STREET.hub
            and entry["data"].get("action") == "close"
            for entry in above.city.get(f"/incidents/{incident}/timeline", limit=200)["items"]
        ),
        WITHIN_S,
    )


# --- what the desks see ----------------------------------------------------------------------------------


def has(desk: Desk, incident: str) -> bool:
    """Whether that hub has the incident, however it stands there."""
    rows = desk.get("/incidents")["items"]
    return incident in {row["id"] for row in rows}


def common(desk: Desk, incident: str) -> dict[str, Any]:
    """What that hub has in common with others of the incident."""
    told: dict[str, Any] = desk.get(f"/tiers/incidents/{incident}")
    return told


def share_of(desk: Desk, incident: str, peer: str) -> dict[str, Any]:
    share: dict[str, Any] = next(
        one for one in common(desk, incident)["shares"] if one["peer"] == peer
    )
    return share


def hubs_of(desk: Desk, incident: str) -> set[str]:
    """Who wrote on the incident's timeline there."""
    entries = desk.get(f"/incidents/{incident}/timeline", limit=200)["items"]
    return {entry["hub"] for entry in entries}


def _orders(desk: Desk, incident: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in common(desk, incident)["supervisions"]}


def _is_ordered(desk: Desk, incident: str, order: str) -> bool:
    return order in _orders(desk, incident)
