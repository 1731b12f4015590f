"""Several media workers as one engine: where calls live, and what becomes of them when a worker is lost."""

import asyncio
from dataclasses import replace

import pytest
from fakes.clock import ScriptedClock
from fakes.waiting import eventually
from fakes.workers import FakePlacements, FakeWorker

from bridges import metrics, protocol
from bridges.client import ClientConfig
from bridges.errors import WorkerLostError
from bridges.failover import MAX_TAKES
from bridges.members import FULL_LOOKS
from bridges.pool import MediaPool, PoolConfig, WorkerAddress
from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.ports.media import (
    AudioFormat,
    FloorAction,
    LegShape,
    MediaOrder,
    Playback,
    RadioStanding,
    RtpAddress,
    RtpRemote,
    WebRtcOrder,
)

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


@pytest.fixture
async def town():
    town = Town(FakeWorker("w0", 20_000), FakeWorker("w1", 30_000))
    await town.pool.__aenter__()
    for worker in town.workers.values():
        await worker.start()
    await town.pool.look()
    yield town
    await town.pool.__aexit__(None, None, None)


@pytest.fixture
async def calm_town():
    """A town where nobody looks at the workers but the test."""
    calm = replace(CONFIG, beat_s=60.0)
    town = Town(FakeWorker("w0", 20_000), FakeWorker("w1", 30_000), config=calm)
    await town.pool.__aenter__()
    for worker in town.workers.values():
        await worker.start()
    yield town
    await town.pool.__aexit__(None, None, None)


def on(town, name):
    """The legs a worker has, by call."""
    calls = {}
    for leg, (call, _) in town.workers[name].legs.items():
        calls.setdefault(call, set()).add(leg)
    return calls


# --- where calls live --------------------------------------------------------------------------------------------


async def test_the_least_loaded_worker_takes_the_next_call_and_all_of_its_legs(town):
    for n in range(4):
        await town.talk(f"c{n}", f"a{n}", f"b{n}")
    homes = {n: set(on(town, n)) for n in ("w0", "w1")}
    assert {len(calls) for calls in homes.values()} == {2}
    for n in range(4):
        name = town.placements.workers[f"c{n}"]
        assert on(town, name)[f"c{n}"] == {f"a{n}", f"b{n}"}


async def test_a_worker_with_dearer_legs_is_spared_and_small_differences_are_not_seen(town):
    w0, w1 = town.workers.values()
    w0.busy, w1.busy = 0.12, 0.2
    await town.pool.look()
    await town.talk("c1", "a1")
    await town.talk("c2", "a2")
    assert {town.placements.workers[call] for call in ("c1", "c2")} == {"w0", "w1"}
    w0.busy = 0.4
    await town.pool.look()
    for n in range(3, 6):
        await town.talk(f"c{n}", f"a{n}")
        assert town.placements.workers[f"c{n}"] == "w1"


async def test_two_legs_that_come_at_once_are_in_one_place(town):
    await asyncio.gather(*(town.reserve("c1", f"l{n}") for n in range(20)))
    assert sorted(len(on(town, name).get("c1", ())) for name in ("w0", "w1")) == [0, 20]


async def test_a_busy_worker_a_full_one_and_a_dead_one_are_not_chosen(town):
    w0, w1 = town.workers.values()
    w0.busy = 0.95
    await town.pool.look()
    await town.talk("c1", "a1")
    assert town.placements.workers["c1"] == "w1"
    w0.busy, w1.max_legs = 0.1, 1
    await town.pool.look()
    await town.talk("c2", "a2")
    assert town.placements.workers["c2"] == "w0"
    w1.max_legs = 100
    w0.kill()
    await town.pool.look()
    await town.talk("c3", "a3")
    assert town.placements.workers["c3"] == "w1"


async def test_one_busy_second_refuses_nobody_where_no_other_worker_is_free(town):
    for worker in town.workers.values():
        worker.busy = 1.0
    await town.pool.look()
    await town.talk("c1", "a1")
    assert town.placements.workers["c1"] in town.workers


