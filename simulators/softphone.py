"""pyVoIP 1.6.8 made fit to be a phone at a real registrar: every difference from it is here, with its reason.

pyVoIP is the independent phone of the demo and the tests, so its dialogs, its SDP and its RTP stay its own, quirks
included. Mended is only what would keep a call from happening or from being measured.
"""

import audioop
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyVoIP
from numpy.typing import NDArray
from pyVoIP import RTP, SIP
from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone
from pyVoIP.VoIP.status import PhoneStatus

Pcm = NDArray[np.int16]
FRAME = 160
FRAME_S = 0.02
REGISTER_AGAIN_S = 1.0

# pyVoIP stops for good after three failed registrations; a phone waits for its hub to come back.
pyVoIP.REGISTER_FAILURE_THRESHOLD = 2**31


class Stream(RTP.RTPClient):
    """The RTP of a call, with 16-bit audio at both ends.

    pyVoIP's own audio is 8 bits linear, which is coarser than the G.711 it decodes; it writes gaps as full-scale
    samples, keeps every byte of a call for ever, encodes A-law as µ-law, and its sender falls behind by its own
    overhead. So samples are taken and given per packet here, and packets leave on a fixed beat.
    """

    speak: Callable[[int], Pcm]
    hear: Callable[[Pcm], None]

    def trans(self) -> None:
        following = time.monotonic()
        while self.NSD:
            frame = self.speak(FRAME).tobytes()
            is_alaw = self.preference is RTP.PayloadType.PCMA
            payload = audioop.lin2alaw(frame, 2) if is_alaw else audioop.lin2ulaw(frame, 2)
            header = bytes([0x80, int(self.preference)])
            header += (self.outSequence & 0xFFFF).to_bytes(2, "big")
            header += (self.outTimestamp & 0xFFFFFFFF).to_bytes(4, "big")
            header += self.outSSRC.to_bytes(4, "big")
            # The call may end, or the far end restart, at this moment.
            with suppress(OSError):
                self.sout.sendto(header + payload, (self.outIP, self.outPort))
            self.outSequence += 1
            self.outTimestamp += FRAME
            following += FRAME_S
            time.sleep(max(0.0, following - time.monotonic()))

    def parse_pcmu(self, packet: Any) -> None:
        self.hear(np.frombuffer(audioop.ulaw2lin(packet.payload, 2), np.int16))

    def parse_pcma(self, packet: Any) -> None:
        self.hear(np.frombuffer(audioop.alaw2lin(packet.payload, 2), np.int16))


class Call(VoIPCall):
    """A call whose streams speak and hear for the phone."""

    phone: "Softphone"

    def create_rtp_clients(
        self, codecs: Any, ip: str, port: int, request: Any, baseport: int
    ) -> None:
        for offset, connection in enumerate(request.body["c"]):
            stream = Stream(
                codecs, ip, port, connection["address"], baseport + offset, self.sendmode
            )
            stream.speak, stream.hear = self.phone.speak, self.phone.hear
            self.RTPClients.append(stream)

    def __del__(self) -> None:
        """pyVoIP frees ports here by guessing which calls are dead, and forgets living calls on the way."""

    def end(self) -> None:
        """Stop the audio and forget the call, whatever its state."""
        for stream in self.RTPClients:
            if hasattr(stream, "sin"):
                stream.stop()
        self.state = CallState.ENDED
        self.phone.calls.pop(self.call_id, None)


