"""What is missing of a layer, and when to ask for it again (RFC 4585 §6.2.1): at once would ask for what is only late."""

from collections.abc import Callable, Iterable

_PATIENCE_S = 0.012
"""How long a packet may be late before it is asked for."""
_TRIES = 8
_AGAIN_S = 0.06
_LIMIT = 300
"""Packets that may be missing at once: more is an outage, and a new key frame is cheaper."""


class Missing:
    """By extended number: since when, how often it was asked for, and when next."""

    def __init__(self) -> None:
        self._wanted: dict[int, tuple[float, int]] = {}
        self.is_hopeless = False
        """Something will not come: only a key frame helps. Cleared by whoever asks for one."""
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._wanted)

    def clear(self) -> None:
        self._wanted.clear()

    def arrived(self, extended: Iterable[int]) -> None:
        if self._wanted:
            for one in extended:
                self._wanted.pop(one, None)

    def noticed(
        self, before: int, highest: int, is_there: Callable[[int], bool], now: float
    ) -> None:
        """The highest number grew from `before` to `highest`."""
        gap = highest - before
        if gap <= 1:
            return
        if gap > _LIMIT * 4:
            self._give_up()
            return
        for extended in range(before + 1, highest):
            if not is_there(extended):
                self._wanted[extended] = (now + _PATIENCE_S, 0)
        if len(self._wanted) > _LIMIT:
            self._give_up()

    def due(self, now: float, round_trip_s: float) -> list[int]:
        """What to ask for now, in rising order."""
        if not self._wanted:
            return []
        asked = []
        for extended, (at, tries) in sorted(self._wanted.items()):
            if at > now:
                continue
            if tries >= _TRIES:
                del self._wanted[extended]
                self.given_up += 1
                self.is_hopeless = True
                continue
            self._wanted[extended] = (now + max(_AGAIN_S, round_trip_s * 1.2), tries + 1)
            asked.append(extended)
        return asked

    def _give_up(self) -> None:
        self.given_up += len(self._wanted)
        self._wanted.clear()
        self.is_hopeless = True
