"""The far ends of lines, played by hand on the wire of `tests/unit/sip/conftest.py`."""

import hashlib
import re

from fakes.waiting import eventually

from commhub.domain.people import Endpoint
from commhub.kit.ids import new_id
from commhub.ports.telephony import LegOrder
from gateways.sip.message import Request
from gateways.sip.transport import Hop
from gateways.sip.trunks.config import TrunkConfig
from gateways.sip.trunks.numbers import Route

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 192.0.2.99\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)
FIRST, SECOND = Hop("198.51.100.1", 5060), Hop("198.51.100.2", 5060)


def a_trunk(name="first", hop=FIRST, **changes):
    """A line that nobody probes."""
    given = {
        "name": name,
        "server": str(hop),
        "domain": f"{name}.example",
        "number": "+862112345678",
        "probe_every_s": 0.0,
        "patience_s": 0.3,
    }
    return TrunkConfig(**given | changes)


class Exchange:
    """One line's far end: what the hub sends there, and its answers."""

    def __init__(self, wire, hop=FIRST, *, password="line-secret", realm="first.example"):
        self.wire = wire
        self.hop = hop
        self.password = password
        self.realm = realm

    def got(self, method):
        return [
            message
            for message, (_, hop) in zip(self.wire.answers(), self.wire.sent, strict=True)
            if isinstance(message, Request) and message.method == method and hop == self.hop
        ]

    def different(self, method):
        """Without retransmissions."""
        return list({message.get("Via"): message for message in self.got(method)}.values())

    async def until(self, method, count=1):
        await eventually(lambda: len(self.different(method)) >= count)
        return self.different(method)[count - 1]

    def ack_of(self, invite):
        """The ACK of a 2xx to this INVITE; None as long as there is none."""
        own = (invite.call_id, invite.cseq.sequence)
        acks = (a for a in self.got("ACK") if (a.call_id, a.cseq.sequence) == own)
        return next(acks, None)

    def is_acknowledged(self, invite):
        return self.ack_of(invite) is not None

    def answer(self, request, status, *, headers=(), body="", contact=True):
        headers = list(headers)
        if contact:
            headers.append(("Contact", f"<sip:{self.hop}>"))
        if body:
            headers.append(("Content-Type", "application/sdp"))
        response = request.response(status, to_tag="far", headers=headers, body=body.encode())
        self.wire.say(bytes(response), self.hop)

    def challenge(self, request, *, nonce="n1", status=407, realm=None, more='qop="auth"'):
        name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
        value = f'Digest realm="{realm or self.realm}", nonce="{nonce}", {more}'
        self.answer(request, status, headers=[(name, value)], contact=False)

    def is_right(self, request, *, user="hub", header="Proxy-Authorization"):
        """Whether the credentials prove the password, computed by nobody's code but this."""
        line = request.get(header)
        found = dict(re.findall(r'(\w+)="?([^",]*)"?', line))
        hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[found.get("algorithm", "MD5")]

        def of(*parts):
            return hashed(":".join(parts).encode()).hexdigest()

        ha1, ha2 = of(user, self.realm, self.password), of(request.method, found["uri"])
        middle = [found["nonce"]]
        if "qop" in found:
            middle += [found["nc"], found["cnonce"], found["qop"]]
        return found["uri"] == request.uri and found["response"] == of(ha1, *middle, ha2)

    def calls(self, number, *, headers=(), source=None, caller="02187654321", name="", body=SDP):
        """The text of an INVITE from this line."""
        source = source or self.hop
        lines = [
            f"INVITE sip:{number}@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP {source};branch=z9hG4bK{new_id()};rport",
            "Max-Forwards: 70",
            f'From: "{name}" <sip:{caller}@first.example>;tag={new_id()}',
            f"To: <sip:{number}@127.0.0.1>",
            f"Call-ID: {new_id()}",
            "CSeq: 1 INVITE",
            f"Contact: <sip:{source}>",
            "Content-Type: application/sdp",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body


async def dial(wire, number="+8613800000000", via=("first", "second"), otherwise=None, **route):
    """Place a leg outside; its id."""
    order = LegOrder(call_id=new_id(), leg_id=new_id(), endpoint=Endpoint.parse(f"tel:{number}"))
    await wire.gateway.dial(order, Route(number, via, **route), otherwise)
    return order.leg_id
