"""SRTP with keys from the signalling (RFC 3711, RFC 4568, RFC 7714): one leg's two directions, on packets in place.

Packets stay where the engine has them, so this takes addresses: libsrtp reads and writes there. It is reached below
pylibsrtp's own `Session.protect`, which copies each packet four times and costs twice as much; `missing_names`
says what an upgrade moved. A refusal is an ordinary answer, because anybody can send a forged packet.

**Rollover.** A packet carries 16 bits of its index; the rest, the rollover counter, each side counts for itself from
the first packet (§3.3.1). A worker that takes over a call after 22 minutes has not counted, and libsrtp cannot be
told the number here; so `Inward` finds it, by trying, while nothing has passed the check under a key.
"""

import base64
import binascii
import ctypes
import struct
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pylibsrtp
from pylibsrtp import Policy
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]  # compiled, without stubs

from bridges.transport.sealing import Handle
from commhub.domain.errors import InvalidError
from commhub.ports.media import SrtpKeys

TRAILER = 16 + 4
"""Bytes a protected packet may be longer: the longest tag, and SRTCP's index."""
REFUSED = 0
"""What comes back for a packet that is forged, repeated, too old, or that could not be protected."""


@dataclass(frozen=True, slots=True)
class _Suite:
    profile: int
    key_and_salt: int
    tag: int


