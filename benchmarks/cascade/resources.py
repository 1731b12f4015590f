"""WHIP and WHEP over HTTP as a far end of somebody who is signed in speaks them."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx

from benchmarks.cascade.hubs import TierHub
from benchmarks.video.far_end import FarEnd

_AGAIN_S = 0.1
_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Resource:
    """An answered offer: DELETE ends it."""

    url: str
    headers: dict[str, str]

    async def leave(self, client: httpx.AsyncClient) -> None:
        answer = await client.delete(self.url, headers=self.headers)
        answer.raise_for_status()


async def offer(
    client: httpx.AsyncClient, at: TierHub, path: str, far_end: FarEnd, *, publishes: bool
) -> Resource:
    """Exchange descriptions at `path` of that hub and connect. A source that is only being started (503), or not yet known
    (404), is asked again. Raises AssertionError with what the hub says."""
    cookie = "; ".join(f"{name}={value}" for name, value in at.desk.cookies.items())
    headers = {"Cookie": cookie, "Origin": at.hub.url}
    url = at.hub.url + path
    deadline = asyncio.get_running_loop().time() + _WITHIN_S
    while True:
        answer = await client.post(
            url,
            content=far_end.offer(publishes=publishes),
            headers={**headers, "Content-Type": "application/sdp"},
        )
        if answer.status_code == httpx.codes.CREATED:
            break
        may_pass = answer.status_code in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.NOT_FOUND)
        is_over = not may_pass or asyncio.get_running_loop().time() > deadline
        assert not is_over, f"{at.name} {path}: {answer.status_code} {answer.text}"
        await asyncio.sleep(_AGAIN_S)
    far_end.accept(answer.text)
    await far_end.connect()
    return Resource(urljoin(url, answer.headers["location"]), headers)
