"""Street, district and city: three whole hubs on this machine, each with a database, ports and processes of its own, paired."""

import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bridges.reach import ClientConfig
from bridges.video import protocol
from bridges.video.client import VideoClient
from bridges.wire import read_as
from commhub.domain.people import Role
from commhub.kit.clock import SystemClock
from commhub.wiring.demo.above import all_up, pair
from commhub.wiring.demo.cast import until
from commhub.wiring.demo.settle import Desk, add_people
from commhub.wiring.hub_process import HubProcess

TIERS = {"street": "street", "district": "district", "city": "city"}
_WHO = "bench"
_ROLES = (Role.DISPATCHER, Role.DUTY_LEADER, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN)
_PARTS = ("up", "control", "worker-w0", "worker-v0")
_UP_WITHIN_S = 30.0


@dataclass(slots=True)
class TierHub:
    """One of the three, and somebody at its desk."""

    name: str
    hub: HubProcess
    desk: Desk

    @property
    def video(self) -> str:
        """Where its picture engine takes orders."""
        return f"unix:{self.hub.folder}/run/v0.sock"

    async def counts(self) -> dict[str, int]:
        """What its picture engine counted so far. For a moment this is the control that is told of events, so it is asked seldom."""
        config = ClientConfig(address=self.video, request_timeout_s=5.0)
        async with VideoClient(config, SystemClock()) as client:
            counts: dict[str, int] = read_as(dict, await client.ask(protocol.CountsArgs()))
        return counts

    def kill(self) -> None:
        """kill -9 of every process, the parent first, so that nobody starts anybody again."""
        for pid in [self.hub.pid_of(part) for part in _PARTS]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self.desk.close()
        self.hub.stop()

    def start_again(self) -> None:
        """As after a power cut. Returns when it is ready."""
        self.hub.start()
        self.hub.wait_ready()


def start_hub(
    folder: Path, place: int, name: str, environment: Mapping[str, str] | None = None
) -> TierHub:
    """One that is ready, with somebody signed in. Raises HubError."""
    settings = {
        "COMMHUB_HUB": name,
        "COMMHUB_NAME": name,
        "COMMHUB_TIER": TIERS[name],
        "COMMHUB_MQTT__ENABLED": "false",
    }
    hub = HubProcess(folder / name, {**settings, **(environment or {})}, place)
    hub.start()
    try:
        passwords = add_people(hub, {_WHO: _ROLES})
        hub.wait_ready()
        return TierHub(name, hub, Desk(hub.url, _WHO, passwords[_WHO]))
    except BaseException:
        hub.stop()
        raise


@contextmanager
def three_hubs() -> Iterator[dict[str, TierHub]]:
    """Running and paired, from below to above. Raises HubError."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="commhub-cascade-")))
        with ThreadPoolExecutor(len(TIERS)) as pool:
            starting = [
                pool.submit(start_hub, folder, place, name) for place, name in enumerate(TIERS)
            ]
            for one in starting:
                if one.exception() is None:
                    stack.callback(one.result().stop)
            hubs = {one.result().name: one.result() for one in starting}
        street, district, city = hubs.values()
        pair(street.desk, street.name, district.desk)
        pair(district.desk, district.name, city.desk)
        for hub in hubs.values():
            wait_linked(hub)
        yield hubs


def wait_linked(hub: TierHub) -> None:
    """Return when all its links are up. Raises StoryError."""
    until(f"the links of the {hub.name} are up", lambda: all_up(hub.desk), _UP_WITHIN_S)
