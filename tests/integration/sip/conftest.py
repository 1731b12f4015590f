"""A real gateway on a real SQLite store; the media engine and the core only remember."""

import asyncio
import struct
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest
from fakes.desk import RecordingCalls, RecordingPresence
from fakes.media import FakeMedia
from fakes.waiting import eventually
from fakes.web import someone

from commhub.calls.service import CallRequest, CallService
from commhub.domain.call import TALKING
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.telephony import LegOrder
from gateways.sip import SipConfig, SipGateway, TimerConfig, hash_account
from gateways.sip.config import TlsConfig
from gateways.sip.core import NOTHING_MORE, Inward
from gateways.sip.tls import make_identity
from simulators import pcma
from simulators.tones import Tone, ToneMeter

REALM = "commhub.test"
PASSWORD = "kept-between-us"
# Timers an eighth of the RFC's, so that a lost message costs a test little.
QUICK = TimerConfig(t1_s=0.0625, t2_s=0.5, t4_s=0.625)


@dataclass
class Edge:
    """A gateway with what it was handed, and the means to restart it."""

    store: object
    config: SipConfig
    calls: RecordingCalls = field(default_factory=RecordingCalls)
    presence: RecordingPresence = field(default_factory=RecordingPresence)
    media: FakeMedia = field(default_factory=FakeMedia)
    more: Inward = NOTHING_MORE
    gateway: SipGateway | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def port(self):
        return self.gateway.port

    def __post_init__(self):
        self.calls.store = self.store

    async def start(self):
        gateway = SipGateway(
            self.config,
            self.store,
            self.media,
            self.calls,
            self.presence,
            SystemClock(),
            more=self.more,
        )
        self.gateway = await self._stack.enter_async_context(gateway)
        self.config = replace(self.config, port=gateway.port)
        if self.config.tls is not None:
            self.config = replace(self.config, tls_port=gateway.tls_port)

    async def stop(self):
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def restart(self):
        """Another gateway on the same store and port, as after a crash: nothing is said to the peers."""
        await self.stop()
        await self.start()

    async def add_account(self, name, password=PASSWORD):
        async with self.store.begin() as uow:
            await uow.sip.put_account(hash_account(name, REALM, password))

    async def call(self, name, **changes):
        """Place a leg to an account; its id."""
        order = LegOrder(
            call_id=new_id(), leg_id=new_id(), endpoint=Endpoint.parse(f"sip:{name}"), **changes
        )
        await self.gateway.place(order)
        return order.leg_id

    async def rows(self):
        async with self.store.read() as uow:
            return list(await uow.sip.dialogs())

    async def until_forgotten(self):
        """Until nothing of any leg is written down; that a leg has ended is written when there is time for it."""

        async def is_forgotten():
            return not await self.rows()

        await eventually(is_forgotten)

    async def bindings(self, name):
        async with self.store.read() as uow:
            return list(await uow.sip.bindings_of(name))


class Voice:
    """Speaks and listens at a leg's RTP port in the media engine's place, in A-law."""

    def __init__(self, edge, leg):
        self._sock = edge.media.socket_of(leg)
        self._sock.setblocking(False)
        self._far = edge.media.connected[leg].address

    async def levels(self, *frequencies, seconds=1.1):
        """What comes in during that time, in dBFS."""
        loop, meter = asyncio.get_running_loop(), ToneMeter()
        for _ in range(int(seconds * 50)):
            packet = await asyncio.wait_for(loop.sock_recv(self._sock, 2048), 2)
            if packet[0] >> 6 != 2:
                continue  # a phone that asks for itself by STUN (RFC 7983)
            assert packet[1] & 0x7F == 8
            meter.hear(pcma.decode(packet[12:]))
        return meter.levels(frequencies)

    async def speak(self, frequency, *, seconds=1.3):
        """Send a tone on the beat."""
        loop, tone = asyncio.get_running_loop(), Tone(frequency)
        following = loop.time()
        for sequence in range(int(seconds * 50)):
            header = struct.pack(">BBHII", 0x80, 8, sequence, sequence * 160, 7)
            packet = header + pcma.encode(tone.take(160))
            await loop.sock_sendto(self._sock, packet, (self._far.host, self._far.port))
            following += 0.02
            await asyncio.sleep(max(0, following - loop.time()))


@pytest.fixture
def voice_of(edge):
    """The voice of a connected leg."""
    return lambda leg: Voice(edge, leg)


@pytest.fixture
async def timed(store, tmp_path):
    """An edge with TLS whose session timers run for two seconds."""
    config = SipConfig(
        port=0,
        realm=REALM,
        timers=QUICK,
        min_expires_s=1,
        session_s=2,
        min_session_s=2,
        tls_port=0,
        tls=identity(tmp_path),
    )
    edge = Edge(store, config)
    await edge.start()
    await edge.add_account("1001")
    yield edge
    await edge.stop()
    edge.media.close()


@pytest.fixture
async def hub(store, bus, tmp_path):
    """An edge with TLS and the real calls behind it, the accounts 1001 to 1004, and what was told of their legs."""
    calls = CallService(store, SystemClock())
    tls = identity(tmp_path)
    config = SipConfig(port=0, realm=REALM, timers=QUICK, min_expires_s=1, tls_port=0, tls=tls)
    edge = Edge(store, config)
    edge.calls, edge.more = calls, Inward(transfers=calls.transfers)
    for name in ("1001", "1002", "1003", "1004"):
        await edge.add_account(name)
    with bus.subscribe(1000) as told:
        await edge.start()
        calls.connect(edge.media, {Scheme.SIP: edge.gateway})
        await calls.resume()
        yield Hub(edge, calls, told)
        await edge.stop()
    edge.media.close()


@dataclass
class Hub:
    """What the hub knows: calls as they are, and what was told of them."""

    edge: Edge
    calls: CallService
    told: object

    async def place(self, *names):
        """A call to accounts; its legs by name."""
        request = CallRequest(legs=[f"sip:{name}" for name in names])
        state = await self.calls.place(request, someone())
        return state.call.id, {leg.endpoint.name: leg.id for leg in state.legs}

    async def legs(self, call_id):
        """(state, cause) of each leg of a call, by name."""
        legs = (await self.calls.get(call_id)).legs
        return {leg.endpoint.name: (leg.state, leg.cause) for leg in legs}

    async def live(self):
        """Names of those who talk, by call."""
        states = await self.calls.list(live_only=True, before=None, limit=10)
        return {
            state.call.id: {leg.endpoint.name for leg in state.legs if leg.state in TALKING}
            for state in states
        }

    def timeline(self, kind):
        """The facts of a kind that were told so far."""
        facts = []
        while not self.told._queue.empty():
            facts.append(self.told._queue.get_nowait())
        return [fact for fact in facts if isinstance(fact, kind)]


@pytest.fixture
def certificate(edge):
    """The certificate to believe over TLS."""
    return edge.config.tls.certificate


def identity(folder):
    """A certificate for this machine, made by itself; whoever shows it is believed."""
    certificate, key = make_identity(folder, ["127.0.0.1", "localhost"])
    return TlsConfig(certificate=certificate, key=key, authorities=certificate)


@pytest.fixture
async def edge(store, tmp_path):
    """A started gateway with TLS and the account 1001."""
    tls = identity(tmp_path)
    config = SipConfig(port=0, realm=REALM, timers=QUICK, min_expires_s=1, tls_port=0, tls=tls)
    edge = Edge(store, config)
    await edge.start()
    await edge.add_account("1001")
    yield edge
    await edge.stop()
    edge.media.close()
