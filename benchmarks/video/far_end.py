"""A WebRTC far end of light weight: one UDP socket, ICE as the controlling side, DTLS by aiortc, then packets as they come.

It stands in for a browser towards our worker and towards a peer alike: it offers (or answers an offer), nominates the first
path that answers, and has its SRTP sessions when the handshake is done.
"""

import asyncio
import re
import secrets
import socket
from dataclasses import dataclass

from aioice import stun
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters

from bridges.transport.private import IcePath, SrtpKeys, keys_of, open_dtls
from bridges.transport.sealing import Scratch

_CHECK_EVERY_S = 0.1
_CONNECT_S = 15.0
_PRIORITY = 2130706431
_RECEIVE_BUFFER = 8 << 20
_RECEIVE_BUFFER_FORCE = 33
_TIMESTAMPS = 35
PAYLOAD_TYPE, RTX_TYPE = 96, 97
_PUBLISHED_SSRC = 0x0BADCAFE


@dataclass(frozen=True, slots=True)
class Remote:
    """What the other side's description says."""

    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    host: str
    port: int
    types: dict[str, int]
    mid: str

    @classmethod
    def read(cls, sdp: str) -> "Remote":
        def first(pattern: str) -> str:
            found = re.search(pattern, sdp, re.MULTILINE)
            assert found is not None, f"no {pattern} in {sdp}"
            return found.group(1)

        candidate = re.search(r"^a=candidate:\S+ 1 \S+ \d+ (\S+) (\d+) typ host", sdp, re.MULTILINE)
        assert candidate is not None, f"no candidate in {sdp}"
        names = re.findall(r"^a=rtpmap:(\d+) ([A-Za-z0-9-]+)/", sdp, re.MULTILINE)
        return cls(
            ufrag=first(r"^a=ice-ufrag:(\S+)"),
            password=first(r"^a=ice-pwd:(\S+)"),
            fingerprints=tuple(re.findall(r"^a=fingerprint:(\S+) (\S+)", sdp, re.MULTILINE)),
            setup=first(r"^a=setup:(\S+)"),
            host=candidate.group(1),
            port=int(candidate.group(2)),
            types={name.upper(): int(number) for number, name in names},
            mid=first(r"^a=mid:(\S+)"),
        )


