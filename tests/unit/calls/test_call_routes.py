"""Calls over HTTP: what a client sends and gets."""

import wave

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import app_of, client_of

from commhub.calls.routes import build_router
from commhub.calls.service import CallService
from commhub.domain.people import Scheme
from commhub.domain.recording import Recording


@pytest.fixture
async def calls(store, clock):
    service = CallService(store, clock)
    driver = FakeDriver()
    service.connect(RememberingMedia(), {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


@pytest.fixture
async def client(calls, store, clock, tmp_path):
    app = app_of(build_router(calls, store, tmp_path), clock=clock)
    async with client_of(app) as client:
        yield client


async def place(client, *legs):
    answer = await client.post("calls", json={"legs": legs})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_placed_call_is_listed_with_its_legs_and_ends_when_told(client):
    call = await place(client, "sip:1001", "radio:r12")
    assert [leg["endpoint"] for leg in call["legs"]] == ["sip:1001", "radio:r12"]
    listed = (await client.get("calls", params={"live": "true"})).json()["items"]
    assert [one["id"] for one in listed] == [call["id"]]
    assert (await client.delete(f"calls/{call['id']}")).status_code == 204
    assert (await client.get(f"calls/{call['id']}")).json()["ended_at"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"legs": []},
        {"legs": ["sip:1001"], "colour": "red"},
        {"legs": ["nonsense"]},
        {"legs": "sip:1001"},
    ],
)
async def test_a_call_that_makes_no_sense_is_422_with_a_reason(client, body):
    answer = await client.post("calls", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_the_same_key_rings_once(client):
    for _ in range(2):
        answer = await client.post(
            "calls", json={"legs": ["sip:1001"]}, headers={"Idempotency-Key": "k1"}
        )
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert len((await client.get("calls")).json()["items"]) == 1


@pytest.fixture
async def recorded(client, store, clock, tmp_path):
    """A call with a recording of two seconds: one of silence, one that is not."""
    call = await place(client, "sip:1001")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000 + b"\1\0" * 8000)
    recording = Recording(
        id="rec",
        call_id=call["id"],
        path="a.wav",
        seconds=2,
        sha256="0" * 64,
        stored_at=clock.now(),
        started_at=clock.now(),
    )
    async with store.begin() as uow:
        await uow.recordings.add(recording)
    return f"calls/{call['id']}/recordings/rec"


async def test_a_recording_is_a_file_and_a_piece_of_it_is_another(client, recorded, tmp_path):
    whole = await client.get(recorded)
    assert whole.content == (tmp_path / "a.wav").read_bytes()
    piece = await client.get(recorded, params={"from_s": 1, "to_s": 1.5})
    assert piece.headers["content-type"] == "audio/wav"
    assert piece.content[44:] == b"\1\0" * 4000


async def test_a_piece_beyond_the_end_is_refused(client, recorded):
    answer = await client.get(recorded, params={"from_s": 3})
    assert answer.status_code == 422
    assert "2.0 s" in answer.json()["detail"]


async def test_a_recording_of_another_call_or_without_its_file_is_404(client, recorded, tmp_path):
    other = await place(client, "sip:1002")
    assert (await client.get(f"calls/{other['id']}/recordings/rec")).status_code == 404
    (tmp_path / "a.wav").unlink()
    assert (await client.get(recorded)).status_code == 404
