"""A phone that agreed on SRTP: its socket protects what it sends and opens what it gets, by pylibsrtp's public face
(the engine reaches libsrtp below it)."""

import base64
import secrets
import socket
from dataclasses import replace

import pylibsrtp
from fakes.rtp import Phone

from bridges.audio.g711 import Law
from commhub.ports.media import RtpRemote, SrtpKeys

SUITE = "AES_CM_128_HMAC_SHA1_80"
PROFILES = {
    SUITE: (30, pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80),
    "AEAD_AES_128_GCM": (28, pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM),
}


def new_key(suite: str = SUITE) -> str:
    return base64.b64encode(secrets.token_bytes(PROFILES[suite][0])).decode()


class SecureSocket:
    """A UDP socket with SRTP around it. `raw` is what was on the wire; `refused` counts what did not open."""

    def __init__(self, plain: socket.socket, suite: str, own: str, theirs: str) -> None:
        self._plain = plain
        self._out = _session(suite, own, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self._in = _session(suite, theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self.raw: list[bytes] = []
        self.refused = 0

    def sendto(self, packet: bytes, goal: tuple[str, int]) -> None:
        self._plain.sendto(self._out.protect(packet), goal)

    def send_plain(self, packet: bytes, goal: tuple[str, int]) -> None:
        self._plain.sendto(packet, goal)

    def protect(self, packet: bytes) -> bytes:
        return self._out.protect(packet)

    def recv(self, size: int) -> bytes:
        while True:
            packet = self._plain.recv(size)
            self.raw.append(packet)
            try:
                return self._in.unprotect(packet)
            except pylibsrtp.Error:
                self.refused += 1

    def getsockname(self) -> tuple[str, int]:
        name: tuple[str, int] = self._plain.getsockname()
        return name

    def close(self) -> None:
        self._plain.close()


class SecurePhone(Phone):
    """A Phone with keys."""

    def __init__(
        self, frequency: float = 400.0, law: Law = Law.PCMU, *, suite: str = SUITE
    ) -> None:
        super().__init__(frequency, law)
        self.suite = suite
        self._bare = self.socket
        self.rekey(new_key(suite), new_key(suite))

    def rekey(self, own: str, theirs: str) -> None:
        """`own` is the key of what it sends, `theirs` that of what the hub sends."""
        self.keys = SrtpKeys(suite=self.suite, local_key=theirs, remote_key=own)
        self.secure = SecureSocket(self._bare, self.suite, own, theirs)
        self.socket = self.secure  # type: ignore[assignment]  # the part of a socket that a Phone uses

    def rtcp_sessions(self) -> tuple[pylibsrtp.Session, pylibsrtp.Session]:
        """Sessions of its own for reports: what it sends, and what it gets."""
        keys = self.keys
        return (
            _session(self.suite, keys.remote_key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND),
            _session(self.suite, keys.local_key, pylibsrtp.Policy.SSRC_ANY_INBOUND),
        )

    def remote(self, *, sends: bool = True, receives: bool = True) -> RtpRemote:
        return replace(super().remote(sends=sends, receives=receives), srtp=self.keys)


def _session(suite: str, key: str, direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(base64.b64decode(key), direction, srtp_profile=PROFILES[suite][1])
    return pylibsrtp.Session(policy)
