"""What we use of aiortc and pylibsrtp beyond what they publish, on one page.

aiortc's DTLS transport is public, but its role and its keys are not. When an upgrade moves one of these names,
`missing_names` says which, and the test that calls it fails with that sentence instead of a call without sound.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pylibsrtp
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport

_DTLS_NAMES = ("_set_role", "_rx_srtp", "_tx_srtp", "_ssl")
_SRTP_NAMES = ("protect", "unprotect", "protect_rtcp", "unprotect_rtcp")

SrtpError = pylibsrtp.Error


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """The two directions of one DTLS association. Both raise SrtpError for a packet they refuse."""

    inward: pylibsrtp.Session
    outward: pylibsrtp.Session


class IcePath:
    """All that RTCDtlsTransport asks of an ICE transport: `role`, `_recv` and `_send`."""

    role = "controlled"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None], limit: int) -> None:
        self._out = send
        self._records: asyncio.Queue[bytes | None] = asyncio.Queue(limit)

    def feed(self, record: bytes) -> bool:
        """Hand in a DTLS record; False when too many wait already."""
        if self._records.full():
            return False
        self._records.put_nowait(record)
        return True

    def end(self) -> None:
        """Wake whoever waits for a record: none will come."""
        while not self._records.empty():
            self._records.get_nowait()
        self._records.put_nowait(None)

    async def _recv(self) -> bytes:
        record = await self._records.get()
        if record is None:
            raise ConnectionError("the peer was closed")
        return record

    async def _send(self, data: bytes) -> None:
        self._out(data)


def open_dtls(path: IcePath, certificate: RTCCertificate, *, is_server: bool) -> RTCDtlsTransport:
    """A DTLS transport over `path` that has not begun."""
    dtls = RTCDtlsTransport(cast("RTCIceTransport", path), [certificate])
    dtls._set_role("server" if is_server else "client")  # noqa: SLF001 - this module is for that
    return dtls


def keys_of(dtls: RTCDtlsTransport) -> SrtpKeys:
    """The SRTP sessions of a transport that is connected."""
    return SrtpKeys(inward=dtls._rx_srtp, outward=dtls._tx_srtp)  # noqa: SLF001 - this module is for that


def missing_names() -> list[str]:
    """The names we rely on that this installation does not have."""
    path = IcePath(lambda _: None, 1)
    dtls = RTCDtlsTransport(cast("RTCIceTransport", path), [RTCCertificate.generateCertificate()])
    lacking = [f"RTCDtlsTransport.{name}" for name in _DTLS_NAMES if not hasattr(dtls, name)]
    lacking += [
        f"pylibsrtp.Session.{name}" for name in _SRTP_NAMES if not hasattr(pylibsrtp.Session, name)
    ]
    if not hasattr(RTCDtlsParameters(), "fingerprints"):
        lacking.append("RTCDtlsParameters.fingerprints")
    return lacking
