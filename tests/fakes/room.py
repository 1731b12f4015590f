"""A meeting at a whole hub as its host sees it, and how far ends get in: WHIP and WHEP over HTTP."""

import asyncio
import re

from fakes.waiting import eventually

SDP = {"Content-Type": "application/sdp"}


class Meeting:
    """A room at the hub, seen by its host."""

    def __init__(self, desk, room):
        self.desk = desk
        self.id = room["id"]
        self.dial = room["dial"]

    @classmethod
    async def open(cls, desk, **body):
        return cls(desk, await asyncio.to_thread(desk.post, "/rooms", {"name": "防汛会商", **body}))

    async def guest(self, name):
        """The token of a guest's link."""
        path = f"/rooms/{self.id}/invitations"
        made = await asyncio.to_thread(self.desk.post, path, {"name": name})
        return {"Authorization": f"Bearer {made['link'].partition('#')[2]}"}

    async def now(self):
        return await asyncio.to_thread(self.desk.get, f"/rooms/{self.id}")

    async def source_of(self, name):
        """The live source of a participant, once it is there."""

        async def live():
            room = await self.now()
            found = [s for s in room["sources"] if s["label"] == name and s["state"] == "live"]
            return found[0]["id"] if found else None

        return await eventually(live, within_s=60)


async def offer(http, path, who, headers, *, by=None):
    """Offer at an address; the resource that came of it. `by`: a path (`fakes.lossy`) its packets take."""
    answer = await http.post(path, content=await who.offer(), headers={**SDP, **headers})
    assert answer.status_code == 201, answer.text
    await who.accept(answer.text if by is None else by.through(answer.text))
    return answer.headers["location"]


async def counted(http, name, **labels):
    """A counter of the hub; 0 before its first time."""
    wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    text = (await http.get("/metrics")).text
    found = re.search(rf"^{name}{{{wanted}}} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0
