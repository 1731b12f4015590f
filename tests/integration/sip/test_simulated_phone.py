"""The pyVoIP phone of the demo at the real gateway: the peer with the strangest manners."""

import asyncio

import pytest
from fakes.phones import simulated_phone
from fakes.waiting import eventually

from commhub.domain.call import Cause

PASSWORD = "kept-between-us"


async def on_the_line(phone):
    await phone.until(lambda state: state["registered"])


async def test_it_answers_refuses_or_rings_as_it_is_told(edge):
    async with simulated_phone("1001", PASSWORD, edge.port) as phone:
        await on_the_line(phone)
        leg = await edge.call("1001")
        await phone.until(lambda state: state["call"] == "answered")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await phone.until(lambda state: state["call"] == "idle")
        assert edge.calls.told("ended", leg) == []

        for mode, cause in (("busy", Cause.BUSY), ("decline", Cause.DECLINED)):
            await phone.do("mode", mode=mode)
            refused = await edge.call("1001")
            await eventually(lambda leg=refused: edge.calls.end_of(leg))
            assert edge.calls.end_of(refused)[0] is cause

        await phone.do("mode", mode="ring")
        rung = await edge.call("1001")
        await phone.until(lambda state: state["call"] == "ringing")
        await edge.gateway.hang_up(rung, Cause.DESK)
        await phone.until(lambda state: state["call"] == "idle")
    await eventually(lambda: edge.gateway.legs == 0)


async def test_it_dials_the_hub_and_hangs_up_after_a_restart(edge):
    async with simulated_phone("1001", PASSWORD, edge.port) as phone:
        await on_the_line(phone)
        await phone.do("dial", number="2000")
        await eventually(lambda: edge.calls.offers)
        call = edge.calls.offers[0]
        await edge.gateway.answer(call.leg_id)
        await phone.until(lambda state: state["call"] == "answered")
        await eventually(lambda: edge.calls.told("connected", call.leg_id))

        await edge.restart()
        await phone.do("hangup")
        await eventually(lambda: edge.calls.end_of(call.leg_id))

    assert (str(call.caller), call.called) == ("sip:1001", "2000")
    assert edge.calls.end_of(call.leg_id) == (Cause.HUNG_UP, None)


async def test_it_registers_when_the_hub_comes_back(edge):
    await edge.stop()
    async with simulated_phone("1001", PASSWORD, edge.config.port) as phone:
        assert not (await phone.state())["registered"]
        await edge.start()
        await phone.until(lambda state: state["registered"], within_s=12)


@pytest.mark.audio
async def test_its_voice_is_heard_only_when_it_talks_and_it_hears_ours(edge, voice_of):
    more = ("--tone", "440", "--listen", "440,880")
    async with simulated_phone("1001", PASSWORD, edge.port, *more) as phone:
        await on_the_line(phone)
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg), within_s=8)
        voice = voice_of(leg)
        assert (await voice.levels(440))["440"] < -60

        await phone.do("talk", on=True)

        async def we_hear_it():
            levels = await voice.levels(440)
            return levels["440"] > -15 and levels["440"] - levels["floor"] > 20

        await eventually(we_hear_it, within_s=8)

        def it_hears_us(state):
            heard = state["heard"]
            above_floor = heard["880"] - heard["floor"] > 20
            return heard["880"] > -15 and above_floor and heard["440"] < heard["880"] - 30

        speaking = asyncio.create_task(voice.speak(880, seconds=10))
        await phone.until(it_hears_us)
        speaking.cancel()
        await phone.until(lambda state: state["heard"]["880"] < -60)
        await edge.gateway.hang_up(leg, Cause.DESK)
        await phone.until(lambda state: state["call"] == "idle")
