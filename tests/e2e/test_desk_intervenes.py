"""The dispatcher listens to two phones' talk, breaks in, and takes one of them out, all in the browser."""

import pytest
from fakes.talkers import is_idle

from commhub.wiring.demo.settle import DISPATCHER
from commhub.wiring.demo.story import until

pytestmark = pytest.mark.audio


@pytest.fixture
def talk(cast):
    """The second phone has called the first; both talk. The call's id."""
    first, second = cast.phones
    for phone in (first, second):
        until(f"{phone.endpoint} is idle", lambda phone=phone: is_idle(phone))
    second.page.do("dial", number="1001")
    until("both talk", lambda: {p.page.state()["call"] for p in (first, second)} == {"answered"})
    for phone in (first, second):
        phone.talk(True)
    (call,) = cast.desk.get("/calls", live="true")["items"]
    yield call["id"]
    cast.desk.delete(f"/calls/{call['id']}")
    for phone in (first, second):
        phone.talk(False)
        until(f"{phone.endpoint} is idle", lambda phone=phone: is_idle(phone))


def leg(cast, call, endpoint):
    """The last leg of that endpoint."""
    legs = cast.desk.get(f"/calls/{call}")["legs"]
    return [one for one in legs if one["endpoint"] == endpoint][-1]


def hears_the_desk(cast, phone):
    levels = phone.levels()
    return levels[f"{cast.radio.tone:g}"] >= levels["floor"] + 20


def hears_nothing_of_the_desk(cast, phone):
    return phone.levels()[f"{cast.radio.tone:g}"] <= -50


def test_the_desk_listens_breaks_in_and_releases_a_phone(cast, desk, talk, pictures):
    first, second = cast.phones
    me = f"desk:{DISPATCHER}"

    desk.do("click", selector=".call .listen")
    for phone in (first, second):
        desk.do("hears", tone=f"{phone.tone:g}")
    desk.do("sees", text="本席监听中")
    assert leg(cast, talk, me)["listen_only"]
    assert all(hears_nothing_of_the_desk(cast, phone) for phone in (first, second))

    desk.do("click", selector=".voice .leave")
    until("the desk has left", lambda: leg(cast, talk, me)["state"] == "ended")
    desk.do("click", selector=".call .barge-in")
    for phone in (first, second):
        until(f"{phone.endpoint} hears the desk", lambda p=phone: hears_the_desk(cast, p), 15)
    desk.do("hears", tone=f"{first.tone:g}")
    desk.do("picture", file=str(pictures / "barge-in.png"))

    desk.do("release", endpoint="sip:1002")
    until("the released phone is idle", lambda: is_idle(second))
    assert leg(cast, talk, "sip:1002")["cause"] == "desk"
    assert hears_the_desk(cast, first)
    assert leg(cast, talk, "sip:1001")["state"] == "connected"
