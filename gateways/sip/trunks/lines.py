"""All lines of a gateway: found by name and by where a message comes from, and kept alive."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from gateways.sip.core import Core
from gateways.sip.transport import Hop
from gateways.sip.trunks.config import TrunkConfig
from gateways.sip.trunks.keeper import LineKeeper
from gateways.sip.trunks.line import Line
from gateways.sip.trunks.locating import Locator
from gateways.sip.trunks.toll import Alarm


class Lines:
    """Lines by name, in the order of the settings."""

    def __init__(
        self, core: Core, configs: Sequence[TrunkConfig], clock: Clock, alarm: Alarm
    ) -> None:
        self._core = core
        self._clock = clock
        self._locator = Locator(core.config.nameservers)
        self._lines: Mapping[str, Line] = {config.name: Line(config) for config in configs}
        self._keepers = {
            name: LineKeeper(core, line, clock, alarm, self) for name, line in self._lines.items()
        }

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, name: str) -> Line | None:
        """None for a line that the settings do not know any more."""
        return self._lines.get(name)

    def of_source(self, source: Hop) -> Line | None:
        """Whose messages come from there."""
        return next((line for line in self if line.is_source(source)), None)

    @property
    def calls(self) -> int:
        """How many legs are on lines now."""
        return sum(line.calls for line in self)

    def in_order(self, names: Sequence[str], *, emergency: bool) -> list[Line]:
        """The lines to try. One that is down or full is passed over; in an emergency it is tried all the same, after
        those that are known to be there, and only lines that are made for emergencies are tried at all."""
        wanted = [line for name in names if (line := self._lines.get(name)) is not None]
        if emergency:
            able = [line for line in wanted if line.config.emergency]
            return sorted(able, key=lambda line: not line.is_worth_trying)
        return [line for line in wanted if line.is_worth_trying and not line.is_full]

    async def places(self, line: Line) -> list[Hop]:
        """Where a line is, in the order to try. Raises TransactionError."""
        families = self._core.wires.families()
        return list(await line.places(self._locator, families, self._clock.monotonic()))

    def misses(self, line: Line, hop: Hop) -> None:
        """Nobody answered at that place of the line."""
        line.misses(hop, self._clock.monotonic())

    async def heard(self, line: Line) -> None:
        """A call was answered, or refused, by the line."""
        await self._keepers[line.name].heard()

    async def missed(self, line: Line, why: str) -> None:
        """A call got nothing from it: it is down until a probe says otherwise, and that is asked at once."""
        keeper = self._keepers[line.name]
        await keeper.missed(why)
        keeper.suspect()

    async def run(self) -> None:
        """Keep all lines until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, keeper in self._keepers.items():
                probing = partial(run_forever, f"sip-line-{name}", keeper.keep_probing)
                tasks.create_task(probing(), name=f"sip-line-{name}")
                if self._lines[name].config.register:
                    registering = partial(
                        run_forever, f"sip-register-{name}", keeper.keep_registered
                    )
                    tasks.create_task(registering(), name=f"sip-register-{name}")
