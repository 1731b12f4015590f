"""A phone dials the duty number; the dispatcher answers in the browser, calls back who gave up, and nobody's call is lost."""

from contextlib import suppress

import pytest
from fakes.talkers import is_idle

from commhub.wiring.demo.settle import DISPATCHER
from commhub.wiring.demo.story import until
from commhub.wiring.hub_process import HubError

pytestmark = pytest.mark.audio

DUTY_NUMBER = "8000"


@pytest.fixture
def phone(cast):
    """The first phone: it speaks when it talks, and hangs up in the end."""
    phone = cast.phones[0]
    until("the phone is idle", lambda: is_idle(phone))
    yield phone
    phone.talk(False)
    phone.page.do("mode", mode="auto")
    if not is_idle(phone):
        # The hub may end it in this very moment.
        with suppress(HubError):
            phone.page.do("hangup")
    until("the phone is idle", lambda: is_idle(phone))


def dial(cast, phone):
    """Dial the duty number; the call as the hub knows it."""
    known = {one["id"] for one in cast.desk.get("/calls/duty")["items"]}
    phone.page.do("dial", number=DUTY_NUMBER)
    return until(
        "the caller waits",
        lambda: next((one for one in waiting(cast) if one["id"] not in known), None),
    )


def waiting(cast):
    calls = cast.desk.get("/calls/duty")["items"]
    return [one for one in calls if one["state"] == "waiting"]


def duty_call(cast, call):
    calls = cast.desk.get("/calls/duty")["items"]
    return next(one for one in calls if one["id"] == call["id"])


def state_is(cast, call, state):
    return duty_call(cast, call)["state"] == state


def phone_hears_the_desk(cast, phone):
    levels = phone.levels()
    return levels[f"{cast.radio.tone:g}"] >= levels["floor"] + 20


def both_hear(cast, desk, phone, within_s=15.0):
    phone.talk(True)
    desk.do("hears", tone=f"{phone.tone:g}")
    until("the phone hears the desk", lambda: phone_hears_the_desk(cast, phone), within_s)


def kinds(cast, incident):
    entries = cast.desk.get(f"/incidents/{incident}/timeline")["items"]
    return [entry["kind"] for entry in entries]


def test_a_phone_dials_the_duty_number_and_the_browser_answers(cast, desk, phone, pictures):
    call = dial(cast, phone)
    desk.do("sees", text="值班来电 1 个")
    desk.do("sees", text="陈晨")
    desk.do("picture", file=str(pictures / "duty.png"))
    desk.do("click", selector=".duty .answer")
    both_hear(cast, desk, phone)
    taken = until(
        "the call is taken", lambda: state_is(cast, call, "taken") and duty_call(cast, call)
    )
    assert taken["taken_by"] == f"desk:{DISPATCHER}"
    incident = until("the call has its incident", lambda: duty_call(cast, call)["incident_id"])
    assert cast.desk.get(f"/incidents/{incident}")["incident"]["category"] == "duty_call"
    (report,) = cast.desk.get(f"/incidents/{incident}")["reports"]
    assert (report["source"], report["reporter"]) == ("sip", "sip:1001")
    phone.page.do("hangup")
    until("the call is over", lambda: cast.desk.get(f"/calls/{call['id']}")["ended_at"])
    until("its quality is on record", lambda: "leg_measured" in kinds(cast, incident))
    told = kinds(cast, incident)
    assert {"duty_call_received", "duty_call_taken", "call_started", "call_ended"} <= set(told)
    legs = cast.desk.get(f"/calls/{call['id']}")["legs"]
    caller = next(leg for leg in legs if leg["endpoint"] == "sip:1001")
    # A phone simulated beside everything else on a busy machine jitters; that is the score's business.
    assert 2.0 <= caller["score"] <= 4.5


def test_who_gave_up_is_missed_called_back_and_heard(cast, desk, phone):
    call = dial(cast, phone)
    desk.do("sees", text="值班来电 1 个")
    phone.page.do("hangup")
    until("the call is missed", lambda: state_is(cast, call, "missed"))
    desk.do("sees", text="未接来电 1 个")
    desk.do("click", selector=".duty .call-back")
    both_hear(cast, desk, phone)
    until("the missed call is settled", lambda: state_is(cast, call, "closed"))
    desk.do("click", selector=".voice .leave")


def test_a_number_in_the_console_is_dialled_by_a_click(cast, desk, phone):
    desk.do("press", key="Control+k")
    desk.do("type", text="1001")
    desk.do("sees", text="拨打 1001")
    desk.do("press", key="Enter")
    both_hear(cast, desk, phone)
    desk.do("click", selector=".voice .leave")
