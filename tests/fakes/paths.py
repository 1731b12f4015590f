"""Bad networks, scripted: which packet comes when, for a sender whose clock is not ours; and a voice to send."""

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.02
RATE = 8000


class Path:
    """Packet n is sent after n frames of the sender's clock, which runs `drift_ppm` fast; it takes up to `jitter_s`
    (evenly spread) and is lost with the probability `loss`."""

    def __init__(
        self, packets: int, *, loss: float = 0.0, jitter_s: float = 0.0, drift_ppm: float = 0.0,
        seed: int = 1,
    ) -> None:  # fmt: skip
        dice = np.random.default_rng(seed)
        self.rate = 1 + drift_ppm * 1e-6
        sent = np.arange(packets) * FRAME_S / self.rate
        # In the middle of a tick, so that the clocks of both sides begin half a frame apart.
        arrives = sent + 0.01 + dice.random(packets) * jitter_s
        arrives[dice.random(packets) < loss] = np.inf
        self.arrives = arrives
        self._order = np.argsort(arrives, kind="stable")
        self._next = 0

    def come(self, tick: int) -> NDArray[np.int64]:
        """The numbers of the packets that came since the last tick, in the order in which they came."""
        begin = self._next
        now = tick * FRAME_S
        while self._next < len(self._order) and self.arrives[self._order[self._next]] <= now:
            self._next += 1
        return self._order[begin : self._next]

    def spoken(self, tick: int) -> float:
        """Samples the sender has spoken by then."""
        return tick * FRAME_S * self.rate * RATE


def speech(seconds: int, seed: int = 5) -> NDArray[np.int16]:
    """Something like speech: voiced syllables of a wandering pitch with two formants, some noisy consonants, pauses.
    No two seconds are alike."""
    dice = np.random.default_rng(seed)
    count = seconds * RATE
    knots = np.arange(0, count + RATE, RATE // 4)
    at = np.arange(count)
    pitch = np.interp(at, knots, 120 + 40 * dice.standard_normal(len(knots)).clip(-1, 1.5))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [
        np.interp(at, knots, low + high * dice.random(len(knots)))
        for low, high in ((300.0, 500.0), (900.0, 1200.0))
    ]
    voiced = np.zeros(count)
    for harmonic in range(1, 16):
        at_hz = harmonic * pitch
        gain = sum(np.exp(-(((at_hz - one) / 180) ** 2)) for one in formants) + 0.05 / harmonic
        voiced += gain * np.sin(harmonic * phase)
    loud = dice.choice([0.0, 0.5, 0.8, 1.0], len(knots), p=[0.25, 0.2, 0.25, 0.3])
    hiss = dice.choice([0.0, 0.15], len(knots), p=[0.8, 0.2])
    noise = np.diff(dice.standard_normal(count + 1))
    made = voiced * np.interp(at, knots, loud) + noise * np.interp(at, knots, hiss)
    return np.asarray(9000 * made / np.abs(made).max() * 2, np.int16)


def delay_of(heard: NDArray[np.int16], clean: NDArray[np.int16], longest: int) -> tuple[int, float]:
    """By how many samples `heard` is behind the end of `clean` (which is `longest` samples longer), and how alike
    they are there (−1…1)."""
    one, other = heard.astype(float), clean.astype(float)
    size = 1 << (len(other) + len(one)).bit_length()
    found = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size)), size)
    found = found[: longest + 1]
    power = np.concatenate(([0.0], np.cumsum(other**2)))
    energy = power[len(one) : len(one) + longest + 1] - power[: longest + 1]
    alike = found / np.sqrt(energy * (one @ one) + 1)
    best = int(alike.argmax())
    return longest - best, float(alike[best])
