"""A small name server: answers over UDP from one zone, and says what it was asked."""

import asyncio
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.zone


class NameServer(asyncio.DatagramProtocol):
    """`asked` holds (name, kind) of every question; `is_silent` answers nothing any more."""

    def __init__(self, origin, records):
        text = f"@ 60 SOA ns hostmaster 1 60 60 60 60\n@ 60 NS ns\n{records}"
        self._zone = dns.zone.from_text(text, origin=f"{origin}.", relativize=False)
        self._transport = None
        self.asked = []
        self.is_silent = False

    @property
    def address(self):
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        (question,) = query.question
        self.asked.append((question.name.to_text(omit_final_dot=True), question.rdtype.name))
        if self.is_silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        node = self._zone.get_node(question.name)
        records = node and node.get_rdataset(question.rdclass, question.rdtype)
        if records:
            rrset = answer.find_rrset(
                answer.answer, question.name, question.rdclass, question.rdtype, create=True
            )
            rrset.update(records)
        elif node is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(origin, records):
    """Serve `records` (lines of a zone file) below `origin` at a free port of 127.0.0.1."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(origin, records), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