async def busy_for(town, looks):
    """All workers are busy at so many looks in a row, after a quiet one."""
    for busy in [0.1] + [1.0] * looks:
        for worker in town.workers.values():
            worker.busy = busy
        await town.pool.look()


async def test_workers_that_stay_busy_take_no_more_calls_until_a_quiet_second(calm_town):
    await busy_for(calm_town, FULL_LOOKS - 1)
    await calm_town.reserve("c1", "a1")
    await busy_for(calm_town, FULL_LOOKS)
    with pytest.raises(UnavailableError, match="full"):
        await calm_town.reserve("c2", "a2")
    # Who is in a call already is served whatever else there is.
    await calm_town.reserve("c1", "b1")
    await busy_for(calm_town, 0)
    await calm_town.reserve("c2", "a2")


async def test_an_urgent_call_is_placed_however_busy_the_workers_are(calm_town):
    await busy_for(calm_town, FULL_LOOKS)
    calm_town.call("c1", "a1")
    order = MediaOrder(call_id="c1", leg_id="a1", urgent=True)
    assert (await calm_town.pool.reserve(order)).port


async def test_when_all_are_full_the_next_call_is_refused(town):
    for worker in town.workers.values():
        worker.max_legs = 0
    await town.pool.look()
    with pytest.raises(UnavailableError, match="full"):
        await town.reserve("c1", "a1")


async def test_a_call_with_a_radio_group_goes_to_the_worker_with_the_radios(town):
    for n in range(3):
        town.call(f"c{n}", radio=True)
        await town.talk(f"c{n}", f"a{n}")
    assert set(town.placements.workers.values()) == {"w0"}


async def test_orders_about_a_leg_go_where_its_call_is(town):
    await town.talk("c0", "a0")
    await town.talk("c1", "a1")
    name = town.placements.workers["c1"]
    await town.pool.shape("a1", LegShape(muted=True))
    await town.pool.record("c1", True)
    await town.pool.play(Playback(id="p", call_id="c1", prompt="hold", leg_ids=("a1",), loop=True))
    await town.pool.stop_playing("p")
    await town.pool.release("a1")
    mine = town.workers[name].orders
    assert [type(order).__name__ for order in mine][-5:] == [
        "ShapeArgs", "RecordArgs", "Playback", "StopPlayingArgs", "ReleaseArgs",
    ]  # fmt: skip
    assert on(town, name).get("c1") is None


async def test_an_order_about_an_unknown_leg_or_call_is_refused_and_a_release_is_fine(town):
    with pytest.raises(NotFoundError):
        await town.pool.connect("nobody", REMOTE)
    with pytest.raises(NotFoundError):
        await town.pool.reserve(MediaOrder(call_id="ended", leg_id="x"))
    await town.pool.release("nobody")
    await town.pool.record("ended", False)
    with pytest.raises(InvalidError):
        await town.pool.ask(protocol.LoadArgs())


async def test_floors_are_ordered_from_the_worker_with_the_radios(town):
    await town.pool.enroll([RadioStanding(device_id="r1", groups=("g",))], True)
    await town.pool.command_floor("g", FloorAction.REVOKE, "radio:r1")
    assert [type(order).__name__ for order in town.workers["w0"].orders] == [
        "EnrollArgs",
        "CommandFloorArgs",
    ]
    assert town.workers["w1"].orders == []


# --- links ---------------------------------------------------------------------------------------------------------


async def elsewhere(town, call_id="c1"):
    """A call of one phone on the worker without radios."""
    town.workers["w0"].busy = 0.95
    await town.pool.look()
    await town.talk(call_id, "a1")
    town.workers["w0"].busy = 0.1
    await town.pool.look()
    assert town.placements.workers[call_id] == "w1"


