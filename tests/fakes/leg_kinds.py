"""Far ends of every kind of leg, alike from outside: join a call, speak 20 ms of a tone, listen, measure.

A new kind of leg is one class here with the methods of `FarEnd` and one line in `KINDS`; the matrix
(tests/unit/bridges/test_leg_matrix.py) then shows it against each other kind.
"""

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from fakes.rtp import EngineBench, Phone
from fakes.secure_phone import SecurePhone
from numpy.typing import NDArray

from bridges.audio.codecs.codec import Codec
from bridges.audio.codecs.g722 import G722
from bridges.audio.codecs.opus import Opus
from bridges.audio.events import FloorAnswer, FrameOut, PacketOut
from bridges.audio.g711 import Law, decode, encode
from commhub.ports.media import AudioFormat, MediaOrder
from commhub.ports.voice import VoiceFrame
from simulators.tones import ToneMeter

TICK_MS = 20
_HEAD = struct.Struct("!BBHII")


class WideTone:
    """An endless sine at 16 kHz."""

    def __init__(self, frequency: float, level_dbfs: float = -12.0) -> None:
        self._frequency = frequency
        self._amplitude = 32767 * 10 ** (level_dbfs / 20)
        self._at = 0

    def take(self, samples: int) -> NDArray[np.int16]:
        times = np.arange(self._at, self._at + samples) / 16000
        self._at += samples
        return (self._amplitude * np.sin(2 * np.pi * self._frequency * times)).astype(np.int16)


