"""What a view's path can carry, from what its far end says: loss in receiver reports, REMB, and arrival times (TWCC).

Three signs, the most careful wins. Loss: a few percent are radio, not a full path, and are repaired by RTX; above ten the
path carries what arrived. Arrival times: when packets queue for longer and longer, the path carries what gets
through, known before anything is lost. REMB: the far end has measured itself. While all is well the estimate grows, but never far
beyond what is being sent, because more was not tried (`layers` decides when to try).
Nothing is known before the first report: `kbps` is None. Times in seconds, monotonic, told by the caller.
"""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from bridges.video.transport_cc import TransportFeedback

_FEW_LOST, _MANY_LOST = 0.04, 0.10
_GROWTH_PER_S = 1.08
_GROWTH_S = 5.0
"""Time between two reports that counts as growth; a far end that was silent for longer told nothing."""
_HEADROOM = 1.5
"""How far the estimate may be above what is sent."""
_FLOOR_KBPS = 50.0
_REMB_S = 10.0
_REMB_RISES, _REMB_FALLS = 1.02, 0.95
_STRAIN_S = 1.5
_QUEUE_LIMIT_S = 0.12
"""Of queueing delay above the path's own; a network's jitter is below it."""
_BASE_S = 10.0
"""How long the shortest delay is remembered: clocks drift, paths change."""
_BACK_OFF = 0.9
_BACK_OFF_EVERY_S = 0.3
_SENT_LIMIT = 4_096
"""Packets whose sending is remembered, a power of two: eight seconds of 1080p."""
_FEEDBACK_S = 4.0
"""How old a packet may be that feedback is about."""
_THROUGH_TICKS = 2_000
_RATE_S = 1.0


class SendRate:
    """kbit/s over the last second, in steps of a twentieth."""

    def __init__(self, window_s: float = _RATE_S) -> None:
        self._window = window_s
        self._step = window_s / 20
        self._slots: deque[tuple[int, int]] = deque()
        self._octets = 0
        self._since: float | None = None

    def add(self, octets: int, now: float) -> None:
        if self._since is None:
            self._since = now
        step = int(now / self._step)
        if self._slots and self._slots[-1][0] == step:
            self._slots[-1] = step, self._slots[-1][1] + octets
        else:
            self._slots.append((step, octets))
        self._octets += octets
        self._forget(now)

    def kbps(self, now: float) -> float:
        """0 before anything was added; of a stream that has just begun, over the time since (at least a fifth)."""
        self._forget(now)
        if self._since is None:
            return 0.0
        lasted = min(max(now - self._since, self._window / 5), self._window)
        return self._octets * 8 / 1000 / lasted

    def _forget(self, now: float) -> None:
        oldest = int(now / self._step) - 20
        while self._slots and self._slots[0][0] <= oldest:
            self._octets -= self._slots.popleft()[1]


