"""A radio: it asks for the floor, speaks with its own tone while it has it, and measures what it hears.

    python -m simulators.radio --id r12 --secret … --group patrol-1 --tone 1250 --listen 440,880 --lat 31.2311 --lon 121.4752 --http-port 9112

It speaks Opus of 60 ms, or with `--codec pcma` A-law of 20 ms, and understands both.
`POST /do/ptt {"down": true, "emergency"?: true}` presses the key, `{"down": false}` lets go.
"""

import asyncio
import json
import struct
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators import opus, pcma
from simulators.field import Commands, FieldDevice, base_parser, together
from simulators.page import create_page, serve
from simulators.telemetry import Telemetry, add_arguments
from simulators.tones import RATE, Tone, ToneMeter

_HEADER = struct.Struct("!BBBBIII")
_VERSION = 1
_OPUS = 1
_PCMA = 2
_PCMA_MS = 20


class _Voice(Protocol):
    """What it speaks with: a tone, frame by frame."""

    code: int
    duration_ms: int
    clock: int

    def take(self) -> bytes: ...


class _OpusVoice:
    code = _OPUS
    duration_ms = opus.FRAME_MS
    clock = opus.CLOCK

    def __init__(self, frequency: float) -> None:
        self._tone = Tone(frequency, rate=opus.RATE)
        self._encoder = opus.Encoder()

    def take(self) -> bytes:
        return self._encoder.encode(self._tone.take(opus.SAMPLES))


