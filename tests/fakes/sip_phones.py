"""The phones of account 1001, played by hand on the wire of `tests/unit/sip/conftest.py`: what real ones would be too
polite to do."""

from fakes.waiting import eventually

from commhub.domain.people import Endpoint
from commhub.kit.ids import new_id
from commhub.ports.telephony import LegOrder
from gateways.sip.message import Request
from gateways.sip.transport import Hop

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)


class Phones:
    """What the hub sends to the phones of 1001, by port, and their answers."""

    def __init__(self, wire):
        self.wire = wire

    async def register(self, *ports):
        contacts = [f"Contact: <sip:1001@192.0.2.10:{port}>" for port in ports]
        for port, contact in zip(ports, contacts, strict=True):
            source = Hop("192.0.2.10", port)
            answer = await self.wire.authorized(
                "REGISTER", headers=[contact], call=f"r{port}", source=source
            )
            assert answer.status == 200

    async def call(self, **changes):
        order = LegOrder(
            call_id=new_id(), leg_id=new_id(), endpoint=Endpoint.parse("sip:1001"), **changes
        )
        await self.wire.gateway.place(order)
        return order.leg_id

    def got(self, method, port=None):
        return [
            message
            for message, (_, hop) in zip(self.wire.answers(), self.wire.sent, strict=True)
            if isinstance(message, Request)
            and message.method == method
            and port in (None, hop.port)
        ]

    async def until(self, method, port=None, count=1):
        await eventually(lambda: len(self.got(method, port)) >= count)
        return self.got(method, port)[-1]

    def answer(self, request, status, port=5062, *, tag="far", body="", contact=True, headers=()):
        headers = list(headers)
        if contact:
            headers.append(("Contact", f"<sip:1001@192.0.2.10:{port}>"))
        if body:
            headers.append(("Content-Type", "application/sdp"))
        response = request.response(
            status, to_tag=f"{tag}{port}", headers=headers, body=body.encode()
        )
        self.wire.say(bytes(response), Hop("192.0.2.10", port))

    def ask(
        self,
        method,
        answered,
        seq,
        *,
        port=5062,
        tag="far",
        body="",
        headers=(),
        kind="application/sdp",
    ):
        """A request of the phone inside the dialog that its 200 to `answered` made."""
        lines = [
            f"{method} sip:commhub@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.10:{port};branch=z9hG4bK{new_id()};rport",
            f"From: {answered.get('To')};tag={tag}{port}",
            f"To: {answered.get('From')}",
            f"Call-ID: {answered.call_id}",
            f"CSeq: {seq} {method}",
            f"Contact: <sip:1001@192.0.2.10:{port}>",
            *([f"Content-Type: {kind}"] if body else []),
            *headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body
