"""A leg that says nothing: its phone is asked whether it is there."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import someone

from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest, CallService
from commhub.domain.people import Scheme


class AskingDriver(FakeDriver):
    """One that can ask."""

    def __init__(self):
        super().__init__()
        self.probed = []

    async def probe(self, leg_id):
        self.probed.append(leg_id)


@pytest.fixture
async def call(store, clock):
    """(events, driver, leg id) of a leg that talks."""
    service, driver = CallService(store, clock), AskingDriver()
    service.connect(RememberingMedia(), {Scheme.SIP: driver})
    state = await service.place(CallRequest(legs=["sip:1001"]), someone())
    leg = state.legs[0].id
    await service.leg_connected(leg, "PCMA")
    return MediaEvents(service, store, clock), service, driver, leg


async def test_the_phone_of_a_silent_leg_is_asked(call):
    events, _, driver, leg = call
    await events.leg_silent(leg, 10.0)

    assert driver.probed == [leg]


async def test_a_phone_that_holds_us_is_left_in_peace(call):
    events, service, driver, leg = call
    await service.leg_held(leg)
    await events.leg_silent(leg, 10.0)
    await events.leg_silent("a-leg-that-ended", 10.0)

    assert driver.probed == []
