"""RTP phones on loopback, and an audio engine whose time the test owns.

The kernel hands a loopback datagram over before `sendto` returns, so a step of phones and engine needs no waiting.
"""

import socket
import struct
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from fakes.clock import ScriptedClock
from numpy.typing import NDArray

from bridges.audio.codecs.book import CodecBook
from bridges.audio.config import AudioConfig, RadioCodec
from bridges.audio.counts import Counts
from bridges.audio.engine import TICK_S, AudioEngine
from bridges.audio.events import Output
from bridges.audio.g711 import Law, decode, encode
from bridges.audio.inbox import PacketInbox, RadioInbox
from bridges.audio.recorder import Recorder
from bridges.audio.sounds import SoundLibrary
from commhub.ports.media import AudioFormat, MediaOrder, RecordedFile, RtpAddress, RtpRemote
from simulators.tones import Tone, ToneMeter

FRAME = 160
_NAMES = {Law.PCMU: ("PCMU", 0), Law.PCMA: ("PCMA", 8)}
DTMF_TYPE = 101


class Phone:
    """A far end with one tone of its own; `packets` are the last step's, headers and all."""

    def __init__(
        self, frequency: float = 400.0, law: Law = Law.PCMU, *, host: str = "127.0.0.1"
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.host = host
        self.law = law
        self.tone = Tone(frequency)
        self.meter = ToneMeter()
        self.packets: list[bytes] = []
        self.reports: list[bytes] = []
        self.heard = 0
        self.sequence = 65_530
        self.timestamp = 0xFFFF_FF00
        self.ssrc = 0x1000 + self.port
        self.goal: tuple[str, int] | None = None

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def audio(self) -> AudioFormat:
        name, payload_type = _NAMES[self.law]
        return AudioFormat(encoding=name, payload_type=payload_type, dtmf_payload_type=DTMF_TYPE)

    def remote(self, *, sends: bool = True, receives: bool = True) -> RtpRemote:
        """What its SDP says."""
        address = RtpAddress(self.host, self.port)
        return RtpRemote(address=address, audio=self.audio, sends=sends, receives=receives)

    def packet(self, payload: bytes | None = None, *, kind: int | None = None) -> bytes:
        """The next packet, without sending it: its tone, or another payload."""
        if payload is None:
            payload = encode(self.tone.take(FRAME), self.law)
        kind = _NAMES[self.law][1] if kind is None else kind
        head = struct.pack(
            "!BBHII", 0x80, kind, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        )
        self.sequence += 1
        self.timestamp += FRAME
        return head + payload

    def send(self, packet: bytes) -> None:
        assert self.goal is not None, "not connected"
        self.socket.sendto(packet, self.goal)

    def speak(self) -> None:
        """Send 20 ms of the tone."""
        self.send(self.packet())

    def listen(self) -> None:
        """Take in what came. A neighbour's RTCP may come to an audio port here: test ports are not in pairs."""
        self.packets = []
        while True:
            try:
                packet = self.socket.recv(2048)
            except BlockingIOError:
                break
            is_report = len(packet) > 1 and 192 <= packet[1] <= 223
            (self.reports if is_report else self.packets).append(packet)
        for packet in self.packets:
            self.heard += 1
            self.meter.hear(decode(packet[12:], self.law))

    def levels(self, *frequencies: float) -> list[float]:
        """The level of each frequency over the noise floor, in dB."""
        found = self.meter.levels(frequencies)
        return [found[f"{frequency:g}"] - found["floor"] for frequency in frequencies]

    def hears(self, frequency: float) -> bool:
        """At least −20 dBFS of it in the last second."""
        return self.meter.levels([frequency])[f"{frequency:g}"] > -20

    def lacks(self, frequency: float) -> bool:
        """Less than −42 dBFS of it: 30 dB under a tone that is heard."""
        return self.meter.levels([frequency])[f"{frequency:g}"] < -42

    def close(self) -> None:
        self.socket.close()


class AtOnce(Executor):
    """Work that is done when it is asked for, so that a test knows in which tick."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def, override]  # as Executor's
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asks for the result
            future.set_exception(error)
        return future


class EngineBench:
    """An engine with scripted time, and its phones."""

    def __init__(
        self, folder: Path, *, codecs: CodecBook | None = None, **settings: object
    ) -> None:
        self.clock = ScriptedClock()
        self.counts = Counts()
        self.inbox = RadioInbox(self.counts)
        self.packets = PacketInbox(self.counts)
        self.stored: list[RecordedFile] = []
        base: dict[str, object] = {
            "recordings": folder,
            "port_min": 24000,
            "port_max": 24999,
            "radio_codec": RadioCodec.PCMA,
        }
        self.config = AudioConfig(**(base | settings))  # type: ignore[arg-type]  # the test's own
        self.recorder = Recorder(folder, self.clock, self.counts, self.stored.append)
        self.prompts = folder / "prompts"
        self.engine = AudioEngine(
            self.config,
            self.inbox,
            self.recorder,
            self.counts,
            100,
            packets=self.packets,
            codecs=codecs,
            sounds=SoundLibrary(self.prompts, AtOnce()),
        )
        self.phones: dict[str, Phone] = {}
        self.outputs: list[Output] = []

    def __enter__(self) -> Self:
        self.recorder.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.recorder.close()
        self.engine.close()
        for phone in self.phones.values():
            phone.close()

    def add(self, leg: str, phone: Phone, *, call: str = "c1", near: bool = True) -> Phone:
        """Connect a phone as a leg."""
        ipv6 = ":" in phone.host
        order = MediaOrder(call_id=call, leg_id=leg, near_signalling=near, ipv6=ipv6)
        address = self.engine.reserve(order)
        phone.goal = (address.host, address.port)
        self.phones[leg] = phone
        self.engine.connect(leg, phone.remote())
        return phone

    def remove(self, leg: str) -> None:
        self.engine.release(leg)
        self.phones.pop(leg).close()

    def tick(self) -> list[Output]:
        """One tick of the engine alone."""
        self.clock.advance(TICK_S)
        outputs = self.engine.tick(self.clock.monotonic())
        self.outputs += outputs
        return outputs

    def run(self, ticks: int, *, silent: Sequence[str] = ()) -> None:
        """Let everybody but the `silent` speak, and everybody listen, for so many ticks."""
        for _ in range(ticks):
            for leg, phone in self.phones.items():
                if leg not in silent:
                    phone.speak()
            self.tick()
            for phone in self.phones.values():
                phone.listen()

    def told(self, kind: type[Output]) -> list[Output]:
        """What the engine told, of one kind."""
        return [output for output in self.outputs if isinstance(output, kind)]


def tone_samples(
    frequency: float, count: int = 8000, level_dbfs: float = -12.0
) -> NDArray[np.int16]:
    """A piece of a sine."""
    return Tone(frequency, level_dbfs).take(count)
