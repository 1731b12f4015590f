"""A WHIP ingest's media side, scripted: it answers an offer of ours, lite or full in ICE, first or second in DTLS, and keeps what
it gets."""

import asyncio
import re
from contextlib import suppress

from aioice import stun
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters
from fakes.waiting import eventually

from benchmarks.video.far_end import FarEnd, Remote
from bridges.transport.private import keys_of, open_dtls
from bridges.transport.sealing import is_rtcp
from bridges.transport.stun import Credentials, answer_check, is_answer, local_ufrag
from bridges.video import feedback

_OWN_SSRC = 0x0FAC
_CONNECT_S = 30.0


class PushedTo(FarEnd):
    """`packets` is the RTP it got, in the clear, `repairs` what came again, `reports` the RTCP. `is_hidden`: the address it tells
    is nobody's, so that only its own checks show where it is."""

    def __init__(self, *, is_client=False, is_lite=True, is_hidden=False):
        super().__init__(RTCCertificate.generateCertificate())
        self.is_client, self.is_lite, self.is_hidden = is_client, is_lite, is_hidden
        self.packets, self.repairs, self.reports = [], [], []
        self.ssrc = self.rtx_ssrc = 0
        self.checked = 0
        self.mute = False
        self._goal = None
        self._ours = Credentials(self._ufrag, self._password)
        self._living = None

    async def read(self, offer):
        """Our answer to an offer, and whatever may come first."""
        found = re.search(r"^a=ssrc-group:FID (\d+) (\d+)", offer, re.MULTILINE)
        self.ssrc, self.rtx_ssrc = int(found.group(1)), int(found.group(2))
        self._remote = Remote.read(offer)
        self._learn_types(self._remote)
        setup = "active" if self.is_client else "passive"
        answer = self._describe(
            setup, "recvonly", self._remote.mid, (self.payload_type, self.rtx_type)
        )
        if self.is_lite:
            answer = answer.replace("a=group", "a=ice-lite\r\na=group", 1)
        if self.is_hidden:
            answer = answer.replace(f"{self.sock.getsockname()[1]} typ", "9 typ")
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._readable)
        self._living = asyncio.create_task(self._live(), name="pushed-to")
        return answer

    async def connected(self):
        await eventually(lambda: self.keys is not None, within_s=_CONNECT_S)
        early, self.early = self.early, []
        for packet in early:
            self._take(packet)

    def want_keyframe(self):
        self.send(feedback.write_pli(_OWN_SSRC, self.ssrc), rtcp=True)

    def miss(self, *sequences):
        self.send(feedback.write_nack(_OWN_SSRC, self.ssrc, list(sequences)), rtcp=True)

    async def say_goodbye(self):
        await self._dtls.stop()

    def close(self):
        if self._living is not None:
            self._living.cancel()
            asyncio.get_running_loop().remove_reader(self.sock.fileno())
            self._living = None
        super().close()

    # Life ----------------------------------------------------------------------------------------------------

    async def _live(self):
        while not self._nominated.is_set():
            if not self.is_lite:
                self._check()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nominated.wait(), 0.05)
        self._dtls = open_dtls(self._path, self._certificate, is_server=not self.is_client)
        fingerprints = [RTCDtlsFingerprint(*one) for one in self._remote.fingerprints]
        await self._dtls.start(RTCDtlsParameters(fingerprints=fingerprints))
        self.keys = keys_of(self._dtls)

    def _check(self):
        """A check as the controlled side sends it."""
        remote = self._remote
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{remote.ufrag}:{self._ufrag}"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLED"] = 1
        request.add_message_integrity(remote.password.encode())
        self.sock.sendto(bytes(request), (remote.host, remote.port))

    def _send(self, data):
        if self._goal is not None:
            self.sock.sendto(data, self._goal)

    def _readable(self):
        while True:
            try:
                data, source = self.sock.recvfrom(4096)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if not data or self.mute:
                continue
            if data[0] < 4:
                self._take_stun(data, source)
            elif data[0] < 64:
                self._path.feed(data)
            elif self.keys is None:
                self.early.append(data)
            else:
                self._take(data)

    def _take_stun(self, data, source):
        if is_answer(data):
            return
        assert local_ufrag(data) == self._ufrag
        check = answer_check(data, self._ours, source)
        assert check is not None, "a check that does not verify"
        self.checked += 1
        if check.nominated:
            self._goal = source
            self._nominated.set()
        self.sock.sendto(check.answer, source)

    def _take(self, data):
        rtcp = is_rtcp(data[1])
        clear = self.open(data, rtcp=rtcp)
        assert clear is not None, "a packet that does not verify"
        if rtcp:
            self.reports.append(clear)
        elif int.from_bytes(clear[8:12], "big") == self.rtx_ssrc:
            self.repairs.append(clear)
        else:
            self.packets.append(clear)
