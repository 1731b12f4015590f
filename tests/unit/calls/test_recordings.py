"""Recordings as the desk meets them: switched, found, played, exported, kept and let go."""

import wave
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.clock import START
from fakes.objects import a_call, a_recording, an_incident
from fakes.rtp import tone_samples
from fakes.web import app_of, client_of, someone

from commhub.calls import excerpts, routes
from commhub.calls.media_events import MediaEvents
from commhub.calls.recording_routes import build_router
from commhub.calls.recordings import RecordingConfig, RecordingService
from commhub.calls.service import CallRequest, CallService
from commhub.domain.errors import ConflictError, NotFoundError
from commhub.domain.incident import Stage
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.recording import Always, RecordingKind, RecordingRule, Retention
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingCall
from commhub.ports.media import RecordedFile
from simulators.tones import ToneMeter

LI = someone()


@pytest.fixture
def media():
    return RememberingMedia()


def calls_of(store, clock, media, **options):
    service = CallService(store, clock, **options)
    driver = FakeDriver()
    service.connect(media, {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


@pytest.fixture
def calls(store, clock, media):
    return calls_of(store, clock, media)


@pytest.fixture
def recordings(store, clock, media, tmp_path):
    return RecordingService(store, clock, media, RecordingConfig(tmp_path))


@pytest.fixture
async def client(calls, recordings, store, clock):
    app = app_of(build_router(recordings), routes.build_router(calls, store), clock=clock)
    async with client_of(app, key="admin") as client:
        yield client


def put_wav(path: Path, samples: np.ndarray, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def orders(media) -> list[tuple[object, ...]]:
    return [order for order in media.orders if order[0] == "record"]


# --- switched --------------------------------------------------------------------------------------------


async def connected(calls, *legs: str, **wish):
    state = await calls.place(CallRequest(legs=legs, **wish), LI)
    for leg in state.legs:
        await calls.leg_connected(leg.id, "PCMU")
    return state.call


async def test_a_call_that_goes_on_is_recorded_when_the_desk_says_so_and_no_longer(
    calls, recordings, media, store
):
    call = await connected(calls, "sip:1001", "sip:1002")
    assert orders(media) == []
    for on, per_leg in ((True, False), (True, True), (False, True)):
        changed = await recordings.switch(call.id, LI, on=on, per_leg=per_leg)
        assert (changed.recording, changed.recording_legs) == (on, on and per_leg)
    assert orders(media) == [
        ("record", call.id, True, False),
        ("record", call.id, True, True),
        ("record", call.id, False, False),
    ]
    async with store.read() as uow:
        said = [one.detail for one in await uow.audit.list(None, 9) if one.action == "call.record"]
    assert said == ["off", "mixed and legs", "mixed"]


async def test_recording_that_is_wished_before_anybody_talks_begins_with_the_first_voice(
    calls, recordings, media
):
    state = await calls.place(CallRequest(legs=["sip:1001"]), LI)
    await recordings.switch(state.call.id, LI, on=True, per_leg=True)
    assert orders(media) == []
    await calls.leg_connected(state.legs[0].id, "PCMU")
    assert orders(media) == [("record", state.call.id, True, True)]


async def test_an_ended_call_cannot_be_recorded(calls, recordings):
    call = await connected(calls, "sip:1001")
    await calls.end(call.id, LI)
    with pytest.raises(ConflictError):
        await recordings.switch(call.id, LI, on=True, per_leg=False)


@pytest.mark.parametrize(
    ("always", "plain", "of_incident"),
    [("never", False, False), ("incidents", False, True), ("all", True, True)],
)
async def test_a_rule_records_calls_that_nobody_asked_to_record(
    store, clock, media, always, plain, of_incident
):
    calls = calls_of(store, clock, media, recording=RecordingRule(Always(always), per_leg=True))
    incident = an_incident()
    async with store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.sip.put_account(_account("1002"))
    free = (await calls.place(CallRequest(legs=["sip:1001"]), LI)).call
    bound = (await calls.place(CallRequest(legs=["sip:1001"], incident_id=incident.id), LI)).call
    dialled = await calls.call_offered(
        IncomingCall(leg_id="in", caller=Endpoint(Scheme.SIP, "1001"), called="1002")
    )
    inbound = (await calls.get(dialled.call_id)).call
    assert [call.recording for call in (free, bound, inbound)] == [plain, of_incident, plain]
    assert all(call.recording_legs is call.recording for call in (free, bound, inbound))


def _account(name: str):
    return SipAccount(name=name, display_name=name, ha1_md5="", ha1_sha256="")


async def test_over_http_a_recording_is_switched_and_only_by_who_may_call(client, calls, media):
    call = await connected(calls, "sip:1001")
    answer = await client.post(f"calls/{call.id}/recordings", json={"per_leg": True})
    assert answer.json() == {"on": True, "per_leg": True}
    assert (await client.get(f"calls/{call.id}")).json()["recording_legs"] is True
    off = await client.post(f"calls/{call.id}/recordings", json={"on": False})
    assert off.json() == {"on": False, "per_leg": False}
    refused = await client.post(
        f"calls/{call.id}/recordings", json={}, headers={"Authorization": "Bearer viewer"}
    )
    assert refused.status_code == 403
    assert (await client.post("calls/nothing/recordings", json={})).status_code == 404
    assert (await client.post(f"calls/{call.id}/recordings", json={"x": 1})).status_code == 422


# --- stored ----------------------------------------------------------------------------------------------


async def test_a_stored_file_has_its_hash_on_the_timeline_and_knows_whose_it_is(
    calls, store, clock
):
    incident = an_incident(drill=True)
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    call = await connected(calls, "sip:1001", incident_id=incident.id)
    events = MediaEvents(calls, store, clock)
    file = RecordedFile(
        call.id, "d/a.wav", 3.25, "ab" * 32, "leg", START.timestamp() - 3.25, 16000, 104044
    )
    for _ in range(2):
        await events.recording_stored(file)
    async with store.read() as uow:
        (recording,) = await uow.recordings.of_call(call.id)
        lines = await uow.timeline.of_incident(incident.id)
    assert (recording.kind, recording.leg_id, recording.retention) == (
        RecordingKind.LEG,
        "leg",
        Retention.DRILL,
    )
    assert recording.started_at == START - timedelta(seconds=3.25)
    assert (recording.rate, recording.size) == (16000, 104044)
    (line,) = [one for one in lines if one.kind == "recording_stored"]
    assert line.data["sha256"] == "ab" * 32
    assert line.data["leg_id"] == "leg"


async def test_a_recording_that_fails_is_told_to_the_desk_and_the_call_goes_on(calls, store, clock):
    incident = an_incident()
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    call = await connected(calls, "sip:1001", "sip:1002", incident_id=incident.id)
    events = MediaEvents(calls, store, clock)
    await events.recording_failed(call.id, None, "No space left on device")
    async with store.read() as uow:
        lines = await uow.timeline.of_incident(incident.id)
    (line,) = [one for one in lines if one.kind == "recording_failed"]
    assert line.data["reason"] == "No space left on device"
    assert not events.recordings_work
    await events.recording_stored(RecordedFile(call.id, "d/a.wav", 3.25, "ab" * 32))
    assert events.recordings_work
    assert (await calls.get(call.id)).call.is_live


# --- found and played ------------------------------------------------------------------------------------


@pytest.fixture
async def recorded(store, clock, tmp_path):
    """A call with recordings of two legs, the second of which came a second later, and its URL."""
    call = a_call()
    put_wav(tmp_path / "one.wav", tone_samples(400, 24000))
    put_wav(tmp_path / "two.wav", tone_samples(700, 16000))
    put_wav(tmp_path / "wide.wav", tone_samples(700, 16000), rate=16000)
    async with store.begin() as uow:
        await uow.calls.add(call)
        for name, later in (("one", 0), ("two", 1), ("wide", 0)):
            await uow.recordings.add(
                a_recording(
                    call.id,
                    id=name,
                    path=f"{name}.wav",
                    kind=RecordingKind.LEG,
                    leg_id=name,
                    seconds=3.0 - later,
                    started_at=START + timedelta(seconds=later),
                )
            )
    return f"calls/{call.id}/recordings"


def decoded(content: bytes) -> tuple[np.ndarray, int]:
    """Samples (channels × n) and rate of any sound."""
    with av.open(BytesIO(content)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="s16p", rate=8000)
        frames = [*container.decode(audio=0), None]
        pieces = [piece.to_ndarray() for frame in frames for piece in resampler.resample(frame)]
    return np.concatenate(pieces, axis=1), rate


def tone_levels(samples: np.ndarray, *tones: float) -> list[float]:
    meter = ToneMeter()
    meter.hear(np.asarray(samples, np.int16))
    found = meter.levels(tones)
    return [found[f"{tone:g}"] for tone in tones]


async def test_a_recording_is_a_file_with_ranges_and_a_piece_of_it_is_another(
    client, recorded, tmp_path
):
    whole = await client.get(f"{recorded}/one")
    assert whole.content == (tmp_path / "one.wav").read_bytes()
    assert whole.headers["content-type"] == "audio/wav"
    assert whole.headers["accept-ranges"] == "bytes"
    part = await client.get(f"{recorded}/one", headers={"Range": "bytes=44-343"})
    assert part.status_code == 206
    assert part.content == whole.content[44:344]
    piece = await client.get(f"{recorded}/one", params={"from_s": 1, "to_s": 1.5})
    assert piece.headers["content-type"] == "audio/wav"
    assert piece.content[44:] == whole.content[44 + 16000 : 44 + 24000]


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [("ogg", "audio/ogg"), ("mp3", "audio/mpeg"), ("m4a", "audio/mp4"), ("flac", "audio/flac")],
)
async def test_a_recording_is_exported_compressed(client, recorded, wanted, kind):
    answer = await client.get(f"{recorded}/one", params={"format": wanted, "to_s": 2})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    assert f'one.{wanted}"' in answer.headers["content-disposition"]
    samples, _ = decoded(answer.content)
    assert samples.shape[1] / 8000 == pytest.approx(2, abs=0.2)
    heard, other = tone_levels(samples[0], 400, 700)
    assert heard > -20
    assert other < -42
    if wanted != "flac":
        assert len(answer.content) < 0.6 * 2 * 16000


async def test_a_format_whose_encoder_is_missing_is_refused_with_what_there_is(
    client, recorded, monkeypatch
):
    monkeypatch.setattr(excerpts, "_has", lambda codec: codec == "flac")
    answer = await client.get(f"{recorded}/one", params={"format": "mp3"})
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith("there is wav, flac")
    assert (await client.get(f"{recorded}/one", params={"format": "midi"})).status_code == 422


@pytest.mark.parametrize("wanted", ["wav", "ogg"])
async def test_two_legs_are_exported_side_by_side_at_the_same_moments(client, recorded, wanted):
    answer = await client.get(f"{recorded}/one", params={"beside": "two", "format": wanted})
    assert answer.status_code == 200, answer.text
    (left, right), _ = decoded(answer.content)
    assert len(left) / 8000 == pytest.approx(3, abs=0.05)
    assert tone_levels(left, 400)[0] > -20
    assert tone_levels(left, 700)[0] < -42
    assert tone_levels(right[:7500], 700)[0] < -42, "the other leg was not there yet"
    assert tone_levels(right, 700)[0] > -20


async def test_a_piece_of_two_legs_keeps_them_aligned(client, recorded):
    answer = await client.get(
        f"{recorded}/two", params={"beside": "one", "from_s": 0.5, "to_s": 1.5}
    )
    (left, right), _ = decoded(answer.content)
    expected = tone_samples(400, 24000)[12000:20000]
    assert np.array_equal(right, expected)
    assert len(left) == 8000


async def test_legs_of_unlike_rates_are_not_joined(client, recorded):
    answer = await client.get(f"{recorded}/one", params={"beside": "wide"})
    assert answer.status_code == 409
    assert "rates" in answer.json()["detail"]


async def test_a_piece_beyond_the_end_is_refused(client, recorded):
    answer = await client.get(f"{recorded}/one", params={"from_s": 4})
    assert answer.status_code == 422
    assert "3.0 s" in answer.json()["detail"]


async def test_a_recording_of_another_call_or_without_its_file_is_404(
    client, recorded, store, tmp_path
):
    other = a_call()
    async with store.begin() as uow:
        await uow.calls.add(other)
        await uow.recordings.add(a_recording(other.id, id="escapes", path="../../etc/passwd"))
    assert (await client.get(f"calls/{other.id}/recordings/one")).status_code == 404
    assert (await client.get(f"calls/{other.id}/recordings/escapes")).status_code == 404
    (tmp_path / "one.wav").unlink()
    assert (await client.get(f"{recorded}/one")).status_code == 404


async def test_recordings_are_listed_by_call_and_by_incident_in_pages(client, store):
    incident = an_incident()
    call = a_call(incident_id=incident.id)
    made = [a_recording(call.id, incident_id=incident.id) for _ in range(3)]
    async with store.begin() as uow:
        await uow.incidents.add(incident)
        await uow.calls.add(call)
        for one in made:
            await uow.recordings.add(one)
    listed = (await client.get(f"calls/{call.id}/recordings")).json()
    assert [one["id"] for one in listed] == [one.id for one in made]
    first = (
        await client.get("calls/recordings", params={"incident": incident.id, "limit": 2})
    ).json()
    rest = (
        await client.get(
            "calls/recordings", params={"incident": incident.id, "cursor": first["next"]}
        )
    ).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == [one.id for one in made[::-1]]
    assert (await client.get("calls/recordings", params={"incident": "none"})).status_code == 404
    assert (await client.get("calls/recordings")).status_code == 422


# --- kept and let go -------------------------------------------------------------------------------------


async def keep(store, folder: Path, retention: Retention, days: int, **given):
    """A recording with its file that was stored so many days ago."""
    call = a_call(incident_id=given.get("incident_id"))
    recording = a_recording(
        call.id,
        retention=retention,
        stored_at=START - timedelta(days=days),
        **{"path": f"{call.id}.wav"} | given,
    )
    put_wav(folder / f"{call.id}.wav", np.zeros(80))
    async with store.begin() as uow:
        await uow.calls.add(call)
        await uow.recordings.add(recording)
    return recording


async def again(store, recording):
    async with store.read() as uow:
        return await uow.recordings.get(recording.id)


async def test_each_class_is_kept_for_its_own_time_and_the_row_and_hash_stay(
    store, recordings, clock, tmp_path
):
    limits = {Retention.INCIDENT: 180, Retention.OTHER: 90, Retention.DRILL: 30}
    kept = {one: await keep(store, tmp_path, one, days) for one, days in limits.items()}
    assert await recordings.sweep() == 0
    clock.advance(1)
    assert await recordings.sweep() == 3
    assert await recordings.sweep() == 0
    for before in kept.values():
        after = await again(store, before)
        assert after == replace(before, deleted_at=clock.now())
        assert not (tmp_path / before.path).exists()
        with pytest.raises(NotFoundError, match="its time was up"):
            await recordings.file_of(after)
    async with store.read() as uow:
        audit = await uow.audit.list(None, 9)
    assert sorted(one.detail for one in audit if one.action == "recording.delete") == [
        "drill expired",
        "incident expired",
        "other expired",
    ]


async def test_while_the_incident_is_open_nothing_of_it_goes_and_afterwards_it_is_on_its_timeline(
    store, recordings, tmp_path
):
    incident = an_incident(stage=Stage.DISPATCHED)
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    recording = await keep(store, tmp_path, Retention.INCIDENT, 999, incident_id=incident.id)
    assert await recordings.sweep() == 0
    async with store.begin() as uow:
        await uow.incidents.update(replace(incident, stage=Stage.CLOSED))
    assert await recordings.sweep() == 1
    async with store.read() as uow:
        lines = await uow.timeline.of_incident(incident.id)
    assert [(one.kind, one.data["recording_id"]) for one in lines] == [
        ("recording_deleted", recording.id)
    ]


async def test_a_recording_that_is_held_stays_until_it_is_let_go(
    store, recordings, client, clock, tmp_path
):
    recording = await keep(store, tmp_path, Retention.OTHER, 999)
    url = f"calls/{recording.call_id}/recordings/{recording.id}"
    assert (await client.patch(url, json={"held": True})).json()["held"] is True
    assert await recordings.sweep() == 0
    refused = await client.patch(
        url, json={"held": False}, headers={"Authorization": "Bearer desk"}
    )
    assert refused.status_code == 403
    assert (await client.patch(url, json={"held": False})).json()["held"] is False
    assert await recordings.sweep() == 1
    async with store.read() as uow:
        actions = [one.action for one in await uow.audit.list(None, 9)]
    assert actions[1:] == ["recording.release", "recording.hold"]


async def test_a_file_that_cannot_be_removed_does_not_keep_the_others(store, recordings, tmp_path):
    stuck = await keep(store, tmp_path, Retention.OTHER, 500, path="folder.wav")
    (tmp_path / "folder.wav").mkdir()
    others = [await keep(store, tmp_path, Retention.OTHER, 400) for _ in range(60)]
    assert await recordings.sweep() == 60
    assert (await again(store, stuck)).deleted_at is None
    assert all([(await again(store, one)).deleted_at for one in others])
    (tmp_path / "folder.wav").rmdir()
    assert await recordings.sweep() == 1


async def test_a_file_that_is_gone_already_is_deleted_all_the_same(store, recordings, tmp_path):
    recording = await keep(store, tmp_path, Retention.OTHER, 400)
    (tmp_path / recording.path).unlink()
    assert await recordings.sweep() == 1
    assert (await again(store, recording)).deleted_at is not None
