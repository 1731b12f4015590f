"""A recorded call can be heard afterwards, and the dispatcher's key opens the radio group without a voice."""

import hashlib
import io
import wave
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from commhub.wiring.demo.story import timeline, until
from simulators.tones import ToneMeter

pytestmark = pytest.mark.audio


@contextmanager
def connected(cast, *talkers, **more):
    """A live call of these talkers; yields it as the hub tells it."""
    call = cast.desk.post("/calls", {"legs": [talker.endpoint for talker in talkers], **more})
    path = f"/calls/{call['id']}"
    until(
        "all legs are connected",
        lambda: all(leg["state"] == "connected" for leg in cast.desk.get(path)["legs"]),
        within_s=15,
    )
    try:
        yield cast.desk.get(path)
    finally:
        for talker in talkers:
            talker.talk(False)
        cast.desk.delete(path)


def test_what_was_said_in_a_recorded_call_is_in_its_file(stage, cast):
    incident = cast.desk.post("/incidents", {"category": "other", "text": "录音"})
    first, second = cast.phones
    with connected(cast, first, second, record=True, incident=incident["id"]) as call:
        first.talk(True)
        tone = f"{first.tone:g}"
        # The meter's window is a second: at this level the tone has lasted for most of one.
        until("a second of the tone is heard", lambda: second.levels()[tone] > -16)
    path = f"/calls/{call['id']}/recordings"
    (recording,) = until("the recording is stored", lambda: cast.desk.get(path))
    answer = httpx.get(
        f"{stage.note.url}/api/v1{path}/{recording['id']}", cookies=cast.desk.cookies, timeout=5
    )
    assert hashlib.sha256(answer.content).hexdigest() == recording["sha256"]
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    meter = ToneMeter()
    meter.hear(sound)
    assert meter.levels([first.tone])[tone] > -20
    kinds = [entry["kind"] for entry in timeline(cast, incident["id"])]
    assert kinds.index("call_ended") < kinds.index("recording_stored")


def test_the_dispatchers_key_opens_the_group_and_lets_it_go(cast):
    with connected(cast, *cast.phones, cast.radio) as call:
        leg = next(leg for leg in call["legs"] if leg["endpoint"] == cast.radio.endpoint)
        path = f"/calls/{call['id']}/legs/{leg['id']}"
        cast.desk.patch(path, {"key": True})
        taken = until("the group is taken", lambda: floor(cast)["state"] == "taken" and floor(cast))
        assert taken["talker"] == f"call:{call['id']}"
        # The dispatcher comes before a person in the field who is not in danger.
        cast.radio.talk(True)
        until("the radio waits", lambda: cast.radio.page.state()["phase"] == "queued")
        cast.desk.patch(path, {"key": False})
        until("then it is the radio's turn", lambda: cast.radio.page.state()["phase"] == "talking")
        cast.radio.talk(False)
        until("the group is idle", lambda: floor(cast)["state"] == "idle")


def floor(cast):
    return cast.radio.page.state()["floor"]