async def test_a_group_that_joins_a_call_elsewhere_is_linked_to_it(town):
    await elsewhere(town)
    await town.pool.join_group("c1", "g1", "street-a")
    (home_end,) = on(town, "w1")["c1"] - {"a1"}
    (guest_end,) = on(town, "w0")["c1"] - {"g1"}
    connected = {
        name: town.workers[name].of_kind(protocol.ConnectArgs)[-1] for name in ("w0", "w1")
    }
    assert connected["w1"].leg_id == home_end
    assert connected["w1"].remote.address.port == town.workers["w0"].legs[guest_end][1]
    assert connected["w0"].remote.address.port == town.workers["w1"].legs[home_end][1]
    status = await town.pool.status()
    assert {leg.leg_id for leg in status.legs} == {"a1", "g1"}
    await town.pool.key_group("c1", "street-a", True)
    assert town.workers["w0"].orders[-1] == protocol.KeyGroupArgs("c1", "street-a", True)


async def test_a_link_goes_with_the_last_leg_that_needs_it(town):
    await elsewhere(town)
    await town.pool.join_group("c1", "g1", "street-a")
    await town.pool.join_group("c1", "g2", "street-b")
    assert len(on(town, "w1")["c1"]) == 2
    await town.pool.release("g1")
    assert len(on(town, "w0")["c1"]) == 2
    await town.pool.release("g2")
    assert on(town, "w0") == {}
    assert on(town, "w1") == {"c1": {"a1"}}


async def test_a_group_that_is_refused_leaves_no_link(town):
    await elsewhere(town)
    town.workers["w0"].refuses[protocol.JoinGroupArgs] = InvalidError("no such name")
    with pytest.raises(InvalidError):
        await town.pool.join_group("c1", "g1", "street a")
    assert on(town, "w0") == {}
    assert on(town, "w1") == {"c1": {"a1"}}


async def test_a_leg_that_moves_to_a_call_elsewhere_keeps_its_worker_and_is_linked(town):
    await elsewhere(town)
    ports = await town.talk("c2", "a2", "b2")
    assert town.placements.workers["c2"] == "w0"
    await town.pool.move("a2", "c1")
    assert town.workers["w0"].legs["a2"] == ("c1", ports["a2"])
    assert len(on(town, "w1")["c1"]) == 2
    await town.pool.move("a2", "c2")
    assert on(town, "w1") == {"c1": {"a1"}}
    assert on(town, "w0") == {"c2": {"a2", "b2"}}


async def test_a_leg_that_moves_into_a_new_call_takes_it_to_its_own_worker(town):
    await elsewhere(town)
    town.call("c9", "a1")
    await town.pool.move("a1", "c9")
    assert on(town, "w1") == {"c9": {"a1"}}
    assert town.placements.workers["c9"] == "w1"


# --- a worker is lost ----------------------------------------------------------------------------------------------


async def test_a_killed_worker_that_took_up_its_journal_is_told_nothing_again(town):
    await town.talk("c0", "a0", "b0")
    worker = town.workers[town.placements.workers["c0"]]
    before, legs = len(worker.orders), dict(worker.legs)
    worker.kill()
    await town.pool.look()
    await worker.start()
    await town.told({"a0": "c0", "b0": "c0"})
    assert worker.legs == legs
    assert worker.orders[before:] == []
    assert town.inward.readdressed == []


async def test_what_a_worker_lost_with_its_journal_is_ordered_again_on_the_same_ports(town):
    await town.talk("c0", "a0", "b0")
    await town.pool.shape("b0", LegShape(gain_db=3))
    await town.pool.record("c0", True)
    worker = town.workers[town.placements.workers["c0"]]
    legs = dict(worker.legs)
    worker.kill(and_journal=True)
    before = len(worker.orders)
    await worker.start()
    await town.told({"a0": "c0", "b0": "c0"})
    assert worker.legs == legs
    again = [type(order).__name__ for order in worker.orders[before:]]
    assert again == [
        "MediaOrder", "ConnectArgs", "MediaOrder", "ConnectArgs", "ShapeArgs", "RecordArgs",
    ]  # fmt: skip
    assert town.inward.readdressed == []


