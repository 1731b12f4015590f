"""linphone, a real SIP phone of the distribution, as `linphone-daemon` of the package `linphone-cli`.

It takes commands over a Unix socket (one line each, answered by one message that begins with its `Status`) and keeps a
queue of what happened to it. It needs no sound card: what it says comes out of a WAV file. The distribution's liblinphone
puts the socket under /tmp, whatever name it is given, so the name leads from there to a folder of the test's.
"""

import asyncio
import os
import socket
import tempfile
import wave
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fakes.servers import free_port, program
from fakes.waiting import eventually

from simulators.tones import Tone

_ROOM = Path("/tmp")
_CONFIG = """\
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
use_info={info}
use_rfc2833={events}
use_ipv6=0
root_ca={authority}
default_proxy=0
[proxy_0]
reg_proxy=<{hub}>
reg_route=<{hub};lr>
reg_identity=sip:{user}@{host}
reg_sendregister=1
reg_expires=600
[auth_info_0]
username={user}
passwd={password}
[rtp]
audio_rtp_port={rtp}
[net]
firewall_policy=0
dns_srv_enabled=0
[sound]
echocancellation=0
"""
_ON, _OFF = -1, 0


class Linphone:
    """A running linphone. `tell` gives a command and returns what it answered."""

    def __init__(self, folder, process, reader, writer, host):
        self._folder = Path(folder)
        self._process = process
        self._reader, self._writer = reader, writer
        self._host = host
        self._turn = asyncio.Lock()
        self.events = []

    async def tell(self, command):
        """For example «dtmf 5», «call-pause», «terminate». Raises AssertionError when it is refused."""
        answer = await self._ask(command)
        assert answer.startswith("Status: Ok"), f"{command}: {answer}\n{self.log()}"
        return answer

    async def _ask(self, command):
        async with self._turn, asyncio.timeout(10):
            self._writer.write(f"{command}\n".encode())
            await self._writer.drain()
            return (await self._reader.read(65_536)).decode(errors="replace")

    def address_of(self, number):
        return f"sip:{number}@{self._host}"

    async def until_registered(self):
        async def is_registered():
            return "LinphoneRegistrationOk" in await self._ask("register-status ALL")

        await self._until(is_registered)

    async def dial(self, number):
        """Its own number of the call."""
        answer = await self.tell(f"call {self.address_of(number)}")
        return answer.split("Id:")[1].split()[0]

    async def until_call(self, state, times=1):
        """For example StreamsRunning, Paused, End, Error; as its events say it, for the so-maniest time."""

        async def there():
            while "Event-type:" in (event := await self._ask("pop-event")):
                self.events.append(event)
            return sum(f"LinphoneCall{state}\n" in event for event in self.events) >= times

        await self._until(there)

    async def _until(self, condition, within_s=8.0):
        try:
            await eventually(condition, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{self.events}\n{self.log()}") from error

    async def play(self, frequency, seconds=20):
        """Say a tone in the current call, instead of a microphone."""
        path = self._folder / f"{frequency}.wav"
        samples = Tone(frequency).take(8000 * seconds)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(samples.astype("<i2").tobytes())
        await self.tell(f"incall-player-start {path}")

    def log(self):
        """The end of its own log, with every message as it went over the wire."""
        return (self._folder / "log").read_text(errors="replace")[-12_000:]

    def said(self, text):
        return text in (self._folder / "log").read_text(errors="replace")

    async def close(self):
        self._writer.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def linphone(
    user, password, hub_port, *, transport="udp", authority="", digits="events", answers=False
):
    """A phone that registers at once; wait with `until_registered()`. `digits` is how it sends keys: events (RFC 4733)
    or info; with `answers` it takes every call. Over TLS it believes `authority`."""
    # The distribution's TLS library reads no addresses in certificates, so there the hub goes by its name.
    host = "localhost" if transport == "tls" else "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ports = {name: _ON if name == transport else _OFF for name in ("udp", "tcp", "tls")}
        config = _CONFIG.format(
            **ports,
            hub=f"sip:{host}:{hub_port};transport={transport}",
            host=host,
            user=user,
            password=password,
            info=int(digits == "info"),
            events=int(digits == "events"),
            authority=authority,
            rtp=free_port(socket.SOCK_DGRAM),
        )
        (home / "config").write_text(config)
        # Where it keeps its database; without one it never starts up.
        (home / ".local/share/linphone").mkdir(parents=True)
        phone = await _start(home, host, answers)
        try:
            yield phone
        finally:
            await phone.close()


def _below_tmp(path):
    return os.path.relpath(path, _ROOM)


async def _start(home, host, answers):
    process = await asyncio.create_subprocess_exec(
        *(program("linphone-daemon", "linphone-cli"), "--log", str(home / "log")),
        *("--pipe", _below_tmp(home / "control"), "--config", str(home / "config")),
        *(["--auto-answer"] if answers else []),
        env={**os.environ, "HOME": str(home)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def connect():
        with suppress(OSError):
            return await asyncio.open_unix_connection(str(home / "control"))

    try:
        return Linphone(home, process, *await eventually(connect, within_s=15), host)
    except BaseException:
        process.kill()
        await process.wait()
        raise
