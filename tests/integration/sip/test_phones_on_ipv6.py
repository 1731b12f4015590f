"""A phone that speaks nothing but IPv6 in one call with a phone that speaks nothing but IPv4: both are baresip, which
refuses a description of the other version; the hub is a whole one.
"""

import asyncio

import pytest
from fakes.baresip import Place, baresip
from fakes.waiting import eventually
from fakes.whole_hub import signed_in, whole_hub

from simulators.tones import ToneMeter

pytestmark = pytest.mark.audio

SIX, FOUR = Place("::1", "[::1]"), Place()
TONES = {"5001": 440, "5002": 880}


@pytest.fixture
async def hub(tmp_path):
    by_ipv6 = {"COMMHUB_SIP__IPV6_HOST": "::1", "COMMHUB_MEDIA__IPV6_HOST": "::1"}
    async with whole_hub(tmp_path / "hub", by_ipv6) as hub:
        yield hub


@pytest.fixture
async def desk(hub):
    async with signed_in(hub) as desk:
        yield desk


@pytest.fixture(params=["udp", "tcp"])
async def phones(request, hub, desk):
    """The phone on IPv6, and the one on IPv4."""
    passwords = {}
    for number in TONES:
        body = {"name": number, "display_name": f"phone {number}"}
        made = await asyncio.to_thread(desk.post, "/fleet/phones", body)
        passwords[number] = made["password"]

    def phone(number, place):
        return baresip(
            number,
            passwords[number],
            hub.port("sip"),
            tone=TONES[number],
            place=place,
            transport=request.param,
        )

    async with phone("5001", SIX) as six, phone("5002", FOUR) as four:
        for one in (six, four):
            await one.until_registered()
        yield six, four


def hears(listener, other):
    """Whether a phone hears the other's tone, and not its own."""
    meter = ToneMeter()
    meter.hear(listener.heard(1.0))
    levels = meter.levels(TONES.values())
    own = next(tone for number, tone in TONES.items() if number != other)
    return levels[f"{TONES[other]:g}"] >= levels["floor"] + 20 and levels[f"{own:g}"] <= -50


async def hear_each_other(six, four):
    await eventually(lambda: hears(six, "5002") and hears(four, "5001"), within_s=15)


async def test_they_hear_each_other_whoever_calls(hub, phones):
    six, four = phones
    for caller, called, place, number in ((six, four, SIX, "5002"), (four, six, FOUR, "5001")):
        await caller.command("dial", f"sip:{number}@{place.hub}:{hub.port('sip')}")
        await caller.until("CALL_ESTABLISHED")
        await called.until("CALL_ESTABLISHED")
        await hear_each_other(six, four)
        await caller.command("hangup")
        await called.until("CALL_CLOSED")
        for phone in (six, four):
            phone.events.clear()


async def test_a_worker_that_was_killed_takes_up_both(hub, desk, phones):
    six, four = phones
    body = {"legs": ["sip:5001", "sip:5002"]}
    call = await asyncio.to_thread(desk.post, "/calls", body)
    await hear_each_other(six, four)
    await asyncio.to_thread(hub.kill, "worker")
    before = {phone: len(phone.heard(3600)) for phone in (six, four)}
    # Two seconds that were heard after the kill.
    await eventually(
        lambda: all(len(phone.heard(3600)) > heard + 16_000 for phone, heard in before.items()),
        within_s=20,
    )
    await hear_each_other(six, four)
    await asyncio.to_thread(desk.delete, f"/calls/{call['id']}")
    await six.until("CALL_CLOSED")


@pytest.mark.parametrize("picked_up", ["by IPv6", "by IPv4"])
async def test_of_two_phones_of_one_account_the_one_that_answers_is_heard(hub, desk, picked_up):
    """Each refuses a description of the other version, so both ring only when each is offered its own."""
    passwords = {}
    for number in TONES:
        body = {"name": number, "display_name": f"phone {number}"}
        made = await asyncio.to_thread(desk.post, "/fleet/phones", body)
        passwords[number] = made["password"]

    def phone(number, place, answer):
        port, tone = hub.port("sip"), TONES[number]
        return baresip(number, passwords[number], port, tone=tone, place=place, answer=answer)

    async with (
        phone("5001", SIX, "manual") as six,
        phone("5001", FOUR, "manual") as four,
        phone("5002", FOUR, "auto") as caller,
    ):
        for one in (six, four, caller):
            await one.until_registered()
        await caller.command("dial", f"sip:5001@127.0.0.1:{hub.port('sip')}")
        for one in (six, four):
            await one.until("CALL_INCOMING", within_s=30)
        answers, other = (six, four) if picked_up == "by IPv6" else (four, six)
        await answers.command("accept")
        await caller.until("CALL_ESTABLISHED", within_s=30)
        await other.until("CALL_CLOSED", within_s=30)
        await eventually(lambda: hears(answers, "5002") and hears(caller, "5001"), within_s=30)
        await caller.command("hangup")
        await answers.until("CALL_CLOSED", within_s=30)