async def test_a_leg_whose_port_is_gone_gets_another_and_its_far_end_is_to_be_told(town):
    ports = await town.talk("c0", "a0", "b0")
    worker = town.workers[town.placements.workers["c0"]]
    worker.kill()
    worker.taken_ports.add(ports["a0"])
    await worker.start()
    await town.told({"a0": "c0", "b0": "c0"})
    new = worker.legs["a0"][1]
    assert new != ports["a0"]
    assert town.inward.readdressed == [("a0", new)]
    assert worker.legs["b0"][1] == ports["b0"]


async def test_a_leg_that_cannot_be_had_again_is_not_among_those_the_core_is_told_of(town):
    await town.talk("c0", "a0", "b0")
    worker = town.workers[town.placements.workers["c0"]]
    worker.kill(and_journal=True)
    worker.max_legs = 1
    await worker.start()
    await town.told({"a0": "c0"})


async def test_a_browser_whose_worker_was_killed_has_to_offer_again(town):
    town.call("c0", "d0")
    await town.pool.answer(WebRtcOrder(call_id="c0", leg_id="d0"), "an offer")
    worker = town.workers[town.placements.workers["c0"]]
    worker.kill()
    await worker.start()
    await town.told({})
    assert await town.pool.answer(WebRtcOrder(call_id="c0", leg_id="d0"), "again") == "an answer"
    assert "d0" in worker.legs


