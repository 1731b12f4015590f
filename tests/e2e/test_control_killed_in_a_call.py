"""kill -9 of the control process in the middle of a call: the audio goes on, and the dialogs are taken up again."""

import time
from contextlib import contextmanager

import httpx
import pytest
from fakes.talkers import is_idle

from commhub.wiring.demo.story import hears, until

pytestmark = pytest.mark.audio


@contextmanager
def phones_in_a_call(cast):
    """Both phones connected and talking; yields the call's path."""
    call = cast.desk.post("/calls", {"legs": [phone.endpoint for phone in cast.phones]})
    path = f"/calls/{call['id']}"
    until(
        "both phones are connected",
        lambda: all(leg["state"] == "connected" for leg in cast.desk.get(path)["legs"]),
    )
    for phone in cast.phones:
        phone.talk(True)
    try:
        yield path
    finally:
        for phone in cast.phones:
            phone.talk(False)


def hear_each_other(cast):
    first, second = cast.phones
    hears(first, [second])
    hears(second, [first])


def kill_control(stage):
    victim = stage.hub.pid_of("control")
    stage.hub.kill("control")

    def is_gone():
        try:
            return stage.hub.pid_of("control") != victim
        except OSError:
            return True

    until("control is gone", is_gone)


def is_ready(stage):
    try:
        return httpx.get(f"{stage.hub.url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def packets(phone):
    return phone.page.state()["packets"]


def listen_while_control_is_away(cast, stage):
    """The phones hear each other on every look until control is back; at least one look was without it."""
    looks = 0
    deadline = time.monotonic() + 40
    while not is_ready(stage):
        before = [packets(phone) for phone in cast.phones]
        until(
            "audio goes on without control",
            lambda before=before: all(
                packets(phone) > count + 10
                for phone, count in zip(cast.phones, before, strict=True)
            ),
            within_s=3,
        )
        hear_each_other(cast)
        looks += 1
        assert time.monotonic() < deadline, stage.hub.log_tail()
    assert looks > 0


@pytest.mark.parametrize("side", ["desk", "phone"])
def test_audio_goes_on_and_a_bye_works_from_either_side_afterwards(stage, cast, side):
    with phones_in_a_call(cast) as path:
        hear_each_other(cast)
        kill_control(stage)
        listen_while_control_is_away(cast, stage)
        call = cast.desk.get(path)
        assert call["ended_at"] is None
        assert {leg["state"] for leg in call["legs"]} == {"connected"}
        hear_each_other(cast)
        if side == "desk":
            cast.desk.delete(path)
        else:
            cast.phones[0].page.do("hangup")
        until("the call is over", lambda: cast.desk.get(path)["ended_at"])
        for phone in cast.phones:
            until(
                f"{phone.endpoint} has hung up",
                lambda phone=phone: is_idle(phone),
            )
    causes = {leg["endpoint"]: leg["cause"] for leg in cast.desk.get(path)["legs"]}
    expected = (
        {"sip:1001": "desk", "sip:1002": "desk"}
        if side == "desk"
        else {"sip:1001": "hung_up", "sip:1002": "call_ended"}
    )
    assert causes == expected
