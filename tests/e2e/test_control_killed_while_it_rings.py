"""kill -9 of the control process while phones ring and while somebody is on hold: it rings on, holds on, and can be
answered, taken back and hung up afterwards."""

import pytest
from fakes.talkers import is_idle

from commhub.wiring.demo.settle import DISPATCHER
from commhub.wiring.demo.story import hears, until

pytestmark = pytest.mark.audio

DUTY_NUMBER = "8000"


@pytest.fixture
def phones(cast):
    """Both phones, idle before and after; the second only rings until it is told to answer."""
    first, second = cast.phones
    for phone in (first, second):
        until(f"{phone.endpoint} is idle", lambda phone=phone: is_idle(phone))
    second.page.do("mode", mode="ring")
    yield first, second
    second.page.do("mode", mode="auto")
    for call in cast.desk.get("/calls", live="true")["items"]:
        cast.desk.delete(f"/calls/{call['id']}")
    for phone in (first, second):
        phone.talk(False)
        until(f"{phone.endpoint} is idle", lambda phone=phone: is_idle(phone))


def kill_and_wait(stage):
    stage.hub.kill("control")
    stage.hub.wait_ready()


def hear_each_other(first, second):
    for phone in (first, second):
        phone.talk(True)
    hears(first, [second])
    hears(second, [first])


def states(cast, call):
    return {leg["endpoint"]: leg["state"] for leg in cast.desk.get(f"/calls/{call}")["legs"]}


def ringing_call(cast, first, second):
    """The first phone has dialled the second, which rings; the call's id."""
    first.page.do("dial", number="1002")
    until("the second phone rings", lambda: second.page.state()["call"] == "ringing")
    (call,) = cast.desk.get("/calls", live="true")["items"]
    until("the hub knows", lambda: states(cast, call["id"])["sip:1002"] == "ringing")
    return call["id"]


def test_a_phone_that_rang_is_answered_and_both_hear_each_other(stage, cast, phones):
    first, second = phones
    call = ringing_call(cast, first, second)
    kill_and_wait(stage)
    assert states(cast, call) == {"sip:1001": "ringing", "sip:1002": "ringing"}
    second.page.do("answer")
    until("both talk", lambda: set(states(cast, call).values()) == {"connected"})
    hear_each_other(first, second)
    second.page.do("hangup")
    until("the caller is let go", lambda: is_idle(first))


def test_a_caller_who_gives_up_afterwards_stops_the_ringing(stage, cast, phones):
    first, second = phones
    call = ringing_call(cast, first, second)
    kill_and_wait(stage)
    first.page.do("hangup")
    until("the second phone is quiet", lambda: is_idle(second))
    until("the call is over", lambda: cast.desk.get(f"/calls/{call}")["ended_at"])


def test_who_waits_at_the_duty_number_is_answered_by_the_browser(stage, cast, desk, phones):
    first, _ = phones
    first.page.do("dial", number=DUTY_NUMBER)
    desk.do("sees", text="值班来电 1 个")
    kill_and_wait(stage)
    desk.do("sees", text="值班来电 1 个")
    desk.do("click", selector=".duty .answer")
    first.talk(True)
    desk.do("hears", tone=f"{first.tone:g}")
    until(
        "the phone hears the desk",
        lambda: first.levels()[f"{cast.radio.tone:g}"] >= first.levels()["floor"] + 20,
        15,
    )
    (call,) = cast.desk.get("/calls", live="true")["items"]
    assert states(cast, call["id"]) == {
        "sip:1001": "connected",
        f"desk:{DISPATCHER}": "connected",
    }
    first.page.do("hangup")
    until("the call is over", lambda: cast.desk.get(f"/calls/{call['id']}")["ended_at"])


def test_who_is_on_hold_stays_so_and_is_taken_back_afterwards(stage, cast, phones):
    first, second = phones
    second.page.do("mode", mode="auto")
    call = cast.desk.post("/calls", {"legs": [first.endpoint, second.endpoint]})["id"]
    until("both talk", lambda: set(states(cast, call).values()) == {"connected"})
    hear_each_other(first, second)
    legs = cast.desk.get(f"/calls/{call}")["legs"]
    held = next(leg["id"] for leg in legs if leg["endpoint"] == second.endpoint)
    cast.desk.patch(f"/calls/{call}/legs/{held}", {"held": True})
    until("nobody hears who is on hold", lambda: first.levels()[f"{second.tone:g}"] <= -50)
    kill_and_wait(stage)
    assert first.levels()[f"{second.tone:g}"] <= -50
    cast.desk.patch(f"/calls/{call}/legs/{held}", {"held": False})
    hear_each_other(first, second)
    first.page.do("hangup")
    until("the other is let go", lambda: is_idle(second))