_SUITES = {
    "AES_CM_128_HMAC_SHA1_80": _Suite(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
    "AES_CM_128_HMAC_SHA1_32": _Suite(Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30, 4),
    "AEAD_AES_128_GCM": _Suite(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16),
    "AEAD_AES_256_GCM": _Suite(Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, 16),
}
_ROLLOVERS = 200
"""How many are tried: three days of packets of 20 ms."""
_HEADER_SIZE = 12
_VERSION_BYTE = 0x80
_STEP = 0x5555
"""How far the index is moved at once: less than half of 16 bits, or it would be taken for a step back (§3.3.1)."""
_NAMES = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")


class _Streams:
    """A libsrtp session of one master key. Its streams are known by SSRC, each with its own rollover counter and
    replay window, so a new SSRC under the same key begins anew without repeating a keystream (§9.1)."""

    def __init__(self, suite: str, key: str, ssrc: int, *, repeats: bool = False) -> None:
        policy = Policy(_master(suite, key), ssrc, 0, _SUITES[suite].profile)
        policy.allow_repeat_tx = repeats
        self._session = pylibsrtp.Session(policy)
        self._handle = self._session._srtp[0]  # noqa: SLF001 - see the module's docstring
        self._size = ffi.new("int *")

    @property
    def handle(self) -> Handle:
        return Handle(self._handle)

    def apply(self, function: Any, address: int, size: int) -> int:
        self._size[0] = size
        status = function(self._handle, ffi.cast("void *", address), self._size)
        return int(self._size[0]) if status == lib.srtp_err_status_ok else REFUSED


class Outward:
    """What we send. The bytes at the address must have room for TRAILER more. With `repeats` a packet may be protected again,
    to be sent again as it was: another one of the same number would give both away."""

    def __init__(self, suite: str, key: str, *, repeats: bool = False) -> None:
        self.suite, self.key = suite, key
        self._streams = _Streams(suite, key, Policy.SSRC_ANY_OUTBOUND, repeats=repeats)

    @property
    def handle(self) -> Handle:
        """For `bridges.transport.sealing`; it lives as long as this does."""
        return self._streams.handle

    @property
    def tag(self) -> int:
        """By how many bytes RTP grows."""
        return _SUITES[self.suite].tag

    def protect(self, address: int, size: int) -> int:
        """Protect an RTP packet where it stands; its new size. REFUSED: it may still stand there in the clear."""
        return self._streams.apply(lib.srtp_protect, address, size)

    def protect_rtcp(self, address: int, size: int) -> int:
        """The same for a compound RTCP packet (§3.4)."""
        return self._streams.apply(lib.srtp_protect_rtcp, address, size)


class Inward:
    """What the far end sends."""

    def __init__(self, suite: str, key: str) -> None:
        self.suite, self.key = suite, key
        self._streams = _Streams(suite, key, Policy.SSRC_ANY_INBOUND)
        self._is_in_step = False
        self._failures = 0

    def unprotect_rtcp(self, address: int, size: int) -> int:
        """Check and open a compound SRTCP packet where it stands; its new size, or REFUSED."""
        return self._streams.apply(lib.srtp_unprotect_rtcp, address, size)

    def unprotect(self, address: int, size: int) -> int:
        """The same for an SRTP packet."""
        if self._is_in_step:
            return self._streams.apply(lib.srtp_unprotect, address, size)
        # libsrtp may write over what it refuses, and it is wanted again.
        packet = ctypes.string_at(address, size)
        opened = self._streams.apply(lib.srtp_unprotect, address, size)
        if opened == REFUSED and size >= _HEADER_SIZE:
            self._failures += 1
            # Whoever sends forgeries must not make every one of them a search.
            if self._failures & (self._failures - 1) == 0:
                opened = self._search(packet, address)
        self._is_in_step = opened != REFUSED
        return opened

    def _search(self, packet: bytes, address: int) -> int:
        """Open `packet` with a session that is moved on, by packets of our own making, to just before each place
        where it may stand; take that session over when it opens."""
        sequence, ssrc = struct.unpack_from("!2xH4xI", packet)
        trial = _Streams(self.suite, self.key, Policy.SSRC_ANY_INBOUND)
        forger = Outward(self.suite, self.key)
        paper = ctypes.create_string_buffer(_HEADER_SIZE + TRAILER)
        forgery = ctypes.addressof(paper)
        for step in range(3 * _ROLLOVERS):
            place = (sequence - 1 + _STEP * (step % 3)) & 0xFFFF
            struct.pack_into("!BBHII", paper, 0, _VERSION_BYTE, 0, place, 0, ssrc)
            trial.apply(lib.srtp_unprotect, forgery, forger.protect(forgery, _HEADER_SIZE))
            if step % 3:
                continue
            ctypes.memmove(address, packet, len(packet))
            opened = trial.apply(lib.srtp_unprotect, address, len(packet))
            if opened != REFUSED:
                self._streams = trial
                return opened
        return REFUSED


class SrtpLeg:
    """Both directions of a leg; `repeats` as of `Outward`. Raises InvalidError for keys no suite has."""

    def __init__(self, keys: SrtpKeys, *, repeats: bool = False) -> None:
        self._repeats = repeats
        self.outward = Outward(keys.suite, keys.local_key, repeats=repeats)
        self.inward = Inward(keys.suite, keys.remote_key)

    def rekey(self, keys: SrtpKeys) -> None:
        """Take what a re-INVITE agreed: a direction whose key stays goes on with its counters, because a repeated
        index under an old key would give the voice away. Raises InvalidError and changes nothing."""
        outward, inward = self.outward, self.inward
        if (outward.suite, outward.key) != (keys.suite, keys.local_key):
            outward = Outward(keys.suite, keys.local_key, repeats=self._repeats)
        if (inward.suite, inward.key) != (keys.suite, keys.remote_key):
            inward = Inward(keys.suite, keys.remote_key)
        self.outward, self.inward = outward, inward


def _master(suite: str, key: str) -> bytes:
    """Raises InvalidError, which names the suite and never the key."""
    known = _SUITES.get(suite)
    if known is None:
        raise InvalidError(f"this worker has no SRTP suite {suite[:40]}")
    try:
        raw = base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidError("an SRTP key that is no Base64") from None
    if len(raw) != known.key_and_salt:
        raise InvalidError(f"{suite} needs {known.key_and_salt} bytes of key and salt")
    return raw


def missing_names(library: ModuleType | Any = lib) -> list[str]:
    """The names below pylibsrtp's public face that this installation does not have."""
    lacking = [f"pylibsrtp._binding.lib.{name}" for name in _NAMES if not hasattr(library, name)]
    if not hasattr(pylibsrtp.Session(), "_srtp"):
        lacking.append("pylibsrtp.Session._srtp")
    return lacking