async def test_an_order_given_while_the_worker_is_away_waits_for_its_successor(town):
    await town.talk("c0", "a0")
    worker = town.workers[town.placements.workers["c0"]]
    worker.kill()
    waiting = asyncio.create_task(town.pool.shape("a0", LegShape(muted=True)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await worker.start()
    await waiting
    assert worker.orders[-1] == protocol.ShapeArgs("a0", LegShape(muted=True))


async def test_an_order_that_waited_too_long_fails(town):
    await town.talk("c0", "a0")
    worker = town.workers[town.placements.workers["c0"]]
    worker.kill()
    waiting = asyncio.create_task(town.pool.shape("a0", LegShape(muted=True)))
    await asyncio.sleep(0)
    town.clock.advance(CONFIG.patience_s + 1)
    with pytest.raises(WorkerLostError):
        await waiting


async def test_a_leg_that_ended_while_its_worker_was_away_is_let_go(town):
    await town.talk("c0", "a0", "b0")
    worker = town.workers[town.placements.workers["c0"]]
    worker.lose_sight()
    await town.pool.release("a0")
    await worker.meet()
    assert set(worker.legs) == {"b0"}


async def test_the_other_workers_calls_are_told_nothing(town):
    await town.talk("c0", "a0")
    await town.talk("c1", "a1")
    dead, other = (town.workers[town.placements.workers[call]] for call in ("c0", "c1"))
    assert dead is not other
    before = len(other.orders)
    dead.kill(and_journal=True)
    await town.pool.look()
    await dead.start()
    await town.told({"a0": "c0", "a1": "c1"})
    assert other.orders[before:] == []


# --- and stays away ------------------------------------------------------------------------------------------------


async def test_a_worker_that_stays_dead_loses_its_calls_to_another_with_new_ports(town):
    await elsewhere(town)
    town.workers["w1"].kill()
    await town.pool.look()
    assert on(town, "w0") == {}
    await town.pass_time(CONFIG.dead_after_s)
    await town.told({"a1": "c1"})
    assert on(town, "w0") == {"c1": {"a1"}}
    assert town.placements.workers["c1"] == "w0"
    assert town.inward.readdressed == [("a1", town.workers["w0"].legs["a1"][1])]
    await town.pool.shape("a1", LegShape(muted=True))
    assert town.workers["w0"].orders[-1] == protocol.ShapeArgs("a1", LegShape(muted=True))
    # What it takes up when it comes back at last is not its own any more.
    await town.workers["w1"].start()
    assert on(town, "w1") == {}


async def test_a_worker_that_hangs_loses_its_calls_and_lets_go_of_them_when_it_wakes(town):
    await elsewhere(town)
    town.workers["w1"].hung = True
    await town.pool.look()
    await town.pass_time(CONFIG.dead_after_s)
    assert on(town, "w0") == {"c1": {"a1"}}
    assert on(town, "w1") == {"c1": {"a1"}}
    town.workers["w1"].hung = False
    await town.pool.look()
    assert on(town, "w1") == {}


async def test_the_home_of_a_linked_call_dies_and_the_call_gathers_at_the_radios(town):
    await elsewhere(town)
    await town.pool.join_group("c1", "g1", "street-a")
    town.workers["w1"].kill()
    await town.pool.look()
    await town.pass_time(CONFIG.dead_after_s)
    await town.told({"a1": "c1", "g1": "c1"})
    assert on(town, "w0") == {"c1": {"a1", "g1"}}


async def test_radios_cannot_be_carried_to_a_worker_without_them(town):
    town.call("c1", "a1", "g1", radio=True)
    await town.talk("c1", "a1")
    await town.pool.join_group("c1", "g1", "street-a")
    town.workers["w0"].kill()
    await town.pool.look()
    await town.pass_time(CONFIG.dead_after_s)
    await town.told({"a1": "c1"})
    assert on(town, "w1") == {"c1": {"a1"}}


async def test_without_another_worker_the_calls_wait_and_are_given_up_in_the_end(town):
    await elsewhere(town)
    for worker in town.workers.values():
        worker.kill()
    await town.pool.look()
    await town.pass_time(CONFIG.dead_after_s + 1)
    assert {leg.leg_id for leg in town.pool.known().legs} == {"a1"}
    await town.pass_time(CONFIG.lost_after_s)
    await town.told({})


async def test_a_call_that_kills_every_worker_is_given_up(town):
    await elsewhere(town)
    worker = town.workers["w1"]
    for _ in range(MAX_TAKES):
        worker.kill(and_journal=True)
        await worker.start()
        assert set(worker.legs) == {"a1"}
    worker.kill(and_journal=True)
    await worker.start()
    await town.told({})
    assert worker.legs == {}


# --- control is lost -----------------------------------------------------------------------------------------------


async def test_a_new_control_takes_over_what_the_workers_have(town):
    await elsewhere(town)
    await town.pool.join_group("c1", "g1", "street-a")
    town.placements.legs["c1"].add("g1")
    before = {name: dict(worker.legs) for name, worker in town.workers.items()}
    pool = await town.restart_control()
    for worker in town.workers.values():
        await worker.meet()
    await town.told({"a1": "c1", "g1": "c1"})
    assert {name: worker.legs for name, worker in town.workers.items()} == before
    await pool.shape("a1", LegShape(muted=True))
    assert town.workers["w1"].orders[-1] == protocol.ShapeArgs("a1", LegShape(muted=True))
    await pool.release("g1")
    assert on(town, "w0") == {}


async def test_a_new_control_lets_go_of_what_is_over_on_record(town):
    await town.talk("c0", "a0", "b0")
    await town.talk("c1", "a1")
    del town.placements.legs["c1"]
    town.placements.legs["c0"].remove("b0")
    await town.restart_control()
    for worker in town.workers.values():
        await worker.meet()
    await town.told({"a0": "c0"})
    assert {leg for worker in town.workers.values() for leg in worker.legs} == {"a0"}


async def test_a_new_control_takes_away_links_nobody_needs_any_more(town):
    await elsewhere(town)
    await town.pool.join_group("c1", "g1", "street-a")
    await town.restart_control()
    for worker in town.workers.values():
        await worker.meet()
    await town.told({"a1": "c1"})
    assert on(town, "w0") == {}
    assert on(town, "w1") == {"c1": {"a1"}}


async def test_a_leg_whose_move_was_on_record_but_not_ordered_is_still_there(town):
    await town.talk("c0", "a0", "b0")
    town.placements.legs["c0"].remove("a0")
    town.call("c9", "a0")
    await town.restart_control()
    for worker in town.workers.values():
        await worker.meet()
    await town.told({"a0": "c0", "b0": "c0"})
    await town.pool.move("a0", "c9")
    assert (await town.pool.status()).legs


async def test_a_new_control_says_nothing_of_lost_legs_before_it_knows_all_workers(town):
    await elsewhere(town)
    pool = await town.restart_control()
    await town.workers["w0"].meet()
    told = len(town.inward.statuses)
    for _ in range(5):
        await pool.look()
    assert len(town.inward.statuses) == told
    await town.workers["w1"].meet()
    await town.told({"a1": "c1"})


async def test_a_new_leg_of_a_call_whose_worker_was_not_reached_yet_waits_for_it(town):
    await elsewhere(town)
    await town.restart_control()
    await town.workers["w0"].meet()
    waiting = asyncio.create_task(town.reserve("c1", "b1"))
    done, _ = await asyncio.wait({waiting}, timeout=0.02)
    assert not done
    await town.workers["w1"].meet()
    await waiting
    assert on(town, "w1") == {"c1": {"a1", "b1"}}


async def test_a_worker_that_comes_back_with_calls_that_were_carried_away_is_told_to_let_go(town):
    await elsewhere(town)
    town.workers["w1"].lose_sight()
    await town.pool.look()
    await town.pass_time(CONFIG.dead_after_s)
    assert town.placements.workers["c1"] == "w0"
    await town.restart_control()
    for worker in town.workers.values():
        await worker.meet()
    await town.told({"a1": "c1"})
    assert on(town, "w1") == {}
    assert on(town, "w0") == {"c1": {"a1"}}


# --- figures -------------------------------------------------------------------------------------------------------


async def test_figures_of_a_call_are_there_as_long_as_the_call(town):
    await elsewhere(town)
    await town.pool.look()
    value = metrics.CALL_LEGS.labels("w1", "c1")._value.get()
    assert value == 1
    await town.pool.release("a1")
    await town.pool.look()
    series = {tuple(sample.labels.values()) for sample in metrics.CALL_LEGS.collect()[0].samples}
    assert ("w1", "c1") not in series


async def test_how_each_worker_is_can_be_seen(town):
    await elsewhere(town)
    town.workers["w0"].kill()
    await town.pool.look()
    views = {view.name: view for view in town.pool.views()}
    assert (views["w0"].is_up, views["w1"].is_up) == (False, True)
    assert views["w1"].legs == 1
    assert town.pool.is_connected


def test_a_pool_needs_workers_with_names_of_their_own():
    address = WorkerAddress(name="w0", client=ClientConfig(address="unix:x"))
    for workers in ([], [address, address]):
        with pytest.raises(InvalidError):
            MediaPool(workers, Inward(), FakePlacements(), ScriptedClock())


@pytest.fixture
async def hamlet():
    """A town with one worker."""
    town = Town(FakeWorker("w0", 20_000))
    await town.pool.__aenter__()
    await town.workers["w0"].start()
    await town.pool.look()
    yield town
    await town.pool.__aexit__(None, None, None)


async def test_a_pool_of_one_asks_nobody_where_a_call_lives_and_remembers_nothing(hamlet):
    await hamlet.talk("c1", "a", "b")
    assert hamlet.placements.workers == {}
    # A new control process finds the call where all calls are.
    await hamlet.restart_control()
    await hamlet.workers["w0"].meet()
    await hamlet.pool.look()
    await hamlet.reserve("c1", "late")
    assert set(hamlet.workers["w0"].legs) == {"a", "b", "late"}


async def test_a_pool_of_one_that_is_full_says_so(hamlet):
    hamlet.workers["w0"].max_legs = 0
    await hamlet.pool.look()
    with pytest.raises(UnavailableError, match="full"):
        await hamlet.reserve("c1", "a")
