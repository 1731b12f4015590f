"""Offers at a whole hub that are not taken: refused in words over HTTP, counted, and the meeting beside them goes on."""

import re

import pytest
from fakes.meeting import Picture, far_end
from fakes.room import SDP, counted, offer
from fakes.waiting import eventually

pytestmark = pytest.mark.audio


@pytest.fixture
async def watched(http, meeting, monkeypatch):
    """A picture of the same meeting, that goes on meanwhile."""
    wang = await meeting.guest("Wang")
    async with (
        far_end(monkeypatch, picture=Picture(grey=60)) as camera,
        far_end(monkeypatch) as viewer,
    ):
        await offer(http, f"/whip/{meeting.id}", camera, wang)
        source = await meeting.source_of("Wang")
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)
        await eventually(lambda: viewer.sees(60), within_s=20)
        yield viewer
        frames = viewer.frames
        await eventually(lambda: viewer.frames > frames + 15)


SPOILED = {
    "no fingerprint": lambda sdp: re.sub(r"a=fingerprint:.*\r\n", "", sdp),
    "a fingerprint of one byte": lambda sdp: re.sub(
        r"a=fingerprint:.*\r\n", "a=fingerprint:sha-256 00\r\n", sdp
    ),
    "no ufrag": lambda sdp: re.sub(r"a=ice-ufrag:.*\r\n", "", sdp),
    "a dozen more pictures": lambda sdp: sdp + sdp[sdp.index("m=video") :] * 12,
    "no picture": lambda sdp: sdp.replace("m=video", "m=application"),
    "half of it": lambda sdp: sdp[: len(sdp) // 2],
    "no description": lambda _: "v=0\r\n" * 2000,
    "zeros": lambda _: "\x00" * 5000,
}


async def test_bad_offers_are_refused_in_words(http, meeting, watched, monkeypatch):
    zhang = await meeting.guest("Zhang")
    invalid = {"outcome": "invalid", "protocol": "whip"}
    before = await counted(http, "commhub_webrtc_offers_total", **invalid)
    async with far_end(monkeypatch, picture=Picture()) as camera:
        text = await camera.offer()
    for name, spoil in SPOILED.items():
        answer = await http.post(
            f"/whip/{meeting.id}", content=spoil(text).encode(), headers={**SDP, **zhang}
        )
        assert 400 <= answer.status_code < 500, f"{name}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json", name
        assert len(answer.json()["detail"]) > 10, name
    after = await counted(http, "commhub_webrtc_offers_total", **invalid)
    assert after == before + len(SPOILED)
    people = {one["name"]: one["state"] for one in (await meeting.now())["participants"]}
    assert people["Zhang"] != "joined"


async def test_forged_and_revoked_tokens_let_nobody_in(http, desk, meeting, watched, monkeypatch):
    made = desk.post(f"/rooms/{meeting.id}/invitations", {"name": "Zhao"})
    token = made["link"].partition("#")[2]
    claims, _, signature = token.removeprefix("room.").partition(".")
    forged = [
        f"room.{claims}.{signature[::-1]}",
        f"room.{claims[:-4]}AAAA.{signature}",
        f"leg.{claims}.{signature}",
        "room." + "A" * 5000,
    ]
    refused = await counted(http, "commhub_webrtc_refused_tokens_total", why="unknown")
    async with far_end(monkeypatch, picture=Picture()) as camera:
        text = await camera.offer()

        async def tried(bearer):
            headers = {**SDP, "Authorization": f"Bearer {bearer}"}
            return await http.post(f"/whip/{meeting.id}", content=text, headers=headers)

        assert [(await tried(one)).status_code for one in forged] == [401] * 4
        assert (
            await counted(http, "commhub_webrtc_refused_tokens_total", why="unknown") >= refused + 3
        )
        desk.delete(f"/rooms/{meeting.id}/invitations/{made['invitation']['id']}")
        assert (await tried(token)).status_code in (401, 403)
