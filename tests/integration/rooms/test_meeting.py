"""A meeting at a whole hub: guests by their links over WHIP and WHEP, a SIP phone that dials the room's number."""

import asyncio
import fractions
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import av
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fakes.baresip import baresip
from fakes.meeting import Picture, far_end
from fakes.room import SDP, Meeting, offer
from fakes.waiting import eventually

from simulators.tones import ToneMeter

pytestmark = pytest.mark.audio

TONE = 700


async def test_pictures_and_voices_of_guests_and_a_phone_meet(
    hub, desk, http, meeting, monkeypatch
):
    phone_account = await asyncio.to_thread(
        desk.post, "/fleet/phones", {"name": "3001", "display_name": "front desk"}
    )
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with (
        far_end(monkeypatch, picture=Picture(grey=60), tone=400.0, hears=True) as browser,
        far_end(monkeypatch, hears=True) as viewer,
        baresip(
            "3001", phone_account["password"], hub.port("sip"), tone=TONE, answer="manual"
        ) as phone,
    ):
        await phone.until_registered()
        resource = await offer(http, f"/whip/{meeting.id}", browser, zhang)
        source = await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/speaker", viewer, wang)
        await phone.command("dial", f"sip:{meeting.dial}@127.0.0.1:{hub.port('sip')}")
        await phone.until("CALL_ESTABLISHED")

        def everybody_hears():
            meter = ToneMeter()
            heard = phone.heard(1.0)
            if len(heard) < 8000:
                return False
            meter.hear(heard)
            levels = meter.levels([400, TONE])
            at_the_phone = levels["400"] - levels["floor"] >= 20 and levels[f"{TONE}"] <= -30
            return at_the_phone and browser.hears(TONE) and viewer.hears(400)

        await eventually(everybody_hears, within_s=30)
        assert browser.lacks(400)
        assert viewer.hears(TONE)
        await eventually(lambda: viewer.sees(60, frames=10), within_s=20)

        gone = await http.delete(resource, headers=zhang)
        assert gone.status_code == 200

        async def has_left():
            room = await meeting.now()
            return source not in [s["id"] for s in room["sources"] if s["state"] == "live"]

        await eventually(has_left, within_s=10)
        frames = viewer.frames
        await eventually(lambda: viewer.hears(TONE))
        assert viewer.frames - frames < 10


async def test_a_view_goes_on_while_control_is_killed_and_the_meeting_with_it(
    hub, http, meeting, monkeypatch
):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with (
        far_end(monkeypatch, picture=Picture(grey=60), tone=400.0) as camera,
        far_end(monkeypatch, hears=True) as viewer,
    ):
        resource = await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/speaker", viewer, wang)
        await eventually(lambda: viewer.sees(60) and viewer.hears(400), within_s=30)
        os.kill(hub.pid_of("control"), signal.SIGKILL)
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 15, within_s=10)
        await asyncio.to_thread(hub.wait_ready)
        assert await meeting.source_of("Zhang") == source
        heard = viewer.meter.samples
        await eventually(lambda: viewer.meter.samples > heard + 8000, within_s=10)
        assert viewer.hears(400)
        assert (await http.delete(resource, headers=zhang)).status_code == 200


async def test_a_video_worker_that_is_killed_costs_a_new_offer_and_nothing_else(
    hub, http, meeting, monkeypatch
):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with far_end(monkeypatch, picture=Picture(grey=60), tone=400.0) as camera:
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        before = hub.pid_of("worker-v0")
        os.kill(before, signal.SIGKILL)

        def another():
            try:
                return hub.pid_of("worker-v0") != before
            except OSError:
                return False

        await eventually(another, within_s=20)
    async with (
        far_end(monkeypatch, picture=Picture(grey=180), tone=400.0) as camera,
        far_end(monkeypatch, hears=True) as viewer,
    ):

        async def is_taken(path, who, headers):
            text = await who.offer()
            answer = await http.post(path, content=text, headers={**SDP, **headers})
            if answer.status_code == 503:
                return False
            assert answer.status_code == 201, answer.text
            await who.accept(answer.text)
            return True

        await eventually(partial(is_taken, f"/whip/{meeting.id}", camera, zhang), within_s=20)
        assert await meeting.source_of("Zhang") == source
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.sees(180), within_s=20)


class Encoder(threading.Thread):
    """FFmpeg's WHIP muxer, an encoder that waits for our DTLS: a grey at 15 pictures a second until it is told to stop."""

    def __init__(self, url, token, pair, grey):
        super().__init__(daemon=True)
        self.url, self.grey = url, grey
        self.options = {"authorization": token, "cert_file": pair[0], "key_file": pair[1]}
        self.told = threading.Event()
        self.failure = None

    def run(self):
        try:
            with av.open(self.url, "w", format="whip", options=self.options) as out:
                stream = out.add_stream("libx264", rate=15)
                stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
                # No B pictures: WebRTC has none.
                stream.options = {
                    "profile": "baseline",
                    "preset": "ultrafast",
                    "tune": "zerolatency",
                }
                stream.gop_size = 15
                plane = np.full((360, 320), 128, np.uint8)
                plane[:240] = self.grey
                n = 0
                while not self.told.wait(1 / 15):
                    frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
                    frame.pts, n = n, n + 1
                    frame.time_base = fractions.Fraction(1, 15)
                    out.mux(stream.encode(frame))
        except Exception as error:  # noqa: BLE001 - whatever ended it, the test says so
            self.failure = error


@pytest.fixture
def pair(tmp_path):
    """A P-256 certificate and its key: FFmpeg's own is of a curve that OpenSSL refuses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "encoder")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "encoder.crt", tmp_path / "encoder.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return [str(path) for path in paths]


async def test_ffmpeg_publishes_into_a_room(hub, http, meeting, pair, monkeypatch):
    encoder_token, wang = await meeting.guest("Encoder"), await meeting.guest("Wang")
    token = encoder_token["Authorization"].removeprefix("Bearer ")
    encoder = Encoder(f"{hub.url}/whip/{meeting.id}", token, pair, grey=140)
    encoder.start()
    try:
        source = await meeting.source_of("Encoder")
        async with far_end(monkeypatch) as viewer:
            await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
            await eventually(lambda: viewer.sees(140, frames=15), within_s=20)
            assert viewer.size == (320, 240)
    finally:
        encoder.told.set()
        await asyncio.to_thread(encoder.join, 10)
    assert encoder.failure is None, encoder.failure


async def test_nobody_gets_in_without_a_token_of_this_room(http, desk, meeting, monkeypatch):
    other = await Meeting.open(desk)
    stranger = await other.guest("Zhao")
    async with far_end(monkeypatch, picture=Picture()) as camera:
        text = await camera.offer()
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer room.e30.AAAA"}, 401),
            (stranger, 403),
        ):
            answer = await http.post(
                f"/whip/{meeting.id}", content=text, headers={**SDP, **headers}
            )
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
