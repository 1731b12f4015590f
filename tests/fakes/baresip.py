"""baresip, a real SIP phone of the distribution: registers, answers by itself, speaks a sine, records what it hears.

Only `baresip-core` is needed and no sound card is touched: `ausine` speaks (at 48 kHz in two channels, which is
all it can), `sndfile` writes down what is heard, `aubridge` is the loudspeaker that nobody listens to. Commands and
events go over its ctrl_tcp module (netstrings of JSON).
"""

import asyncio
import json
import socket
import struct
import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from fakes.servers import free_port, program
from fakes.waiting import eventually

MODULES = Path("/usr/lib/baresip/modules")
_CONFIG = """\
poll_method epoll
sip_listen {listen}:{sip_port}
net_interface {address}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,nowhere
audio_source ausine,{tone}
audio_alert aubridge,nowhere
ausrc_srate 48000
ausrc_channels 2
audio_buffer 20-160
rtp_ports {rtp_low}-{rtp_high}
rtcp_mux no
jitter_buffer_delay 1-5
module_path {modules}
module g711.so
module g722.so
module opus.so
module srtp.so
module ausine.so
module aubridge.so
module sndfile.so
snd_path {heard}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""
_SEES = """\
module avcodec.so
module fakevideo.so
module snapshot.so
video_source fakevideo,nil
video_display fakevideo,nil
video_size 640x480
video_bitrate 1500000
video_fps 15
avcodec_h264enc libx264
avcodec_h264dec h264
"""
"""Modules of the package baresip-ffmpeg, and a camera and a screen that are none."""
_WAV_HEADER = 44
_ACCOUNT = (
    "<sip:{user}@{hub};transport={transport}>;auth_pass={password};answermode={answer};regint=60;"
    "audio_codecs={codecs};dtmfmode=rtpevent{more}\n"
)


@dataclass(frozen=True)
class Place:
    """Where a phone runs: its address, the hub's as it knows it, and its ports (None: any). `host` is one behind a NAT
    (`fakes.nat`); None: beside the test."""

    address: str = "127.0.0.1"
    hub: str = "127.0.0.1"
    sip_port: int | None = None
    rtp_port: int | None = None
    host: object = None

    @property
    def is_six(self):
        return ":" in self.address

    @property
    def family(self):
        """Its option for the IP version it speaks."""
        return "-6" if self.is_six else "-4"

    def command(self, *words):
        return self.host.command(*words) if self.host else words

    def connect(self, port):
        """A connection to a port that the phone listens at. Raises OSError."""
        if self.host:
            return self.host.connect(port)
        return socket.create_connection(("127.0.0.1", port), timeout=2)


HERE = Place()


class Baresip:
    """A running baresip. `events` are its own words, for example CALL_ESTABLISHED."""

    def __init__(self, folder, process, reader, writer):
        self._folder = Path(folder)
        self._process = process
        self._reader = reader
        self._writer = writer
        self.events = []
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int((await self._reader.readuntil(b":"))[:-1])
                message = json.loads((await self._reader.readexactly(size + 1))[:-1])
                self.events.append(message)

    def happened(self, kind):
        """Whether an event of that type came."""
        return any(event.get("type") == kind for event in self.events)

    async def until(self, kind, within_s=8.0):
        try:
            await eventually(lambda: self.happened(kind), within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"no {kind}: {self.events}\n{self.log()}") from error

    def closed_with(self):
        """Why its calls ended, as it says it: «488 Not Acceptable Here»."""
        return [e.get("param") for e in self.events if e.get("type") == "CALL_CLOSED"]

    async def until_registered(self, within_s=8.0):
        """From its log, because the event may come before anybody listens."""
        log = self._folder / "output"
        await eventually(lambda: " binding" in log.read_text(), within_s=within_s)

    async def command(self, name, params=""):
        """For example dial «sip:2000@…», hangup, accept, hold, resume."""
        body = json.dumps({"command": name, "params": params}).encode()
        self._writer.write(str(len(body)).encode() + b":" + body + b",")
        await self._writer.drain()

    def log(self):
        """What it has written so far: its codecs, its keys' suite, its complaints."""
        return (self._folder / "output").read_text(errors="replace")

    def heard(self, seconds=1.0):
        """The last samples of what it heard, 16-bit at 8 kHz, from the newest file it is writing."""
        files = sorted(self._folder.glob("dump-*-dec.wav"), key=lambda p: p.stat().st_mtime)
        data = files[-1].read_bytes() if files else b""
        if len(data) <= _WAV_HEADER:
            return np.zeros(0, np.int16)
        channels, rate = struct.unpack_from("<HI", data, 22)
        samples = np.frombuffer(data[_WAV_HEADER : len(data) & ~1], np.int16)
        samples = samples[: len(samples) // channels * channels].reshape(-1, channels)[:, 0]
        # Tones far below 4 kHz: taking every so-maniest sample is fair.
        return samples[:: rate // 8000][-int(seconds * 8000) :]

    async def picture(self, within_s=10.0):
        """What it is shown now, as an array of greys (rows × columns): its own snapshot of the last decoded picture."""
        for old in self._folder.glob("snapshot-recv*"):
            old.unlink()
        await self.command("snapshot_recv", str(self._folder / "snapshot-recv.png"))

        def taken():
            for path in self._folder.glob("snapshot-recv*"):
                with suppress(OSError, av.error.FFmpegError), av.open(str(path)) as image:
                    return [next(image.decode(video=0)).to_ndarray(format="gray")]
            return None

        (seen,) = await eventually(taken, within_s=within_s)
        return seen

    async def until_it_shows(self, grey, within_s=60):
        """A plane of that grey, but for a bar that wanders over it."""

        async def seen():
            try:
                picture = await self.picture(within_s=5)
            except AssertionError:
                return False
            return abs(float(np.median(picture)) - grey) < 12

        await eventually(seen, within_s=within_s)

    async def vanish(self):
        """Be gone without a word, as when somebody pulls its plug (kill -9)."""
        self._process.kill()
        await self._process.wait()

    async def close(self):
        self._listening.cancel()
        self._writer.close()
        await _stop(self._process)


def _free_for_both():
    """baresip listens on UDP and TCP."""
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class _PortTakenError(Exception):
    """Somebody else on this machine was faster."""


@asynccontextmanager
async def baresip(
    user,
    password,
    hub_port,
    *,
    tone=440,
    answer="auto",
    codecs="PCMA,PCMU",
    encryption=None,
    transport="udp",
    authority=None,
    proxy=None,
    outbound=False,
    place=HERE,
    sees=False,
):
    """A phone that registers at once; wait with `until_registered()`. `codecs` as its accounts write them
    («opus/48000/2», «G722/16000»); `encryption` is srtp (keys beside RTP/AVP) or srtp-mand (RTP/SAVP). Over
    `transport` udp, tcp or tls, where it believes the certificate `authority`; `proxy` is the URI of one that
    everything goes through; `place` is where it runs; with `sees` it has a camera and a screen."""
    more = f";mediaenc={encryption}" if encryption else ""
    more += f';outbound="{proxy}"' if proxy else ""
    more += ";sipnat=outbound" if outbound else ""
    account = _ACCOUNT.format(
        user=user,
        password=password,
        hub=f"{place.hub}:{hub_port}",
        answer=answer,
        codecs=codecs,
        transport=transport,
        more=more,
    )
    extra = f"sip_cafile {authority}\n" if authority else ""
    extra += _SEES if sees else ""
    with tempfile.TemporaryDirectory() as folder:
        phone = await _start_somewhere(Path(folder), account, tone, extra, place)
        try:
            yield phone
        finally:
            await phone.close()


async def _start_somewhere(home, account, tone, extra="", place=HERE):
    for _ in range(5):
        try:
            return await _start(home, account, tone, extra, place)
        except _PortTakenError:
            continue
    raise AssertionError((home / "output").read_text())


async def _start(home, account, tone, extra, place):
    control, rtp = free_port(), place.rtp_port or free_port(socket.SOCK_DGRAM) & ~1
    (home / "config").write_text(
        _CONFIG.format(
            address=place.address,
            listen=f"[{place.address}]" if place.is_six else place.address,
            sip_port=place.sip_port or _free_for_both(),
            tone=tone,
            heard=home,
            rtp_low=rtp,
            rtp_high=rtp + 20,
            modules=MODULES,
            control=control,
        )
        + extra
    )
    (home / "accounts").write_text(account)
    (home / "contacts").write_text("")
    with (home / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *place.command(program("baresip", "baresip-core"), place.family, "-f", str(home), "-v"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    async def connect():
        if process.returncode is not None:
            raise _PortTakenError
        with suppress(OSError):
            return await asyncio.open_connection(sock=place.connect(control))

    try:
        return Baresip(home, process, *await eventually(connect))
    except BaseException:
        await _stop(process)
        raise


async def _stop(process):
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
