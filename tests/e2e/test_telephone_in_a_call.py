"""A telephone of the public network in a call of the demo, and kill -9 of the control process in the middle of it."""

import pytest

from commhub.wiring.demo.equipment import Simulator
from commhub.wiring.demo.story import hears, until
from commhub.wiring.demo.town import TELEPHONE, TELEPHONE_TONE

pytestmark = pytest.mark.audio


class Telephone:
    """The far end of the newest call at the stand-in, as a talker of the story."""

    endpoint = f"tel:{TELEPHONE}"
    tone = TELEPHONE_TONE

    def __init__(self, stage):
        self.page = Simulator("telephone", stage.note.simulators["telephone"])

    @property
    def call(self):
        return self.page.state()["calls"][-1]

    def talk(self, on):
        self.page.do("talk", on=on)

    def levels(self):
        return self.call["heard"]


def test_a_telephone_talks_with_a_phone_and_stays_when_control_is_killed(stage, cast):
    phone, telephone = cast.phones[0], Telephone(stage)
    call = cast.desk.post("/calls", {"legs": [phone.endpoint, telephone.endpoint]})
    path = f"/calls/{call['id']}"
    until(
        "both are connected",
        lambda: all(leg["state"] == "connected" for leg in cast.desk.get(path)["legs"]),
    )
    for talker in (phone, telephone):
        talker.talk(True)
    try:
        hears(phone, [telephone])
        hears(telephone, [phone])
        victim = stage.hub.pid_of("control")
        stage.hub.kill("control")
        until("control is another one", lambda: _pid(stage) not in (None, victim), within_s=20)
        stage.hub.wait_ready()
        until("the stream came back", lambda: telephone.call["streams"] == 2, within_s=20)
        hears(phone, [telephone])
        hears(telephone, [phone])
        assert {leg["state"] for leg in cast.desk.get(path)["legs"]} == {"connected"}
    finally:
        phone.talk(False)
    telephone.page.do("hangup")
    until("the call is over", lambda: cast.desk.get(path)["ended_at"])
    causes = {leg["endpoint"]: leg["cause"] for leg in cast.desk.get(path)["legs"]}
    assert causes == {phone.endpoint: "call_ended", telephone.endpoint: "hung_up"}


def _pid(stage):
    try:
        return stage.hub.pid_of("control")
    except (OSError, ValueError):
        return None
