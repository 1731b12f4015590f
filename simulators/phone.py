"""A SIP phone on pyVoIP: registers, rings, answers by itself or by command, speaks a tone, measures what it hears.

    python -m simulators.phone --user 1001 --password … --server 127.0.0.1:5060 --sip-port 5071 \\
        --rtp-low 30000 --rtp-high 30019 --tone 440 --listen 440,880 --http-port 8071

`GET /state`; `POST /do/…`: mode {"mode": "auto"|"ring"|"busy"|"decline"}, talk {"on": true}, answer, hangup,
dial {"number": "1002"}. It is silent until told to talk, so that a voice-operated key can be shown.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from pyVoIP.VoIP import CallState

from simulators.page import create_page, serve
from simulators.softphone import Line, Pcm, Softphone
from simulators.tones import RATE, Tone, ToneMeter

MODES = ("auto", "ring", "busy", "decline")
_REFUSALS = {"busy": "486 Busy Here", "decline": "603 Decline"}
_SILENT_AFTER_S = 0.25


class Voice:
    """The tone when talking, silence otherwise. Read by the RTP thread, switched by the page."""

    def __init__(self, frequency: float) -> None:
        self._tone = Tone(frequency)
        self.on = False

    def take(self, samples: int) -> Pcm:
        return self._tone.take(samples) if self.on else np.zeros(samples, np.int16)


class Ear:
    """What came in the last second. Where no packet came it was silent, which the meter must hear, too."""

    def __init__(self) -> None:
        self._meter = ToneMeter()
        self._lock = threading.Lock()
        self._heard_at = time.monotonic()
        self.packets = 0

    def hear(self, pcm: Pcm) -> None:
        with self._lock:
            self._catch_up()
            self._meter.hear(pcm)
            self.packets += 1

    def _catch_up(self) -> None:
        now = time.monotonic()
        gap = now - self._heard_at
        if gap > _SILENT_AFTER_S:
            self._meter.hear(np.zeros(int(min(gap, 1.0) * RATE), np.int16))
        self._heard_at = now

    def levels(self, frequencies: list[float]) -> dict[str, float]:
        with self._lock:
            if time.monotonic() - self._heard_at > _SILENT_AFTER_S:
                self._catch_up()
            return self._meter.levels(frequencies)


class Phone:
    """The phone on the page: at most one call at a time, a second one finds it busy."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._voice = Voice(options.tone)
        self._ear = Ear()
        self._call: Any = None
        self._lock = threading.Lock()
        self.mode: str = options.mode
        host, _, port = options.server.rpartition(":")
        line = Line(
            server=(host, int(port)),
            user=options.user,
            password=options.password,
            host=options.host,
            sip_port=options.sip_port,
            rtp_ports=(options.rtp_low, options.rtp_high),
            expires_s=options.expires,
        )
        self._phone = Softphone(line, self._voice.take, self._ear.hear, self._rang)

    def start(self) -> None:
        """Register (again and again until it works) and wait for calls. Blocks during the first attempt."""
        self._phone.start()

    def stop(self) -> None:
        self._phone.stop()

    def _rang(self, call: Any) -> None:
        """In pyVoIP's own thread, a second after the INVITE came."""
        with self._lock:
            if call.state is not CallState.RINGING:
                return
            if self._is_live():
                self._phone.sip.refuse(call, _REFUSALS["busy"])
                return
            self._call = call
            if self.mode in _REFUSALS:
                self._phone.sip.refuse(call, _REFUSALS[self.mode])
            elif self.mode == "auto":
                call.answer()

    def _is_live(self) -> bool:
        return self._call is not None and self._call.state is not CallState.ENDED

    # --- the page ------------------------------------------------------------------------------------------

    def state(self) -> Mapping[str, Any]:
        """What the page shows. `heard` is in dBFS per frequency of `--listen`, `floor` the spectrum's median."""
        return {
            "user": self._options.user,
            "registered": self._phone.is_registered,
            "mode": self.mode,
            "call": self._call.state.value.lower() if self._is_live() else "idle",
            "talking": self._voice.on,
            "tone": self._options.tone,
            "packets": self._ear.packets,
            "heard": self._ear.levels(self._options.listen),
        }

    async def set_mode(self, body: dict[str, Any]) -> Mapping[str, Any]:
        mode = body.get("mode")
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}")
        self.mode = mode
        return self.state()

    async def talk(self, body: dict[str, Any]) -> Mapping[str, Any]:
        self._voice.on = bool(body.get("on", not self._voice.on))
        return self.state()

    async def answer(self, body: dict[str, Any]) -> Mapping[str, Any]:
        del body
        with self._lock:
            if not self._is_live() or self._call.state is not CallState.RINGING:
                raise ValueError("nobody is calling")
            self._call.answer()
        return self.state()

    async def hang_up(self, body: dict[str, Any]) -> Mapping[str, Any]:
        del body
        with self._lock:
            if not self._is_live():
                raise ValueError("there is no call")
            if self._call.state is CallState.ANSWERED:
                self._call.hangup()
            elif self._call.state is CallState.RINGING:
                self._phone.sip.refuse(self._call, _REFUSALS["decline"])
            else:
                self._phone.sip.cancel(self._call)
        return self.state()

    async def dial(self, body: dict[str, Any]) -> Mapping[str, Any]:
        number = str(body.get("number") or "")
        if not number:
            raise ValueError('say whom to dial: {"number": "1002"}')
        with self._lock:
            if self._is_live():
                raise ValueError("there is a call already")
            self._call = self._phone.call(number)
        return self.state()


def _frequencies(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part.strip()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulators.phone", description=__doc__)
    parser.add_argument("--user", required=True, help="account at the hub")
    parser.add_argument("--password", required=True)
    parser.add_argument("--server", default="127.0.0.1:5060", help="the hub, host:port")
    parser.add_argument("--host", default="127.0.0.1", help="this phone's own address")
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--rtp-low", type=int, required=True)
    parser.add_argument("--rtp-high", type=int, required=True)
    parser.add_argument("--tone", type=float, default=440.0, help="its voice, Hz")
    parser.add_argument("--listen", type=_frequencies, default=[], help="voices to look for, Hz,Hz")
    parser.add_argument("--mode", choices=MODES, default="auto", help="what it does when it rings")
    parser.add_argument("--expires", type=int, default=120, help="seconds a registration lasts")
    parser.add_argument("--http-port", type=int, required=True)
    return parser.parse_args()


async def main() -> None:
    """Run the phone and its page until the process is told to stop."""
    options = _options()
    phone = Phone(options)
    page = create_page(
        f"Phone {options.user}",
        phone.state,
        {
            "mode": phone.set_mode,
            "talk": phone.talk,
            "answer": phone.answer,
            "hangup": phone.hang_up,
            "dial": phone.dial,
        },
    )
    starting = asyncio.create_task(asyncio.to_thread(phone.start))
    try:
        await serve(page, "127.0.0.1", options.http_port)
    finally:
        await starting
        phone.stop()


if __name__ == "__main__":
    asyncio.run(main())
