"""How many streams a far end may send: as many as it needs one after another, not endlessly many at once."""

import struct

import pytest
from fakes.clock import ScriptedClock
from fakes.waiting import eventually
from fakes.webrtc import caller

from bridges.transport import sdp
from bridges.transport.port import PortConfig, WebRtcPort
from bridges.transport.sealing import MediaArena
from bridges.transport.ssrcs import IDLE_S, LIMIT, Ssrcs


def full(now=0.0):
    made = Ssrcs()
    made.spoke(range(LIMIT), now)
    return made


def test_at_the_limit_a_new_one_waits_until_another_was_silent_for_a_while():
    ssrcs = full()
    assert not ssrcs.may_speak(99, IDLE_S - 0.1)
    assert ssrcs.may_speak(99, IDLE_S)
    assert ssrcs.may_speak(3, 0.0)


def test_the_one_silent_for_longest_is_forgotten_and_those_that_speak_stay():
    ssrcs = full()
    ssrcs.spoke([0, 1], IDLE_S)
    assert ssrcs.spoke([99], IDLE_S) == [2]
    assert len(ssrcs) == LIMIT
    assert all(ssrcs.may_speak(one, IDLE_S) for one in (0, 1, 99))


def test_asking_alone_forgets_nothing():
    ssrcs = full()
    for forged in range(1000, 2000):
        assert ssrcs.may_speak(forged, IDLE_S)
        assert ssrcs.spoke([], IDLE_S) == []
    assert len(ssrcs) == LIMIT


def test_many_new_ones_in_one_batch_get_no_more_places_than_there_are():
    ssrcs = Ssrcs()
    ssrcs.spoke([1, 2, 3], 0.0)
    admitted = [one for one in range(100, 300) if ssrcs.may_speak(one, 0.0)]
    assert admitted == list(range(100, 100 + LIMIT - 3))
    assert ssrcs.spoke(admitted, 0.0) == []
    assert all(ssrcs.may_speak(one, 0.0) for one in (1, 2, 3, *admitted))


def test_many_new_ones_in_one_batch_take_the_place_of_silent_ones_alone():
    ssrcs = full()
    ssrcs.spoke(range(10), IDLE_S)
    admitted = [one for one in range(100, 300) if ssrcs.may_speak(one, IDLE_S)]
    assert len(admitted) == LIMIT - 10
    assert ssrcs.spoke(admitted, IDLE_S) == list(range(10, LIMIT))
    assert len(ssrcs) == LIMIT


@pytest.mark.parametrize("by_batch", [False, True])
async def test_an_encoder_that_begins_anew_a_hundred_times_is_heard_each_time(
    monkeypatch, by_batch
):
    heard = []
    clock = ScriptedClock()
    async with (
        WebRtcPort(PortConfig(), clock, lambda _: None) as port,
        caller(400.0, monkeypatch=monkeypatch) as browser,
    ):
        offer = sdp.read_audio_offer(await browser.offer())
        peer = port.open(
            offer.dtls,
            is_server=offer.we_are_server,
            deliver=lambda packet: heard.append(packet[8:12]),
            deliver_batch=(lambda batch: heard.extend(one[8:12] for one in batch.packets()))
            if by_batch
            else None,
            deliver_rtcp=lambda _: None,
        )
        await browser.accept(
            sdp.write_audio_answer(
                offer,
                sdp.LocalSide(
                    credentials=peer.credentials,
                    fingerprints=peer.fingerprints,
                    address=port.address,
                    is_server=peer.is_server,
                    sends=False,
                    receives=True,
                ),
            )
        )
        await eventually(lambda: heard)
        (sender,) = browser.pc.getSenders()
        sealer = sender.transport._tx_srtp
        take = _batches_to(peer) if by_batch else peer.take_media
        for ssrc in range(1, 101):
            peer.alive_at += IDLE_S
            take(sealer.protect(struct.pack("!BBHII", 0x80, 0, 1, 0, ssrc) + b"frame"))
            assert struct.pack("!I", ssrc) in heard
        assert len(peer._ssrcs) == LIMIT
        crowded = port.counts.crowded
        for ssrc in range(1, 101 - LIMIT):
            take(sealer.protect(struct.pack("!BBHII", 0x80, 0, 2, 0, ssrc) + b"frame"))
        assert port.counts.crowded > crowded


def _batches_to(peer):
    def take(packet):
        arena = MediaArena.holding([packet])
        peer.take_batch(arena, [0])

    return take
