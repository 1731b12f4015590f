"""Media by the batch: opened where it was received, for far ends that want it so."""

import os
import socket

import pytest
from fakes.clock import ScriptedClock
from fakes.waiting import eventually
from fakes.webrtc import caller

from bridges.transport import sdp
from bridges.transport.batch import source_key
from bridges.transport.port import PortConfig, WebRtcPort
from bridges.transport.sealing import is_rtcp


class Listener:
    """A port whose peer takes batches; `batches` are the packets of each in the clear."""

    def __init__(self):
        self.batches = []
        self.drained = 0
        self.reports = []
        self.port = WebRtcPort(PortConfig(), ScriptedClock(), lambda _: None)
        self.port.drained = self._note_drained
        self.peer = None

    def _note_drained(self, may_wait):
        self.drained += 1
        return not may_wait

    def answer(self, text):
        offer = sdp.read_audio_offer(text)
        self.peer = self.port.open(
            offer.dtls,
            is_server=offer.we_are_server,
            deliver_rtcp=self.reports.append,
            deliver_batch=self._take,
        )
        return sdp.write_audio_answer(
            offer,
            sdp.LocalSide(
                credentials=self.peer.credentials,
                fingerprints=self.peer.fingerprints,
                address=self.port.address,
                is_server=self.peer.is_server,
                sends=False,
                receives=True,
            ),
        )

    def _take(self, batch):
        assert set(batch.ssrcs.tolist()) == {int.from_bytes(batch.packets()[0][8:12], "big")}
        assert [len(packet) for packet in batch.packets()] == batch.sizes.tolist()
        self.batches.append(batch.packets())

    @property
    def sequences(self):
        return [int.from_bytes(one[2:4], "big") for batch in self.batches for one in batch]


@pytest.fixture
async def listener():
    made = Listener()
    async with made.port:
        yield made


@pytest.fixture
async def browser(monkeypatch):
    async with caller(400.0, monkeypatch=monkeypatch) as made:
        yield made


async def test_packets_come_in_the_clear_in_order_and_each_batch_is_told_the_end_of(
    listener, browser
):
    await browser.accept(listener.answer(await browser.offer()))
    await eventually(lambda: len(listener.sequences) > 20)
    first = listener.sequences[0]
    seen = [one - first & 0xFFFF for one in listener.sequences]
    assert seen == list(range(len(seen)))
    assert listener.drained >= len(listener.batches)
    assert listener.port.counts.refused_packets == 0
    await eventually(lambda: listener.reports)


async def test_what_comes_before_the_keys_is_one_batch_when_they_are_there(listener, browser):
    await browser.accept(listener.answer(await browser.offer()))
    await eventually(lambda: len(listener.sequences) > 5)
    peer, keys = listener.peer, listener.peer._keys
    peer._keys = None
    await eventually(lambda: len(peer._early) > 3)
    kept, before = len(peer._early), len(listener.batches)
    peer._use(keys)
    assert len(listener.batches) == before + 1
    assert len(listener.batches[-1]) == kept


async def test_forged_and_repeated_packets_of_a_batch_are_left_out(listener, browser):
    await browser.accept(listener.answer(await browser.offer()))
    await eventually(lambda: len(listener.sequences) > 5)
    port, peer = listener.port, listener.peer
    source = source_key(*peer.goal)
    kept = []
    original = port.take

    def watch(count):
        sizes = port._arena.sizes(count)
        kept.extend(port._arena.data[row, : sizes[row]].tobytes() for row in range(count))
        original(count)

    port.take = watch

    def media():
        return [one for one in kept if one[0] >= 128 and not is_rtcp(one[1])]

    await eventually(media)
    port.take = original
    packet = media()[0]
    forged = packet[:-1] + bytes([packet[-1] ^ 1])
    refused, taken = port.counts.refused_packets, len(listener.sequences)
    for row, one in enumerate((packet, forged, packet[:20], b"\x80\x60" + os.urandom(5))):
        port._arena.put(row, one, source)
    port.take(4)
    assert port.counts.refused_packets == refused + 4
    assert len(listener.sequences) == taken


async def test_the_reader_is_asked_for_more_only_while_something_comes(listener):
    """What is kept for its rest is told of again at once, and for the last time when nothing more came."""
    asked = []

    def drained(may_wait):
        asked.append(may_wait)
        return not may_wait

    listener.port.drained = drained
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\x80" * 20, listener.port.address)
        await eventually(lambda: asked)
    assert asked[0]
    assert not asked[-1]
    assert asked.count(False) == 1
    assert len(asked) <= 5
