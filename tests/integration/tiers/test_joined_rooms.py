"""Meetings of two whole hubs: a 1080p camera of the street seen at the district as one stream however many look, also over a way that loses
packets, the district's seen in the street, and their phones in one talk."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fakes.filming import Filming, Screen
from fakes.lossy_hops import lossy_hop
from fakes.phones import simulated_phone
from fakes.room import Meeting, counted, offer
from fakes.tier_hubs import tier_hubs
from fakes.waiting import eventually
from fakes.whole_hub import signed_in

from bridges.video import feedback

# Two hubs and all who take part start within it, beside whatever else the machine does.
pytestmark = [pytest.mark.audio, pytest.mark.timeout(300)]

WITHIN_S = 60.0
BELOW_TONE, ABOVE_TONE = 440, 1250
# A tone counts as heard at 20 dB over the noise.
HEARD_DB = 20
VIEWERS = 10
FULL_HD = (1920, 1080)


async def ask(method, *given, **named):
    return await asyncio.to_thread(method, *given, **named)


@dataclass
class Half:
    """One hub's half of the meeting, as its desk sees it."""

    hub: object
    desk: object
    http: httpx.AsyncClient
    meeting: Meeting | None = None

    async def half_of(self, peer):
        """Our room that was opened for theirs, once it is joined."""

        async def opened():
            for room in (await ask(self.desk.get, "/rooms", open="true"))["items"]:
                joins = (await ask(self.desk.get, f"/rooms/{room['id']}/cascades"))["cascades"]
                if any(one["peer"] == peer and one["state"] == "joined" for one in joins):
                    return Meeting(self.desk, room)
            return None

        self.meeting = await eventually(opened, within_s=WITHIN_S)

    async def joined(self):
        """Our half is joined, once our control is there."""

        async def is_so():
            try:
                tiers = await ask(self.desk.get, f"/rooms/{self.meeting.id}/cascades")
            except httpx.TransportError:
                return False
            return [one["state"] for one in tiers["cascades"]] == ["joined"]

        await eventually(is_so, within_s=WITHIN_S)

    async def told_of(self, origin_hub):
        """The id here of a picture of that hub."""

        async def known():
            tiers = await ask(self.desk.get, f"/rooms/{self.meeting.id}/cascades")
            found = [one for one in tiers["sources"] if one["origin"].startswith(origin_hub)]
            return found[0]["source_id"] if found else None

        return await eventually(known, within_s=WITHIN_S)

    async def film(self, name):
        """A camera of 1080p30 at this hub."""
        camera = Filming()
        headers = await self.meeting.guest(name)
        await offer(self.http, f"/whip/{self.meeting.id}", camera, headers)
        return camera, await self.meeting.source_of(name)

    async def look(self, source, name, *, decodes):
        """A screen at this hub; asked again while the picture is being fetched. What ends it, ends it."""
        screen = Screen(decodes=decodes)
        headers = await self.meeting.guest(name)
        path = f"/whep/{self.meeting.id}/{source}"
        sdp = {"Content-Type": "application/sdp", **headers}
        text = await screen.offer()

        async def let_in():
            answer = await self.http.post(path, content=text, headers=sdp)
            assert answer.status_code in {201, 503}, answer.text
            return answer if answer.status_code == 201 else None

        answer = await eventually(let_in, within_s=WITHIN_S)
        await screen.accept(answer.text)
        return screen, answer.headers["location"], headers

    async def figure(self, kind):
        """How many far ends of a kind the picture engine has."""
        return await counted(self.http, "commhub_bridges_video_sessions", kind=kind)

    async def has(self, **figures):
        """The picture engine has so many far ends of these kinds, once it was asked: figures are up to two seconds old."""

        async def are_so():
            found = {kind: await self.figure(kind) for kind in figures}
            return found == figures

        await eventually(are_so, within_s=WITHIN_S)

    async def counted(self, kind):
        """What the picture engine counted of a kind so far (`bridges.video.counts`)."""
        return await counted(self.http, "commhub_bridges_video_total", kind=kind)

    async def has_counted(self, kind):
        """It counted some of that kind, once it was asked."""

        async def is_so():
            return await self.counted(kind) > 0

        await eventually(is_so, within_s=WITHIN_S)

    async def phone(self, stack, name, tone):
        made = await ask(self.desk.post, "/fleet/phones", {"name": name, "display_name": name})
        listen = ("--listen", f"{BELOW_TONE},{ABOVE_TONE}")
        phone = await stack.enter_async_context(
            simulated_phone(
                name, made["password"], self.hub.port("sip"), "--tone", str(tone), *listen
            )
        )
        await phone.until(lambda state: state["registered"], within_s=WITHIN_S)
        path = f"/rooms/{self.meeting.id}/invitations"
        await ask(self.desk.post, path, {"to": f"sip:{name}"})
        return phone


@asynccontextmanager
async def a_meeting(folder: Path, before=None):
    """The district invites the street into a meeting: (the street's half, the district's half). `before`: see `tier_hubs`."""
    tiers = {"street-a": "street", "district-1": "district"}
    async with AsyncExitStack() as stack:
        hubs = await stack.enter_async_context(tier_hubs(folder, tiers, before=before))
        halves = []
        for name in tiers:
            desk = await stack.enter_async_context(signed_in(hubs[name]))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=hubs[name].url, timeout=15)
            )
            halves.append(Half(hubs[name], desk, http))
        street, district = halves

        async def is_linked():
            return all(one["up"] for one in await ask(district.desk.get, "/tiers/peerings"))

        await eventually(is_linked, within_s=WITHIN_S)
        district.meeting = await Meeting.open(district.desk)
        await ask(
            district.desk.post, f"/rooms/{district.meeting.id}/cascades", {"peer": "street-a"}
        )
        await street.half_of("district-1")
        yield street, district


