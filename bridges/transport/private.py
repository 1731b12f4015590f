"""What we use of aiortc and pylibsrtp beyond what they publish, on one page.

aiortc's DTLS transport is public, but its role and its keys are not. When an upgrade moves one of these names,
`missing_names` says which, and the test that calls it fails with that sentence instead of a call without sound.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pylibsrtp
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCCertificate,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from aiortc.rtcicetransport import RTCIceTransport
from pylibsrtp._binding import lib  # type: ignore[import-not-found]  # compiled, without stubs

from bridges.transport.sealing import Handle

_DTLS_NAMES = ("_set_role", "_rx_srtp", "_tx_srtp", "_ssl", "_srtp_profiles")
_LIB_NAMES = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")
_PROFILES = (SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80)
"""As we prefer them: AES-128-GCM costs half of what the old suite does, and four fifths of AES-256."""
_SHORT_TAG, _LONG_TAG = 10, 16


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """The two directions of one DTLS association; `tag` is how many bytes a sealed RTP packet is longer. The handles
    are libsrtp's own and live as long as this does."""

    inward: pylibsrtp.Session
    outward: pylibsrtp.Session
    tag: int

    @property
    def inward_handle(self) -> Handle:
        return Handle(self.inward._srtp[0])  # noqa: SLF001 - this module is for that

    @property
    def outward_handle(self) -> Handle:
        return Handle(self.outward._srtp[0])  # noqa: SLF001 - this module is for that


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
    offered = [one for one in _PROFILES if one in dtls._srtp_profiles]  # noqa: SLF001 - the same
    dtls._srtp_profiles = offered  # noqa: SLF001 - the same
    return dtls


def keys_of(dtls: RTCDtlsTransport) -> SrtpKeys:
    """The SRTP sessions of a transport that is connected."""
    connection = dtls._ssl  # noqa: SLF001 - this module is for that
    profile = connection.get_selected_srtp_profile() if connection is not None else b""
    return SrtpKeys(
        inward=dtls._rx_srtp,  # noqa: SLF001 - this module is for that
        outward=dtls._tx_srtp,  # noqa: SLF001 - the same
        tag=_SHORT_TAG if profile == SRTP_AES128_CM_SHA1_80.openssl_profile else _LONG_TAG,
    )


def missing_names() -> list[str]:
    """The names we rely on that this installation does not have."""
    path = IcePath(lambda _: None, 1)
    dtls = RTCDtlsTransport(cast("RTCIceTransport", path), [RTCCertificate.generateCertificate()])
    lacking = [f"RTCDtlsTransport.{name}" for name in _DTLS_NAMES if not hasattr(dtls, name)]
    lacking += [f"pylibsrtp._binding.lib.{name}" for name in _LIB_NAMES if not hasattr(lib, name)]
    if not hasattr(pylibsrtp.Session(), "_srtp"):
        lacking.append("pylibsrtp.Session._srtp")
    if not hasattr(RTCDtlsParameters(), "fingerprints"):
        lacking.append("RTCDtlsParameters.fingerprints")
    return lacking
