"""Anything at all, to every port of the engine: nothing reaches the tick but counts, and nobody else is disturbed.

A seeded mutator damages true packets of every kind a leg may have, because near misses go deeper than noise.
COMMHUB_FUZZ_PACKETS says how many (100,000; a million take less than a minute).
"""

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakes.rtp import DTMF_TYPE, EngineBench, Phone

from bridges.audio import rtcp
from bridges.audio.g711 import Law
from commhub.ports.media import AudioFormat, MediaOrder, RtpRemote, SrtpKeys

PACKETS = int(os.environ.get("COMMHUB_FUZZ_PACKETS", "100000"))
A_TICK = 160
DROPS = ("malformed", "strangers", "unwanted", "flooded", "undecodable", "srtp_failed")
KEYS = SrtpKeys(
    suite="AES_CM_128_HMAC_SHA1_80",
    local_key="WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
    remote_key="PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR",
)
FORMATS = {
    "plain": AudioFormat(encoding="PCMU", payload_type=0, dtmf_payload_type=DTMF_TYPE),
    "long": AudioFormat(encoding="PCMA", payload_type=8, ptime_ms=30, comfort_noise=True),
    "g722": AudioFormat(encoding="G722", payload_type=9, dtmf_payload_type=DTMF_TYPE),
    "opus": AudioFormat(encoding="opus", payload_type=96, clock_rate=48000),
}


class Hostile:
    """The far end of a leg, and what it might send: every kind of true packet, more or less damaged."""

    def __init__(self, phone: Phone, kind: int, dice: random.Random) -> None:
        self.phone = phone
        self._kind = kind
        self._dice = dice
        self._ssrcs = [phone.ssrc, phone.ssrc, phone.ssrc, dice.getrandbits(32)]

    def packet(self) -> bytes:
        dice = self._dice
        made = self._report() if dice.random() < 0.15 else self._audio()
        if dice.random() < 0.6:
            made = self._damage(made)
        return made

    def _audio(self) -> bytes:
        dice, phone = self._dice, self.phone
        phone.sequence += dice.choice((0, 1, 1, 1, 1, 2, -3, dice.getrandbits(15)))
        phone.timestamp += dice.choice((0, 160, 160, 160, 240, -480, 77, dice.getrandbits(31)))
        kind = dice.choice((self._kind, self._kind, self._kind, 0, 8, 13, DTMF_TYPE, 77, 96))
        first = dice.choice((0x80, 0x80, 0x80, 0x80, 0x90, 0xA0, 0x83, 0xB5))
        head = struct.pack(
            "!BBHII", first, kind | dice.choice((0, 0, 0x80)), phone.sequence & 0xFFFF,
            phone.timestamp & 0xFFFFFFFF, dice.choice(self._ssrcs),
        )  # fmt: skip
        return head + dice.randbytes(dice.choice((160, 160, 160, 0, 1, 4, 80, 240, 480, 1388)))

    def _report(self) -> bytes:
        dice = self._dice
        sender = rtcp.SenderInfo(dice.getrandbits(64), 1, 2, 3) if dice.random() < 0.5 else None
        block = rtcp.ReportBlock(
            dice.getrandbits(32), dice.getrandbits(8), dice.getrandbits(20), dice.getrandbits(32),
            dice.getrandbits(32), dice.getrandbits(32), dice.getrandbits(32),
        )  # fmt: skip
        name = rtcp.cname(dice.randbytes(dice.randrange(256)))
        made = rtcp.write_report(dice.choice(self._ssrcs), sender, block, name)
        return made + rtcp.write_bye(self.phone.ssrc, name) if dice.random() < 0.2 else made

    def _damage(self, packet: bytes) -> bytes:
        dice, made = self._dice, bytearray(packet)
        for _ in range(dice.randrange(1, 5)):
            if made:
                # Headers decide more than payloads.
                at = dice.randrange(min(len(made), dice.choice((4, 16, 64, 2048))))
                made[at] = dice.choice(
                    (0, 0xFF, dice.getrandbits(8), made[at] ^ 1 << dice.randrange(8))
                )
        cut = dice.random()
        if cut < 0.2:
            return bytes(made[: dice.randrange(len(made) + 1)])
        return bytes(made) + dice.randbytes(dice.randrange(1400)) if cut < 0.25 else bytes(made)


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


def hostile_legs(bench, dice) -> Iterator[tuple[Hostile, bool]]:
    """A leg of every kind, each with its far end, and whether that has no socket."""
    for name, audio in FORMATS.items():
        for near in (True, False):
            phone = bench.add(f"{name}-{near}", Phone(), call=f"{name}-{near}", near=near)
            bench.engine.connect(f"{name}-{near}", replace(phone.remote(), audio=audio))
            yield Hostile(phone, audio.payload_type, dice), False
        plugged, order = Phone(), MediaOrder(call_id=name, leg_id=f"{name}-plugged")
        bench.phones[order.leg_id] = plugged
        bench.engine.plug(order, audio)
        yield Hostile(plugged, audio.payload_type, dice), True
    muxed = bench.add("muxed", Phone(), call="muxed")
    bench.engine.connect("muxed", RtpRemote(
        address=muxed.remote().address, audio=FORMATS["plain"], rtcp_mux=True,
    ))  # fmt: skip
    yield Hostile(muxed, 0, dice), False
    sealed = bench.add("sealed", Phone(), call="sealed")
    bench.engine.connect("sealed", replace(sealed.remote(), srtp=KEYS))
    yield Hostile(sealed, 0, dice), False
    stranger = bench.phones["stranger"] = Phone(host="127.0.0.9")
    stranger.goal = muxed.goal
    yield Hostile(stranger, 0, dice), False


@pytest.mark.timeout(300)
def test_whatever_comes_is_counted_and_disturbs_nobody(bench):
    dice = random.Random(20)
    one, two = bench.add("one", Phone(400)), bench.add("two", Phone(700, Law.PCMA))
    ends = list(hostile_legs(bench, dice))
    shared = one.goal[1]
    sent = 0
    while sent < PACKETS:
        for _ in range(A_TICK):
            (end, is_plugged) = dice.choice(ends)
            packet = end.packet()
            if is_plugged:
                leg = next(name for name, phone in bench.phones.items() if phone is end.phone)
                bench.packets.put(leg, packet)
            else:
                host, port = end.phone.goal
                # More than a visit takes from a leg's own odd port would be dropped by the kernel, uncounted.
                odd = 0.1 if port == shared else 0.003
                end.phone.socket.sendto(packet, (host, port + (dice.random() < odd)))
            sent += 1
        one.speak(), two.speak()
        sent += 2
        bench.tick()
        bench.outputs.clear()
        one.listen(), two.listen()
    for _ in range(60):
        # The legs' own odd ports are visited in turn.
        bench.tick()
    counts = bench.counts.as_dict()
    assert counts["received"] == sent
    assert counts["received"] == counts["accepted"] + sum(counts[drop] for drop in DROPS)
    assert all(counts[drop] > sent / 2000 for drop in DROPS), counts
    assert counts["accepted"] > sent / 10
    assert counts["reports_received"] > sent / 1000
    ours = {one.leg_id: one for one in bench.engine.snapshot().meters()}
    assert (ours["one"].lost, ours["two"].lost) == (0, 0)
    assert two.hears(400)
    assert one.hears(700)
