"""baresip from the distribution at the real gateway: a strict, independent SIP stack."""

import asyncio
import socket

import pytest
from fakes.baresip import baresip
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.ports.media import RtpAddress
from simulators.tones import ToneMeter

PASSWORD = "kept-between-us"


async def test_it_registers_answers_and_is_hung_up_by_the_desk(edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        leg = await edge.call("1001")
        await phone.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))

        await edge.gateway.hang_up(leg, Cause.DESK)
        await phone.until("CALL_CLOSED")

    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.told("ended", leg) == []


async def test_it_dials_holds_resumes_and_hangs_up(edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        await phone.command("dial", f"sip:2000@127.0.0.1:{edge.port}")
        await eventually(lambda: edge.calls.offers)
        leg = edge.calls.offers[0].leg_id
        await edge.gateway.answer(leg)
        await phone.until("CALL_ESTABLISHED")

        await phone.command("hold")
        await eventually(lambda: edge.calls.told("held", leg))
        await phone.command("resume")
        await eventually(lambda: edge.calls.states(leg)[-1] == "connected")
        await phone.command("hangup")
        await eventually(lambda: edge.calls.end_of(leg))

    assert str(edge.calls.offers[0].caller) == "sip:1001"
    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


async def test_a_held_call_is_resumed_after_a_restart_of_the_hub(edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        leg = await edge.call("1001")
        await phone.until("CALL_ESTABLISHED")
        await phone.command("hold")
        await eventually(lambda: edge.calls.told("held", leg))

        await edge.restart()
        await phone.command("resume")
        await eventually(lambda: edge.calls.states(leg)[-1] == "connected")
        assert edge.media.connected[leg].receives
        await phone.command("hangup")
        await eventually(lambda: edge.calls.end_of(leg))


async def test_it_sends_elsewhere_when_the_hub_says_so_by_re_invite(edge):
    async with baresip("1001", PASSWORD, edge.port) as phone:
        await phone.until_registered()
        leg = await edge.call("1001")
        await phone.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.setblocking(False)
            address = RtpAddress(*elsewhere.getsockname())
            await edge.gateway.readdress(leg, address)

            loop = asyncio.get_running_loop()
            packet = await asyncio.wait_for(loop.sock_recv(elsewhere, 2048), 5)
            assert packet[0] >> 6 == 2
        await eventually(lambda: len(edge.calls.told("connected", leg)) == 2)
        await phone.command("hangup")
        await eventually(lambda: edge.calls.end_of(leg))
    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


@pytest.mark.audio
async def test_both_directions_carry_sound(edge, voice_of):
    async with baresip("1001", PASSWORD, edge.port, tone=620) as phone:
        await phone.until_registered()
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("connected", leg))
        voice = voice_of(leg)

        async def we_hear_it():
            levels = await voice.levels(620)
            return levels["620"] - levels["floor"] > 20

        def it_hears_us():
            meter = ToneMeter()
            meter.hear(phone.heard())
            heard = meter.levels([880])
            return heard["880"] - heard["floor"] > 20

        await eventually(we_hear_it, within_s=8)
        speaking = asyncio.create_task(voice.speak(880, seconds=10))
        await eventually(it_hears_us, within_s=8)
        speaking.cancel()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await phone.until("CALL_CLOSED")
