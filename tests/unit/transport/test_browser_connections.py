"""Which offers restart a leg's connection, which take its place, and what a refusal leaves behind."""

import pytest
from fakes.clock import ScriptedClock
from fakes.waiting import eventually
from fakes.webrtc import caller

from bridges.audio.counts import Counts
from bridges.audio.events import LegVanished
from bridges.audio.inbox import PacketInbox
from bridges.transport.port import PortConfig, WebRtcPort
from bridges.webrtc import BrowserLegs
from commhub.domain.errors import ConflictError, InvalidError
from commhub.ports.media import WebRtcOrder

ORDER = WebRtcOrder(call_id="c1", leg_id="b1")


class Engine:
    """Remembers what it is told; refuses when asked to."""

    def __init__(self):
        self.joined = []
        self.left = []
        self.told = []
        self.refuse = False

    async def join(self, order, stream):
        if self.refuse:
            raise ConflictError("another call's leg")
        self.joined.append((order.leg_id, stream))

    async def leave(self, leg_id):
        self.left.append(leg_id)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
async def port():
    made = WebRtcPort(PortConfig(), ScriptedClock(), lambda _: None)
    async with made:
        yield made


@pytest.fixture
def legs(engine, port):
    made = BrowserLegs(PacketInbox(Counts()), engine.join, engine.leave, engine.told.append)
    made.use(port)
    return made


@pytest.fixture
async def offer(monkeypatch):
    async with caller(400.0, monkeypatch=monkeypatch) as browser:
        yield await browser.offer()


def ufrag(answer):
    return next(line for line in answer.splitlines() if line.startswith("a=ice-ufrag:"))


def peer_of(legs):
    return legs._connections["b1"].peer


async def test_the_same_session_restarts_ice_and_keeps_its_keys(legs, port, offer):
    first = await legs.answer(ORDER, offer)
    peer = peer_of(legs)
    second = await legs.answer(ORDER, offer)
    assert ufrag(first) != ufrag(second)
    assert peer_of(legs) is peer
    assert port.peers == 1


async def test_another_session_takes_the_place_of_the_one_before(legs, port, offer):
    await legs.answer(ORDER, offer)
    peer = peer_of(legs)
    session = next(line for line in offer.splitlines() if line.startswith("o="))
    await legs.answer(ORDER, offer.replace(session, "o=- 4711 1 IN IP4 127.0.0.1"))
    assert peer_of(legs) is not peer
    await eventually(lambda: peer.has_failed)
    assert port.peers == 1


async def test_another_certificate_is_never_a_restart(legs, offer):
    await legs.answer(ORDER, offer)
    peer = peer_of(legs)
    lines = [
        "a=fingerprint:sha-256 " + ":".join(["00"] * 32)
        if line.startswith("a=fingerprint:sha-256")
        else line
        for line in offer.splitlines()
    ]
    await legs.answer(ORDER, "\r\n".join(lines) + "\r\n")
    assert peer_of(legs) is not peer


async def test_what_the_engine_refuses_leaves_no_connection(legs, engine, port, offer):
    engine.refuse = True
    with pytest.raises(ConflictError):
        await legs.answer(ORDER, offer)
    assert port.peers == 0


async def test_a_bad_offer_does_not_touch_the_connection_there_is(legs, offer):
    await legs.answer(ORDER, offer)
    peer = peer_of(legs)
    with pytest.raises(InvalidError):
        legs.answer(ORDER, "v=0")
    assert peer_of(legs) is peer


async def test_an_offer_by_which_nothing_would_flow_is_refused(legs, port, offer):
    with pytest.raises(InvalidError, match="no sound"):
        legs.answer(ORDER, offer.replace("a=sendrecv", "a=inactive"))
    listening = WebRtcOrder(call_id="c1", leg_id="b1", talks=False)
    with pytest.raises(InvalidError, match="no sound"):
        legs.answer(listening, offer.replace("a=sendrecv", "a=sendonly"))
    assert port.peers == 0


async def test_a_vanished_browser_leaves_its_call_and_is_told_once(legs, engine, offer):
    await legs.answer(ORDER, offer)
    peer = peer_of(legs)
    await legs.vanished(peer)
    await legs.vanished(peer)
    assert engine.left == ["b1"]
    assert engine.told == [LegVanished("b1")]
