"""The floor as radios live it: simulated radios, the real broker, a real media worker, and the desk's orders to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from fakes.field import Field, running_field
from fakes.simulators import Simulator, start
from fakes.waiting import eventually
from fakes.worker_process import Deaf

from bridges.audio.config import AudioConfig
from bridges.client import ClientConfig, MediaClient
from bridges.worker import MediaWorker, WorkerConfig
from commhub.domain.errors import NotAllowedError
from commhub.kit.clock import SystemClock
from commhub.ports.media import FloorAction, RadioStanding
from devices.broker_files import VOICE_USER
from devices.voice import VoiceConfig, VoiceConnection

pytestmark = pytest.mark.audio

GROUPS = {"r12": ["north"], "r13": ["north"], "r14": ["south"]}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Field]:
    async with running_field(tmp_path) as opened:
        await opened.admit(GROUPS)
        yield opened


@pytest.fixture
async def media(site: Field, tmp_path: Path) -> AsyncIterator[MediaClient]:
    """Control's hand on a worker whose radios are those of the site."""
    audio = AudioConfig(recordings=tmp_path / "recordings", port_min=25400, port_max=25499)
    config = WorkerConfig(name="w0", control=f"unix:{tmp_path / 'w.sock'}", audio=audio)
    worker = MediaWorker(config)
    voice = VoiceConnection(VoiceConfig(address=site.address(VOICE_USER), tenant="test"))
    voice.deliver_to(worker.sink)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(voice)
        await voice.wait_up()
        worker.attach_voice(voice)
        await stack.enter_async_context(worker)
        client = MediaClient(ClientConfig(address=config.control), Deaf(), SystemClock())
        media = await stack.enter_async_context(client)
        await media.enroll(standings(), True)
        yield media


@pytest.fixture
def processes() -> AsyncIterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def standings(*in_danger: str) -> list[RadioStanding]:
    return [
        RadioStanding(device_id=device, groups=tuple(groups), emergency=device in in_danger)
        for device, groups in GROUPS.items()
    ]


async def radio(
    processes: ExitStack, site: Field, device: str, tone: float, *, group: str = "north"
) -> Simulator:
    options = ("--group", group, "--tone", str(tone), "--listen", "1250,1700,2300")
    place = ("--lat", "31.23", "--lon", "121.47")
    made = await start(processes, site, "radio", device, *options, *place)
    await made.shows(connected=True)
    return made


async def hears(listener: Simulator, tone: int) -> None:
    """Wait until the tone is clearly heard."""

    async def clear() -> bool:
        levels = (await listener.state())["levels"]
        return levels[str(tone)] - levels["floor"] >= 20

    await eventually(clear, within_s=10)


async def test_the_desk_takes_the_floor_away_and_the_next_in_the_queue_talks(
    site: Field, media: MediaClient, processes: ExitStack
) -> None:
    first = await radio(processes, site, "r12", 1250)
    second = await radio(processes, site, "r13", 1700)
    await first.do("ptt", down=True)
    await first.shows(phase="talking")
    await second.do("ptt", down=True)
    await second.shows(phase="queued", queue_position=1)
    await hears(second, 1250)

    await media.command_floor("north", FloorAction.REVOKE, "radio:r12")
    await first.shows(phase="idle", revoked="dispatcher")
    await second.shows(phase="talking")
    await hears(first, 1700)
    # The key that is still down does not take it back.
    await first.do("ptt", down=True)
    await first.shows(phase="denied", denied="retry_after")


async def test_only_an_open_sos_interrupts_and_only_members_are_heard(
    site: Field, media: MediaClient, processes: ExitStack
) -> None:
    first = await radio(processes, site, "r12", 1250)
    second = await radio(processes, site, "r13", 1700)
    stranger = await radio(processes, site, "r14", 2300, group="north")
    await first.do("ptt", down=True)
    await first.shows(phase="talking")
    await stranger.do("ptt", down=True)
    await stranger.shows(phase="denied", denied="not_member")

    # A device's own word makes it wait like anybody; the hub's makes it heard.
    await second.do("ptt", down=True, emergency=True)
    await second.shows(phase="queued", queue_position=1)
    await media.enroll(standings("r13"), False)
    await second.shows(phase="talking")
    await first.shows(phase="idle", revoked="preempted")
    with pytest.raises(NotAllowedError):
        await media.command_floor("north", FloorAction.GRANT, "radio:r14")


async def test_two_groups_in_one_call_are_patched(
    site: Field, media: MediaClient, processes: ExitStack
) -> None:
    north = await radio(processes, site, "r12", 1250)
    south = await radio(processes, site, "r14", 2300, group="south")
    await media.join_group("patch", "left", "north")
    await media.join_group("patch", "right", "south")
    await north.do("ptt", down=True)
    await north.shows(phase="talking")
    await hears(south, 1250)
    await north.do("ptt", down=False)
    await south.do("ptt", down=True)
    await south.shows(phase="talking")
    await hears(north, 2300)
    # The patch is over while the south still talks, and the north is its own again.
    await media.release("right")
    await north.shows(floor={"state": "idle"})
    assert (await south.state())["phase"] == "talking"
