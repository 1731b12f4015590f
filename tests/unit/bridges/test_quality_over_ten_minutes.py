"""Ten minutes of the engine's own time over bad paths, through real sockets: 5 % loss, 40 ms of jitter, a clock 200 ppm
fast, each alone and all together.

Four talkers with a listener each. What a listener is sent is compared with what its talker said, every 10 seconds:

- *delay*: where the cross-correlation with the clean voice is highest, in a half second of voice;
- *likeness*: how high it is there. A half second has 25 frames. 5 % loss makes 1¼ of them up, so if made-up frames were
  nothing like the lost ones the correlation would be √(1 − 0.05) ≈ 0.97 on average, and 0.92 where four are lost; a
  change of delay by a frame inside the window splits it in two parts that cannot both be in step: at worst √½ ≈ 0.7.
  Hence a median of 0.95 and no window below 0.6;
- *clicks*: no step between two samples larger than 1.25 times the largest one of the clean voice.
"""

import numpy as np
import pytest
from fakes.paths import Path as BadPath
from fakes.paths import delay_of, speech
from fakes.rtp import EngineBench, Phone

from bridges.audio.g711 import DECODE, ENCODE, FRAME, Law

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECOND = 50
TICKS = 600 * SECOND
SPEECH_S = 60
PATHS = {
    "loss": {"loss": 0.05},
    "jitter": {"jitter_s": 0.04},
    "drift": {"drift_ppm": 200},
    "all": {"loss": 0.05, "jitter_s": 0.04, "drift_ppm": 200},
}
WINDOW = SECOND // 2
LONGEST = 3200
"""Samples: a delay of more than 400 ms would not be found."""


class Talk:
    """A talker at the end of a bad path, and who listens."""

    def __init__(self, bench: EngineBench, name: str, coded: np.ndarray, **path: float) -> None:
        self.path = BadPath(TICKS + 2 * SECOND, **path)
        self._frames = coded.reshape(-1, FRAME)
        self.talker = bench.add(f"{name}-talker", Phone(), call=name)
        self.listener = bench.add(f"{name}-listener", Phone(), call=name)
        self.heard: list[bytes] = []

    def speak(self, tick: int) -> None:
        for number in self.path.come(tick).tolist():
            self.talker.sequence, self.talker.timestamp = number, number * FRAME
            payload = self._frames[number % len(self._frames)].tobytes()
            self.talker.send(self.talker.packet(payload))

    def listen(self) -> None:
        sock = self.listener.socket
        while True:
            try:
                packet = sock.recv(2048)
            except BlockingIOError:
                return
            if packet[1] & 0x7F == 0:
                self.heard.append(packet[12:])

    def samples(self) -> np.ndarray:
        return DECODE[Law.PCMU][np.frombuffer(b"".join(self.heard), np.uint8)]


@pytest.fixture(scope="module")
def clean():
    said = speech(SPEECH_S)
    return DECODE[Law.PCMU][ENCODE[Law.PCMU][said.view(np.uint16)]]


@pytest.fixture(scope="module")
def talks(clean, tmp_path_factory):
    coded = ENCODE[Law.PCMU][clean.view(np.uint16)]
    with EngineBench(tmp_path_factory.mktemp("recordings")) as bench:
        made = {name: Talk(bench, name, coded, **path) for name, path in PATHS.items()}
        for tick in range(1, TICKS + 1):
            for talk in made.values():
                talk.speak(tick)
            bench.tick()
            for talk in made.values():
                talk.listen()
        assert bench.counts.failed_ticks == 0
        meters = {one.leg_id: one for one in bench.engine.snapshot().meters()}
    return made, meters


def windows(talk, clean):
    """(tick, delay in ms, likeness) every ten seconds, at the next half second of voice."""
    heard, found = talk.samples(), []
    for begin in range(10 * SECOND, TICKS - 5 * SECOND, 10 * SECOND):
        tick = next(t for t in range(begin, TICKS, 5) if _is_voice(heard, t))
        piece = heard[(tick - WINDOW) * FRAME : tick * FRAME]
        end = int(talk.path.spoken(tick))
        at = np.arange(end - len(piece) - LONGEST, end) % len(clean)
        samples, alike = delay_of(piece, clean[at], LONGEST)
        found.append((tick, samples / 8, alike))
    return found


def _is_voice(heard, tick):
    frames = heard[(tick - WINDOW) * FRAME : tick * FRAME].reshape(WINDOW, FRAME).astype(float)
    return (frames.std(axis=1) > 300).mean() > 0.8


@pytest.mark.parametrize("name", PATHS)
def test_a_packet_goes_out_every_tick(talks, name):
    made, _ = talks
    assert len(made[name].heard) == TICKS


@pytest.mark.parametrize("name", PATHS)
def test_the_delay_does_not_grow(talks, clean, name):
    made, _ = talks
    delays = np.array([delay for _, delay, _ in windows(made[name], clean)])
    assert delays.max() <= (60 if name in {"loss", "drift"} else 110)
    half = len(delays) // 2
    assert abs(np.median(delays[half:]) - np.median(delays[:half])) <= 20


@pytest.mark.parametrize("name", PATHS)
def test_what_is_heard_is_what_was_said(talks, clean, name):
    made, _ = talks
    alike = np.array([alike for _, _, alike in windows(made[name], clean)])
    assert np.median(alike) >= 0.95
    assert alike.min() >= 0.6


@pytest.mark.parametrize("name", PATHS)
def test_nothing_clicks(talks, clean, name):
    made, _ = talks
    largest = np.abs(np.diff(clean.astype(int))).max()
    assert np.abs(np.diff(made[name].samples().astype(int))).max() <= 1.25 * largest


def test_a_drift_alone_loses_nothing(talks):
    _, meters = talks
    assert meters["drift-talker"].concealed == 0
    assert meters["drift-talker"].lost == 0


def test_the_meters_tell_of_the_paths(talks):
    _, meters = talks
    assert meters["loss-talker"].lost == pytest.approx(0.05 * TICKS, rel=0.15)
    assert meters["all-talker"].concealed >= meters["all-talker"].lost * 0.9
    assert meters["jitter-talker"].jitter_ms > 5 > meters["drift-talker"].jitter_ms
    assert meters["jitter-talker"].concealed < 0.02 * TICKS
