"""The WebRTC port against aiortc's own client: what is said comes back encrypted, and strangers get nothing."""

import asyncio
import os
import socket
import struct
from random import Random

import pytest
from aioice import stun
from fakes.clock import ScriptedClock
from fakes.waiting import eventually
from fakes.webrtc import caller

from bridges.transport import private, sdp
from bridges.transport.batch import source_key
from bridges.transport.port import PortConfig, WebRtcPort
from bridges.transport.stun import Credentials, answer_check, local_ufrag
from commhub.domain.errors import UnavailableError

SSRC = struct.pack("!I", 0xC0FFEE)


class Echo:
    """A WebRTC port that says back whatever it hears, under its own SSRC and sequence."""

    def __init__(self, clock, **config):
        self.gone = []
        self.heard = []
        self.rtcp = []
        self.port = WebRtcPort(PortConfig(**config), clock, self.gone.append)
        self.peer = None

    def answer(self, text, *, listens=True):
        offer = sdp.read_audio_offer(text)

        def deliver(packet):
            self.heard.append(packet)
            self.peer.send(packet[:8] + SSRC + packet[12:])

        self.peer = self.port.open(
            offer.dtls,
            is_server=offer.we_are_server,
            deliver=deliver,
            deliver_rtcp=self.rtcp.append,
        )
        return self.describe(offer, listens=listens)

    def describe(self, offer, *, listens=True):
        return sdp.write_audio_answer(
            offer,
            sdp.LocalSide(
                credentials=self.peer.credentials,
                fingerprints=self.peer.fingerprints,
                address=self.port.address,
                is_server=self.peer.is_server,
                sends=offer.receives,
                receives=offer.sends and listens,
            ),
        )


@pytest.fixture
async def clock():
    return ScriptedClock()


@pytest.fixture
async def echo(clock):
    made = Echo(clock)
    async with made.port:
        yield made


@pytest.fixture
async def browser(monkeypatch):
    async with caller(400.0, monkeypatch=monkeypatch) as made:
        yield made


def stranger():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def check(credentials, *, password=None, nominate=False):
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{credentials.ufrag}:abcd"
    if nominate:
        request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity((password or credentials.password).encode())
    return bytes(request)


def test_every_name_we_borrow_from_aiortc_and_pylibsrtp_is_still_there():
    assert private.missing_names() == []


async def test_a_voice_goes_in_and_comes_back_over_one_port(echo, browser):
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: browser.is_connected)
    await eventually(lambda: browser.hears(400))
    assert echo.port.counts.handshakes == 1
    assert echo.port.counts.refused_packets == 0
    await eventually(lambda: echo.rtcp)


async def test_a_waiting_far_end_is_served_by_our_client_hello(echo, browser):
    offer = (await browser.offer()).replace("a=setup:actpass", "a=setup:passive")
    await browser.accept(echo.answer(offer))
    assert echo.peer.is_server is False
    await eventually(lambda: len(echo.heard) > 10)


async def test_a_listener_is_answered_sendonly(echo, browser):
    answer = echo.answer(await browser.offer(), listens=False)
    assert "a=sendonly" in answer
    assert "a=ice-lite" in answer


async def test_a_far_end_that_vanishes_is_gone_after_the_consent_time(echo, browser, clock):
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: browser.is_connected)
    clock.advance(14)
    echo.port.end_vanished()
    assert echo.gone == []
    clock.advance(100)
    echo.port.end_vanished()
    assert echo.gone == [echo.peer]
    assert echo.port.peers == 0


async def test_an_offer_nobody_follows_up_is_forgotten(echo, browser, clock):
    echo.answer(await browser.offer())
    assert echo.port.peers == 1
    clock.advance(16)
    echo.port.end_vanished()
    assert echo.port.peers == 0


async def test_new_ice_credentials_keep_the_keys_and_the_sound(echo, browser):
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: browser.is_connected)
    before, keys = echo.peer.credentials, echo.peer._keys
    echo.port.restart(echo.peer)
    assert echo.peer.credentials != before
    with stranger() as sock:
        assert echo.peer.take_check(check(before), sock.getsockname(), 0.0) is None
        sock.sendto(check(echo.peer.credentials, nominate=True), echo.port.address)
        await eventually(lambda: echo.peer.goal == sock.getsockname())
    assert echo.peer._keys is keys
    assert echo.peer.is_connected


async def test_a_check_from_a_stranger_gets_no_answer_and_leaves_nothing_behind(echo, browser):
    echo.answer(await browser.offer())
    with stranger() as sock:
        for _ in range(500):
            sock.sendto(check(Credentials()), echo.port.address)
        for _ in range(100):
            sock.sendto(check(echo.peer.credentials, password="wrong"), echo.port.address)
        counts = echo.port.counts
        await eventually(lambda: counts.unknown_checks + counts.forged_checks >= 600)
        with pytest.raises(BlockingIOError):
            sock.recv(2048)
    assert echo.peer.addresses == []
    assert echo.port._by_address == {}


