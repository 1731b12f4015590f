"""What one source may do wrong before it is no longer answered."""

from collections import OrderedDict
from dataclasses import dataclass

from commhub.kit.clock import Clock

_MAX_SOURCES = 10_000
_WINDOW_S = 10.0
_ANSWERS_PER_WINDOW = 20


@dataclass(slots=True)
class _Record:
    total: int = 0
    window_began: float = 0.0
    in_window: int = 0


class SourceErrors:
    """Counts malformed messages per source address, for the newest `_MAX_SOURCES` of them. A source that sends
    little but rubbish gets few answers, so that a forged source address cannot make a mirror of the hub."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def note(self, host: str) -> bool:
        """Count one; whether it may still be answered."""
        now = self._clock.monotonic()
        record = self._records.setdefault(host, _Record())
        self._records.move_to_end(host)
        while len(self._records) > _MAX_SOURCES:
            self._records.popitem(last=False)
        if now - record.window_began > _WINDOW_S:
            record.window_began, record.in_window = now, 0
        record.total += 1
        record.in_window += 1
        return record.in_window <= _ANSWERS_PER_WINDOW

    def count(self, host: str) -> int:
        """How many this source has sent, as far as remembered."""
        record = self._records.get(host)
        return record.total if record else 0
