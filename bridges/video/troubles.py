"""Bad input in the log: one line when a kind of it begins, however much comes, and one when it was quiet again.

What a hostile far end can cause any number of times must not fill the log; the counters (`VideoCounts`, `TransportCounts`)
have every single one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

_QUIET_S = 60.0
KINDS = frozenset(
    {
        "malformed_reports",
        "recording_dropped",
        "refused_repairs",
        "shapeless",
        "unknown",
        "unsealed",
        "webrtc_crowded",
        "webrtc_early_lost",
        "webrtc_forged_checks",
        "webrtc_refused_packets",
        "webrtc_shapeless",
        "webrtc_strangers",
        "webrtc_unknown_checks",
    }
)
"""Of what is counted, that which nobody does who keeps to the rules."""
_A_FEW = 20
"""The last packets after a goodbye, a number asked for twice: so many between two looks are no trouble."""


@dataclass(slots=True)
class _Trouble:
    """One that goes on: the count before it, and when there was last more of it."""

    first: int
    last_at: float


class Troubles:
    """Of one worker. Times in seconds, monotonic."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._going_on: dict[str, _Trouble] = {}

    def look(self, counts: Mapping[str, int], now: float) -> None:
        """What is counted now; called about once a second."""
        for kind in KINDS & counts.keys():
            count = counts[kind]
            before = self._seen.get(kind, 0)
            self._seen[kind] = count
            known = self._going_on.get(kind)
            if count - before > _A_FEW:
                if known is None:
                    known = self._going_on[kind] = _Trouble(before, now)
                    log.warning("video_bad_input", kind=kind, count=count - before)
                known.last_at = now
            elif known is not None and now - known.last_at > _QUIET_S:
                del self._going_on[kind]
                log.info("video_bad_input_ended", kind=kind, count=count - known.first)
