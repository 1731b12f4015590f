"""All transports on the event loop that control runs on, which is not the one of the other tests."""

import asyncio
import ssl

import pytest
from fakes.waiting import eventually

from commhub.kit.loops import fast_loop
from gateways.sip.config import SipConfig, TlsConfig
from gateways.sip.tls import make_identity
from gateways.sip.transport import Hop
from gateways.sip.wires import Wires

HELLO = b"OPTIONS sip:hub SIP/2.0\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_a_message_is_heard_and_an_answer_goes_back(tmp_path, transport):
    certificate, key = make_identity(tmp_path, ["127.0.0.1"])
    tls = TlsConfig(certificate=certificate, key=key)

    async def talk():
        got, said = [], []
        wires = Wires(
            SipConfig(port=0, tls_port=0, tls=tls),
            lambda data, hop: got.append((data, hop)),
            lambda error, hop: None,
            lambda hop, reason: None,
        )
        async with wires:
            far = await _far_end(transport, wires, said)
            far(HELLO)
            await eventually(lambda: got)
            ((data, hop),) = got
            assert (data, hop.transport) == (HELLO, transport)
            wires.send(b"answer", Hop(hop.host, hop.port, transport, flow=transport != "UDP"))
            await eventually(lambda: b"answer" in said)

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(talk())


async def _far_end(transport, wires, said):
    """How it says something; what it hears is in `said`."""
    loop = asyncio.get_running_loop()
    if transport == "UDP":
        near, _ = await loop.create_datagram_endpoint(
            lambda: _Hears(said), remote_addr=("127.0.0.1", wires.port)
        )
        return near.sendto
    context = None
    if transport == "TLS":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = wires.tls_port if context else wires.port
    near, _ = await loop.create_connection(lambda: _Hears(said), "127.0.0.1", port, ssl=context)
    return near.write


class _Hears(asyncio.DatagramProtocol, asyncio.Protocol):
    def __init__(self, said):
        self._said = said

    def data_received(self, data):
        self._said.append(data)

    def datagram_received(self, data, address):
        self._said.append(data)
