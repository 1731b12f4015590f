"""Radios beside the phones: groups over a real broker, half of them spoken to by a radio, half by their call.

Every call of the load is joined by one group of `PER_GROUP` radios. In the first half of the groups a radio has the
floor and speaks Opus of 60 ms; in the other half the call does (the dispatcher's key), and what the hub publishes is
decoded and measured. The first group carries marks from its radio to a quiet call, the last one from a marked call to
its radios.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import paho.mqtt.client as mqtt
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.audio.load import LOUD, MARK_EVERY, RADIO_TONE, Mark
from commhub.ports.voice import VoiceFrame
from devices import frames
from devices.topics import Topics

TENANT = "bench"
PER_GROUP = 10
RATE = 16_000
FRAME_MS = 60
SAMPLES = RATE * FRAME_MS // 1000
_STEPS = FRAME_MS
_MARK_EVERY_FRAMES = MARK_EVERY * 20 // FRAME_MS + 1
_CLOCK = 48_000 * FRAME_MS // 1000
"""Opus counts at 48 kHz whatever it carries (RFC 7587 §4.1)."""


class Broker:
    """A mosquitto of our own on `core`, open to everybody on this machine."""

    def __init__(self, core: int, port: int) -> None:
        self.port = port
        self._folder = TemporaryDirectory()
        settings = Path(self._folder.name, "mosquitto.conf")
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "max_queued_messages 10000\n"
        )
        # A package may put it where only root looks.
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), "mosquitto", "-c", str(settings)],
            env={**os.environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._folder.cleanup()


@dataclass(slots=True)
class RadioReport:
    """`codecs`: how many frames of which codec came from calls. `loudest_hz`: what the groups that calls speak to
    heard most, by group."""

    granted: int = 0
    sent: int = 0
    received: int = 0
    codecs: dict[str, int] = field(default_factory=dict)
    loudest_hz: dict[int, float] = field(default_factory=dict)
    marks_sent: list[Mark] = field(default_factory=list)
    marks_heard: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Radios:
    """`groups` groups on the broker at `port`, run on `core`."""

    groups: int
    core: int
    port: int

    def spoken_by_radio(self, group: int) -> bool:
        return group < self.groups // 2

    def run(self, seconds: float, pipe: Connection) -> None:
        """Take the floors, send "speaking", speak and listen for so long; sends the report."""
        os.sched_setaffinity(0, {self.core})
        field_ = _Field(self)
        field_.take_floors()
        pipe.send("speaking")
        pipe.send(field_.converse(seconds))


def group_name(group: int) -> str:
    return f"g{group}"


class _Field:
    """All radios as one client: the broker's fan-out to each is not what is measured."""

    def __init__(self, radios: Radios) -> None:
        self._radios = radios
        self._topics = Topics(TENANT)
        self.report = RadioReport()
        self._talk_ids: dict[int, int] = {}
        self._granted = threading.Event()
        self._decoders: dict[int, AudioCodecContext] = {}
        self._heard: dict[int, deque[NDArray[np.float32]]] = {}
        self._deaf_until = 0.0
        self._tone, self._marks = _encoded(_tone()), _encoded(_marks())
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_message = self._arrived
        self._client.on_socket_open = _at_once
        self._client.connect("127.0.0.1", radios.port)
        self._client.subscribe([(self._topics.every("d/+/dn/floor"), 1)])
        self._client.subscribe(
            [
                (self._topics.speech(group_name(group)), 0)
                for group in range(radios.groups)
                if not radios.spoken_by_radio(group)
            ]
        )
        self._client.loop_start()

    def take_floors(self) -> None:
        """Every radio is told of; one of each spoken group asks for the floor and gets it."""
        for group in range(self._radios.groups // 2):
            request = {"op": "request", "group": group_name(group), "priority": "normal"}
            topic = self._topics.up(_device(group, 0), "floor")
            self._client.publish(topic, json.dumps(request), qos=1)
        assert self._granted.wait(10), "the floors were not granted"

    def converse(self, seconds: float) -> RadioReport:
        start = time.monotonic()
        frame = 0
        while time.monotonic() - start < seconds:
            for step in range(_STEPS):
                ahead = start + (frame * _STEPS + step) / 1000 - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                for group in range(step, self._radios.groups // 2, _STEPS):
                    self._speak(group, frame)
            frame += 1
        self._client.disconnect()
        self._client.loop_stop()
        for group, pieces in self._heard.items():
            self.report.loudest_hz[group] = _loudest(np.concatenate(pieces))
        return self.report

    def _speak(self, group: int, frame: int) -> None:
        voice = self._marks if group == 0 else self._tone
        if group == 0 and frame % _MARK_EVERY_FRAMES == 0:
            self.report.marks_sent.append((group, time.monotonic()))
        speech = VoiceFrame(
            codec="OPUS",
            duration_ms=FRAME_MS,
            talk_id=self._talk_ids[group],
            sequence=frame,
            timestamp=frame * _CLOCK,
            payload=voice[frame % len(voice)],
        )
        topic = self._topics.speech_up(_device(group, 0), group_name(group))
        self._client.publish(topic, frames.encode(speech), qos=0)
        self.report.sent += 1

    def _arrived(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        now = time.monotonic()
        if message.topic.endswith("/dn/floor"):
            self._floor_arrived(json.loads(message.payload))
            return
        group = int(message.topic.split("/")[-2][1:])
        speech = frames.decode(bytes(message.payload))
        self.report.received += 1
        codecs = self.report.codecs
        codecs[speech.codec] = codecs.get(speech.codec, 0) + 1
        if speech.codec == "OPUS":
            self._listen(group, speech.payload, now)

    def _floor_arrived(self, answer: dict[str, object]) -> None:
        if answer.get("op") != "granted":
            return
        self._talk_ids[int(str(answer["group"])[1:])] = int(str(answer["talk_id"]))
        self.report.granted = len(self._talk_ids)
        if len(self._talk_ids) == self._radios.groups // 2:
            self._granted.set()

    def _listen(self, group: int, payload: bytes, now: float) -> None:
        decoder = self._decoders.get(group)
        if decoder is None:
            decoder = self._decoders[group] = _opus_context("r")
            self._heard[group] = deque(maxlen=16)
        for decoded in decoder.decode(av.Packet(bytes(payload))):
            raw = decoded.to_ndarray().reshape(-1)
            scale = 32768 if raw.dtype == np.int16 else 1
            samples = raw.astype(np.float32) / np.float32(scale)
            self._heard[group].append(samples)
            loud = np.flatnonzero(np.abs(samples) > LOUD / 2 / 32768)
            if group == self._radios.groups - 1 and len(loud) and now > self._deaf_until:
                self.report.marks_heard.append((group, now + float(loud[0]) / decoded.sample_rate))
                self._deaf_until = now + 0.2


def _at_once(_client: object, _data: object, sock: Any) -> None:
    """Nagle's algorithm would hold speech back."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _device(group: int, place: int) -> str:
    return f"r{group}-{place}"


def _opus_context(mode: str) -> AudioCodecContext:
    context = av.CodecContext.create("libopus", mode)  # type: ignore[call-overload]  # `mode` is a variable here
    context.sample_rate = RATE if mode == "w" else 48_000
    context.layout = "mono"
    context.format = "s16"
    assert isinstance(context, AudioCodecContext)
    return context


def _encoded(samples: NDArray[np.int16]) -> list[bytes]:
    """The samples as Opus packets of 60 ms, to be sent round and round."""
    encoder = _opus_context("w")
    encoder.bit_rate = 24_000
    encoder.options = {"frame_duration": str(FRAME_MS), "application": "voip"}
    packets: list[bytes] = []
    for start in range(0, len(samples), SAMPLES):
        piece = np.ascontiguousarray(samples[start : start + SAMPLES]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def _tone() -> NDArray[np.int16]:
    at = np.arange(SAMPLES * 50) / RATE
    return np.asarray(8000 * np.sin(2 * np.pi * RADIO_TONE * at), np.int16)


def _marks() -> NDArray[np.int16]:
    """Twenty milliseconds of a loud buzz at the begin of every `_MARK_EVERY_FRAMES`th frame, else silence."""
    samples = np.zeros(SAMPLES * _MARK_EVERY_FRAMES, np.int16)
    buzz = np.arange(RATE // 50) // 8 % 2
    samples[: len(buzz)] = np.where(buzz, 20000, -20000)
    return samples


def _loudest(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return round(float(np.argmax(spectrum)) * 48_000 / len(samples), 1)