class Estimator:
    """One view's path."""

    def __init__(self) -> None:
        self.rate = SendRate()
        self.loss = 0.0
        """The fraction lost in the last report, 0–1."""
        self._kbps: float | None = None
        self._changed_at: float | None = None
        self._strained_at: float | None = None
        self._remb: float | None = None
        self._remb_at = 0.0
        self._remb_rises = True
        self._sent_at: NDArray[np.float64] | None = None
        self._sent_octets = np.zeros(0, np.int64)
        self._delays: deque[tuple[float, float]] = deque()
        self._arrived: deque[tuple[int, int]] = deque()
        self._queue_s = 0.0

    @property
    def queue_s(self) -> float:
        """How long packets wait on the path, in seconds, as far as arrival times were told."""
        return self._queue_s

    def is_strained(self, now: float) -> bool:
        """Whether the latest reports told of a full path."""
        return self._strained_at is not None and now - self._strained_at <= _STRAIN_S

    def kbps(self, now: float) -> float | None:
        """What the path can carry; None until something was reported."""
        if self._remb is None or now - self._remb_at > _REMB_S:
            return self._kbps
        remb = max(self._remb, self.rate.kbps(now)) if self._remb_rises else self._remb
        return remb if self._kbps is None else min(self._kbps, remb)

    def limit_kbps(self, now: float) -> float | None:
        """What the path has shown not to exceed: what its far end measured, or the estimate while packets are lost or
        queue; None while nothing speaks against more (the estimate of a clean path is only what was tried)."""
        shown: list[float] = []
        if self._remb is not None and now - self._remb_at <= _REMB_S and not self._remb_rises:
            shown.append(self._remb)
        is_strained = self.loss > _FEW_LOST or self._queue_s > _QUEUE_LIMIT_S / 2
        if is_strained and self._kbps is not None:
            shown.append(self._kbps)
        return min(shown, default=None)

    def sent(self, octets: int, now: float) -> None:
        """So many bytes went out, in any number of packets."""
        self.rate.add(octets, now)

    def sent_numbered(
        self,
        numbers: NDArray[np.intp],
        octets: NDArray[np.int64],
        now: float | NDArray[np.float64],
    ) -> None:
        """Packets with these transport-wide numbers went out, of these sizes, then (one time, or each its own); beside
        `sent`."""
        if self._sent_at is None:
            self._sent_at = np.full(_SENT_LIMIT, np.nan)
            self._sent_octets = np.zeros(_SENT_LIMIT, np.int64)
        slots = numbers & _SENT_LIMIT - 1
        self._sent_at[slots] = now
        self._sent_octets[slots] = octets

    def heard_loss(self, fraction: float, now: float) -> None:
        """A receiver report: the fraction (0–1) that was lost since the one before it."""
        self.loss = min(max(fraction, 0.0), 1.0)
        sending = self.rate.kbps(now)
        if self.loss > _MANY_LOST:
            self._lower(sending * (1 - self.loss), now)
        elif self.loss <= _FEW_LOST and self._queue_s < _QUEUE_LIMIT_S / 2:
            self._grow(sending, now)
        elif self._kbps is None:
            self._kbps = max(sending, _FLOOR_KBPS)

    def heard_remb(self, bits_per_s: int, now: float) -> None:
        """What the far end measured. While it rises it has not found the limit yet: browsers begin far below and go up by a
        twelfth a second, even where everything arrives."""
        kbps = max(bits_per_s / 1000, _FLOOR_KBPS)
        if self._remb is not None:
            self._remb_rises = kbps >= self._remb * _REMB_RISES
            if kbps < self._remb * _REMB_FALLS and kbps < self.rate.kbps(now):
                self._strained_at = now
        self._remb, self._remb_at = kbps, now

    def heard_arrivals(self, feedback: TransportFeedback, now: float) -> None:
        """Transport-wide feedback: delays against the shortest of late tell how long packets queue."""
        if self._sent_at is None:
            return
        for index, ticks in enumerate(feedback.arrivals):
            slot = feedback.first + index & _SENT_LIMIT - 1
            at = float(self._sent_at[slot])
            # Told twice, or never sent; a number that came round again would look like a long delay.
            if ticks is None or not now - _FEEDBACK_S < at <= now:
                continue
            self._sent_at[slot] = np.nan
            self._note_delay(ticks / 4000 - at, at)
            self._arrived.append((ticks, int(self._sent_octets[slot])))
        while self._arrived and self._arrived[0][0] < self._arrived[-1][0] - _THROUGH_TICKS:
            self._arrived.popleft()
        since = math.inf if self._strained_at is None else now - self._strained_at
        if self._queue_s > _QUEUE_LIMIT_S and since >= _BACK_OFF_EVERY_S:
            self._lower(self._through_kbps() * _BACK_OFF, now)

    def _note_delay(self, delay: float, sent_at: float) -> None:
        """Keep the shortest delays of the last seconds, and how far above them packets are, smoothed."""
        while self._delays and self._delays[-1][1] >= delay:
            self._delays.pop()
        self._delays.append((sent_at, delay))
        while self._delays[0][0] < sent_at - _BASE_S:
            self._delays.popleft()
        self._queue_s += (delay - self._delays[0][1] - self._queue_s) / 8

    def _through_kbps(self) -> float:
        """What arrived in the last half second of the far end's clock."""
        if len(self._arrived) < 2:
            return _FLOOR_KBPS
        lasted = (self._arrived[-1][0] - self._arrived[0][0]) / 4000
        octets = sum(size for _, size in self._arrived)
        return octets * 8 / 1000 / max(lasted, 0.1)

    def _lower(self, kbps: float, now: float) -> None:
        """The path is full: it carries what got through."""
        kbps = max(kbps, _FLOOR_KBPS)
        self._kbps = kbps if self._kbps is None else min(self._kbps, kbps)
        self._changed_at = self._strained_at = now

    def _grow(self, sending: float, now: float) -> None:
        """All is well: what is sent is carried, and perhaps a little more."""
        sending = max(sending, _FLOOR_KBPS)
        if self._kbps is None:
            self._kbps = sending
        else:
            elapsed = 0.0 if self._changed_at is None else min(now - self._changed_at, _GROWTH_S)
            grown = self._kbps * _GROWTH_PER_S ** max(elapsed, 0.0)
            self._kbps = max(self._kbps, sending, min(grown, _HEADROOM * sending))
        self._changed_at = now
