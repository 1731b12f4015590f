"""Two phones behind one address, on the same private ports: neither is ever taken for the other.

The hub is a whole one outside the NAT (`fakes.nat`), the phones are baresip. A hears C and B hears D, whose phones
stand outside; each speaks a tone of its own.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import pytest
from fakes.baresip import Place, baresip
from fakes.nat import HUB, natted, needs_namespaces
from fakes.waiting import eventually
from fakes.whole_hub import signed_in, whole_hub

from simulators.tones import ToneMeter

pytestmark = [needs_namespaces, pytest.mark.audio]

TONES = {"3001": 440, "3002": 660, "3003": 880, "3004": 1250}
INSIDE, OUTSIDE = ("3001", "3002"), ("3003", "3004")
PARTNERS = {"3001": "3003", "3002": "3004", "3003": "3001", "3004": "3002"}
SIP_PORT, RTP_PORT = 5060, 16_384
NOT_HEARD_DBFS = -50.0
HEARD_DB = 20.0
RATE = 8_000


@pytest.fixture
def nat():
    with natted() as nat:
        yield nat


@pytest.fixture
async def hub(nat, tmp_path):
    outside = {"COMMHUB_SIP__HOST": HUB, "COMMHUB_MEDIA__HOST": HUB}
    async with whole_hub(tmp_path / "hub", outside) as hub:
        yield hub


@pytest.fixture
async def desk(hub):
    async with signed_in(hub) as desk:
        yield desk


class Town:
    """The four phones, by number."""

    def __init__(self, desk, phones):
        self.desk = desk
        self.phones = phones

    async def call(self, *numbers):
        legs = [f"sip:{number}" for number in numbers]
        call = await asyncio.to_thread(self.desk.post, "/calls", {"legs": legs})

        async def talk():
            states = {leg["state"] for leg in await self.legs(call)}
            return states == {"connected"}

        await eventually(talk, within_s=15)
        return call

    async def legs(self, call):
        return (await asyncio.to_thread(self.desk.get, f"/calls/{call['id']}"))["legs"]

    async def is_over(self, call):
        """Whether somebody has left it."""
        return "ended" in {leg["state"] for leg in await self.legs(call)}

    async def hang_up(self, call):
        await asyncio.to_thread(self.desk.delete, f"/calls/{call['id']}")

    async def fresh_second(self):
        """Let every phone hear two more seconds."""
        before = {number: len(phone.heard(3600)) for number, phone in self.phones.items()}

        def all_have():
            return all(
                len(phone.heard(3600)) >= before[number] + 2 * RATE
                for number, phone in self.phones.items()
            )

        await eventually(all_have, within_s=20)

    async def each_hears_its_partner_alone(self):
        await self.fresh_second()
        for number, phone in self.phones.items():
            meter = ToneMeter()
            meter.hear(phone.heard(1.0))
            levels = meter.levels(TONES.values())
            for other, tone in TONES.items():
                level = levels[f"{tone:g}"]
                if other == PARTNERS[number]:
                    assert level >= levels["floor"] + HEARD_DB, (number, other, levels)
                else:
                    assert level <= NOT_HEARD_DBFS, (number, other, levels)


async def admit(desk, number):
    made = await asyncio.to_thread(
        desk.post, "/fleet/phones", {"name": number, "display_name": f"phone {number}"}
    )
    return made["password"]


@pytest.fixture
def places(nat):
    """Those inside have the same private ports."""
    inside = {
        number: Place(host.address, HUB, SIP_PORT, RTP_PORT, host)
        for number, host in zip(INSIDE, nat.hosts, strict=True)
    }
    return inside | {number: Place(HUB, HUB) for number in OUTSIDE}


@pytest.fixture
async def town(request, hub, desk, places):
    transport = getattr(request, "param", "udp")
    async with AsyncExitStack() as stack:
        phones = {}
        for number, place in places.items():
            phone = baresip(
                number,
                await admit(desk, number),
                hub.port("sip"),
                tone=TONES[number],
                place=place,
                transport=transport,
            )
            phones[number] = await stack.enter_async_context(phone)
        for phone in phones.values():
            await phone.until_registered()
        yield Town(desk, phones)


@pytest.mark.parametrize("town", ["udp", "tcp"], indirect=True)
async def test_two_calls_at_once_do_not_meet_and_a_new_mapping_takes_nobody_elsewhere(town, nat):
    calls = [await town.call("3001", "3003"), await town.call("3002", "3004")]
    await town.each_hears_its_partner_alone()

    nat.forget()
    await town.each_hears_its_partner_alone()

    for number in INSIDE:
        await town.phones[number].command("hangup")
    for call in calls:
        await eventually(partial(town.is_over, call))
    for number in INSIDE:
        # The hub's answer reached it; its partner may stay, alone in the call.
        await town.phones[number].until("CALL_CLOSED")


@pytest.mark.parametrize("town", ["udp", "tcp"], indirect=True)
async def test_a_call_rings_the_phone_it_is_for_and_not_its_neighbour(town):
    for called, neighbour in (INSIDE, reversed(INSIDE)):
        phone, other = town.phones[called], town.phones[neighbour]
        told = len(other.events)
        call = await town.call(called)
        await phone.until("CALL_ESTABLISHED")
        await town.hang_up(call)
        await phone.until("CALL_CLOSED")
        phone.events.clear()
        assert not [e for e in other.events[told:] if e.get("class") == "call"]
