"""How the parts of this process are: for `/readyz`, and as facts for the desk's status strip."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from commhub.domain.facts import Fact, ServiceMoved
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock

LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """`needed`: without it the hub is not ready for traffic. `is_up` must answer at once."""

    name: str
    is_up: Callable[[], bool]
    needed: bool = True


class Health:
    """Looks at every part and tells of each change once."""

    def __init__(self, bus: Bus[Fact], clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._parts: list[Part] = []
        self._told: dict[str, bool] = {}

    def watch(self, name: str, is_up: Callable[[], bool], *, needed: bool = True) -> None:
        self._parts.append(Part(name, is_up, needed))

    async def readiness(self) -> Mapping[str, str]:
        """`up`, `degraded` (not needed for traffic) or `down` for each part."""
        return {part.name: _state(part) for part in self._parts}

    async def run(self) -> None:
        """Publish `ServiceMoved` for whatever changed, until cancelled."""
        while True:
            for part in self._parts:
                up = part.is_up()
                if self._told.get(part.name) != up:
                    self._told[part.name] = up
                    self._bus.publish(
                        ServiceMoved(at=self._clock.now(), service=part.name, state=_state(part))
                    )
            await asyncio.sleep(LOOK_EVERY_S)


def _state(part: Part) -> str:
    if part.is_up():
        return "up"
    return "down" if part.needed else "degraded"
