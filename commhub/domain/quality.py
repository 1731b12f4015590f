"""How well a leg could be understood, estimated from what was measured of it: the E-model of ITU-T G.107, with every
parameter we cannot know at its default (no echo, a quiet room), on the narrowband scale for all codecs.

A number to compare legs and to find bad lines by, not a listening test.
"""

import math
from dataclasses import dataclass

_BEST_R = 93.2
"""R of G.107's default connection."""
_QUIET_DELAY_MS = 100.0
"""Delays below this disturb nobody (G.107 §7.4)."""


@dataclass(frozen=True, slots=True)
class _Coding:
    """Equipment impairment and robustness against random loss (G.113 appendix I)."""

    impairment: float
    robustness: float


# G.711 with concealment is G.113's. G.722 and Opus have no narrowband values there: without impairment, and as
# robust as their concealment was heard to be beside G.711's.
_CODINGS = {
    "PCMU": _Coding(0.0, 25.1),
    "PCMA": _Coding(0.0, 25.1),
    "G722": _Coding(0.0, 20.0),
    "opus": _Coding(0.0, 25.1),
}


def rating(codec: str, *, lost_pct: float, delay_ms: float) -> float:
    """The transmission rating R, 0 to 93.2, for packets lost in percent and a delay mouth to ear in ms. An unknown
    codec is rated as G.711."""
    coding = _CODINGS.get(codec, _CODINGS["PCMU"])
    lost = min(max(lost_pct, 0.0), 100.0)
    impairment = coding.impairment
    impairment += (95 - impairment) * lost / (lost + coding.robustness)
    return max(_BEST_R - _delay_impairment(delay_ms) - impairment, 0.0)


def _delay_impairment(delay_ms: float) -> float:
    """Idd (G.107 §7.4)."""
    if not delay_ms > _QUIET_DELAY_MS:
        return 0.0
    x = math.log2(min(delay_ms, 10_000.0) / _QUIET_DELAY_MS)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def mean_opinion(r: float) -> float:
    """R as a mean opinion score, 1 (bad) to 4.5 (G.107 annex B)."""
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def estimate(codec: str, *, lost_pct: float, delay_ms: float) -> float:
    """The mean opinion score to one decimal."""
    return round(mean_opinion(rating(codec, lost_pct=lost_pct, delay_ms=delay_ms)), 1)
