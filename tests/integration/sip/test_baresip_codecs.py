"""Two baresips in one call through the real gateway and a real media worker: every codec, and SRTP, both ways."""

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fakes import worker_process
from fakes.baresip import baresip
from fakes.servers import free_port
from fakes.waiting import eventually
from fakes.worker_process import Deaf

from bridges.client import ClientConfig, MediaClient
from commhub.domain.call import Cause
from commhub.domain.errors import UnavailableError
from commhub.domain.people import Endpoint
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.telephony import LegOrder
from gateways.sip.sdes import SrtpPolicy
from simulators.tones import ToneMeter

PASSWORD = "kept-between-us"
ROOT = Path(__file__).parents[3]
ALL = ("PCMA", "PCMU", "G722", "opus")
OPUS, G722 = "opus/48000/2", "G722/16000/1"
IN_BARESIP = {"PCMA": "PCMA", "PCMU": "PCMU", "G722": G722, "opus": OPUS}
LOW, HIGH = 620, 1180


class Listening(Deaf):
    """Keeps the digits."""

    def __init__(self):
        self.digits = []

    async def dtmf_received(self, leg_id, digit):
        self.digits.append((leg_id, digit))


@dataclass
class Hub:
    """The edge of the other tests with a real worker behind it."""

    edge: object
    media: MediaClient
    inward: Listening

    async def call(self, *names):
        """One call with a leg for each phone; their ids when all have answered."""
        call_id = new_id()
        legs = [new_id() for _ in names]
        for leg, name in zip(legs, names, strict=True):
            endpoint = Endpoint.parse(f"sip:{name}")
            await self.edge.gateway.place(LegOrder(call_id=call_id, leg_id=leg, endpoint=endpoint))
        for leg in legs:
            await eventually(lambda leg=leg: self.edge.calls.told("connected", leg))
        return legs

    def codec_of(self, leg):
        return self.edge.calls.told("connected", leg)[-1][2]


async def answers(client):
    """Whether the worker is up."""
    with suppress(UnavailableError):
        return await client.status()


@pytest.fixture
async def hub_with(edge, tmp_path):
    """Makes a hub with these settings; the edge starts again with them."""
    first_port = 27_000 + free_port() % 20 * 100
    control = f"unix:{tmp_path}/worker.sock"
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, str(worker_process.__file__), control, str(tmp_path), str(first_port)),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    stack, fake = AsyncExitStack(), edge.media

    async def make(**settings):
        inward = Listening()
        client = MediaClient(ClientConfig(address=control), inward, SystemClock())
        await edge.stop()
        edge.media = await stack.enter_async_context(client)
        await eventually(lambda: answers(client), within_s=20)
        edge.config = replace(edge.config, **settings)
        await edge.start()
        for name in ("1001", "1002"):
            await edge.add_account(name, PASSWORD)
        return Hub(edge, client, inward)

    try:
        yield make
    finally:
        await edge.stop()
        await stack.aclose()
        edge.media = fake
        worker.kill()
        await worker.wait()


@asynccontextmanager
async def phone(hub, name, tone, **more):
    async with baresip(name, PASSWORD, hub.edge.port, tone=tone, **more) as made:
        await made.until_registered()
        yield made


def hears(phone, wanted, own):
    """Whether the other's tone stands 20 dB over the floor, and the phone's own at least 30 dB below it."""
    meter = ToneMeter()
    meter.hear(phone.heard())
    levels = meter.levels([wanted, own])
    there, absent = levels[f"{wanted}"], levels[f"{own}"]
    return there > -40 and there - levels["floor"] >= 20 and there - absent >= 30


async def assert_they_hear_each_other(low, high):
    try:
        await eventually(lambda: hears(low, HIGH, LOW), within_s=10)
        await eventually(lambda: hears(high, LOW, HIGH), within_s=10)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(low.log() + high.log()) from error


@pytest.mark.audio
@pytest.mark.parametrize("codec", ALL)
async def test_a_phone_of_each_codec_and_a_g711_phone_hear_each_other(hub_with, codec):
    hub = await hub_with()
    async with (
        phone(hub, "1001", LOW, codecs=IN_BARESIP[codec]) as low,
        phone(hub, "1002", HIGH, codecs="PCMU") as high,
    ):
        legs = await hub.call("1001", "1002")
        assert [hub.codec_of(leg) for leg in legs] == [codec, "PCMU"]
        assert codec.lower() in low.log().lower()
        await assert_they_hear_each_other(low, high)


