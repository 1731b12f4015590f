"""Twilio for tests: the simulator as a process, the hub's side of it on a real worker, and requests signed by hand."""

import asyncio
import base64
import hashlib
import hmac
import os
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from defusedxml.ElementTree import fromstring
from fakes import worker_process
from fakes.desk import RecordingCalls
from fakes.media import FakeMedia
from fakes.rtp import Phone
from fakes.servers import free_port, listens, running
from fakes.waiting import eventually
from fakes.web import FakePrincipals, someone
from fakes.worker_process import Deaf

from bridges.client import ClientConfig, MediaClient
from commhub.calls.service import CallRequest, CallService
from commhub.domain.call import Call
from commhub.domain.call import Leg as DomainLeg
from commhub.domain.people import Endpoint, Scheme
from commhub.http.app import new_app
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.edge_store import SipAccount
from commhub.ports.media import MediaOrder
from commhub.ports.telephony import LegOrder
from gateways.twilio.config import TwilioConfig
from gateways.twilio.gateway import TwilioGateway
from gateways.twilio.routes import build_router

ROOT = Path(__file__).parents[2]
SID = "AC" + "0" * 32
TOKEN = "a-token-of-the-account"
NUMBER = "+15550100100"
FAR = "+8613800000000"
TONE = 1900.0
OURS = 700.0


def sign(url, fields=(), token=TOKEN):
    """X-Twilio-Signature, written down once more from its description."""
    text = url + "".join(name + value for name, value in sorted(dict(fields).items()))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()


def config_at(url, api_base=None, **changes):
    """The account of the stand-in, quick where a person would wait."""
    base = {
        "account_sid": SID,
        "auth_token": TOKEN,
        "number": NUMBER,
        "public_url": url,
        "api_base": api_base,
        "allowed_prefixes": ("+86",),
        "inbound": {NUMBER: "1001"},
        "hold_answer_s": 1.0,
        "engine_silent_s": 1.0,
    }
    return TwilioConfig(**(base | changes))


class RtpPhones:
    """A leg driver whose phones are RTP sockets of the test: they answer at once, when `answering`."""

    def __init__(self, media, calls):
        self._media = media
        self._calls = calls
        self.answering = True
        self.phones = {}
        self.hung_up = []

    async def place(self, order):
        await self._calls.leg_ringing(order.leg_id)
        if self.answering:
            await self.pick_up(order)

    async def pick_up(self, order):
        phone = self.phones[order.leg_id] = Phone(OURS)
        media_order = MediaOrder(call_id=order.call_id, leg_id=order.leg_id)
        address = await self._media.reserve(media_order)
        phone.goal = (address.host, address.port)
        await self._media.connect(order.leg_id, phone.remote())
        await self._calls.leg_connected(order.leg_id, "PCMU")

    async def answer(self, leg_id):
        raise AssertionError("these phones call nobody")

    async def hang_up(self, leg_id, cause):
        self.hung_up.append((leg_id, cause))
        await self._media.release(leg_id)

    @property
    def phone(self):
        """The only one."""
        [phone] = self.phones.values()
        return phone

    def close(self):
        for phone in self.phones.values():
            phone.close()


class Control(Deaf):
    """What the engine tells: digits are kept."""

    def __init__(self):
        self.digits = []

    async def dtmf_received(self, leg_id, digit):
        self.digits.append((leg_id, digit))

    async def leg_readdressed(self, leg_id, address): ...


class StandIn:
    """The simulator, by its scripting interface."""

    def __init__(self, url, client):
        self.url = url
        self._client = client

    async def do(self, command, **body):
        response = await self._client.post(f"/do/{command}", json=body)
        assert not response.is_error, response.text
        return response.json()

    async def state(self):
        return (await self._client.get("/state")).json()

    async def call(self):
        """The newest call."""
        calls = (await self.state())["calls"]
        return calls[-1] if calls else None

    async def until(self, **expected):
        """Wait until the newest call is like that."""

        async def fits():
            call = await self.call()
            return call and all(call[name] == value for name, value in expected.items()) and call

        return await eventually(fits, within_s=10)


