"""What is heard where a packet is missing: the last pitch period, again and again, fading; and a soft return.

After the idea of G.711 Appendix I, without its delay: the period that is repeated is closed to a ring (its end
fades into what preceded its beginning), the step from the last true sample decays over a few samples, and the
first frame after the gap fades in over what would have gone on. All legs that miss a frame in a tick are rows of
the same arrays.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.history import History, Samples
from bridges.audio.legs import Rows

LONGEST_RUN = 3
"""Frames that are concealed; then the gap is silence (60 ms, as Appendix I has it)."""
_NOTHING_SAID = LONGEST_RUN + 1
"""The run of a leg that has nothing to go on with, and comes in without a fade."""
_SEARCHED_AT_ONCE = 256
"""Legs whose pitch is looked for in one tick; when more miss a frame the machine stood still, and time is short."""
_SHORTEST_S, _LONGEST_S = 0.005, 0.015
_TEMPLATE_S = 0.015
_GAIN_AT_S = ((0.0, 1.0), (0.010, 1.0), (0.060, 0.0), (1.0, 0.0))

_NONE: Rows = np.empty(0, np.int64)

Floats = NDArray[np.float32]


class Concealer:
    """Repairs the frames of `rows` legs in place."""

    def __init__(self, rows: int, history: History, rate: int) -> None:
        frame = history.frame
        self._history = history
        self._rate = rate
        self._shortest = round(_SHORTEST_S * rate)
        self._longest = round(_LONGEST_S * rate)
        self._template = round(_TEMPLATE_S * rate)
        self._coarse = max(1, rate // 4000)
        self._run = np.full(rows, _NOTHING_SAID, np.int64)
        self._any_run = True
        self._period = np.full(rows, self._shortest * 2, np.int64)
        self._cycle = np.zeros((rows, self._longest), np.float32)
        self._steps = np.arange(frame)
        self._gains = _gain_table(frame, rate)
        self._fade_in = _return_table(frame, rate)
        self._settle = np.maximum(0, 1 - self._steps / (0.0025 * rate)).astype(np.float32)

    def clear(self, row: int) -> None:
        """The row's next gap has nothing to repeat until it has spoken."""
        self._run[row] = _NOTHING_SAID
        self._any_run = True
        self._history.clear(row)

    def is_steady(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows' last frame was a true one."""
        steady: NDArray[np.bool_] = self._run[rows] == 0
        return steady

    def repair(
        self, rows: Rows, voice: Samples, missing: NDArray[np.bool_], meant: NDArray[np.bool_]
    ) -> Rows:
        """Fill the `missing` places of `voice` (n×frame) in place, except where the silence is `meant`, and soften
        the returns; returns the places that were made up."""
        any_missing = bool(missing.any())
        if not (any_missing or self._any_run):
            return _NONE
        run = self._run[rows]
        fill = np.flatnonzero(missing & ~meant & (run < LONGEST_RUN))
        if len(fill):
            self._fill(rows[fill], fill, voice)
        back = np.flatnonzero(~missing & (run > 0))
        if len(back):
            self._return(rows[back], back, voice)
        self._any_run = any_missing or bool(self._run.any())
        ended = np.flatnonzero(missing & meant)
        if len(ended):
            self._run[rows[ended]] = _NOTHING_SAID
        return fill

    def _fill(self, rows: Rows, places: Rows, voice: Samples) -> None:
        first = self._run[rows] == 0
        seam = np.zeros((len(rows), 1), np.float32)
        if first.any():
            seam[first, 0] = self._begin(rows[first])
        made_up = self._continuation(rows, self._run[rows])
        made_up += seam * self._settle
        voice[places] = made_up.clip(-32768, 32767)
        self._run[rows] += 1

    def _begin(self, rows: Rows) -> Floats:
        """Find the period to repeat; returns the step from the last sample to it."""
        said = self._history.past(rows).astype(np.float32)
        period = self._period[rows]
        searched = slice(0, _SEARCHED_AT_ONCE)
        period[searched] = self._pitch(said[searched])
        self._period[rows] = period
        end = said.shape[1]
        column = np.arange(self._longest)
        at = end - period[:, None] + np.minimum(column, period[:, None] - 1)
        line = np.arange(len(rows))[:, None]
        cycle = said[line, at]
        before = said[line, at - period[:, None]]
        # The last quarter leads back to what came before the period's first sample.
        quarter = period[:, None] // 4
        weight = np.clip((column - (period[:, None] - 1 - quarter)) / quarter, 0, 1)
        self._cycle[rows] = cycle + (before - cycle) * weight.astype(np.float32)
        return np.asarray(said[:, -1] - before[np.arange(len(rows)), period - 1], np.float32)

    def _pitch(self, said: Floats) -> Rows:
        """The lag at which the end of each line is most like what came before: coarse, then to the sample."""
        step = self._coarse
        thin = np.ascontiguousarray(said[:, ::-1][:, ::step][:, ::-1])
        first, last = self._shortest // step, self._longest // step
        best = (first + likeness(thin, first, last, self._template // step).argmax(axis=1)) * step
        if step == 1:
            return np.asarray(best, np.int64)
        near = np.arange(1 - step, step)
        lags = np.clip(best[:, None] + near, self._shortest, self._longest)
        starts = said.shape[1] - self._template - lags
        line = np.arange(len(said))
        then = pieces(said, self._template)[line[:, None], starts]
        score = np.einsum("ilt,it->il", then, said[:, -self._template :])
        score /= np.sqrt(np.einsum("ilt,ilt->il", then, then) + 1)
        return np.asarray(lags[line, score.argmax(axis=1)], np.int64)

    def _continuation(self, rows: Rows, run: Rows) -> Floats:
        """The frame after `run` made-up ones."""
        frame = len(self._steps)
        at = (run[:, None] * frame + self._steps) % self._period[rows][:, None]
        return np.asarray(self._cycle[rows[:, None], at] * self._gains[run], np.float32)

    def _return(self, rows: Rows, places: Rows, voice: Samples) -> None:
        run = self._run[rows]
        self._run[rows] = 0
        after_gap = run < _NOTHING_SAID
        rows, places, run = rows[after_gap], places[after_gap], run[after_gap]
        going_on = self._continuation(rows, run)
        good = voice[places].astype(np.float32)
        voice[places] = going_on + (good - going_on) * self._fade_in[run]


def likeness(said: Floats, first: int, last: int, template: int) -> Floats:
    """How like the last `template` samples of each line are to those `first` to `last` samples earlier: the
    correlation over the earlier ones' norm, n×(last − first + 1). The lines are long enough."""
    begin, end = said.shape[1] - template - last, said.shape[1] - template - first
    then = pieces(said, template)[:, begin : end + 1]
    score = np.einsum("ilt,it->il", then, said[:, -template:])
    power = np.cumsum(np.square(said[:, begin : end + template], dtype=np.float64), axis=1)
    energy = power[:, template - 1 :].copy()
    energy[:, 1:] -= power[:, :-template]
    return np.asarray((score / np.sqrt(np.maximum(energy, 0) + 1))[:, ::-1], np.float32)


def pieces(lines: Floats, size: int) -> Floats:
    """Every piece of `size` samples of each line (contiguous float32), as a view: n×(width − size + 1)×size. numpy's own
    sliding windows take longer to set up than a tick has for all else that is done to a voice."""
    count, width = lines.shape
    of_line, of_sample = lines.strides
    return np.ndarray(
        (count, width - size + 1, size), np.float32, lines, strides=(of_line, of_sample, of_sample)
    )


def _gain_table(frame: int, rate: int) -> Floats:
    """The gain of each sample of the frames 0 to LONGEST_RUN of a gap."""
    times = np.arange((LONGEST_RUN + 1) * frame) / rate
    ends, gains = zip(*_GAIN_AT_S, strict=True)
    return np.interp(times, ends, gains).reshape(LONGEST_RUN + 1, frame).astype(np.float32)


def _return_table(frame: int, rate: int) -> Floats:
    """How the good frame after a gap of n frames comes in: over 8 ms, or 10 (Appendix I), or, when what came before
    has faded away, 4."""
    spans = [1.0] + [8.0 if run == 1 else 10.0 for run in range(1, LONGEST_RUN)] + [4.0]
    steps = np.arange(1, frame + 1)
    lines = [np.minimum(steps / (span * rate / 1000), 1) for span in spans]
    return np.asarray(lines, np.float32)