@pytest.mark.audio
async def test_two_wideband_phones_of_different_codecs_hear_each_other(hub_with):
    hub = await hub_with()
    async with (
        phone(hub, "1001", LOW, codecs=OPUS) as low,
        phone(hub, "1002", HIGH, codecs=G722) as high,
    ):
        legs = await hub.call("1001", "1002")
        assert [hub.codec_of(leg) for leg in legs] == ["opus", "G722"]
        await assert_they_hear_each_other(low, high)


@pytest.mark.audio
async def test_a_phone_that_dials_with_opus_is_answered_and_its_digits_arrive(hub_with):
    hub = await hub_with()
    async with phone(hub, "1001", LOW, codecs=OPUS) as dialling:
        await dialling.command("dial", f"sip:2000@127.0.0.1:{hub.edge.port}")
        await eventually(lambda: hub.edge.calls.offers)
        leg = hub.edge.calls.offers[0].leg_id
        await hub.edge.gateway.answer(leg)
        await dialling.until("CALL_ESTABLISHED")
        assert hub.codec_of(leg) == "opus"
        for digit in "42":
            await dialling.command("sndcode", digit)
        await eventually(lambda: hub.inward.digits == [(leg, "4"), (leg, "2")])


@pytest.mark.audio
@pytest.mark.parametrize(
    ("policy", "encryption"),
    [(SrtpPolicy.ACCEPT, "srtp-mand"), (SrtpPolicy.ACCEPT, "srtp")],
)
async def test_a_phone_that_dials_with_keys_talks_srtp_with_a_plain_phone(
    hub_with, policy, encryption
):
    hub = await hub_with(srtp=policy)
    async with (
        phone(hub, "1001", LOW, encryption=encryption) as secure,
        phone(hub, "1002", HIGH) as plain,
    ):
        await secure.command("dial", f"sip:2000@127.0.0.1:{hub.edge.port}")
        await eventually(lambda: hub.edge.calls.offers)
        leg = hub.edge.calls.offers[0].leg_id
        await hub.edge.gateway.answer(leg)
        await secure.until("CALL_ESTABLISHED")
        assert "SRTP is Enabled" in secure.log()
        order = LegOrder(
            call_id=f"call-of-{leg}",
            leg_id=new_id(),
            endpoint=Endpoint.parse("sip:1002"),
        )
        await hub.edge.gateway.place(order)
        await plain.until("CALL_ESTABLISHED")
        await assert_they_hear_each_other(secure, plain)


@pytest.mark.audio
@pytest.mark.parametrize("policy", [SrtpPolicy.OFFER, SrtpPolicy.REQUIRE])
async def test_phones_that_are_called_with_keys_talk_srtp(hub_with, policy):
    hub = await hub_with(srtp=policy)
    encryption = "srtp-mand" if policy is SrtpPolicy.REQUIRE else "srtp"
    async with (
        phone(hub, "1001", LOW, encryption=encryption) as low,
        phone(hub, "1002", HIGH, encryption=encryption, codecs=OPUS) as high,
    ):
        await hub.call("1001", "1002")
        assert "SRTP is Enabled" in low.log()
        assert "SRTP is Enabled" in high.log()
        await assert_they_hear_each_other(low, high)


async def test_a_phone_without_keys_is_not_connected_where_keys_are_required(hub_with):
    hub = await hub_with(srtp=SrtpPolicy.REQUIRE)
    async with phone(hub, "1001", LOW) as plain:
        leg = await hub.edge.call("1001")
        await eventually(lambda: hub.edge.calls.end_of(leg))
        assert hub.edge.calls.end_of(leg)[0] is Cause.NO_COMMON_CODEC

        await plain.command("dial", f"sip:2000@127.0.0.1:{hub.edge.port}")
        await eventually(lambda: any("488" in why for why in plain.closed_with()))
    assert not hub.edge.calls.offers


async def test_a_phone_that_has_only_unknown_codecs_is_told_488(hub_with):
    hub = await hub_with(codecs=("PCMA", "PCMU"))
    async with phone(hub, "1001", LOW, codecs=G722) as wide:
        await wide.command("dial", f"sip:2000@127.0.0.1:{hub.edge.port}")
        await eventually(lambda: any("488" in why for why in wide.closed_with()))
        leg = await hub.edge.call("1001")
        await eventually(lambda: hub.edge.calls.end_of(leg))
    assert hub.edge.calls.end_of(leg)[0] is Cause.NO_COMMON_CODEC
    assert not hub.edge.calls.offers
