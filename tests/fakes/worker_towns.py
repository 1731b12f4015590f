"""Several media workers as one engine, in scripted time: a pool, its fake workers, and what the core is told."""

from fakes.clock import ScriptedClock
from fakes.waiting import eventually
from fakes.workers import FakePlacements

from bridges.client import ClientConfig
from bridges.pool import MediaPool, PoolConfig, WorkerAddress
from commhub.ports.media import AudioFormat, MediaOrder, RtpAddress, RtpRemote

REMOTE = RtpRemote(
    address=RtpAddress("127.0.0.1", 4000), audio=AudioFormat(encoding="PCMU", payload_type=0)
)
CONFIG = PoolConfig(
    patience_s=5.0, dead_after_s=8.0, lost_after_s=30.0, beat_s=0.01, status_every_beats=1
)


class Inward:
    """What the core is told."""

    def __init__(self):
        self.statuses = []
        self.readdressed = []

    async def engine_status(self, status):
        self.statuses.append({meter.leg_id: meter.call_id for meter in status.legs})

    async def leg_readdressed(self, leg_id, address):
        self.readdressed.append((leg_id, address.port))


class Town:
    """A pool with its fake workers, in scripted time."""

    def __init__(self, *workers, config=CONFIG):
        self.workers = {worker.name: worker for worker in workers}
        self.config = config
        self.placements = FakePlacements()
        self.inward = Inward()
        self.clock = ScriptedClock()
        self.pool = self._new_pool()

    async def restart_control(self):
        """Control dies, and a new one knows only what is on record."""
        await self.pool.__aexit__(None, None, None)
        self.inward.statuses.clear()
        self.pool = self._new_pool()
        return await self.pool.__aenter__()

    def _new_pool(self):
        addresses = [
            WorkerAddress(name=name, client=ClientConfig(address="unix:x"), has_radio=name == "w0")
            for name in self.workers
        ]

        def open_link(address, welcome):
            worker = self.workers[address.name]
            worker.is_connected, worker.welcome = False, welcome
            return worker

        return MediaPool(
            addresses, self.inward, self.placements, self.clock, self.config, open_link=open_link
        )

    def call(self, call_id, *legs, radio=False):
        """A live call, as the core has it on record."""
        self.placements.legs[call_id] = set(legs)
        if radio:
            self.placements.radio.add(call_id)

    async def reserve(self, call_id, leg_id):
        self.placements.legs.setdefault(call_id, set()).add(leg_id)
        return (await self.pool.reserve(MediaOrder(call_id=call_id, leg_id=leg_id))).port

    async def talk(self, call_id, *legs):
        """Set up the legs; the port of each."""
        ports = {}
        for leg_id in legs:
            ports[leg_id] = await self.reserve(call_id, leg_id)
            await self.pool.connect(leg_id, REMOTE)
        self.inward.statuses.clear()
        return ports

    async def pass_time(self, seconds):
        self.clock.advance(seconds)
        await self.pool.look()

    async def told(self, legs):
        """The last status the core is told since the last leg was set up has these legs, each with its call."""
        await eventually(lambda: self.inward.statuses[-1:] == [legs])


def on(town, name):
    """The legs a worker has, by call."""
    calls = {}
    for leg, (call, _) in town.workers[name].legs.items():
        calls.setdefault(call, set()).add(leg)
    return calls


async def elsewhere(town, call_id="c1"):
    """A call of one phone on the worker without radios."""
    town.workers["w0"].busy = 0.95
    await town.pool.look()
    await town.talk(call_id, "a1")
    town.workers["w0"].busy = 0.1
    await town.pool.look()
    assert town.placements.workers[call_id] == "w1"
