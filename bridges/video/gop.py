"""Where a view begins: at once from the pictures since the last key frame, or with the next key frame.

A newcomer gets its first picture from the cache. That is a burst of up to seconds of video, so it must be all there, not too
long, and not more than the view's path carries soon; otherwise the source is asked for a key frame, which is small
against it. A view that shows something already can wait for that key frame without a gap, and does.
"""

from dataclasses import dataclass

_REPLAY_LIMIT = 1_500
"""Packets of a replay: more than three seconds of 1080p at 4 Mbit/s."""
_REPLAY_S = 10.0
_CATCH_UP_S = 1.0
"""How long a path may be busy with a replay (beside what goes on live)."""
_FRESH_S = 0.2
"""A key frame so young is used even by a view that could wait: asking for another brings nothing sooner."""


@dataclass(frozen=True, slots=True)
class Cached:
    """What there is of a layer since its last key frame: packets that should be there, that are, their bytes, and the
    key frame's age in seconds."""

    expected: int
    present: int
    octets: int
    age_s: float

    @property
    def is_whole(self) -> bool:
        return self.present == self.expected


def may_replay(cached: Cached | None, path_kbps: float | None, *, is_newcomer: bool) -> bool:
    """Whether a view begins from the cache. `cached` is None where no key frame is known, `path_kbps` where nothing is
    known of the path: a newcomer's usually is not, and is taken for good enough."""
    if cached is None or not cached.expected or not cached.is_whole:
        return False
    if cached.expected > _REPLAY_LIMIT or cached.age_s > _REPLAY_S:
        return False
    if path_kbps is not None and cached.octets * 8 / 1000 > path_kbps * _CATCH_UP_S:
        return False
    return is_newcomer or cached.age_s <= _FRESH_S


def replay_kbps(layer_kbps: float, path_kbps: float | None) -> float:
    """How fast a replay goes out: well above the layer itself, or it would never arrive at the present, but no faster than
    twice what the path is known to carry."""
    wanted = max(20_000.0, 5 * layer_kbps)
    return wanted if path_kbps is None else max(min(wanted, 2 * path_kbps), 1.5 * layer_kbps)
