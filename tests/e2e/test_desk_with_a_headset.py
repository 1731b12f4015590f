"""A dispatcher talks and listens in a real browser, with a tone for a microphone, in calls with simulated phones."""

import pytest

from commhub.wiring.demo.settle import DISPATCHER
from commhub.wiring.demo.story import until

pytestmark = pytest.mark.audio


@pytest.fixture
def call(cast):
    """A call with the first phone, which speaks."""
    phone = cast.phones[0]
    placed = cast.desk.post("/calls", {"legs": [phone.endpoint]})
    phone.talk(True)
    yield placed["id"]
    phone.talk(False)
    cast.desk.delete(f"/calls/{placed['id']}")


def leg_of_desk(cast, call):
    legs = cast.desk.get(f"/calls/{call}")["legs"]
    return next((leg for leg in legs if leg["endpoint"] == f"desk:{DISPATCHER}"), None)


def desk_is(cast, call, state):
    leg = leg_of_desk(cast, call)
    return leg is not None and leg["state"] == state


def phone_hears_the_desk(cast):
    levels = cast.phones[0].levels()
    return levels[f"{cast.radio.tone:g}"] >= levels["floor"] + 20


def phone_hears_nothing(cast):
    return cast.phones[0].levels()[f"{cast.radio.tone:g}"] <= -50


def both_hear(cast, desk, within_s=15.0):
    desk.do("hears", tone=f"{cast.phones[0].tone:g}")
    until("the phone hears the desk", lambda: phone_hears_the_desk(cast), within_s)


def test_a_dispatcher_joins_a_call_is_heard_mutes_and_leaves(cast, desk, call, pictures):
    desk.do("click", selector=".call .join")
    until("the desk is in the call", lambda: desk_is(cast, call, "connected"))
    both_hear(cast, desk)
    levels = cast.phones[0].levels()
    assert levels[f"{cast.phones[0].tone:g}"] <= levels[f"{cast.radio.tone:g}"] - 30
    desk.do("sees", text="本席通话中")
    desk.do("picture", file=str(pictures / "voice.png"))
    desk.do("click", selector=".voice .mute")
    desk.do("sees", text="麦克风已关闭")
    until("the phone hears nothing of the desk", lambda: phone_hears_nothing(cast))
    desk.do("click", selector=".voice .leave")
    until("the desk has left", lambda: desk_is(cast, call, "ended"))
    assert leg_of_desk(cast, call)["cause"] == "hung_up"


def test_a_desk_rings_and_is_answered(cast, desk, call):
    cast.desk.post(f"/calls/{call}/legs", {"endpoint": f"desk:{DISPATCHER}"})
    desk.do("sees", text="呼叫本席")
    assert desk_is(cast, call, "ringing")
    desk.do("click", selector=".voice .answer")
    until("the desk is in the call", lambda: desk_is(cast, call, "connected"))
    both_hear(cast, desk)


def test_who_listens_in_is_not_heard(cast, desk, call):
    desk.do("click", selector=".call .listen")
    until("the desk is in the call", lambda: desk_is(cast, call, "connected"))
    desk.do("hears", tone=f"{cast.phones[0].tone:g}")
    desk.do("sees", text="本席监听中")
    assert phone_hears_nothing(cast)


def test_the_sound_goes_on_when_control_dies_and_comes_back_when_the_worker_does(
    stage, cast, desk, call
):
    desk.do("click", selector=".call .join")
    both_hear(cast, desk)
    stage.hub.kill("control")
    both_hear(cast, desk)
    stage.hub.wait_ready()
    assert desk_is(cast, call, "connected")
    for worker in ("worker-w0", "worker-w1"):
        stage.hub.kill(worker)
    desk.do("sees", text="正在恢复")
    desk.do("sees", text="本席通话中")
    desk.do("hears", tone=f"{cast.phones[0].tone:g}")
    assert desk_is(cast, call, "connected")


def test_a_reloaded_page_speaks_on(cast, desk, call):
    desk.do("click", selector=".call .join")
    both_hear(cast, desk)
    desk.do("reload")
    both_hear(cast, desk)
    assert desk_is(cast, call, "connected")
