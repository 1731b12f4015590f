"""A SIP room system's sockets beside the video worker: RTP, and RTCP on the port above; with keys both are SRTP."""

import base64
import socket
from dataclasses import replace

import numpy as np
from pylibsrtp import Error, Policy, Session

from bridges.transport.srtp import Inward
from commhub.ports.media import RtpAddress

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}


class Terminal:
    """`got` are RTP packets, `told` reports, in the clear; `refused` could not be opened. `keys` are the hub's: its remote key is
    ours."""

    def __init__(self, host="127.0.0.1", keys=None):
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        while True:
            self.rtp = socket.socket(family, socket.SOCK_DGRAM)
            self.rtp.bind((host, 0))
            self.port = self.rtp.getsockname()[1]
            self.rtcp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self.rtcp.bind((host, self.port + 1))
                break
            except OSError:
                self.rtp.close()
                self.rtcp.close()
        for sock in (self.rtp, self.rtcp):
            sock.setblocking(False)
        self.got, self.told = [], []
        self.refused = 0
        self.agree(keys)

    def agree(self, keys):
        """Speak with these keys from now on; None: in the clear."""
        self._closes = self._opens = None
        if keys is not None:
            self._long = Inward(keys.suite, keys.local_key)
            profile = _PROFILES[keys.suite]
            self._closes, self._opens = (
                Session(Policy(base64.b64decode(key), kind, 0, profile))
                for key, kind in (
                    (keys.remote_key, Policy.SSRC_ANY_OUTBOUND),
                    (keys.local_key, Policy.SSRC_ANY_INBOUND),
                )
            )

    @property
    def address(self):
        return RtpAddress(self.host, self.port)

    def send(self, place, packets, ssrc=7, by=None):
        for packet in packets:
            head = bytes((0x80, 97 | (0x80 if packet.marker else 0)))
            head += packet.sequence.to_bytes(2, "big") + packet.timestamp.to_bytes(4, "big")
            data = head + ssrc.to_bytes(4, "big") + packet.payload
            if self._closes is not None:
                data = self._closes.protect(data)
            (by or self.rtp).sendto(data, (place.host, place.port))

    def read(self):
        """All RTP that came so far."""
        opens = self._opens
        self._read(self.rtp, self.got, opens and self._open)
        self._read(self.rtcp, self.told, opens and opens.unprotect_rtcp)
        return self.got

    def _open(self, packet):
        # pylibsrtp takes no longer ones.
        return self._opens.unprotect(packet) if len(packet) <= 1500 else self._open_long(packet)

    def _open_long(self, packet):
        room = np.frombuffer(packet, np.uint8).copy()
        size = self._long.unprotect(room.ctypes.data, len(packet))
        if not size:
            raise Error
        return room[:size].tobytes()

    def _read(self, sock, into, opener):
        while True:
            try:
                packet = sock.recv(70_000)
            except BlockingIOError:
                return
            try:
                into.append(opener(packet) if opener else packet)
            except Error:
                self.refused += 1

    def report(self, place, packet):
        if self._closes is not None:
            packet = self._closes.protect_rtcp(packet)
        self.rtcp.sendto(packet, (place.host, place.port + 1))

    def close(self):
        self.rtp.close()
        self.rtcp.close()


def later(packets, by):
    """The same packets with numbers so much higher."""
    return [
        replace(
            one,
            sequence=one.sequence + by & 0xFFFF,
            timestamp=one.timestamp + by * 3_000 & 0xFFFFFFFF,
        )
        for one in packets
    ]
