"""SIP video with keys in the description (SDES-SRTP) and on IPv6: baresip dials a room, is rung into it, sees and is seen."""

import asyncio

import pytest
from fakes.baresip import HERE, Place, baresip
from fakes.meeting import Picture, far_end
from fakes.room import Meeting, offer
from fakes.waiting import eventually

from commhub.wiring.hub_process import HubProcess

GREY = 60
pytestmark = pytest.mark.timeout(300)
SIX = Place("::1", "[::1]")
SETTINGS = {
    "COMMHUB_SIP__SRTP": "offer",
    "COMMHUB_SIP__IPV6_HOST": "::1",
    "COMMHUB_MEDIA__IPV6_HOST": "::1",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("secured") / "hub", SETTINGS) as hub:
        yield hub


@pytest.fixture(scope="module")
def account(desk):
    made = desk.post("/fleet/phones", {"name": "3201", "display_name": "room system"})
    return "3201", made["password"]


def is_secured(phone):
    """Whether it says so of its picture."""
    return "video: SRTP is Enabled" in phone.log()


async def both_see(http, monkeypatch, meeting, phone, camera, name):
    """A browser decodes the phone's picture, and the phone shows the camera's."""
    wang = await meeting.guest("Wang")
    source = await meeting.source_of(name)
    async with far_end(monkeypatch) as viewer:
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.frames > 15, within_s=60)
        await phone.until_it_shows(GREY)
        sent = camera.sent
        await eventually(lambda: camera.sent > sent, within_s=30)


@pytest.mark.parametrize(
    ("encryption", "place"),
    [("srtp-mand", HERE), ("srtp", HERE), ("srtp-mand", SIX), (None, SIX)],
    ids=["savp", "keys-beside-avp", "savp-ipv6", "plain-ipv6"],
)
async def test_a_room_system_that_dials_a_room_sees_and_is_seen(
    hub, http, desk, monkeypatch, account, encryption, place
):
    meeting = await Meeting.open(desk)
    zhang, camera = await meeting.guest("Zhang"), Picture(grey=GREY)
    async with (
        far_end(monkeypatch, picture=camera) as browser,
        baresip(
            *account,
            hub.port("sip"),
            answer="manual",
            sees=True,
            encryption=encryption,
            place=place,
        ) as phone,
    ):
        await offer(http, f"/whip/{meeting.id}", browser, zhang)
        await meeting.source_of("Zhang")
        await phone.until_registered(within_s=30)
        await phone.command("dial", f"sip:{meeting.dial}@{place.hub}:{hub.port('sip')}")
        await phone.until("CALL_ESTABLISHED", within_s=30)
        await both_see(http, monkeypatch, meeting, phone, camera, account[0])
        assert is_secured(phone) == (encryption is not None)


@pytest.mark.parametrize("encryption", ["srtp", None], ids=["takes-keys", "has-none"])
async def test_a_room_system_that_is_rung_in_takes_our_keys_or_none(
    hub, http, desk, monkeypatch, account, encryption
):
    meeting = await Meeting.open(desk)
    zhang, camera = await meeting.guest("Zhang"), Picture(grey=GREY)
    async with (
        far_end(monkeypatch, picture=camera) as browser,
        baresip(*account, hub.port("sip"), sees=True, encryption=encryption) as phone,
    ):
        await phone.until_registered(within_s=30)
        await offer(http, f"/whip/{meeting.id}", browser, zhang)
        await meeting.source_of("Zhang")
        path = f"/rooms/{meeting.id}/invitations"
        await asyncio.to_thread(desk.post, path, {"to": f"sip:{account[0]}"})
        await phone.until("CALL_ESTABLISHED", within_s=30)
        await both_see(http, monkeypatch, meeting, phone, camera, account[0])
        assert is_secured(phone) == (encryption is not None)
