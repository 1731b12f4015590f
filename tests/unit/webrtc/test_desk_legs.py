"""A dispatcher's desk as a leg: it rings, is answered by an offer, goes and comes back. Real store, real calls."""

import pytest
from fakes.waiting import eventually

from commhub.calls.control import LegWish
from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import Cause, LegState
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Role, Scheme
from commhub.ports.media import EngineStatus, LegMeter, LegShape
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.legs import DeskLegs

LI = Principal(id="u1", name="li", kind="user", roles=frozenset({Role.DISPATCHER}))
KEY = Principal(id="k1", name="bot", kind="key", roles=frozenset({Role.DISPATCHER}))
CONFIG = WebRtcConfig(token_secret=b"s", return_within_s=0.05)
OFFER = "v=0"


@pytest.fixture
async def desks(store, clock, media, calls):
    made = DeskLegs(CONFIG, store, media, calls, clock)
    calls.connect(media, {Scheme.DESK: made})
    async with made:
        await calls.resume()
        yield made


async def place(calls, *legs, by=LI):
    state = await calls.place(CallRequest(legs=legs), by)
    return (await calls.get(state.call.id)).legs


async def leg_now(calls, leg):
    return next(one for one in (await calls.get(leg.call_id)).legs if one.id == leg.id)


async def test_me_is_the_desk_of_whoever_asks(calls, desks):
    (leg,) = await place(calls, "desk:me")
    assert str(leg.endpoint) == "desk:li"
    assert leg.state is LegState.RINGING


async def test_a_key_has_no_desk_of_its_own(calls, desks):
    with pytest.raises(InvalidError, match="a key has no desk"):
        await place(calls, "desk:me", by=KEY)


async def test_a_desk_of_nobody_cannot_be_found(calls, desks):
    (leg,) = await place(calls, "desk:nobody")
    assert (leg.state, leg.cause) == (LegState.ENDED, Cause.NOT_FOUND)


async def test_an_offer_answers_the_ringing_desk(calls, desks, media):
    (leg,) = await place(calls, "desk:li")
    answer = await desks.connect(leg.id, OFFER, talks=True)
    assert "ice-ufrag" in answer
    now = await leg_now(calls, leg)
    assert (now.state, now.codec) == (LegState.CONNECTED, "opus")
    assert media.answered[leg.id].call_id == leg.call_id
    assert media.answered[leg.id].talks


async def test_a_listener_is_ordered_as_one(calls, desks, media):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=False)
    assert not media.answered[leg.id].talks


async def test_a_leg_comes_back_in_the_shape_it_had(calls, desks, media):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=True)
    await calls.control.change_leg(leg.call_id, leg.id, LegWish(muted=True, gain_db=6.0), LI)
    await desks.connect(leg.id, OFFER, talks=True)
    assert media.answered[leg.id].talks
    assert media.answered[leg.id].shape == LegShape(muted=True, gain_db=6.0)


async def test_a_desk_that_nobody_answers_stops_ringing(store, clock, media, calls):
    calls = CallService(store, clock, ring_for_s=0.05)
    made = DeskLegs(CONFIG, store, media, calls, clock)
    calls.connect(media, {Scheme.DESK: made})
    async with made:
        (leg,) = await place(calls, "desk:li")
        ended = await eventually(lambda: _ended(calls, leg))
        assert ended.cause is Cause.NO_ANSWER


async def test_a_desk_rings_on_after_a_restart_and_is_given_up_in_the_end(
    store, clock, media, calls
):
    made = DeskLegs(CONFIG, store, media, calls, clock)
    calls.connect(media, {Scheme.DESK: made})
    async with made:
        (leg,) = await place(calls, "desk:li")
    clock.advance(60)
    again = DeskLegs(CONFIG, store, media, calls, clock)
    calls.connect(media, {Scheme.DESK: again})
    async with again:
        ended = await eventually(lambda: _ended(calls, leg))
    assert ended.cause is Cause.NO_ANSWER


