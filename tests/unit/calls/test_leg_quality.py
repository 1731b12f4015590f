"""What is written down of a leg when it has ended: how well it could be heard, and what that was estimated from."""

from dataclasses import replace

import pytest
from fakes.calls import FakeDriver, RememberingMedia

from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.people import Role, Scheme
from commhub.ports.media import LegMeter

DESK = Principal(id="u1", name="li", kind="user", roles=frozenset({Role.DISPATCHER}))
CLEAN = LegMeter(
    leg_id="",
    call_id="",
    received=3000,
    sent=3000,
    lost=0,
    level_dbov=-30,
    silent_s=0,
    jitter_ms=2.5,
    depth_ms=40,
    round_trip_ms=30,
    far_lost_pct=0.5,
)


@pytest.fixture
async def leg(store, clock):
    """A leg that talked for a minute."""
    driver = FakeDriver()
    calls = CallService(store, clock, ring_for_s=30)
    calls.connect(RememberingMedia(), {Scheme.SIP: driver})
    state = await calls.place(CallRequest(legs=("sip:1001",)), DESK)
    await calls.leg_connected(state.legs[0].id, "opus")
    clock.advance(60)
    return state.legs[0]


@pytest.fixture
def measure(store, clock, bus, leg):
    """Tell of a meter; the facts that came of it."""

    async def tell(meter, leg_id=None):
        with bus.subscribe() as told:
            events = MediaEvents(None, store, clock)
            await events.leg_measured(replace(meter, leg_id=leg_id or leg.id))
            return [told._queue.get_nowait() for _ in range(told._queue.qsize())]

    return tell


async def test_a_clean_leg_has_the_best_score_and_what_it_came_from(measure, leg):
    (fact,) = await measure(CLEAN)

    assert fact.kind == "leg_measured"
    assert (fact.leg_id, fact.endpoint, fact.codec) == (leg.id, "sip:1001", "opus")
    assert fact.score == 4.4
    assert (fact.lost_pct, fact.concealed_pct, fact.jitter_ms) == (0.0, 0.0, 2.5)
    assert (fact.round_trip_ms, fact.far_lost_pct) == (30, 0.5)


@pytest.mark.parametrize(
    ("change", "lost", "concealed", "below"),
    [
        ({"lost": 158, "received": 2842}, 5.3, 0.0, 4.2),
        ({"concealed": 300}, 0.0, 10.0, 3.9),
        ({"round_trip_ms": 700.0}, 0.0, 0.0, 3.9),
    ],
)
async def test_loss_late_packets_and_delay_cost_points(measure, change, lost, concealed, below):
    (fact,) = await measure(replace(CLEAN, **change))

    assert (fact.lost_pct, fact.concealed_pct) == (lost, concealed)
    assert 1 <= fact.score < below


async def test_a_far_end_that_never_reported_is_rated_without_its_part(measure):
    (fact,) = await measure(replace(CLEAN, round_trip_ms=None, far_lost_pct=None))

    assert (fact.score, fact.round_trip_ms, fact.far_lost_pct) == (4.4, None, None)


async def test_a_leg_that_was_never_heard_or_is_not_known_has_no_line(measure):
    assert await measure(replace(CLEAN, received=0)) == []
    assert await measure(CLEAN, leg_id="nobody") == []
