"""linphone against the real gateway: over UDP, TCP and TLS, keys of both kinds, texts, transfers, keys of SRTP."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.desk import RecordingDigits, RecordingReports
from fakes.linphone import linphone
from fakes.sipp_phones import PASSWORD, registered
from fakes.waiting import eventually
from fakes.web import someone

from commhub.domain.call import TALKING, Cause, LegState
from gateways.sip.core import Inward

each = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
TONE = 700


@asynccontextmanager
async def phone(edge, transport="udp", certificate="", **more):
    """A linphone that has registered as 1001."""
    port = edge.gateway.tls_port if transport == "tls" else edge.port
    options = {"transport": transport, "authority": certificate, **more}
    async with linphone("1001", PASSWORD, port, **options) as peer:
        await peer.until_registered()
        yield peer


async def dialled(edge, peer):
    """(leg, the phone's own number of the call) of a call that the phone makes and the hub answers."""
    own = await peer.dial("2000")
    await eventually(lambda: edge.calls.offers)
    leg = edge.calls.offers[0].leg_id
    await edge.gateway.answer(leg)
    await peer.until_call("StreamsRunning")
    return leg, own


@each
async def test_it_registers_is_called_and_hung_up_by_the_desk(edge, certificate, transport):
    async with phone(edge, transport, certificate, answers=True) as peer:
        (binding,) = await edge.bindings("1001")
        leg = await edge.call("1001")
        await peer.until_call("StreamsRunning")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until_call("End")

    assert binding.transport == transport.upper()
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.told("ended", leg) == []


async def test_it_proves_itself_by_sha_256_alone(edge):
    edge.config = replace(edge.config, digest_algorithms=("SHA-256",))
    await edge.restart()
    async with phone(edge) as peer:
        leg, _ = await dialled(edge, peer)
        await eventually(lambda: edge.calls.told("connected", leg))


@each
async def test_it_dials_holds_resumes_and_hangs_up(edge, certificate, transport):
    async with phone(edge, transport, certificate) as peer:
        leg, own = await dialled(edge, peer)
        await peer.tell("call-pause")
        await peer.until_call("Paused")
        assert edge.calls.told("held", leg)
        await peer.tell(f"call-resume {own}")
        await eventually(lambda: edge.calls.states(leg)[-1] == "connected")
        await peer.until_call("StreamsRunning", times=2)
        await peer.tell("terminate")
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)


async def test_it_gives_up_while_it_rings(edge):
    async with phone(edge) as peer:
        await peer.dial("2000")
        await eventually(lambda: edge.calls.offers)
        await peer.until_call("OutgoingRinging")
        await peer.tell("terminate")
        leg = edge.calls.offers[0].leg_id
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg)[0] is Cause.CANCELLED


@pytest.mark.audio
async def test_its_voice_is_heard(edge, voice_of):
    async with phone(edge) as peer:
        leg, _ = await dialled(edge, peer)
        await peer.play(TONE)
        voice = voice_of(leg)

        async def is_heard():
            levels = await voice.levels(TONE)
            return levels[f"{TONE}"] > levels["floor"] + 20

        await eventually(is_heard, within_s=8)


@each
async def test_a_text_is_a_report(edge, certificate, transport):
    reports = RecordingReports()
    edge.more = Inward(reports=reports)
    await edge.restart()
    async with phone(edge, transport, certificate) as peer:
        await peer.tell(f"message {peer.address_of('2000')} 地下通道进水")
        await eventually(lambda: reports.submitted)

    (report,) = reports.submitted
    assert (report.text, report.reporter) == ("地下通道进水", "sip:1001")


async def test_keys_by_info_arrive_once_each(edge):
    digits = RecordingDigits()
    edge.more = Inward(digits=digits)
    await edge.restart()
    async with phone(edge, digits="info") as peer:
        leg, _ = await dialled(edge, peer)
        for digit in "5#":
            await peer.tell(f"dtmf {digit}")
        await eventually(lambda: digits.pressed == [(leg, "5"), (leg, "#")])


async def test_keys_as_telephone_events_arrive_in_the_voice(edge):
    """The payload type that was agreed and the event's number (RFC 4733 §2.3); the engine's reading of them has its
    own tests."""
    async with phone(edge) as peer:
        leg, _ = await dialled(edge, peer)
        agreed = edge.media.connected[leg].audio.dtmf_payload_type
        sock = edge.media.socket_of(leg)
        sock.setblocking(False)
        await peer.tell("dtmf 5")
        async with asyncio.timeout(5):
            while True:
                packet = await asyncio.get_running_loop().sock_recv(sock, 2048)
                if packet[0] >> 6 == 2 and packet[1] & 0x7F == agreed:
                    break

    assert packet[12] == 5


@pytest.mark.parametrize(
    ("name", "codec"), [("opus/48000/2", "opus"), ("G722/8000/1", "G722"), ("PCMU/8000/1", "PCMU")]
)
async def test_it_talks_in_each_codec(edge, name, codec):
    async with phone(edge) as peer:
        await peer.tell("audio-codec-disable ALL")
        await peer.tell(f"audio-codec-enable {name}")
        leg, _ = await dialled(edge, peer)

        assert edge.calls.told("connected", leg) == [("connected", leg, codec)]


async def test_with_keys_in_its_description_it_talks_srtp(edge):
    async with phone(edge) as peer:
        await peer.tell("media-encryption srtp")
        leg, _ = await dialled(edge, peer)

        assert edge.media.connected[leg].srtp is not None
        await peer.tell("terminate")
        await eventually(lambda: edge.calls.end_of(leg))


# --- transfers -------------------------------------------------------------------------------------------------


async def test_it_hands_a_call_on_without_asking(hub):
    async with (
        registered(hub.edge, "answer", user="1002") as other,
        registered(hub.edge, "answer_slowly", user="1003") as third,
        phone(hub.edge, answers=True) as peer,
    ):
        call, _ = await hub.place("1002", "1001")
        await peer.until_call("StreamsRunning")
        await peer.tell(f"call-transfer 1 {peer.address_of('1003')}")

        async def is_handed_on():
            return await hub.live() == {call: {"1002", "1003"}}

        await eventually(is_handed_on, within_s=8)
        assert (await hub.legs(call))["1001"][0] is LegState.ENDED
        await hub.calls.end(call, someone())
        await other.finish()
        await third.finish()


async def test_it_joins_its_two_calls_after_asking(hub):
    async with (
        registered(hub.edge, "answer", user="1002") as first,
        registered(hub.edge, "answer", user="1003") as second,
        phone(hub.edge) as peer,
    ):
        held = await peer.dial("1002")
        await peer.until_call("StreamsRunning")
        await peer.tell("call-pause")
        await peer.until_call("Paused")
        asked = await peer.dial("1003")
        await peer.until_call("StreamsRunning", times=2)
        await peer.tell(f"call-transfer {held} {asked}")

        async def are_joined():
            return {"1002", "1003"} in (await hub.live()).values()

        await eventually(are_joined, within_s=8)
        (call,) = await hub.live()
        legs = await hub.legs(call)
        assert {name for name, (state, _) in legs.items() if state in TALKING} == {"1002", "1003"}
        await hub.calls.end(call, someone())
        await first.finish()
        await second.finish()
