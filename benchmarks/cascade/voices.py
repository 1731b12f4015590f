"""Who speaks: a phone at the street and one in the city, each with a tone of its own, in the meeting over all hubs.

They are processes, like everybody's phones, and come only when the pictures have been measured. A voice is heard when its tone stands out of the last second a phone
received, and lost when it does no more, so that a death of less than a second would not be missed either: it leaves the tone standing.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.cascade.hubs import TierHub
from commhub.wiring.demo.cast import until
from commhub.wiring.demo.equipment import STOP_WITHIN_S, Simulator, is_online
from commhub.wiring.hub_process import free_port

TONES = (440, 1250)
_HEARD_DB = 20
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Voice:
    """A phone in the meeting. `tone` is its own, `listens` the other's (Hz)."""

    page: Simulator
    user: str
    at: TierHub
    tone: int
    listens: int

    def hears(self) -> bool:
        """Whether the other's tone stood out of what came in the last second."""
        heard = self.page.state()["heard"]
        return bool(heard[str(self.listens)] - heard["floor"] > _HEARD_DB)


@contextmanager
def voices(below: TierHub, above: TierHub) -> Iterator[list[Voice]]:
    """Phones that are registered, one at each of the two hubs, and speak. Raises StoryError when one cannot."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        both = [
            _phone(hub, f"200{place}", tone, TONES[1 - place], processes)
            for place, (hub, tone) in enumerate(zip((below, above), TONES, strict=True))
        ]
        for voice in both:
            until(f"the phone of {voice.at.name} registers", partial(is_online, voice.page))
            voice.page.do("talk", on=True)
        yield both
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ring(voice: Voice, room: str) -> None:
    """Invite it; it answers by itself."""
    voice.at.desk.post(f"/rooms/{room}/invitations", {"to": f"sip:{voice.user}"})


async def until_heard(both: Sequence[Voice], heard: bool, within_s: float) -> float:
    """When each heard the other, or neither did any more (`time.time`). Raises AssertionError."""
    deadline = time.monotonic() + within_s
    while True:
        found = await asyncio.gather(*(asyncio.to_thread(one.hears) for one in both))
        if all(one is heard for one in found):
            return time.time()
        said = ", ".join(f"{one.at.name}: {is_it}" for one, is_it in zip(both, found, strict=True))
        assert time.monotonic() < deadline, (
            f"voices heard={heard} not within {within_s:g} s ({said})"
        )
        await asyncio.sleep(_LOOK_EVERY_S)


def _phone(
    hub: TierHub, user: str, tone: int, listens: int, processes: list[subprocess.Popen[bytes]]
) -> Voice:
    made = hub.desk.post("/fleet/phones", {"name": user, "display_name": user})
    http, rtp = free_port(), free_port(socket.SOCK_DGRAM)
    command = [
        *(sys.executable, "-m", "simulators.phone", "--user", user),
        *(f"--password={made['password']}", "--server", f"127.0.0.1:{hub.hub.port('sip')}"),
        *("--sip-port", str(free_port(socket.SOCK_DGRAM))),
        *("--rtp-low", str(rtp), "--rtp-high", str(rtp + 20), "--http-port", str(http)),
        *("--tone", str(tone), "--listen", str(listens)),
    ]
    with (hub.hub.folder / f"phone-{user}.log").open("ab") as log:
        processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=hub.hub.folder))
    return Voice(Simulator(user, f"http://127.0.0.1:{http}"), user, hub, tone, listens)
