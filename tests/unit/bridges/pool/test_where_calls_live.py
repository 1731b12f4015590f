"""Several media workers as one engine: which of them has a call, and how parts of a call on two of them are linked."""

import asyncio

import pytest
from fakes.clock import ScriptedClock
from fakes.worker_towns import REMOTE, Inward, Town, elsewhere, on
from fakes.workers import FakePlacements, FakeWorker
from prometheus_client import REGISTRY

from bridges import protocol
from bridges.client import ClientConfig
from bridges.members import FULL_LOOKS
from bridges.pool import MediaPool, WorkerAddress
from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.ports.media import FloorAction, LegShape, MediaOrder, Playback, RadioStanding

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


# --- figures -------------------------------------------------------------------------------------------------------


def figure(name, worker, call):
    """A call's figure as it is scraped; None when there is none."""
    whose = {"worker": worker, "call": call}
    return REGISTRY.get_sample_value(f"commhub_bridges_call_{name}", whose)


async def test_figures_of_a_call_are_there_as_long_as_the_call(town):
    await elsewhere(town)
    await town.pool.look()
    assert figure("legs", "w1", "c1") == 1
    await town.pool.release("a1")
    await town.pool.look()
    assert figure("legs", "w1", "c1") is None


async def test_figures_of_a_call_are_those_of_all_its_legs_and_of_no_link(town):
    await elsewhere(town)
    await town.reserve("c1", "b1")
    await town.reserve("c1", "d1")
    town.call("c1", "a1", "b1", "d1", radio=True)
    await town.pool.join_group("c1", "g1", "north")
    await town.pool.look()
    # Three phones at home, the group at the worker of the radios; the fake measures 1 lost packet a leg.
    assert [figure("legs", name, "c1") for name in ("w1", "w0")] == [3, 1]
    assert [figure("lost_packets", name, "c1") for name in ("w1", "w0")] == [3, 1]
    assert figure("concealed_frames", "w1", "c1") == 0
    assert figure("jitter_seconds", "w1", "c1") == 0


async def test_a_worker_that_is_gone_has_no_figures_of_calls(town):
    await elsewhere(town)
    await town.pool.look()
    assert figure("legs", "w1", "c1") == 1
    town.workers["w1"].kill()
    await town.pool.look()
    assert figure("legs", "w1", "c1") is None


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
