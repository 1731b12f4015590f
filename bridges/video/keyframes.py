"""Wishes for a whole picture: those of all views of a layer are one request, and requests are rare.

A key frame costs a publisher many times an ordinary picture, and each is for everybody. So a wish is fulfilled by any key
frame that begins after it, at most one request goes out in 0.5 s, and one that is not answered is said again, more and more slowly.
"""

_SPACING_S = 0.5
_SLOWEST_S = 4.0
_PATIENCE_S = 60.0
"""After so long without a key frame the wish is dropped; the next one begins anew."""


class KeyframeWishes:
    """Those of one layer. Times in seconds, monotonic; `number` is that of the last request (FIR, RFC 5104 §4.3.1.1: it
    stays while the same wish is repeated)."""

    def __init__(self) -> None:
        self.number = 0
        self._wished_at: float | None = None
        self._asked_at = -_PATIENCE_S
        self._tries = 0

    @property
    def is_open(self) -> bool:
        """Somebody waits."""
        return self._wished_at is not None

    def wish(self, now: float) -> None:
        """A view wants a key frame: it began, lost too much, or its decoder says so."""
        if self._wished_at is None:
            self._wished_at = now
            self._tries = 0
            self.number = self.number + 1 & 0xFF

    def came(self) -> None:
        """A key frame begins."""
        self._wished_at = None

    def due(self, now: float) -> bool:
        """Whether to ask now; True is taken for asked."""
        if self._wished_at is None:
            return False
        if now - self._wished_at > _PATIENCE_S:
            self._wished_at = None
            return False
        spacing = min(_SPACING_S * 2 ** max(0, self._tries - 2), _SLOWEST_S)
        if now - self._asked_at < spacing:
            return False
        self._asked_at = now
        self._tries += 1
        return True