@pytest.fixture
async def halves(tmp_path):
    async with a_meeting(tmp_path) as both:
        yield both


def ask_keyframe(screen):
    """As a viewer does that lost the picture."""
    media = int.from_bytes(screen.packets[-1][8:12], "big")
    screen.send(feedback.write_pli(0x0FAC, media), rtcp=True)


def is_seen(screen, after=0):
    return screen.seen.size == FULL_HD and screen.seen.frames > after


async def test_the_streets_camera_is_one_stream_to_the_district_and_none_when_nobody_looks(halves):
    street, district = halves
    camera, _ = await street.film("摄像头")
    there = await district.told_of("street-a")
    assert await street.figure("pushing") == 0
    screens = [await district.look(there, f"屏{n}", decodes=n == 0) for n in range(VIEWERS)]
    closing = [camera, *(screen for screen, _, _ in screens)]
    try:
        first = screens[0][0]
        await eventually(lambda: is_seen(first, 30), within_s=WITHIN_S)
        await eventually(lambda: all(one.packets for one, _, _ in screens), within_s=WITHIN_S)

        await street.has(pushing=1)
        await district.has(viewing=VIEWERS)
        assert first.seen.gaps == 0

        # Each hop asks its camera for a whole picture when it must, and at most twice a second.
        before, began = camera.keyframe_requests, asyncio.get_running_loop().time()
        for _ in range(20):
            ask_keyframe(first)
            await asyncio.sleep(0.05)
        asked = camera.keyframe_requests - before
        lasted = asyncio.get_running_loop().time() - began
        assert asked <= 2 * lasted + 2

        # Who orders the pictures dies: they go on meanwhile, and end as they should afterwards.
        street.hub.kill("control")
        frames = first.seen.frames
        await eventually(lambda: is_seen(first, frames + 30), within_s=WITHIN_S)
        await street.joined()

        for _, location, headers in screens:
            await district.http.delete(location, headers=headers)

        await street.has(pushing=0)

        async def rests():
            then = await district.counted("received")
            await asyncio.sleep(3)
            return await district.counted("received") == then

        await eventually(rests, within_s=WITHIN_S)
    finally:
        for one in closing:
            one.close()


async def test_two_percent_loss_on_the_hop_is_mended_and_wishes_for_whole_pictures_go_down_throttled(
    tmp_path,
):
    async with AsyncExitStack() as stack:
        hops = []

        async def before(hub):
            if hub.environment["COMMHUB_TIER"] == "district":
                hops.append(await stack.enter_async_context(lossy_hop(hub.port("http"), up=50)))
                hub.environment["COMMHUB_HTTP__PUBLIC_URL"] = hops[0].url

        street, district = await stack.enter_async_context(a_meeting(tmp_path, before))
        camera, _ = await street.film("摄像头")
        stack.callback(camera.close)
        screen, _, _ = await district.look(await district.told_of("street-a"), "屏", decodes=True)
        stack.callback(screen.close)
        (hop,) = hops
        await eventually(lambda: is_seen(screen, 150), within_s=WITHIN_S)
        await eventually(lambda: hop.path.lost > 20, within_s=WITHIN_S)
        assert hop.answers >= 1
        # Nothing that was lost stays lost: the street sends it again, and the viewer sees every picture.
        await street.has_counted("repaired")
        await district.has_counted("recovered")
        assert screen.seen.gaps == 0
        frames = screen.seen.frames
        await eventually(lambda: is_seen(screen, frames + 60), within_s=WITHIN_S)

        before_it, began = camera.keyframe_requests, asyncio.get_running_loop().time()
        for _ in range(20):
            ask_keyframe(screen)
            await asyncio.sleep(0.05)
        await eventually(lambda: camera.keyframe_requests > before_it, within_s=WITHIN_S)
        lasted = asyncio.get_running_loop().time() - began
        assert camera.keyframe_requests - before_it <= 2 * lasted + 2


async def test_the_districts_camera_is_fetched_by_the_street_and_their_phones_are_in_one_talk(
    halves,
):
    street, district = halves
    async with AsyncExitStack() as stack:
        below = await street.phone(stack, "2001", BELOW_TONE)
        above = await district.phone(stack, "1001", ABOVE_TONE)
        camera, _ = await district.film("摄像头")
        stack.callback(camera.close)
        screen, location, headers = await street.look(
            await street.told_of("district-1"), "屏", decodes=True
        )
        stack.callback(screen.close)
        await eventually(lambda: is_seen(screen, 30), within_s=WITHIN_S)
        await street.has(watching=1)
        await district.has(viewing=1, pushing=0)

        await heard(above, BELOW_TONE, spoken_by=below)
        await heard(below, ABOVE_TONE, spoken_by=above)

        await street.http.delete(location, headers=headers)

        await street.has(watching=0)
        await district.has(viewing=0)


async def heard(phone, tone, *, spoken_by):
    await spoken_by.do("talk", on=True)
    await phone.until(
        lambda state: state["heard"][str(tone)] - state["heard"]["floor"] > HEARD_DB,
        within_s=WITHIN_S,
    )
    await spoken_by.do("talk", on=False)