class FarEnd:
    """One connection. `keys` are there once it is connected; media that came before is in `early`."""

    def __init__(self, certificate: RTCCertificate) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _RECEIVE_BUFFER)
        self.sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self.sock.bind(("0.0.0.0", 0))
        self.keys: SrtpKeys | None = None
        self.early: list[bytes] = []
        self.payload_type, self.rtx_type = PAYLOAD_TYPE, RTX_TYPE
        self._certificate = certificate
        self._ufrag, self._password = secrets.token_hex(4), secrets.token_hex(12)
        self._path = IcePath(self._send, 256)
        self._remote: Remote | None = None
        self._nominated = asyncio.Event()
        self._is_server = False
        self._scratch = Scratch()

    def offer(self, *, publishes: bool) -> str:
        return self._describe(
            "actpass", "sendonly" if publishes else "recvonly", "0", (PAYLOAD_TYPE, RTX_TYPE)
        )

    def accept(self, sdp: str) -> None:
        """The other side's answer."""
        self._remote = Remote.read(sdp)
        self._is_server = self._remote.setup == "active"
        self._learn_types(self._remote)

    def answer(self, sdp: str) -> str:
        """Our answer to an offer of pictures."""
        remote = self._remote = Remote.read(sdp)
        self._is_server = False
        self._learn_types(remote)
        return self._describe("active", "recvonly", remote.mid, (self.payload_type, self.rtx_type))

    async def connect(self) -> None:
        """Prove the path and shake hands. Raises TimeoutError, AssertionError."""
        remote = self._remote
        assert remote is not None
        self.sock.connect((remote.host, remote.port))
        loop = asyncio.get_running_loop()
        loop.add_reader(self.sock.fileno(), self._readable)
        dtls = open_dtls(self._path, self._certificate, is_server=self._is_server)
        try:
            async with asyncio.timeout(_CONNECT_S):
                while not self._nominated.is_set():
                    self.check()
                    try:
                        await asyncio.wait_for(self._nominated.wait(), _CHECK_EVERY_S)
                    except TimeoutError:
                        continue
                fingerprints = [RTCDtlsFingerprint(*one) for one in remote.fingerprints]
                await dtls.start(RTCDtlsParameters(fingerprints=fingerprints))
        finally:
            loop.remove_reader(self.sock.fileno())
        assert dtls.state == "connected", f"DTLS is {dtls.state}"
        self.keys = keys_of(dtls)
        self._dtls = dtls

    def check(self) -> None:
        """A connectivity check that nominates; also the sign that we are alive."""
        remote = self._remote
        assert remote is not None
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{remote.ufrag}:{self._ufrag}"
        request.attributes["PRIORITY"] = _PRIORITY
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(remote.password.encode())
        self._send(bytes(request))

    def send(self, packet: bytes, *, rtcp: bool = False) -> None:
        """Seal and send."""
        assert self.keys is not None
        sealed = self._scratch.seal(self.keys.outward_handle, packet, rtcp=rtcp)
        assert sealed is not None
        self._send(sealed)

    def open(self, packet: bytes, *, rtcp: bool = False) -> bytes | None:
        assert self.keys is not None
        return self._scratch.open(self.keys.inward_handle, packet, rtcp=rtcp)

    def close(self) -> None:
        self._path.end()
        self.sock.close()

    def _send(self, data: bytes) -> None:
        self.sock.send(data)

    def _readable(self) -> None:
        while self.keys is None:
            try:
                data = self.sock.recv(4096)
            except (BlockingIOError, ConnectionRefusedError):
                return
            kind = data[0] if data else 255
            if kind < 4:
                self._take_check(data)
            elif kind < 64:
                self._path.feed(data)
            elif kind >= 128:
                self.early.append(data)

    def _take_check(self, data: bytes) -> None:
        message = stun.parse_message(data)
        if message.message_class == stun.Class.RESPONSE:
            self._nominated.set()
        elif message.message_class == stun.Class.REQUEST and self._remote is not None:
            response = stun.Message(
                message_method=stun.Method.BINDING,
                message_class=stun.Class.RESPONSE,
                transaction_id=message.transaction_id,
            )
            response.attributes["XOR-MAPPED-ADDRESS"] = self.sock.getpeername()
            response.add_message_integrity(self._password.encode())
            self._send(bytes(response))

    def _learn_types(self, remote: Remote) -> None:
        self.payload_type = remote.types["H264"]
        self.rtx_type = remote.types.get("RTX", 0)

    def _describe(self, setup: str, direction: str, mid: str, types: tuple[int, int]) -> str:
        payload, rtx = types
        port = self.sock.getsockname()[1]
        digest = next(
            one.value for one in self._certificate.getFingerprints() if one.algorithm == "sha-256"
        )
        formats = f"{payload} {rtx}" if rtx else f"{payload}"
        lines = [
            "v=0",
            f"o=- {secrets.randbits(48)} 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            f"a=group:BUNDLE {mid}",
            "a=msid-semantic:WMS *",
            f"m=video 9 UDP/TLS/RTP/SAVPF {formats}",
            "c=IN IP4 127.0.0.1",
            "a=rtcp:9 IN IP4 0.0.0.0",
            f"a=ice-ufrag:{self._ufrag}",
            f"a=ice-pwd:{self._password}",
            f"a=fingerprint:sha-256 {digest}",
            f"a=setup:{setup}",
            f"a=mid:{mid}",
            f"a={direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            f"a=rtpmap:{payload} H264/90000",
            f"a=fmtp:{payload} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            *(f"a=rtcp-fb:{payload} {one}" for one in ("nack", "nack pli", "ccm fir", "goog-remb")),
        ]
        if rtx:
            lines += [f"a=rtpmap:{rtx} rtx/90000", f"a=fmtp:{rtx} apt={payload}"]
        if direction == "sendonly":
            lines += [f"a=ssrc:{_PUBLISHED_SSRC} cname:bench", "a=msid:bench video"]
        lines += [
            f"a=candidate:1 1 udp {_PRIORITY} 127.0.0.1 {port} typ host",
            "a=end-of-candidates",
        ]
        return "\r\n".join([*lines, ""])


PUBLISHED_SSRC = _PUBLISHED_SSRC
