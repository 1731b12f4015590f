"""A push from its order to its end, between a picture engine that remembers and an ingest that answers as the test says."""

import asyncio

import pytest
from fakes.ingest import created, http, ingest
from fakes.video import FakeVideo

from commhub.domain.errors import InvalidError, NotAllowedError, UnavailableError
from commhub.ports.pushes import PushTarget
from commhub.ports.video import PublishOrder, PushOrder
from gateways.webrtc.pushing import WhepWatches, WhipPushes
from gateways.webrtc.whip_client import WhipClient

ORDER = PushOrder(session_id="p1", room_id="r1", source_id="cam")


@pytest.fixture
def engine():
    return FakeVideo()


@pytest.fixture
async def pushes(engine):
    async with WhipClient(lambda _: True, timeout_s=5) as client:
        yield WhipPushes(engine, client)


def target(far, path="live"):
    return PushTarget(url=f"{far.url}/{path}", token="secret")


def requests(far):
    return [(one.method, one.path) for one in far.asked]


async def test_the_engines_offer_goes_out_and_the_answer_comes_back(engine, pushes):
    async with ingest(live=created()) as far:
        await pushes.push(ORDER, target(far))
    assert [one[0] for one in engine.orders] == ["offer_push", "push_answered"]
    assert far.asked[0].body.startswith(b"v=0")
    assert engine.sessions == {"p1": ORDER}


async def test_a_push_that_is_stopped_ends_at_both_ends(engine, pushes):
    async with ingest(live=created(Location="/s/1")) as far:
        far.answers["/s/1"] = http(200)
        await pushes.push(ORDER, target(far))
        await pushes.stop("p1")
        await pushes.stop("p1")
        await pushes.stop("nobody")
    assert requests(far) == [("POST", "/live"), ("DELETE", "/s/1")]
    assert engine.sessions == {}


async def test_an_ingest_that_refuses_leaves_nothing_behind(engine, pushes):
    async with ingest(live=http(401)) as far:
        with pytest.raises(NotAllowedError, match="401: the token was refused"):
            await pushes.push(ORDER, target(far))
    assert engine.sessions == engine.offered == {}


async def test_an_answer_the_engine_cannot_take_is_undone_at_the_ingest(engine, pushes):
    async with ingest(live=created(b"nonsense", Location="/s/1")) as far:
        far.answers["/s/1"] = http(200)
        with pytest.raises(InvalidError, match="session description"):
            await pushes.push(ORDER, target(far))
    assert requests(far) == [("POST", "/live"), ("DELETE", "/s/1")]
    assert engine.sessions == engine.offered == {}


async def test_a_push_made_anew_leaves_the_old_session_after_it(engine, pushes):
    async with ingest(one=created(Location="/s/1"), two=created(Location="/s/2")) as far:
        far.answers["/s/1"] = far.answers["/s/2"] = http(200)
        await pushes.push(ORDER, target(far, "one"))
        await pushes.push(ORDER, target(far, "two"))
        await pushes.stop("p1")
    assert requests(far) == [
        ("POST", "/one"),
        ("POST", "/two"),
        ("DELETE", "/s/1"),
        ("DELETE", "/s/2"),
    ]


async def test_when_making_anew_fails_the_old_one_goes_on(engine, pushes):
    async with ingest(one=created(Location="/s/1"), two=http(503, Retry_After="3")) as far:
        far.answers["/s/1"] = http(200)
        await pushes.push(ORDER, target(far, "one"))
        with pytest.raises(UnavailableError) as busy:
            await pushes.push(ORDER, target(far, "two"))
        assert busy.value.details["retry_after_s"] == 3
        assert engine.sessions == {"p1": ORDER}
        await pushes.stop("p1")
    assert requests(far)[-1] == ("DELETE", "/s/1")


async def test_an_ingest_that_is_gone_does_not_keep_a_push_from_ending(engine, pushes):
    async with ingest(live=created()) as far:
        await pushes.push(ORDER, target(far))
    await pushes.stop("p1")
    assert engine.sessions == {}


async def test_without_an_engine_nothing_is_asked_of_the_ingest(engine, pushes):
    engine.unavailable = True
    async with ingest(live=created()) as far:
        with pytest.raises(UnavailableError):
            await pushes.push(ORDER, target(far))
    assert far.asked == []


async def test_orders_for_one_push_have_their_turns(engine, pushes):
    async with ingest(live=created(Location="/s/1")) as far:
        far.answers["/s/1"] = http(200)
        await asyncio.gather(pushes.push(ORDER, target(far)), pushes.stop("p1"))
    assert requests(far) == [("POST", "/live"), ("DELETE", "/s/1")]
    assert engine.sessions == {}


def test_a_token_is_in_no_repr():
    assert "secret" not in repr(PushTarget(url="https://h/", token="secret"))


async def test_a_watch_is_offered_at_whep_and_ends_at_both_ends(engine):
    order = PublishOrder(session_id="w1", room_id="r1", source_id="far")
    async with (
        WhipClient(lambda _: True, timeout_s=5) as client,
        ingest(live=created(Location="/s/1")) as far,
    ):
        far.answers["/s/1"] = http(200)
        watches = WhepWatches(engine, client)
        await watches.watch(order, target(far))
        assert engine.sessions == {"w1": order}
        await watches.stop("w1")
        assert requests(far) == [("POST", "/live"), ("DELETE", "/s/1")]
        assert engine.sessions == {}
        far.answers["/live"] = http(503)
        with pytest.raises(UnavailableError):
            await watches.watch(order, target(far))
    assert engine.sessions == engine.offered == {}
