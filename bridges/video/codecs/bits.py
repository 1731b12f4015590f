"""Reading headers bit by bit: parameter sets and frame headers are packed without regard for bytes."""

_LONGEST_GOLOMB = 32


class ShortError(Exception):
    """The header claims more bits than there are."""


class Bits:
    """A cursor over bytes, the highest bit first. Every read raises ShortError beyond the end."""

    __slots__ = ("_at", "_size", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._size = len(data) * 8
        self._at = 0

    def take(self, count: int) -> int:
        """The next `count` bits as an unsigned number."""
        self._at += count
        if self._at > self._size:
            raise ShortError
        return self._value >> (self._size - self._at) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.take(1) == 1

    def skip(self, count: int) -> None:
        self._at += count
        if self._at > self._size:
            raise ShortError

    def golomb(self) -> int:
        """ue(v) of H.264 §9.1: as many zeros as bits follow the one."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _LONGEST_GOLOMB:
                raise ShortError
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """se(v) of H.264 §9.1.1: 1, −1, 2, −2 …"""
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)
