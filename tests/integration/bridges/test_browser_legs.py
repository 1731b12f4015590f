"""A browser (aiortc's own client) and a phone in one call of a real worker, measured by tone both ways."""

import itertools

import pytest
from fakes.talking import talking
from fakes.waiting import eventually
from fakes.webrtc import caller
from fakes.worker_process import Deaf

from bridges.audio.config import AudioConfig
from bridges.client import ClientConfig, MediaClient
from bridges.transport.port import PortConfig
from bridges.worker import MediaWorker, WorkerConfig
from commhub.domain.errors import InvalidError
from commhub.kit.clock import SystemClock
from commhub.ports.media import LegShape, WebRtcOrder

pytestmark = pytest.mark.audio

FIRST_PORT = itertools.count(27_000, 100)


class Control(Deaf):
    """A control that remembers who vanished and which digits came."""

    def __init__(self):
        self.vanished = []
        self.digits = []

    async def leg_vanished(self, leg_id):
        self.vanished.append(leg_id)

    async def dtmf_received(self, leg_id, digit):
        self.digits.append((leg_id, digit))


@pytest.fixture
def control():
    return Control()


@pytest.fixture
async def worker(tmp_path):
    port = next(FIRST_PORT)
    config = WorkerConfig(
        name="w0",
        control=f"unix:{tmp_path}/w0.sock",
        audio=AudioConfig(recordings=tmp_path, port_min=port, port_max=port + 99),
        webrtc=PortConfig(consent_s=3.0),
    )
    async with MediaWorker(config) as made:
        yield made


@pytest.fixture
async def media(tmp_path, worker, control):
    config = ClientConfig(address=f"unix:{tmp_path}/w0.sock")
    async with MediaClient(config, control, SystemClock()) as made:
        yield made


async def join(media, browser, leg="b1", **order):
    answer = await media.answer(
        WebRtcOrder(call_id="c1", leg_id=leg, **order), await browser.offer()
    )
    await browser.accept(answer)
    await eventually(lambda: browser.is_connected)


async def hear_each_other(browser, phone, own, theirs):
    await eventually(lambda: browser.hears(theirs) and phone.hears(own), within_s=15)
    assert browser.levels(theirs)[0] >= 20
    assert phone.levels(own)[0] >= 20
    assert browser.lacks(own)
    assert phone.lacks(theirs)


async def test_a_browser_and_a_phone_hear_each_other_and_not_themselves(media, monkeypatch):
    async with (
        caller(400.0, monkeypatch=monkeypatch) as browser,
        talking(media, 700.0, "p1") as phone,
    ):
        await join(media, browser)
        await hear_each_other(browser, phone, 400, 700)
        meters = {meter.leg_id: meter for meter in (await media.status()).legs}
        assert meters["b1"].received > 50
        assert meters["b1"].sent > 50
        assert meters["b1"].level_dbov > -30


async def test_two_browsers_and_a_phone_make_one_wideband_call(media, monkeypatch):
    async with (
        caller(400.0, monkeypatch=monkeypatch) as one,
        caller(1100.0, monkeypatch=monkeypatch) as two,
        talking(media, 700.0, "p1") as phone,
    ):
        await join(media, one, "b1")
        await join(media, two, "b2")
        await eventually(
            lambda: (
                one.hears(700)
                and one.hears(1100)
                and two.hears(400)
                and two.hears(700)
                and phone.hears(400)
                and phone.hears(1100)
            ),
            within_s=15,
        )
        assert one.lacks(400)
        assert two.lacks(1100)


async def test_a_browser_that_only_listens_is_never_heard(media, monkeypatch):
    async with (
        caller(400.0, monkeypatch=monkeypatch) as browser,
        talking(media, 700.0, "p1") as phone,
    ):
        await join(media, browser, talks=False)
        await eventually(lambda: browser.hears(700), within_s=15)
        assert phone.lacks(400)
        await media.shape("b1", LegShape())
        heard = phone.heard
        await eventually(lambda: phone.heard > heard + 60)
        assert phone.lacks(400)


async def test_a_new_offer_takes_the_place_of_the_old_connection(media, worker, monkeypatch):
    async with (
        caller(400.0, monkeypatch=monkeypatch) as first,
        caller(1100.0, monkeypatch=monkeypatch) as second,
        talking(media, 700.0, "p1") as phone,
    ):
        await join(media, first)
        await hear_each_other(first, phone, 400, 700)
        await join(media, second)
        await hear_each_other(second, phone, 1100, 700)
        assert phone.lacks(400)
        assert worker._port.peers == 1


async def test_a_browser_that_vanishes_is_told_and_taken_out(media, control, monkeypatch):
    async with talking(media, 700.0, "p1"):
        async with caller(400.0, monkeypatch=monkeypatch) as browser:
            await join(media, browser)
        await eventually(lambda: control.vanished == ["b1"], within_s=10)
        assert [meter.leg_id for meter in (await media.status()).legs] == ["p1"]


async def test_releasing_the_leg_closes_its_connection(media, worker, monkeypatch):
    async with caller(400.0, monkeypatch=monkeypatch) as browser:
        await join(media, browser)
        await media.release("b1")
        await eventually(lambda: not browser.is_connected)
        assert worker._port.peers == 0
        assert (await media.status()).legs == []


async def test_a_bad_offer_leaves_nothing_behind(media, worker):
    with pytest.raises(InvalidError, match="no audio"):
        await media.answer(WebRtcOrder(call_id="c1", leg_id="b1"), "v=0")
    assert worker._port.peers == 0
    assert (await media.status()).legs == []
