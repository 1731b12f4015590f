"""The dispatcher's desk in a real browser, while the story runs on the real hub.

COMMHUB_PICTURES=docs/images keeps the picture for the README.
"""

import pytest
from fakes.browser import browser

from commhub.wiring.demo.settle import DISPATCHER
from commhub.wiring.demo.story import accept_card, raise_sos, stage_of, until

pytestmark = pytest.mark.audio


def test_a_dispatcher_sees_the_sos_bridges_a_call_and_follows_it(stage, cast, pictures):
    with browser(stage.note.url) as desk:
        desk.do("signIn", name=DISPATCHER, password=stage.note.password)
        incident = raise_sos(cast, "巡逻中遇持械斗殴，请求支援")
        number = cast.desk.get(f"/incidents/{incident}")["incident"]["number"]
        desk.do("sees", text=number)
        accept_card(cast, incident)
        desk.do("open", text=number)
        desk.do("call", endpoints="sip:1001,sip:1002,radio:r12")
        desk.do("legsConnected", count="3")
        call = until("the call is there", lambda: cast.desk.get("/calls", live="true")["items"])[0]
        assert {leg["endpoint"] for leg in call["legs"]} == {"sip:1001", "sip:1002", "radio:r12"}
        assert call["incident_id"] == incident
        for phone in cast.phones:
            phone.talk(True)
        desk.do("sees", text="本通话讲话")
        desk.do("picture", file=str(pictures / "desk.png"))
        for phone in cast.phones:
            phone.talk(False)
        cast.desk.delete(f"/calls/{call['id']}")
        assert stage_of(cast, incident) == "accepted"
    assert (pictures / "desk.png").stat().st_size > 100_000
