"""A gateway whose wire is in the test's hands: datagrams go in by `say`, what it sends is in `sent`."""

import asyncio
import hashlib
import re
from dataclasses import dataclass, field, replace

import pytest
from fakes.desk import (
    RecordingCalls,
    RecordingDigits,
    RecordingPresence,
    RecordingReports,
    RecordingTransfers,
)
from fakes.media import FakeMedia
from fakes.sip_phones import SDP, Phones
from fakes.waiting import eventually

from gateways.sip import SipConfig, SipGateway, TimerConfig, hash_account
from gateways.sip.core import Inward
from gateways.sip.legs import Expired
from gateways.sip.message import Response, parse
from gateways.sip.transport import Hop
from gateways.sip.trunks.toll import unheard

REALM = "commhub.test"
PASSWORD = "kept-between-us"
PHONE = Hop("192.0.2.10", 5062)


@dataclass
class Wire:
    gateway: SipGateway
    calls: RecordingCalls
    presence: RecordingPresence
    clock: object
    store: object
    sent: list = field(default_factory=list)
    transfers: RecordingTransfers = field(default_factory=RecordingTransfers)
    digits: RecordingDigits = field(default_factory=RecordingDigits)
    reports: RecordingReports = field(default_factory=RecordingReports)
    is_behind: bool = False
    urgent: set = field(default_factory=lambda: {"110", "8000"})
    _branch: int = 0

    @property
    def media(self):
        return self.gateway._core.media

    @property
    def more(self):
        return Inward(
            transfers=self.transfers,
            digits=self.digits,
            reports=self.reports,
            is_urgent=lambda number: number in self.urgent,
            is_emergency=lambda number: number == "110",
            is_behind=lambda: self.is_behind,
        )

    async def tick(self, leg, what):
        """Let a deadline of a leg pass."""
        self.gateway._legs[leg].post(Expired(what))
        for _ in range(20):
            await asyncio.sleep(0)

    def say(self, data, source=PHONE):
        """Let a datagram arrive."""
        self.gateway._entrance.receive(data if isinstance(data, bytes) else data.encode(), source)

    def answers(self, since=0):
        return [parse(data) for data, _ in self.sent[since:]]

    async def ask(self, data, source=PHONE):
        """Let a request arrive and wait for its final response; one to an earlier request may come again."""
        since = len(self.sent)
        self.say(data, source)
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        # A request of RFC 2543 has no branch; its answer has none either.
        branch = next(iter(re.findall("branch=[^;,\\s]+", text)), "")

        def final():
            return next(
                (
                    answer
                    for answer in self.answers(since)
                    if isinstance(answer, Response)
                    and answer.is_final
                    and branch in ",".join(answer.headers.getlist("Via"))
                ),
                None,
            )

        return await eventually(final)

    async def silence(self, data, source=PHONE):
        """Let a datagram arrive; what was sent back once everything that could run has run."""
        since = len(self.sent)
        self.say(data, source)
        for _ in range(20):
            await asyncio.sleep(0)
        return self.sent[since:]

    def request(
        self,
        method,
        *,
        seq=1,
        uri="sip:commhub.test",
        to="1001",
        call="c1",
        tag="t1",
        headers=(),
        body="",
    ):
        """A request with a branch of its own."""
        self._branch += 1
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {PHONE};branch=z9hG4bK{self._branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:1001@commhub.test>;tag={tag}",
            f"To: <sip:{to}@commhub.test>",
            f"Call-ID: {call}",
            f"CSeq: {seq} {method}",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    async def authorized(self, method, *, password=PASSWORD, source=PHONE, seq=1, **more):
        """The same request twice: challenged, then with its digest. The second answer."""
        challenge = await self.ask(self.request(method, seq=seq, **more), source)
        line = self.credentials(challenge, method, password=password)
        headers = (*more.pop("headers", ()), line)
        return await self.ask(self.request(method, seq=seq + 1, headers=headers, **more), source)

    def credentials(
        self,
        challenge,
        method,
        *,
        user="1001",
        password=PASSWORD,
        nc="00000001",
        uri="sip:commhub.test",
    ):
        """An Authorization line (qop=auth, SHA-256) for a 401 or 407."""
        proxy = challenge.status == 407
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = re.search('nonce="([^"]+)"', challenge.get(name)).group(1)

        def hashed(*parts):
            return hashlib.sha256(":".join(parts).encode()).hexdigest()

        ha1, ha2 = hashed(user, REALM, password), hashed(method, uri)
        response = hashed(ha1, nonce, nc, "abc", "auth", ha2)
        return (
            f'{"Proxy-" if proxy else ""}Authorization: Digest username="{user}", realm="{REALM}", '
            f'nonce="{nonce}", uri="{uri}", response="{response}", algorithm=SHA-256, '
            f'cnonce="abc", nc={nc}, qop=auth'
        )

    async def restart(self, heir=None, **changes):
        """Another process on the same store and port; it says nothing when it goes. `changes` are in its settings."""
        old = self.gateway
        await old.__aexit__(None, None, None)
        config, core = replace(old._config, port=old.port, **changes), old._core
        self.gateway = SipGateway(
            config,
            self.store,
            core.media,
            self.calls,
            self.presence,
            self.clock,
            old._alarm,
            more=self.more,
        )
        self.gateway._transport.send = lambda data, hop: self.sent.append((data, hop))
        self.gateway.heir = heir
        await self.gateway.__aenter__()

    async def rows(self):
        async with self.store.read() as uow:
            return {row.leg_id: row for row in await uow.sip.dialogs()}

    async def no_rows(self):
        """Whether every leg is off the record; a row that nobody needs any more goes a moment later."""
        return not await self.rows()

    async def bindings(self, name="1001"):
        async with self.store.read() as uow:
            return {b.contact: b for b in await uow.sip.bindings_of(name)}


@pytest.fixture
def trunks():
    """The lines of the gateway; a module with lines has a fixture of its own."""
    return ()


@pytest.fixture
def alarm():
    """Who hears of what is wrong with lines."""
    return unheard


@pytest.fixture
async def wire(store, clock, trunks, alarm):
    """A started gateway with the accounts 1001 and 1002."""
    media, calls, presence = FakeMedia(), RecordingCalls(store), RecordingPresence()
    timers = TimerConfig(t1_s=0.05, t2_s=0.2, t4_s=0.2)
    config = SipConfig(port=0, realm=REALM, timers=timers, trunks=trunks)
    wire = Wire(None, calls, presence, clock, store)
    gateway = SipGateway(config, store, media, calls, presence, clock, alarm, more=wire.more)
    wire.gateway = gateway
    gateway._transport.send = lambda data, hop: wire.sent.append((data, hop))
    async with store.begin() as uow:
        await uow.sip.put_account(hash_account("1001", REALM, PASSWORD))
        await uow.sip.put_account(hash_account("1002", REALM, PASSWORD))
    await gateway.__aenter__()
    yield wire
    await wire.gateway.__aexit__(None, None, None)
    media.close()


@pytest.fixture
def phones(wire):
    return Phones(wire)


@pytest.fixture
async def talking(wire, phones):
    """(leg id, INVITE) of an established outbound leg."""
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    return leg, invite