class _PcmaVoice:
    code = _PCMA
    duration_ms = _PCMA_MS
    clock = RATE

    def __init__(self, frequency: float) -> None:
        self._tone = Tone(frequency)

    def take(self) -> bytes:
        return pcma.encode(self._tone.take(RATE * _PCMA_MS // 1000))


_VOICES: dict[str, Callable[[float], _Voice]] = {"opus": _OpusVoice, "pcma": _PcmaVoice}


class Radio:
    """The radio behind the page. `phase` is idle, requested, queued, talking or denied."""

    def __init__(self, options: Namespace) -> None:
        self._group: str = options.group
        self._voice = _VOICES[options.codec](options.tone)
        self._opus = opus.Decoder()
        self._heard_talk: int | None = None
        self._listens_for: list[float] = options.listen
        self._meter = ToneMeter()
        self.telemetry = Telemetry(options)
        self._phase = "idle"
        self._is_down = False
        self._talk_id: int | None = None
        self._limit_s: float | None = None
        self._queue_position: int | None = None
        self._denied: str | None = None
        self._revoked: str | None = None
        self._floor: dict[str, Any] = {"state": "idle"}
        self._floor_at = time.monotonic()
        self._sent = self._received = self._bad = 0
        self._talking: asyncio.Task[None] | None = None
        self._commands = Commands(lambda answer: self.device.say("rsp", answer))
        self.device = FieldDevice(
            options,
            {
                "model": "SIM-R1",
                "capabilities": ["ptt", "tele", "text"],
                "codecs": ["OPUS", "PCMA"],
                "groups": [self._group],
            },
            listens_to=(
                (f"d/{options.id}/dn/floor", 1),
                (f"g/{self._group}/floor", 1),
                (f"g/{self._group}/ptt", 0),
            ),
            heard=self._heard,
            lost=self._lost,
        )

    def state(self) -> Mapping[str, Any]:
        """What the page shows; levels in dBFS over the last second heard."""
        return {
            "id": self.device.id,
            "group": self._group,
            "connected": self.device.is_connected,
            "connections": self.device.connections,
            "phase": self._phase,
            "talk_id": self._talk_id,
            "limit_s": self._limit_s,
            "queue_position": self._queue_position,
            "denied": self._denied,
            "revoked": self._revoked,
            "floor": self._known_floor(),
            "frames_sent": self._sent,
            "frames_received": self._received,
            "frames_bad": self._bad,
            "samples_heard": self._meter.samples,
            "levels": self._meter.levels(self._listens_for),
            "commands": self._commands.seen,
        }

    async def press(self, body: dict[str, Any]) -> dict[str, str]:
        """Press the key or let go of it; without `down`, the other of the two."""
        if body.get("down", not self._is_down):
            emergency = bool(body.get("emergency", False))
            self._is_down = True
            self._denied = self._revoked = None
            if self._phase != "talking":
                self._phase = "requested"
            priority = "emergency" if emergency else "normal"
            self.device.say("floor", {"op": "request", "group": self._group, "priority": priority})
        else:
            self._let_go()
            self.device.say("floor", {"op": "release", "group": self._group})
        return {"phase": self._phase}

    async def clear(self, body: dict[str, Any]) -> dict[str, str]:
        """Forget what was heard, so that the next measurement is of what comes now."""
        del body
        self._meter.clear()
        return {"cleared": "levels"}

    def _let_go(self) -> None:
        self._is_down = False
        self._stop_talking()
        self._phase = "idle"
        self._queue_position = None

    def _lost(self) -> None:
        """Without the hub there is no floor; the key must be pressed anew."""
        self._let_go()
        self._floor = {"state": "idle"}

    # --- hearing -----------------------------------------------------------------------------------------

    def _heard(self, topic: str, payload: bytes) -> None:
        if topic == f"g/{self._group}/ptt":
            self._hear_frame(payload)
        elif topic == f"g/{self._group}/floor":
            self._floor = json.loads(payload) if payload else {"state": "idle"}
            self._floor_at = time.monotonic()
        elif topic.endswith("/dn/floor"):
            self._floor_answered(json.loads(payload))
        else:
            self._commands.take(json.loads(payload))

    def _hear_frame(self, data: bytes) -> None:
        if len(data) <= _HEADER.size:
            self._bad += 1
            return
        version, codec, duration_ms, _, talk_id, _, _ = _HEADER.unpack_from(data)
        if talk_id == self._talk_id:
            return
        try:
            heard = self._decode(version & 0x0F, codec, duration_ms, talk_id, data[_HEADER.size :])
        except ValueError:
            self._bad += 1
            return
        self._received += 1
        self._meter.hear(heard)

    def _decode(
        self, version: int, codec: int, duration_ms: int, talk_id: int, payload: bytes
    ) -> NDArray[np.int16]:
        """Raises ValueError for a frame that is none."""
        if version != _VERSION:
            raise ValueError("another version")
        if codec == _OPUS:
            if talk_id != self._heard_talk:
                self._heard_talk, self._opus = talk_id, opus.Decoder()
            return self._opus.decode(payload)
        if codec != _PCMA or len(payload) != RATE * duration_ms // 1000:
            raise ValueError("no codec of ours")
        return pcma.decode(payload)

    def _known_floor(self) -> Mapping[str, Any]:
        """The group's floor; a talker whose time is long over was forgotten by somebody."""
        limit = self._floor.get("limit_s")
        if limit is not None and time.monotonic() - self._floor_at > limit + 5:
            return {"state": "idle"}
        return self._floor

    # --- the floor and speaking --------------------------------------------------------------------------

    def _floor_answered(self, answer: dict[str, Any]) -> None:
        if answer.get("group") != self._group:
            return
        match answer["op"]:
            case "granted" if self._is_down:
                self._queue_position = None
                self._limit_s = answer.get("limit_s")
                if answer["talk_id"] != self._talk_id or self._phase != "talking":
                    self._stop_talking()
                    self._talk_id = answer["talk_id"]
                    self._talking = asyncio.create_task(self._talk(answer["talk_id"]))
                self._phase = "talking"
            case "granted":
                # Let go before the grant came: the release has left after the request.
                return
            case "queued" if self._is_down:
                self._phase, self._queue_position = "queued", answer["position"]
            case "denied":
                self._phase, self._denied = "denied", answer["cause"]
                self._queue_position = None
            case "revoked":
                self._stop_talking()
                self._phase, self._revoked = "idle", answer["cause"]

    def _stop_talking(self) -> None:
        if self._talking is not None:
            self._talking.cancel()
            self._talking = None

    async def _talk(self, talk_id: int) -> None:
        """Frame after frame on the grid of the clock, so that lateness does not add up."""
        loop = asyncio.get_running_loop()
        voice = self._voice
        due = loop.time()
        sequence = 0
        while True:
            stamp = sequence * voice.duration_ms * voice.clock // 1000
            header = _HEADER.pack(
                _VERSION, voice.code, voice.duration_ms, 0, talk_id, sequence, stamp
            )
            self.device.say_bytes(f"ptt/{self._group}", header + voice.take())
            self._sent += 1
            sequence += 1
            due += voice.duration_ms / 1000
            await asyncio.sleep(due - loop.time())


def _frequencies(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part]


async def run(options: Namespace) -> None:
    """Be the radio until told to stop."""
    radio = Radio(options)
    page = create_page(
        f"Radio {options.id}", radio.state, {"ptt": radio.press, "clear": radio.clear}
    )
    async with radio.device:
        await together(
            serve(page, options.http_host, options.http_port), radio.telemetry.run(radio.device)
        )


def main() -> None:
    """Read the command line and run."""
    parser = base_parser("A simulated radio")
    parser.add_argument("--group", required=True, help="the selected talk group")
    parser.add_argument("--tone", type=float, required=True, help="what it speaks with, in Hz")
    parser.add_argument("--codec", choices=sorted(_VOICES), default="opus")
    parser.add_argument(
        "--listen", type=_frequencies, default=[], help="frequencies to measure, by commas"
    )
    add_arguments(parser)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
