"""Several media workers as one engine: what becomes of calls when a worker is lost, or control is."""

import asyncio

import pytest
from fakes.worker_towns import CONFIG, REMOTE, elsewhere, on

from bridges import protocol
from bridges.errors import WorkerLostError
from bridges.failover import MAX_TAKES
from commhub.ports.media import LegShape, MediaOrder, WebRtcOrder

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


async def test_a_far_end_that_came_with_its_place_is_told_again_with_it(town):
    town.call("c0", "a0")
    await town.pool.reserve(MediaOrder(call_id="c0", leg_id="a0", remote=REMOTE))
    worker = town.workers[town.placements.workers["c0"]]
    (_, port) = worker.legs["a0"]
    worker.kill(and_journal=True)
    before = len(worker.orders)
    await worker.start()
    await town.told({"a0": "c0"})
    place = MediaOrder(call_id="c0", leg_id="a0", port=port)
    assert worker.orders[before:] == [place, protocol.ConnectArgs("a0", REMOTE)]


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
