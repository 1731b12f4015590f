"""Who may be believed to be the far end of a plain RTP stream: several packets in a row that continue one another
(RTP Bleed, CVE-2017-14099)."""

NEW_SOURCE = 3
"""Packets in a row from an address that the SDP did not name, or from another port of the locked one."""
NEW_SSRC = 2
"""Packets in a row with another SSRC from the locked address."""
_MAX_CANDIDATES = 8


class Probation:
    """Candidates per row, each counted by itself, so that an attacker between the packets of the true one does
    not hold it up; the oldest candidate makes room for a ninth."""

    def __init__(self) -> None:
        self._candidates: dict[int, dict[tuple[int, int], tuple[int, int]]] = {}

    def passed(self, row: int, key: int, ssrc: int, sequence: int, needed: int) -> bool:
        """Take a packet into account; True when it is the last one needed."""
        candidates = self._candidates.setdefault(row, {})
        expected, seen = candidates.pop((key, ssrc), (sequence, 0))
        seen = seen + 1 if sequence == expected else 1
        if seen >= needed:
            self.forget(row)
            return True
        if len(candidates) >= _MAX_CANDIDATES:
            del candidates[next(iter(candidates))]
        candidates[key, ssrc] = ((sequence + 1) & 0xFFFF, seen)
        return False

    def forget(self, row: int) -> None:
        self._candidates.pop(row, None)
