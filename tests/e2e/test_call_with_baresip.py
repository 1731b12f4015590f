"""The story's call again with phones that nobody here wrote: two baresip and a radio group."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from fakes.baresip import baresip

from commhub.wiring.demo.settle import ADMIN, Desk
from commhub.wiring.demo.story import hold_call, raise_sos
from simulators.tones import ToneMeter

pytestmark = pytest.mark.audio


class BaresipTalker:
    """A baresip as the story's phone: it speaks its sine for as long as the call lasts."""

    def __init__(self, phone, endpoint, tone):
        self._phone = phone
        self.endpoint = endpoint
        self.tone = tone

    def talk(self, on):
        """It has no key to press."""

    def levels(self):
        meter = ToneMeter()
        meter.hear(self._phone.heard(1.0))
        return meter.levels([440, 880, 1250])


def admit(stage, name):
    """A phone's account; its password."""
    with Desk(stage.note.url, ADMIN, stage.keys.people[ADMIN]) as admin:
        made = admin.post("/fleet/phones", {"name": name, "display_name": f"baresip {name}"})
    return made["password"]


async def test_two_baresip_and_a_radio_hear_one_another_and_not_themselves(stage, cast):
    async with AsyncExitStack() as phones:
        talkers = []
        for name, tone in (("2001", 440), ("2002", 880)):
            password = await asyncio.to_thread(admit, stage, name)
            phone = await phones.enter_async_context(
                baresip(name, password, stage.hub.port("sip"), tone=tone)
            )
            await phone.until_registered()
            talkers.append(BaresipTalker(phone, f"sip:{name}", tone))
        incident = await asyncio.to_thread(raise_sos, cast, "baresip 通话")
        await asyncio.to_thread(hold_call, replace(cast, phones=talkers), incident)