async def test_a_lost_worker_does_not_end_the_leg_of_a_browser_that_comes_back(
    store, clock, calls, desks, media
):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=True)
    events = MediaEvents(calls, store, clock)
    await events.engine_status(EngineStatus(worker="w0", boot_id="2", legs=()))
    assert (await leg_now(calls, leg)).state is LegState.CONNECTED
    await desks.connect(leg.id, OFFER, talks=True)
    assert len([o for o in media.orders if o[0] == "answer"]) == 2
    assert not desks._waiting
    assert (await leg_now(calls, leg)).state is LegState.CONNECTED


async def test_a_browser_that_does_not_come_back_loses_its_leg(store, clock, calls, desks, media):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=True)
    events = MediaEvents(calls, store, clock)
    await events.engine_status(EngineStatus(worker="w0", boot_id="2", legs=()))
    ended = await eventually(lambda: _ended(calls, leg))
    assert ended.cause is Cause.MEDIA_LOST
    await eventually(lambda: leg.id in media.released)


async def test_old_news_of_a_loss_does_not_end_a_leg_that_is_back(calls, desks, media, monkeypatch):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=True)
    asked = []

    async def status():
        asked.append(leg.id)
        meter = LegMeter(
            leg_id=leg.id, call_id=leg.call_id, received=0, sent=0, lost=0, level_dbov=0, silent_s=0
        )
        return EngineStatus(worker="w0", boot_id="2", legs=(meter,))

    monkeypatch.setattr(media, "status", status)
    assert await desks.recover(leg.id)
    await eventually(lambda: asked and not desks._waiting)
    assert (await leg_now(calls, leg)).state is LegState.CONNECTED


async def test_a_browser_that_vanished_ends_its_leg(store, clock, calls, desks, media):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=True)
    await MediaEvents(calls, store, clock).leg_vanished(leg.id)
    now = await leg_now(calls, leg)
    assert (now.state, now.cause) == (LegState.ENDED, Cause.MEDIA_LOST)
    assert leg.id in media.released


async def test_hanging_up_releases_the_audio(calls, desks, media):
    (leg,) = await place(calls, "desk:li")
    await desks.connect(leg.id, OFFER, talks=True)
    await desks.leave(leg.id)
    assert (await leg_now(calls, leg)).cause is Cause.HUNG_UP
    assert leg.id in media.released


async def test_the_desk_hangs_up_on_a_desk(calls, desks, media):
    (leg,) = await place(calls, "desk:wang")
    await desks.connect(leg.id, OFFER, talks=True)
    await calls.hang_up(leg.call_id, leg.id, LI)
    assert leg.id in media.released
    with pytest.raises(NotFoundError):
        await desks.connect(leg.id, OFFER, talks=True)


async def test_a_leg_hung_up_while_it_was_answered_leaves_no_audio_behind(
    calls, desks, media, monkeypatch
):
    (leg,) = await place(calls, "desk:li")
    answer = media.answer

    async def slow(order, offer):
        done = await answer(order, offer)
        await calls.hang_up(leg.call_id, leg.id, LI)
        return done

    monkeypatch.setattr(media, "answer", slow)
    with pytest.raises(ConflictError):
        await desks.connect(leg.id, OFFER, talks=True)
    assert media.released[-1] == leg.id


async def test_a_worker_that_is_away_leaves_the_desk_ringing(calls, desks, media):
    from commhub.domain.errors import UnavailableError

    (leg,) = await place(calls, "desk:li")
    media.unavailable = True
    with pytest.raises(UnavailableError):
        await desks.connect(leg.id, OFFER, talks=True)
    assert (await leg_now(calls, leg)).state is LegState.RINGING


async def _ended(calls, leg):
    now = await leg_now(calls, leg)
    return now if now.state is LegState.ENDED else None
