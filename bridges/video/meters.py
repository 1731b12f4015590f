"""What control is told of layers and views every two seconds: rates of the last second, made of counters that only grow."""

from collections import deque

_WINDOW_S = 1.0


class Rates:
    """Per second, of growing counters read several times a second. Seconds, monotonic."""

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._readings: deque[tuple[float, int, int]] = deque()

    def read(self, octets: int, frames: int, now: float) -> None:
        """The counters as they are now; ones that went back (the stream began anew) begin anew here too."""
        readings = self._readings
        if readings and (octets < readings[-1][1] or frames < readings[-1][2]):
            readings.clear()
        readings.append((now, octets, frames))
        while len(readings) > 2 and readings[1][0] <= now - self._window_s:
            readings.popleft()

    @property
    def kbps(self) -> float:
        """0 until there are two readings."""
        begun, ended, lasted = self._ends()
        return (ended[1] - begun[1]) * 8 / 1000 / lasted if lasted else 0.0

    @property
    def fps(self) -> float:
        begun, ended, lasted = self._ends()
        return (ended[2] - begun[2]) / lasted if lasted else 0.0

    def _ends(self) -> tuple[tuple[float, int, int], tuple[float, int, int], float]:
        if len(self._readings) < 2:
            return (0.0, 0, 0), (0.0, 0, 0), 0.0
        begun, ended = self._readings[0], self._readings[-1]
        return begun, ended, ended[0] - begun[0]


def round_trip_ms(received_at: int, last_report: int, delay: int) -> float | None:
    """From a report block (RFC 3550 §6.4.1), all in 65,536ths of a second: our time when it came, `lsr` and `dlsr`.
    None where the far end has not heard a report of ours, or says what cannot be."""
    if not last_report:
        return None
    units = received_at - last_report - delay & 0xFFFFFFFF
    # More than 20 s the other way round: a clock that runs ahead, not a path.
    return units * 1000 / 65536 if units < 20 << 16 else None