async def test_hostile_datagrams_are_counted_and_the_call_goes_on(echo, browser):
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: browser.is_connected)
    counts = echo.port.counts
    junk = [
        b"",
        b"\x00",
        b"\x00\x01" + b"\xff" * 40,
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
        b"\x16\xfe\xfd" + os.urandom(60),
        b"\x80\x6f" + os.urandom(90),
        b"\x80\xc8" + os.urandom(30),
        b"\x50" * 20,
        b"\xff" * 20,
        bytes([0x80]) + os.urandom(3000),
    ]
    with stranger() as sock:
        for datagram in junk * 20:
            sock.sendto(datagram, echo.port.address)
        await eventually(lambda: counts.strangers + counts.unknown_checks >= 20 * len(junk))
        # The same from a proven address: an insider who is no better than noise.
        sock.sendto(check(echo.peer.credentials), echo.port.address)
        await eventually(lambda: sock.getsockname() in echo.peer.addresses)
        heard = len(echo.heard)
        for datagram in junk * 20:
            sock.sendto(datagram, echo.port.address)
        await eventually(lambda: counts.refused_packets >= 40)
    assert echo.peer.is_connected
    await eventually(lambda: len(echo.heard) > heard + 10)


async def test_no_flood_of_noise_breaks_the_port_or_grows_it(echo, browser):
    """20,000 datagrams of every kind, from strangers and from a proven address, in process."""
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: browser.is_connected)
    random = Random(7)
    insider = ("127.0.0.1", 9)

    def receive(datagram, source):
        echo.port._arena.put(0, datagram, source_key(*source))
        echo.port.take(1)

    receive(check(echo.peer.credentials), insider)
    for n in range(20_000):
        noise = bytearray(random.randbytes(random.choice((0, 1, 11, 12, 20, 60, 200, 1400))))
        if noise:
            noise[0] = random.choice((0, 1, 3, 16, 20, 22, 63, 64, 127, 128, 144, 191, 192, 255))
        receive(bytes(noise), insider if n % 2 else ("192.0.2.1", n))
        if n % 500 == 0:
            await asyncio.sleep(0)
    counts = echo.port.counts
    assert counts.strangers + counts.unknown_checks + counts.shapeless > 10_000
    assert counts.refused_packets > 500
    assert echo.peer.addresses.count(insider) == 1
    assert len(echo.port._by_address) <= 8
    await eventually(lambda: len(echo.peer._ssrcs) == 1)
    heard = len(echo.heard)
    await eventually(lambda: len(echo.heard) > heard + 10)
    assert echo.peer.is_connected


async def test_media_before_the_handshake_is_kept_and_heard(echo, browser):
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: len(echo.heard) > 5)
    peer, keys = echo.peer, echo.peer._keys
    peer._keys = None
    await eventually(lambda: len(peer._early) > 3)
    kept, before = len(peer._early), len(echo.heard)
    peer._use(keys)
    assert len(echo.heard) == before + kept
    assert peer._early == []


async def test_a_replayed_packet_is_heard_once(echo, browser):
    kept = []
    await browser.accept(echo.answer(await browser.offer()))
    take, peer = echo.peer.take_media, echo.peer

    def spy(packet):
        kept.append(packet)
        take(packet)

    peer.take_media = spy
    await eventually(lambda: len(kept) > 10)
    refused = echo.port.counts.refused_packets
    take(kept[-1])
    assert echo.port.counts.refused_packets == refused + 1


async def test_a_full_port_refuses_the_next_offer_in_words(clock, browser):
    echo = Echo(clock, max_peers=1)
    async with echo.port:
        offer = await browser.offer()
        echo.answer(offer)
        with pytest.raises(UnavailableError, match="no room"):
            echo.answer(offer)


async def test_the_goodbye_reaches_the_far_end(echo, browser):
    await browser.accept(echo.answer(await browser.offer()))
    await eventually(lambda: browser.is_connected)
    echo.port.close(echo.peer)
    await eventually(lambda: not browser.is_connected)


def test_a_check_is_answered_only_with_the_right_password():
    ours = Credentials()
    assert local_ufrag(check(ours)) == ours.ufrag
    answered = answer_check(check(ours, nominate=True), ours, ("192.0.2.7", 4000))
    assert answered is not None
    assert answered.nominated
    response = stun.parse_message(answered.answer)
    assert response.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.7", 4000)
    assert response.check_message_integrity(ours.password.encode())
    assert answer_check(check(ours, password="no"), ours, ("192.0.2.7", 4000)) is None


def test_no_datagram_breaks_the_reading_of_checks():
    ours = Credentials()
    good = check(ours)
    for cut in range(len(good)):
        local_ufrag(good[:cut])
        assert answer_check(good[:cut], ours, ("192.0.2.7", 4000)) is None
    signed = len(good) - 8  # the fingerprint that follows the signature is not covered by it
    for at in range(signed):
        bad = bytearray(good)
        bad[at] ^= 0xFF
        local_ufrag(bytes(bad))
        assert answer_check(bytes(bad), ours, ("192.0.2.7", 4000)) is None, at