class Ear:
    """Measures the last second, of 8 or 16 kHz: everything a test looks for lies under 4 kHz."""

    def __init__(self) -> None:
        self.meter = ToneMeter()
        self.samples: list[NDArray[np.int16]] = []

    def take(self, samples: NDArray[np.int16], rate: int) -> None:
        self.samples.append(samples)
        self.meter.hear(samples[:: rate // 8000])

    def over_floor(self, frequency: float) -> float:
        """In dB."""
        found = self.meter.levels([frequency])
        return found[f"{frequency:g}"] - found["floor"]

    def level(self, frequency: float) -> float:
        """In dBFS."""
        return self.meter.levels([frequency])[f"{frequency:g}"]


class FarEnd(Protocol):
    """One leg's other side. `ear` is what it heard."""

    ear: Ear

    def join(self, bench: EngineBench, leg: str, call: str) -> None: ...
    def begin(self) -> None:
        """Get ready to speak: a radio presses its key."""

    def speak(self) -> None:
        """Say the next 20 ms."""

    def listen(self) -> None:
        """Take in what came with the last tick."""

    def close(self) -> None: ...


class G711End:
    """A SIP phone."""

    def __init__(
        self, frequency: float, law: Law, ptime_ms: int = 20, phone: Phone | None = None
    ) -> None:
        self.phone = phone or Phone(frequency, law)
        self.ear = Ear()
        self._ptime_ms = ptime_ms
        self._waiting = 0
        self.sizes: set[int] = set()

    def join(self, bench: EngineBench, leg: str, call: str) -> None:
        remote = self.phone.remote()
        remote = replace(remote, audio=replace(remote.audio, ptime_ms=self._ptime_ms))
        address = bench.engine.reserve(MediaOrder(call_id=call, leg_id=leg))
        self.phone.goal = (address.host, address.port)
        bench.engine.connect(leg, remote)

    def begin(self) -> None: ...

    def speak(self) -> None:
        self._waiting += TICK_MS
        while self._waiting >= self._ptime_ms:
            self._waiting -= self._ptime_ms
            size = 8 * self._ptime_ms
            packet = self.phone.packet(encode(self.phone.tone.take(size), self.phone.law))
            self.phone.timestamp += size - 160
            self.phone.send(packet)

    def listen(self) -> None:
        self.phone.listen()
        for packet in self.phone.packets:
            self.sizes.add(len(packet) - 12)
            self.ear.take(decode(packet[12:], self.phone.law), 8000)

    def close(self) -> None:
        self.phone.close()


class _Stream:
    """RTP of a codec that is not G.711, both ways, without a way to send it."""

    def __init__(self, codec: Codec, frequency: float, ptime_ms: int) -> None:
        self.codec = codec
        self.ptime_ms = ptime_ms
        self.audio = AudioFormat(
            encoding=codec.encoding,
            payload_type=96,
            clock_rate=codec.clock_rate,
            ptime_ms=ptime_ms,
            dtmf_payload_type=101,
            fmtp="useinbandfec=1",
        )
        self._tone = WideTone(frequency)
        self._encoder = codec.encoder(ptime_ms, codec.settings(self.audio.fmtp))
        self._decoder = codec.decoder()
        self._waiting = 0
        self.sequence = 65_500
        self.timestamp = 0xFFFF_FFFF - 30 * codec.clock_rate // 1000

    def packets(self) -> list[bytes]:
        """What is whole after 20 ms more."""
        self._waiting += TICK_MS
        made = []
        while self._waiting >= self.ptime_ms:
            self._waiting -= self.ptime_ms
            payload = self._encoder.encode(self._tone.take(16 * self.ptime_ms))
            head = _HEAD.pack(0x80, 96, self.sequence, self.timestamp, 0x5151)
            made.append(head + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.timestamp += self.codec.clock_rate * self.ptime_ms // 1000
            self.timestamp &= 0xFFFF_FFFF
        return made

    def decoded(self, packet: bytes) -> NDArray[np.int16]:
        return self._decoder.decode(packet[12:])


class LaneEnd:
    """A SIP phone with a wideband codec. `packets` are those of the last tick."""

    def __init__(
        self, frequency: float, codec: Codec, ptime_ms: int = 20, phone: Phone | None = None
    ) -> None:
        self.phone = phone or Phone(frequency)
        self.ear = Ear()
        self.packets: list[bytes] = []
        self.stream = _Stream(codec, frequency, ptime_ms)

    def join(self, bench: EngineBench, leg: str, call: str) -> None:
        address = bench.engine.reserve(MediaOrder(call_id=call, leg_id=leg))
        self.phone.goal = (address.host, address.port)
        bench.engine.connect(leg, replace(self.phone.remote(), audio=self.stream.audio))

    def begin(self) -> None: ...

    def speak(self) -> None:
        for packet in self.stream.packets():
            self.phone.send(packet)

    def listen(self) -> None:
        self.packets = []
        while True:
            try:
                self.packets.append(self.phone.socket.recv(2048))
            except BlockingIOError:
                break
        for packet in self.packets:
            if packet[1] & 0x7F == 96:
                self.ear.take(self.stream.decoded(packet), 16000)

    def close(self) -> None:
        self.phone.close()


class PluggedEnd:
    """A leg without a socket, as a browser is: packets by the inbox and as outputs."""

    def __init__(self, frequency: float, codec: Codec) -> None:
        self.ear = Ear()
        self._stream = _Stream(codec, frequency, 20)
        self._read = 0

    def join(self, bench: EngineBench, leg: str, call: str) -> None:
        self._bench, self._leg = bench, leg
        bench.engine.plug(MediaOrder(call_id=call, leg_id=leg), self._stream.audio)

    def begin(self) -> None: ...

    def speak(self) -> None:
        for packet in self._stream.packets():
            self._bench.packets.put(self._leg, packet)

    def listen(self) -> None:
        for out in self._bench.outputs[self._read :]:
            is_mine = isinstance(out, PacketOut) and out.leg_id == self._leg
            if is_mine and out.packet[1] & 0x7F == 96:
                self.ear.take(self._stream.decoded(out.packet), 16000)
        self._read = len(self._bench.outputs)

    def close(self) -> None: ...


class RadioEnd:
    """A radio in a group that is a leg of the call."""

    def __init__(self, frequency: float, codec: str, duration_ms: int) -> None:
        self.ear = Ear()
        self._codec = codec
        self._duration_ms = duration_ms
        self._tone = WideTone(frequency)
        self._opus = Opus()
        self._encoder = self._opus.encoder(60, self._opus.settings(""))
        self._decoder = self._opus.decoder()
        self._waiting = self._sequence = self._read = 0
        self._talk_id: int | None = None

    def join(self, bench: EngineBench, leg: str, call: str) -> None:
        self._bench, self._name, self._group = bench, f"r-{leg}", f"g-{leg}"
        bench.engine.join_group(call, leg, self._group)

    def begin(self) -> None:
        message = {"op": "request", "group": self._group}
        self._bench.inbox.floor_received(self._name, message)
        self._bench.tick()
        answers = [
            out.message
            for out in self._bench.told(FloorAnswer)
            if isinstance(out, FloorAnswer) and out.device_id == self._name
        ]
        assert answers[-1]["op"] == "granted", answers
        self._talk_id = int(str(answers[-1]["talk_id"]))

    def speak(self) -> None:
        assert self._talk_id is not None, "begin first"
        self._waiting += TICK_MS
        if self._waiting < self._duration_ms:
            return
        self._waiting = 0
        samples = self._tone.take(16 * self._duration_ms)
        if self._codec == "OPUS":
            clock, payload = 48, self._encoder.encode(samples)
        else:
            law = Law.PCMA if self._codec == "PCMA" else Law.PCMU
            clock, payload = 8, encode(np.ascontiguousarray(samples[::2]), law)
        stamp = self._sequence * self._duration_ms * clock
        frame = VoiceFrame(
            self._codec, self._duration_ms, self._talk_id, self._sequence, stamp, payload
        )
        self._sequence += 1
        self._bench.inbox.frame_received(self._name, self._group, frame)

    def listen(self) -> None:
        for out in self._bench.outputs[self._read :]:
            if isinstance(out, FrameOut) and out.group == self._group:
                self._hear(out.frame)
        self._read = len(self._bench.outputs)

    def _hear(self, frame: VoiceFrame) -> None:
        if frame.talk_id == self._talk_id:
            return
        if frame.codec == "OPUS":
            self.ear.take(self._decoder.decode(frame.payload), 16000)
        else:
            self.ear.take(decode(frame.payload, Law.PCMA), 8000)

    def close(self) -> None: ...


KINDS: dict[str, Callable[[float], FarEnd]] = {
    "PCMU": lambda tone: G711End(tone, Law.PCMU),
    "PCMA": lambda tone: G711End(tone, Law.PCMA),
    "PCMA-30ms": lambda tone: G711End(tone, Law.PCMA, 30),
    "G722": lambda tone: LaneEnd(tone, G722()),
    "G722-10ms": lambda tone: LaneEnd(tone, G722(), 10),
    "Opus": lambda tone: LaneEnd(tone, Opus()),
    "Opus-60ms": lambda tone: LaneEnd(tone, Opus(), 60),
    "PCMA-SRTP": lambda tone: G711End(tone, Law.PCMA, phone=SecurePhone(tone, Law.PCMA)),
    "Opus-SRTP": lambda tone: LaneEnd(tone, Opus(), phone=SecurePhone(tone)),
    "browser": lambda tone: PluggedEnd(tone, Opus()),
    "radio-PCMA": lambda tone: RadioEnd(tone, "PCMA", 20),
    "radio-Opus": lambda tone: RadioEnd(tone, "OPUS", 60),
}
"""Every kind of leg, made with the frequency it speaks with."""
