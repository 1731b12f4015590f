"""Prompts over HTTP: uploaded, listed, played at a call, deleted."""

import hashlib
import struct

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.objects import an_incident
from fakes.rtp import tone_samples
from fakes.web import app_of, client_of, someone

from commhub.calls import prompt_routes, routes
from commhub.calls.prompts import PromptService
from commhub.calls.service import CallRequest, CallService
from commhub.domain.people import Scheme
from commhub.domain.recording import BuiltInPrompt
from commhub.ports.media import Playback


def wav(data: bytes, rate: int = 8000) -> bytes:
    return (
        struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1,
                    1, rate, rate * 2, 2, 16)
        + struct.pack("<4sI", b"data", len(data)) + data
    )  # fmt: skip


NOTICE = wav(tone_samples(440, 8000).astype("<i2").tobytes())


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
def calls(store, clock, media):
    service = CallService(store, clock)
    driver = FakeDriver()
    service.connect(media, {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "prompts"


@pytest.fixture
async def client(calls, store, clock, media, folder):
    prompts = PromptService(store, clock, media, folder)
    app = app_of(
        prompt_routes.build_router(prompts, store), routes.build_router(calls, store), clock=clock
    )
    async with client_of(app, key="admin") as client:
        yield client


async def upload(client, name="notice", content=NOTICE, **headers):
    return await client.post(
        "calls/prompts",
        params={"name": name},
        content=content,
        headers={"Content-Type": "audio/wav", **headers},
    )


async def test_an_uploaded_file_is_kept_as_the_workers_read_it_and_listed(client, folder):
    answer = await upload(client)
    assert answer.status_code == 201, answer.text
    prompt = answer.json()
    file = folder / f"{prompt['id']}.wav"
    assert (prompt["name"], prompt["seconds"]) == ("notice", 1.0)
    assert prompt["size"] == file.stat().st_size == 44 + 32000
    assert prompt["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    listed = (await client.get("calls/prompts")).json()
    assert listed["uploaded"] == [prompt]
    assert set(listed["built_in"]) == set(map(str, BuiltInPrompt))
    assert [path.name for path in folder.iterdir()] == [file.name]


async def test_a_refused_file_leaves_nothing_behind(client, folder, store):
    answer = await upload(client, content=b"no sound at all")
    assert answer.status_code == 422
    assert "no sound" in answer.json()["detail"]
    assert (await upload(client, content=b"")).status_code == 422
    assert list(folder.iterdir()) == []
    assert (await client.get("calls/prompts")).json()["uploaded"] == []


async def test_a_file_over_the_limit_is_413_and_one_over_the_usual_limit_is_taken(client):
    assert (await upload(client, content=bytes(20 * 1024 * 1024 + 1))).status_code == 413
    long = wav(tone_samples(440, 8000 * 90).astype("<i2").tobytes())
    assert len(long) > 1024 * 1024
    assert (await upload(client, content=long)).status_code == 201


@pytest.mark.parametrize("name", ["", " ", "beep", "x" * 65, "a\nb"])
async def test_a_name_that_is_none_or_taken_by_a_built_in_prompt_is_refused(client, name):
    assert (await upload(client, name=name)).status_code in {409, 422}


async def test_a_name_is_taken_once_and_the_same_key_uploads_once(client, folder):
    key = {"Idempotency-Key": "k"}
    first, second = await upload(client, **key), await upload(client, **key)
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (await upload(client)).status_code == 409
    assert len(list(folder.iterdir())) == 1


async def test_who_may_not_manage_sound_uploads_and_deletes_nothing(client):
    prompt = (await upload(client)).json()
    for who in ("desk", "viewer"):
        headers = {"Authorization": f"Bearer {who}"}
        assert (await upload(client, name="other", **headers)).status_code == 403
        url = f"calls/prompts/{prompt['id']}"
        assert (await client.delete(url, headers=headers)).status_code == 403


async def test_a_deleted_prompt_is_gone_with_its_file_and_its_name_is_free(client, folder):
    prompt = (await upload(client)).json()
    assert (await client.delete(f"calls/prompts/{prompt['id']}")).status_code == 204
    assert list(folder.iterdir()) == []
    assert (await client.delete(f"calls/prompts/{prompt['id']}")).status_code == 404
    assert (await upload(client)).status_code == 201


# --- played ----------------------------------------------------------------------------------------------


async def place(calls, store, *legs: str):
    incident = an_incident()
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    state = await calls.place(CallRequest(legs=legs, incident_id=incident.id), someone())
    for leg in state.legs:
        await calls.leg_connected(leg.id, "PCMU")
    return state


def played(media) -> list[Playback]:
    return [order[1] for order in media.orders if order[0] == "play"]


async def test_a_prompt_is_played_to_a_call_by_its_name_and_stands_on_the_timeline(
    client, calls, store, media
):
    state = await place(calls, store, "sip:1001", "sip:1002")
    prompt = (await upload(client)).json()
    url = f"calls/{state.call.id}/playbacks"
    by_name = await client.post(url, json={"prompt": "notice"})
    by_id = await client.post(url, json={"prompt": prompt["id"], "loop": True, "gain_db": -6})
    leg = state.legs[0]
    to_leg = await client.post(url, json={"prompt": "attention", "legs": [leg.id]})
    assert [one.status_code for one in (by_name, by_id, to_leg)] == [201, 201, 201]
    first, second, third = played(media)
    assert first == Playback(
        id=by_name.json()["id"], call_id=state.call.id, prompt=prompt["id"], leg_ids=None
    )
    assert (second.prompt, second.loop, second.gain_db) == (prompt["id"], True, -6)
    assert (third.prompt, third.leg_ids) == ("attention", (leg.id,))
    async with store.read() as uow:
        lines = await uow.timeline.of_incident(state.call.incident_id)
    said = [(one.data["name"], one.data["legs"]) for one in lines if one.kind == "prompt_played"]
    assert said == [("notice", []), ("notice", []), ("attention", ["sip:1001"])]


async def test_what_is_played_is_stopped_by_its_id_also_twice(client, calls, store, media):
    state = await place(calls, store, "sip:1001")
    url = f"calls/{state.call.id}/playbacks"
    playback = (await client.post(url, json={"prompt": "hold", "loop": True})).json()
    for _ in range(2):
        assert (await client.delete(f"{url}/{playback['id']}")).status_code == 204
    assert media.orders[-1] == ("stop_playing", playback["id"])


async def test_the_same_key_plays_once(client, calls, store, media):
    state = await place(calls, store, "sip:1001")
    for _ in range(2):
        answer = await client.post(
            f"calls/{state.call.id}/playbacks",
            json={"prompt": "beep"},
            headers={"Idempotency-Key": "k"},
        )
        assert answer.status_code == 201
    assert len(played(media)) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": "nothing"}, 404),
        ({"prompt": ""}, 422),
        ({}, 422),
        ({"prompt": "beep", "legs": []}, 422),
        ({"prompt": "beep", "legs": ["nobody"]}, 404),
        ({"prompt": "beep", "gain_db": 3}, 422),
        ({"prompt": "beep", "volume": 11}, 422),
    ],
)
async def test_a_playback_that_makes_no_sense_is_refused(client, calls, store, media, body, status):
    state = await place(calls, store, "sip:1001")
    answer = await client.post(f"calls/{state.call.id}/playbacks", json=body)
    assert answer.status_code == status, answer.text
    assert played(media) == []


async def test_a_radio_group_hears_no_prompts_and_an_ended_call_none_at_all(client, calls, store):
    state = await place(calls, store, "sip:1001", "radio:r12")
    url = f"calls/{state.call.id}/playbacks"
    radio = next(leg for leg in state.legs if leg.endpoint.scheme is Scheme.RADIO)
    answer = await client.post(url, json={"prompt": "beep", "legs": [radio.id]})
    assert answer.status_code == 422
    assert "radio" in answer.json()["detail"]
    await calls.end(state.call.id, someone())
    assert (await client.post(url, json={"prompt": "beep"})).status_code == 409
