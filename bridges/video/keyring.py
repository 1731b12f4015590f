"""SRTP of a SIP far end's picture (RFC 3711), with the keys that its signalling agreed (RFC 4568): opened where it was received.

Most far ends have none, and then nothing here costs anything. What is sent by the forwarder it seals itself, with `handle`.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.transport.sealing import Handle
from bridges.transport.srtp import REFUSED, TRAILER, SrtpLeg
from commhub.ports.media import SrtpKeys


class Keyring:
    """Of one far end."""

    def __init__(self) -> None:
        self._keys: SrtpKeys | None = None
        self._srtp: SrtpLeg | None = None

    def agree(self, keys: SrtpKeys | None) -> None:
        """What signalling agreed, now and at a re-INVITE. Raises InvalidError and changes nothing."""
        if keys is None:
            self._srtp = None
        elif self._srtp is None:
            self._srtp = SrtpLeg(keys, repeats=True)
        elif keys != self._keys:
            self._srtp.rekey(keys)
        self._keys = keys

    @property
    def handle(self) -> Handle | None:
        """The session that seals; None: nothing is sealed. It is good until other keys are agreed."""
        return None if self._srtp is None else self._srtp.outward.handle

    @property
    def tag(self) -> int:
        return 0 if self._srtp is None else self._srtp.outward.tag

    def open_at(self, address: int, size: int) -> int:
        """Open RTP where it stands; its new size, REFUSED (0) when it is forged."""
        return size if self._srtp is None else self._srtp.inward.unprotect(address, size)

    def open_report(self, report: bytes) -> bytes | None:
        """What a compound packet says; None when it is forged."""
        if self._srtp is None:
            return report
        paper = np.frombuffer(report, np.uint8).copy()
        return _taken(paper, self._srtp.inward.unprotect_rtcp(paper.ctypes.data, len(report)))

    def close(self, packet: bytes, *, is_rtcp: bool) -> bytes | None:
        """A packet as it may be sent; None when it cannot be."""
        if self._srtp is None:
            return packet
        paper = np.zeros(len(packet) + TRAILER, np.uint8)
        paper[: len(packet)] = np.frombuffer(packet, np.uint8)
        outward = self._srtp.outward
        seal = outward.protect_rtcp if is_rtcp else outward.protect
        return _taken(paper, seal(paper.ctypes.data, len(packet)))


def _taken(paper: NDArray[np.uint8], size: int) -> bytes | None:
    return None if size == REFUSED else paper[:size].tobytes()
