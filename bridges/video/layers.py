"""Which layer a view gets: the best its path carries, changed rarely.

Down is quick: a path that does not carry a layer shows it torn. Up again is a trial, because nobody knows what a path carries
before it is sent: it comes after a clean while, and when one fails, the next waits twice as long. A change
happens with a key frame of the new layer; until then the old one goes on.
Times in seconds, monotonic; rates in kbit/s.
"""

from collections.abc import Mapping

from commhub.ports.video import Layer

_TOO_LITTLE = 0.85
_SURE_S = 0.3
"""How long an estimate must be too little."""
_SETTLE_S = 2.5
"""After a change an estimate still speaks of what was before; only strain counts so soon."""
_CLEAN_S = 8.0
_LONGEST_CLEAN_S = 240.0
_TRIAL_S = 10.0
"""A layer that was not lost again within this time was no failure."""
_TRIED = 1.2
"""An estimate this far above what is sent, or above the better layer, speaks for a trial."""


class LayerChoice:
    """One view. `wanted` is what it should get, `shown` what it gets (None: nothing yet)."""

    def __init__(self, best: Layer = Layer.MAIN) -> None:
        self.best = best
        self.wanted = best
        self.shown: Layer | None = None
        self._is_limited = False
        self._changed_at: float | None = None
        self._short_since: float | None = None
        self._clean_since: float | None = None
        self._patience_s = _CLEAN_S
        self._rose_at: float | None = None

    def limit(self, best: Layer) -> None:
        """Never better than this from now on: what a tile needs."""
        self.best = best

    def switched(self, layer: Layer, now: float) -> None:
        """A key frame of `layer` begins, and the view is shown it."""
        if layer == self.shown:
            return
        self._rose_at = now if self.shown is not None and layer < self.shown else None
        self._short_since = self._clean_since = None
        self.shown, self._changed_at = layer, now

    def gone(self) -> None:
        """What was shown is there no more, or the view goes to another source; what is known of the path stays."""
        self.shown = self._rose_at = None

    def decide(
        self,
        rates: Mapping[Layer, float],
        estimate: float | None,
        now: float,
        *,
        is_strained: bool = False,
    ) -> Layer | None:
        """Look again, several times a second. `rates` are the layers that arrive; the answer (also `wanted`) is one of them,
        None for none. `estimate` is what the path carries, None as long as nobody knows; `is_strained` says that
        the latest reports told of a full path."""
        usable = usable_layers(rates, self.best)
        if not usable:
            return None
        if self.shown not in usable:
            self.wanted = self._first(usable, rates, estimate)
        elif self._is_short(rates[self.shown], estimate, is_strained, now):
            self.wanted = self._lower(self.shown, usable, rates, estimate, now)
        else:
            self.wanted = self._higher(self.shown, usable, rates, estimate, now)
        return self.wanted

    def _first(
        self, usable: list[Layer], rates: Mapping[Layer, float], estimate: float | None
    ) -> Layer:
        """The best that fits; the best at all for a path nobody knows; the least where none fits."""
        if estimate is None or not self._is_limited:
            return usable[0]
        return _fitting(usable, rates, estimate)

    def _lower(
        self,
        current: Layer,
        usable: list[Layer],
        rates: Mapping[Layer, float],
        estimate: float | None,
        now: float,
    ) -> Layer:
        """The best below that fits; a fall soon after a rise was a failed trial."""
        lower = [one for one in usable if one > current]
        if not lower:
            return current
        self._is_limited = True
        if self._rose_at is not None:
            has_failed = now - self._rose_at <= _TRIAL_S
            self._patience_s = (
                min(2 * self._patience_s, _LONGEST_CLEAN_S) if has_failed else _CLEAN_S
            )
            self._rose_at = None
        return _fitting(lower, rates, estimate or 0.0)

    def _higher(
        self,
        current: Layer,
        usable: list[Layer],
        rates: Mapping[Layer, float],
        estimate: float | None,
        now: float,
    ) -> Layer:
        """What the path never refused, at once; the next better one after a clean while."""
        if current == usable[0]:
            self._is_limited = False
            return current
        if not self._is_limited:
            return usable[0]
        better = usable[usable.index(current) - 1]
        if estimate is not None and estimate < min(rates[better], rates[current]) * _TRIED:
            self._clean_since = None
            return current
        if self._clean_since is None:
            self._clean_since = now
        return better if now - self._clean_since >= self._patience_s else current

    def _is_short(self, rate: float, estimate: float | None, is_strained: bool, now: float) -> bool:
        """Whether the path has carried too little for a while."""
        is_settled = self._changed_at is None or now - self._changed_at > _SETTLE_S
        is_little = estimate is not None and estimate < rate * _TOO_LITTLE
        if not is_little or not (is_settled or is_strained):
            self._short_since = None
            return False
        if self._short_since is None:
            self._short_since = now
        return now - self._short_since >= _SURE_S


def usable_layers(rates: Mapping[Layer, float], best: Layer) -> list[Layer]:
    """Those that arrive and are not better than `best`, the best first; where all are better, the least of them."""
    arriving = sorted(rates)
    return [one for one in arriving if one >= best] or arriving[-1:]


def _fitting(usable: list[Layer], rates: Mapping[Layer, float], estimate: float) -> Layer:
    return next((one for one in usable if rates[one] <= estimate), usable[-1])
