"""The run: a camera at the street, viewers in the city, and one who looks at each hub on the way; at last a voice at either end."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import numpy as np
from aiortc.rtcdtlstransport import RTCCertificate

from benchmarks.cascade.eyes import Eye, Eyes, delays_ms
from benchmarks.cascade.hubs import TierHub, wait_linked
from benchmarks.cascade.report import Figures
from benchmarks.cascade.resources import Resource, offer
from benchmarks.cascade.voices import ring, until_heard, voices
from benchmarks.video.camera import Camera
from benchmarks.video.far_end import FarEnd
from commhub.wiring.demo.settle import Desk

_POLL_S = 0.003
_JOINED_WITHIN_S = 15.0
_PICTURES_WITHIN_S = 20.0
_VOICES_WITHIN_S = 30.0
_SETTLE_S = 1.5
_QUIET_AFTER_S = 2.0
_QUIET_FOR_S = 1.5
_MET_S = 0.5


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a hub's picture engine has received and how much it pushes, when the camera had sent so many packets."""

    received: int
    pushing: int
    sent: int


@dataclass(frozen=True, slots=True)
class _Back:
    """How long after the killed hub was ready again they were there."""

    pictures_s: float
    voices_s: float


class Cascade:
    """The whole of it, over hubs that are paired."""

    def __init__(
        self, hubs: dict[str, TierHub], viewers: int, seconds: float, away_s: float
    ) -> None:
        self._street, self._district, self._city = hubs.values()
        self._viewers = viewers
        self._seconds = seconds
        self._away_s = away_s
        self._certificate = RTCCertificate.generateCertificate()
        self._client = httpx.AsyncClient(timeout=15)
        self._resources: list[Resource] = []

    async def run(self) -> Figures:
        """Raises AssertionError when it did not do its work at all."""
        async with self._client:
            rooms = await asyncio.to_thread(self._join_rooms)
            publisher = FarEnd(self._certificate)
            path = f"/whip/{rooms[self._street.name]}"
            await offer(self._client, self._street, path, publisher, publishes=True)
            camera = Camera(publisher)
            eyes = Eyes(camera)
            playing = asyncio.create_task(_play(camera, eyes))
            try:
                return await self._look(camera, eyes, rooms, playing)
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)

    async def _look(
        self,
        camera: Camera,
        eyes: Eyes,
        rooms: dict[str, str],
        playing: "asyncio.Task[None]",
    ) -> Figures:
        below = await self._watch(self._street, rooms, eyes)
        between = await self._watch(self._district, rooms, eyes)
        above = list(
            await asyncio.gather(
                *(self._watch(self._city, rooms, eyes) for _ in range(self._viewers))
            )
        )
        await _until(lambda: all(eye.seen for eye in eyes.all), _PICTURES_WITHIN_S, playing)
        await asyncio.sleep(_SETTLE_S)

        before = [await self._received(hub, camera) for hub in self._hubs]
        first, above[0].keeps = camera.count, True
        await asyncio.sleep(self._seconds)
        last, above[0].keeps = camera.count, False
        await asyncio.sleep(_MET_S)
        after = [await self._received(hub, camera) for hub in self._hubs]
        hops = [
            delays_ms(below, between, first, last),
            np.concatenate([delays_ms(between, eye, first, last) for eye in above]),
        ]
        sizes, lasted = await asyncio.to_thread(above[0].pictures)
        due = {k for k in below.seen if first <= k < last}
        come = [len(due & eye.seen.keys()) / len(due) for eye in (between, *above)]
        received = [
            (now.received - then.received) / (now.sent - then.sent)
            for then, now in zip(before[1:], after[1:], strict=True)
        ]
        back = await self._kill_the_middle(above, rooms, playing)
        flowing = await self._leave(camera)
        return Figures(
            fps=round((len(sizes) - 1) / lasted, 1) if lasted else 0.0,
            height=min((height for _, height in sizes), default=0),
            hop_p95_ms=round(max(float(np.percentile(hop, 95)) for hop in hops if len(hop)), 2),
            streams_per_hop=max(now.pushing for now in after[:2]),
            rejoin_s=round(back.pictures_s, 2),
            voice_rejoin_s=round(back.voices_s, 2),
            viewers=self._viewers,
            decoded=len(sizes),
            hop_p50_ms=round(max(float(np.percentile(hop, 50)) for hop in hops if len(hop)), 2),
            compared=min(map(len, hops)),
            least_seen=round(min(come), 4),
            streams_received=round(max(received), 2),
            packets_after_leaving=flowing,
        )

    async def _received(self, hub: TierHub, camera: Camera) -> _Counted:
        counts = await hub.counts()
        return _Counted(counts["received"], counts["now_pushing"], camera.count)

    @property
    def _hubs(self) -> tuple[TierHub, TierHub, TierHub]:
        return self._street, self._district, self._city

    # --- the meeting -------------------------------------------------------------------------------------

    def _join_rooms(self) -> dict[str, str]:
        """The city opens a meeting and invites the district, and the street beyond it. The rooms by hub."""
        city = self._city.desk.post("/rooms", {"name": "cascade"})["id"]
        chain = {"peer": self._district.name, "beyond": [self._street.name]}
        self._city.desk.post(f"/rooms/{city}/cascades", chain)
        district, street = _room_at(self._district.desk), _room_at(self._street.desk)
        return dict(zip((one.name for one in self._hubs), (street, district, city), strict=True))

    async def _watch(self, at: TierHub, rooms: dict[str, str], eyes: Eyes) -> Eye:
        room = rooms[at.name]
        source = await asyncio.to_thread(_source_of, at.desk, room)
        far_end = FarEnd(self._certificate)
        resource = await offer(self._client, at, f"/whep/{room}/{source}", far_end, publishes=False)
        self._resources.append(resource)
        return eyes.add(far_end)

    # --- what is to be borne -----------------------------------------------------------------------------

    async def _kill_the_middle(
        self, above: list[Eye], rooms: dict[str, str], playing: "asyncio.Task[None]"
    ) -> _Back:
        """kill -9 of the whole district: seconds from when it is ready again until every viewer in the city has pictures of
        the present, on the connection it had, and until street and city hear each other in the calls they had."""
        with ExitStack() as stack:
            both = await asyncio.to_thread(stack.enter_context, voices(self._street, self._city))
            for voice in both:
                await asyncio.to_thread(ring, voice, rooms[voice.at.name])
            await until_heard(both, True, _VOICES_WITHIN_S)
            await asyncio.to_thread(self._district.kill)
            await _until(
                lambda: all(time.time() - eye.last_at > _MET_S for eye in above),
                _PICTURES_WITHIN_S,
                playing,
            )
            await until_heard(both, False, _VOICES_WITHIN_S)
            await asyncio.sleep(self._away_s)
            await asyncio.to_thread(self._district.start_again)
            ready = time.time()
            heard = asyncio.create_task(until_heard(both, True, _VOICES_WITHIN_S))
            stack.callback(heard.cancel)
            await _until(
                lambda: all(time.time() - eye.last_at < _MET_S for eye in above),
                _PICTURES_WITHIN_S,
                playing,
            )
            seen = time.time()
            back = _Back(max(0.0, seen - ready), max(0.0, await heard - ready))
        await asyncio.to_thread(wait_linked, self._district)
        return back

    async def _leave(self, camera: Camera) -> int:
        """Everybody leaves: packets that reach the district or the city from 2 s after on."""
        for resource in self._resources:
            answer = await self._client.delete(resource.url, headers=resource.headers)
            # The district has forgotten the session of before it was killed.
            known = (httpx.codes.OK, httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND)
            assert answer.status_code in known, answer.text
        await asyncio.sleep(_QUIET_AFTER_S)
        then = [await hub.counts() for hub in self._hubs[1:]]
        sent = camera.count
        await asyncio.sleep(_QUIET_FOR_S)
        now = [await hub.counts() for hub in self._hubs[1:]]
        assert camera.count > sent, "the camera stopped, so that nothing flows says nothing"
        return sum(b["received"] - a["received"] for a, b in zip(then, now, strict=True))


def _room_at(desk: Desk) -> str:
    """The half that was opened there. Raises AssertionError."""

    deadline = time.monotonic() + _JOINED_WITHIN_S
    while time.monotonic() < deadline:
        for room in desk.get("/rooms", open="true")["items"]:
            return str(room["id"])
        time.sleep(0.05)
    raise AssertionError(f"no room was opened at {desk.url}")


def _source_of(desk: Desk, room: str) -> str:
    deadline = time.monotonic() + _JOINED_WITHIN_S
    while time.monotonic() < deadline:
        for source in desk.get(f"/rooms/{room}")["sources"]:
            return str(source["id"])
        time.sleep(0.05)
    raise AssertionError(f"the camera is not known at {desk.url}")


async def _play(camera: Camera, eyes: Eyes) -> None:
    while True:
        camera.play()
        eyes.poll()
        await asyncio.sleep(_POLL_S)


async def _until(
    condition: Callable[[], bool], within_s: float, playing: "asyncio.Task[None]"
) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if playing.done():
            playing.result()
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        await asyncio.sleep(0.02)
