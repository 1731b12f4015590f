"""A browser that has no direct path to the hub: everything by coturn, with credentials the hub's API made."""

import json

import pytest
from fakes.room import offer
from fakes.strangers import chromium
from fakes.turn import coturn
from fakes.waiting import eventually

from commhub.wiring.hub_process import HubProcess

pytestmark = pytest.mark.audio

SECRET = "shared by hub and coturn"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with coturn(SECRET) as turn:
        settings = {
            "COMMHUB_MEDIA__TURN__URLS": json.dumps([turn]),
            "COMMHUB_MEDIA__TURN__SECRET": SECRET,
        }
        with HubProcess(tmp_path_factory.mktemp("turn") / "hub", settings) as hub:
            yield hub


async def servers_for(http, headers):
    answer = await http.get("/api/v1/webrtc/ice-servers", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["servers"]


async def test_a_picture_goes_and_comes_by_a_relay_alone(http, meeting):
    zhang, wang = await meeting.guest("Zhang"), await meeting.guest("Wang")
    async with chromium(fps=15) as browser:
        camera = browser.camera(540, fps=15, ice=await servers_for(http, zhang), relayed=True)
        viewer = browser.viewer(ice=await servers_for(http, wang), relayed=True)
        await offer(http, f"/whip/{meeting.id}", camera, zhang)
        source = await meeting.source_of("Zhang")
        await offer(http, f"/whep/{meeting.id}/{source}", viewer, wang)

        async def sees():
            seen = await viewer.pictures()
            return seen.get("frameHeight") == 540 and seen["framesDecoded"] > 45

        await eventually(sees, within_s=40)
        assert (await camera.path(), await viewer.path()) == ("relay", "relay")


async def test_the_hub_tells_of_its_relay_with_every_answer(http, meeting):
    zhang = await meeting.guest("Zhang")
    (server,) = await servers_for(http, zhang)
    async with chromium(fps=15) as browser:
        camera = browser.camera(540, fps=15)
        content = {"Content-Type": "application/sdp", **zhang}
        answer = await http.post(
            f"/whip/{meeting.id}", content=await camera.offer(), headers=content
        )
    link = answer.headers["link"]
    assert f"<{server['urls']}>" in link
    assert 'rel="ice-server"' in link


async def test_credentials_the_hub_did_not_make_relay_nothing(http, meeting):
    (server,) = await servers_for(http, await meeting.guest("Zhang"))
    ends, _, name = server["username"].partition(":")
    forged = (
        {**server, "credential": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {**server, "username": f"{int(ends) + 3600}:{name}"},
    )
    async with chromium(fps=15) as browser:
        assert " typ relay " in await browser.viewer(ice=[server], relayed=True).offer()
        for one in forged:
            assert " typ relay " not in await browser.viewer(ice=[one], relayed=True).offer()