@contextmanager
def stand_in_process(hub):
    """Run `python -m simulators.twilio`; its base URL."""
    port = free_port()
    arguments = {
        "--port": port,
        "--account-sid": SID,
        "--auth-token": TOKEN,
        "--number": NUMBER,
        "--hub": hub,
        "--tone": TONE,
        "--listen": f"{TONE},{OURS}",
    }
    command = [sys.executable, "-m", "simulators.twilio"]
    command += [str(part) for pair in arguments.items() for part in pair]
    with running(command, lambda: listens(port)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def worker(control, folder, first_port):
    """A media worker of its own process."""
    command = [sys.executable, str(worker_process.__file__), control, str(folder), str(first_port)]
    child = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@asynccontextmanager
async def serving(app, port):
    """Serve until the block ends, then break off whatever is open, as a process that dies does."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", lifespan="off", ws_max_size=65536)
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await eventually(lambda: server.started)
        try:
            yield
        finally:
            server.should_exit = server.force_exit = True


class Hub:
    """The hub's pieces around a telephone leg: calls on SQLite, a worker process, the edge on a real server."""

    def __init__(self, store, media, control, port, api_base):
        self.store = store
        self.media = media
        self.control = control
        self.port = port
        self.config = config_at(f"http://127.0.0.1:{port}", api_base)
        self.gateway = None
        self.clock = SystemClock()
        self.calls = CallService(store, self.clock)
        self.phones = RtpPhones(media, self.calls)

    @asynccontextmanager
    async def running(self):
        """One life of the edge."""
        self.gateway = TwilioGateway(self.config, self.store, self.media, self.calls, self.clock)
        self.calls.connect(self.media, {Scheme.SIP: self.phones, Scheme.TEL: self.gateway})
        app = new_app(principals=FakePrincipals(), clock=self.clock)
        app.include_router(build_router(self.gateway))
        async with self.gateway, serving(app, self.port):
            yield self

    async def add_account(self, name):
        async with self.store.begin() as uow:
            account = SipAccount(name=name, display_name=name, ha1_md5="", ha1_sha256="")
            await uow.sip.put_account(account)

    async def place(self, *legs):
        """A call of these endpoints; its id."""
        return (await self.calls.place(CallRequest(legs=legs), someone())).call.id

    async def hang_up(self, leg):
        """The dispatcher takes the leg down."""
        await self.calls.hang_up(leg.call_id, leg.id, someone())

    async def leg(self, call_id, scheme="tel"):
        """The call's leg of a scheme."""
        state = await self.calls.get(call_id)
        return next(leg for leg in state.legs if leg.endpoint.scheme == scheme)

    async def until(self, call_id, state, scheme="tel", within_s=10):
        """Wait until that leg is in a state; the leg."""

        async def there():
            leg = await self.leg(call_id, scheme)
            return leg if leg.state == state else None

        return await eventually(there, within_s=within_s)

    async def until_forgotten(self):
        """Wait until the edge has nothing left of any leg, in memory or in the store."""
        await eventually(lambda: self.gateway.legs == 0)
        async with self.store.read() as uow:
            assert list(await uow.twilio.list()) == []

    async def converse(self, *, seconds=1.4, until=None):
        """The phone speaks and listens on the beat."""
        loop, phone = asyncio.get_running_loop(), self.phones.phone
        due = loop.time()
        for _ in range(round(seconds * 50)):
            due += 0.02
            phone.speak()
            phone.listen()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if until is not None and until():
                return


@dataclass(frozen=True)
class Places:
    """A worker and a stand-in that run: the worker's address, the stand-in's, and the hub's port."""

    control: str
    api: str
    port: int


@contextmanager
def running_places(folder):
    """A worker and a stand-in, for the tests of one file."""
    port, first_port = free_port(), 27_000 + free_port() % 20 * 100
    control = f"unix:{folder}/worker.sock"
    with (
        worker(control, folder / "recordings", first_port),
        stand_in_process(f"http://127.0.0.1:{port}") as api,
    ):
        yield Places(control, api, port)


@asynccontextmanager
async def hub_at(places, store):
    """A hub of one test, and the stand-in as if it were new: (hub, stand-in)."""
    heard = Control()
    client_config = ClientConfig(address=places.control, first_delay_s=0.05, request_timeout_s=10)
    async with (
        MediaClient(client_config, heard, SystemClock()) as media,
        httpx.AsyncClient(base_url=places.api, timeout=30, trust_env=False) as client,
    ):
        hub = Hub(store, media, heard, places.port, places.api)
        stand_in = StandIn(places.api, client)
        await stand_in.do("reset")
        try:
            yield hub, stand_in
        finally:
            await stand_in.do("reset")
            for meter in (await media.status()).legs:
                await media.release(meter.leg_id)
            hub.phones.close()


class FakeApi:
    """Twilio's REST API that remembers: the next call gets `sid`, every call has `statuses[sid]`."""

    def __init__(self):
        self.sid = "CA" + "1" * 32
        self.called = []
        self.completed = []
        self.asked = []
        self.fetched_back = []
        self.statuses = {}
        self.failing = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def _answer(self):
        await self.may_answer.wait()
        if self.failing is not None:
            raise self.failing

    async def call(self, number, *, url, status_url, ring_for_s):
        self.called.append((number, url, status_url, ring_for_s))
        await self._answer()
        return self.sid

    async def status(self, sid):
        self.asked.append(sid)
        await self._answer()
        return self.statuses.get(sid, "in-progress")

    async def fetch_back(self, sid, url):
        self.fetched_back.append((sid, url))
        await self._answer()
        return self.statuses.get(sid) != "completed"

    async def complete(self, sid):
        self.completed.append(sid)
        await self._answer()


class Edge:
    """A gateway on a real store with its routes; the core, the engine and Twilio's API only remember."""

    url = "https://hub.test"

    def __init__(self, store, **changes):
        self.store = store
        self.config = config_at(self.url, **changes)
        self.clock = SystemClock()
        self.calls = RecordingCalls()
        self.media = FakeMedia()
        self.api = FakeApi()
        self.gateway = None
        self.client = None
        self._stack = AsyncExitStack()

    async def start(self):
        self.gateway = TwilioGateway(
            self.config, self.store, self.media, self.calls, self.clock, self.api
        )
        await self._stack.enter_async_context(self.gateway)
        self.app = new_app(principals=FakePrincipals(), clock=self.clock)
        self.app.include_router(build_router(self.gateway))
        self.client = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://inside")
        )

    async def stop(self):
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def restart(self):
        """Another gateway on the same store, as after a crash."""
        await self.stop()
        await self.start()

    async def post(self, path, fields, *, signature=None):
        """What Twilio posts, signed over the public URL unless a signature is given."""
        url = f"{self.url}{path}"
        headers = {"X-Twilio-Signature": sign(url, fields) if signature is None else signature}
        return await self.client.post(path, data=fields, headers=headers)

    async def place(self, number=FAR, **changes):
        """A leg in a call of the store; its id."""
        now = self.clock.now()
        call = Call(id=new_id(), created_at=now, created_by="test")
        leg = DomainLeg(
            id=new_id(), call_id=call.id, endpoint=Endpoint(Scheme.TEL, number), created_at=now
        )
        async with self.store.begin() as uow:
            await uow.calls.add(call)
            await uow.calls.add_leg(leg)
        order = LegOrder(call_id=call.id, leg_id=leg.id, endpoint=leg.endpoint, **changes)
        await self.gateway.place(order)
        return leg.id

    def fields(self, status="in-progress", sid=None, **more):
        return {"CallSid": sid or self.api.sid, "CallStatus": status, "AccountSid": SID, **more}

    async def answered(self, leg):
        """Twilio asks what to do with the call somebody picked up; the document."""
        return await self.post(f"/twilio/voice?leg={leg}", self.fields())

    async def reports(self, leg, status, **more):
        return await self.post(f"/twilio/status?leg={leg}", self.fields(status, **more))

    async def rows(self):
        async with self.store.read() as uow:
            return list(await uow.twilio.list())


def ticket_of(answer):
    """The stream's ticket in a document."""
    return fromstring(answer.text).find("Connect/Stream/Parameter").get("value")


def resume_path(answer):
    """Where the document's redirect leads, without our host and the connection overrides."""
    url = fromstring(answer.text).find("Redirect").text
    assert url.startswith(Edge.url)
    return url.removeprefix(Edge.url).partition("#")[0]