class Client(SIP.SIPClient):
    """Signalling: answers challenges to INVITE, knows CANCEL and refusals, and never stops registering."""

    phone: "Softphone"

    def __init__(self, *args: Any, expires: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_expires = expires
        self.register_timeout = 3
        self.registered_until = 0.0
        # pyVoIP derives Call-IDs from a counter that starts at 1: a restarted phone would repeat the Call-ID of
        # its last registration with an older CSeq, which a registrar must refuse (RFC 3261 §10.3).
        self.callID = SIP.Counter(random.randrange(2**31))

    # --- registration --------------------------------------------------------------------------------------

    def register(self) -> bool:
        registered = bool(super().register())
        if registered:
            self.registered_until = time.monotonic() + self.default_expires
        return registered

    def _SIPClient__start_register_timer(self, delay: int | None = None) -> None:  # noqa: N802 - pyVoIP's own name
        """pyVoIP tries again at once after a failure; a hub that is restarting would be hammered."""
        if self.NSD:
            after = self.default_expires / 2 if delay is None else REGISTER_AGAIN_S
            self.registerThread = threading.Timer(after, self.register)
            self.registerThread.daemon = True
            self.registerThread.start()

    # --- calls we place ------------------------------------------------------------------------------------

    def invite(self, number: str, ms: Any, sendtype: Any) -> tuple[Any, str, int]:
        """Send and return. pyVoIP waits here without a timeout, knows 401 but not 407, and repeats the INVITE
        with its old branch, which a server takes for a retransmission."""
        call_id, session = self.gen_call_id(), self.sessID.next()
        text = self.gen_invite(number, str(session), ms, sendtype, self.gen_branch(), call_id)
        self._send(text)
        return SIP.SIPMessage(text.encode()), call_id, session

    def parse_message(self, message: Any) -> None:
        if message.type is SIP.SIPMessageType.MESSAGE:
            if message.method == "CANCEL":
                self._cancelled(message)
            else:
                super().parse_message(message)
            return
        with self.phone.placing:
            # A hub on the same machine answers before the call it answers is on the phone's list.
            pass
        status = int(message.status)
        if message.headers["CSeq"]["method"] == "INVITE" and status >= 300:
            self._refused(message, status)
        elif status >= 200:
            super().parse_message(message)

    def _refused(self, message: Any, status: int) -> None:
        """pyVoIP neither acknowledges nor notices most refusals of its INVITE."""
        call = self.phone.calls.get(message.headers["Call-ID"])
        if message.headers["Call-ID"] in self.tagLibrary:
            self._send(self.gen_ack(message))
        if call is None or call.state is not CallState.DIALING:
            return
        if message.headers["CSeq"]["check"] != call.request.headers["CSeq"]["check"]:
            return  # The challenge once more: its ACK was slow.
        if status in (401, 407) and "Authorization:" not in str(call.request.raw, "utf8"):
            self._invite_again(call, message)
        else:
            call.end()

    def _invite_again(self, call: Any, challenge: Any) -> None:
        name = "Proxy-Authorization" if int(challenge.status) == 407 else "Authorization"
        fields = challenge.headers.get("Proxy-Authenticate") or ""
        if isinstance(fields, str) and fields:
            # pyVoIP reads the fields of WWW-Authenticate only.
            challenge.authentication = {
                key: value.strip('"') for key, value in challenge.auth_match.findall(fields)
            }
        digest = str(self.gen_authorization(challenge), "utf8")
        found = challenge.authentication
        line = (
            f'{name}: Digest username="{self.username}",realm="{found["realm"]}",'
            f'nonce="{found["nonce"]}",uri="sip:{self.server};transport=UDP",'
            f'response="{digest}",algorithm=MD5\r\n'
        )
        text = str(call.request.raw, "utf8")
        text = re.sub(r"branch=[^\r;]+", f"branch={self.gen_branch()}", text, count=1)
        text = re.sub(r"CSeq: \d+", f"CSeq: {self.inviteCounter.next()}", text, count=1)
        text = text.replace("Content-Length", f"{line}Content-Length", 1)
        call.request = SIP.SIPMessage(text.encode())
        self._send(text)

    def cancel(self, call: Any) -> None:
        """pyVoIP cannot give up a call that rings."""
        head = str(call.request.raw, "utf8").partition("\r\n\r\n")[0].split("\r\n")
        kept = [line for line in head if line.startswith(("Via", "From", "To", "Call-ID", "Max-F"))]
        number = call.request.headers["CSeq"]["check"]
        start = head[0].replace("INVITE", "CANCEL", 1)
        lines = [start, *kept, f"CSeq: {number} CANCEL", "Content-Length: 0", "", ""]
        self._send("\r\n".join(lines))

    # --- calls we get --------------------------------------------------------------------------------------

    def _cancelled(self, message: Any) -> None:
        """pyVoIP answers a CANCEL and rings on: the INVITE's own 487 is missing (RFC 3261 §9.2)."""
        self._send(self.gen_ok(message))
        call = self.phone.calls.get(message.headers["Call-ID"])
        if call is not None and call.state is CallState.RINGING:
            self.refuse(call, "487 Request Terminated")

    def refuse(self, call: Any, status: str) -> None:
        """Refuse a ringing call with any status; pyVoIP knows 486 only."""
        text = self.gen_busy(call.request)
        self._send(text.replace("486 Busy Here", status, 1))
        call.end()

    def _send(self, text: str) -> None:
        self.out.sendto(text.encode(), (self.server, self.port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where the phone sits and whom it belongs to. `rtp_ports` is the lowest and the highest."""

    server: tuple[str, int]
    user: str
    password: str
    host: str
    sip_port: int
    rtp_ports: tuple[int, int]
    expires_s: int


class Softphone(VoIPPhone):
    """A phone that speaks through `speak` and hears through `hear`, both called from its RTP threads; `rang` is
    called from a thread of its own for every incoming call."""

    sip: Client
    calls: dict[str, Any]

    def __init__(
        self,
        line: Line,
        speak: Callable[[int], Pcm],
        hear: Callable[[Pcm], None],
        rang: Callable[[Any], None],
    ) -> None:
        server, port = line.server
        super().__init__(
            server,
            port,
            line.user,
            line.password,
            myIP=line.host,
            callCallback=rang,
            sipPort=line.sip_port,
        )
        self.rtpPortLow, self.rtpPortHigh = line.rtp_ports
        self.placing = threading.Lock()
        self.speak = speak
        self.hear = hear
        self.sip = Client(
            *(server, port, line.user, line.password),
            phone=self,
            myIP=line.host,
            myPort=line.sip_port,
            callCallback=self.callback,
            fatalCallback=self.fatal,
            expires=line.expires_s,
        )

    @property
    def is_registered(self) -> bool:
        """pyVoIP's own status flickers at every refresh."""
        return time.monotonic() < self.sip.registered_until

    def _create_Call(self, request: Any, sess_id: int) -> None:  # noqa: N802 - pyVoIP's own name
        self.calls[request.headers["Call-ID"]] = Call(
            self, CallState.RINGING, request, sess_id, self.myIP, sendmode=self.recvmode
        )

    def call(self, number: str) -> Any:
        port = self.request_port()
        media: Any = {port: {0: RTP.PayloadType.PCMU, 101: RTP.PayloadType.EVENT}}
        with self.placing:
            request, call_id, session = self.sip.invite(number, media, RTP.TransmitType.SENDRECV)
            call = Call(
                *(self, CallState.DIALING, request, session, self.myIP),
                ms=media,
                sendmode=self.sendmode,
            )
            self.calls[call_id] = call
        return call

    def request_port(self, blocking: bool = True) -> int:
        """pyVoIP never frees the port of a call it received; the kernel knows which ones are free."""
        del blocking
        for port in range(self.rtpPortLow + self.rtpPortLow % 2, self.rtpPortHigh + 1, 2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((self.myIP, port))
                except OSError:
                    continue
                return port
        raise OSError(f"no free RTP port from {self.rtpPortLow} to {self.rtpPortHigh}")

    def release_ports(self, call: Any = None) -> None:
        """Nothing is kept; see `request_port`."""

    def stop(self, failed: bool = False) -> None:
        """pyVoIP deregisters here and waits for the hub to agree; a simulator just goes."""
        del failed
        for call in list(self.calls.values()):
            call.end()
        self.sip.NSD = False
        if self.sip.registerThread is not None:
            self.sip.registerThread.cancel()
        self._status = PhoneStatus.INACTIVE
