"""Key frames by SIP INFO (RFC 5168) and packetization-mode 0 with SIPp, which signals; its picture is a socket of the test, so
that what crosses is seen packet by packet."""

import asyncio
import re
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.meeting import Picture, far_end
from fakes.pictures import rtp_stream
from fakes.room import offer
from fakes.servers import free_port
from fakes.sipp import sipp
from fakes.terminals import Terminal
from fakes.waiting import eventually

from commhub.ports.media import RtpAddress
from commhub.ports.video import VideoCodec

pytestmark = pytest.mark.timeout(300)
SCENARIOS = Path(__file__).parent / "scenarios"
FU_A, STAP_A, IDR, SPS = 28, 24, 5, 7
STREAM = rtp_stream(VideoCodec.H264, 640, 360, 60, gop=30)


@pytest.fixture(scope="module")
def account(desk):
    made = desk.post("/fleet/phones", {"name": "3301", "display_name": "room system"})
    return "3301", made["password"]


@pytest.fixture
def screen():
    """Where the far end's picture is sent from and shown."""
    made = Terminal()
    yield made
    made.close()


@asynccontextmanager
async def dials(hub, meeting, account, scenario, screen, mode=1, **keys):
    """SIPp dials the room and plays its part."""
    name, password = account
    values = {"audio_port": free_port(socket.SOCK_DGRAM), "video_port": screen.port, "mode": mode}
    async with sipp(
        SCENARIOS / f"{scenario}.xml",
        hub.port("sip"),
        free_port(socket.SOCK_DGRAM),
        user=name,
        password=password,
        to=meeting.dial,
        keys=[(key, str(value)) for key, value in (values | keys).items()],
    ) as peer:
        yield peer


async def place_of(peer):
    """Where the hub wants the picture, as its answer said."""

    def told():
        if peer.is_over:
            raise AssertionError(peer.log())
        answer = re.search(r"SIP/2\.0 200 OK.*?m=video (\d+)", peer.log(), re.DOTALL)
        return answer and int(answer.group(1))

    return RtpAddress("127.0.0.1", await eventually(told, within_s=30))


def joined(payload):
    """The NAL units of a STAP-A (RFC 6184 §5.7.1)."""
    while len(payload) > 2:
        size = int.from_bytes(payload[:2], "big")
        yield payload[2 : 2 + size]
        payload = payload[2 + size :]


def begins_whole(packet):
    """Whether an RTP packet is, has or begins an IDR picture."""
    kind = packet[12] & 0x1F
    if kind == STAP_A:
        return IDR in {unit[0] & 0x1F for unit in joined(packet[13:])}
    if kind == FU_A:
        return bool(packet[13] & 0x80) and packet[13] & 0x1F == IDR
    return kind == IDR


def whole_pictures(screen):
    return sum(map(begins_whole, screen.read()))


async def has_asked(peer):
    """Both wishes were answered."""
    await eventually(lambda: peer.log().count("CSeq: 4 INFO") == 2, within_s=60)


async def ends(meeting, peer):
    await asyncio.to_thread(meeting.desk.delete, f"/rooms/{meeting.id}")
    await peer.finish(within_s=30)


async def test_who_gives_no_feedback_is_asked_for_a_key_frame_by_info(
    hub, meeting, account, screen
):
    async with dials(hub, meeting, account, "picture_is_asked_for", screen) as peer:
        place = await place_of(peer)
        times = sorted({one.timestamp for one in STREAM})
        late = [one for one in STREAM if times[0] < one.timestamp < times[30]]
        whole = [one for one in STREAM if one.timestamp >= times[30]]

        def is_asked():
            # Pictures that refer to one that nobody saw.
            screen.send(place, late[:1])
            del late[:1]
            return "picture_fast_update" in peer.log()

        await eventually(is_asked, within_s=60)
        screen.send(place, whole)
        await meeting.source_of("Phone one")
        await ends(meeting, peer)


async def test_who_asks_by_info_is_shown_a_key_frame(
    hub, http, meeting, monkeypatch, account, screen
):
    zhang = await meeting.guest("Zhang")
    async with far_end(monkeypatch, picture=Picture()) as camera:
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        await meeting.source_of("Zhang")
        async with dials(hub, meeting, account, "picture_asks", screen) as peer:
            await place_of(peer)
            await eventually(lambda: whole_pictures(screen) >= 1, within_s=60)
            seen = whole_pictures(screen)
            await has_asked(peer)
            await eventually(lambda: whole_pictures(screen) > seen, within_s=30)
            await ends(meeting, peer)


async def test_who_splits_no_nal_units_is_sent_none_that_are_split(
    hub, http, meeting, monkeypatch, account, screen
):
    zhang = await meeting.guest("Zhang")
    async with far_end(monkeypatch, picture=Picture(width=640, height=480)) as camera:
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        await meeting.source_of("Zhang")
        async with dials(hub, meeting, account, "picture_asks", screen, mode=0) as peer:
            await place_of(peer)
            await eventually(lambda: len(screen.read()) > 60, within_s=30)
            kinds = {packet[12] & 0x1F for packet in screen.got}
            assert kinds <= set(range(1, 24))
            assert {SPS, IDR} <= kinds
            await has_asked(peer)
            await ends(meeting, peer)
