"""A media stream as Twilio runs it: the far end's voice to the hub every 20 ms, the hub's audio played in order."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from simulators import pcmu
from simulators.tones import Tone, ToneMeter
from simulators.twilio.model import Account, Record, new_sid
from simulators.twilio.webhook import sign

FRAME = 160
FRAME_S = 0.02


class Person:
    """Who holds the far telephone: one tone of voice, one ear."""

    def __init__(self, frequency: float) -> None:
        self.tone = Tone(frequency)
        self.meter = ToneMeter()
        self.talking = False
        self.packets = 0

    def say(self) -> bytes:
        """20 ms of the tone, or of silence."""
        return pcmu.encode(self.tone.take(FRAME) if self.talking else np.zeros(FRAME, np.int16))

    def hear(self, sound: NDArray[np.int16]) -> None:
        self.meter.hear(sound)
        self.packets += 1


class Stream:
    """One WebSocket. `run` returns how it ended: `closed` by the hub, `dropped`, `refused`, or `call` over."""

    def __init__(
        self, account: Account, record: Record, person: Person, parameters: Mapping[str, str]
    ) -> None:
        self._account = account
        self._record = record
        self._person = person
        self._parameters = parameters
        self._sid = new_sid("MZ")
        self._number = 0
        self._chunk = 0
        self._socket: ClientConnection | None = None
        self._play_until = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        self._reading = asyncio.Event()
        self._reading.set()
        self.clears = 0
        self.marks = 0

    async def run(self, url: str, over: asyncio.Event) -> str:
        # assumed: the handshake is signed over the wss URL, without parameters.
        headers = {"X-Twilio-Signature": sign(self._account.token, url, {})}
        try:
            async with connect(
                url, additional_headers=headers, max_queue=4, compression=None
            ) as socket:
                self._socket = socket
                return await self._live(socket, over)
        except (OSError, InvalidHandshake):
            # doc: 31920 and its kin. assumed: the next verb follows.
            return "refused"
        finally:
            self._socket = None

    async def _live(self, socket: ClientConnection, over: asyncio.Event) -> str:
        # doc: connected, then start.
        await self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        await self._send(self._start())
        work = [
            asyncio.create_task(self._speak(), name="speak"),
            asyncio.create_task(self._listen(socket), name="listen"),
            asyncio.create_task(self._return_marks(), name="marks"),
        ]
        ended = asyncio.create_task(over.wait(), name="over")
        done, _ = await asyncio.wait([*work, ended], return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            await self._stop()
        for task in (*work, ended):
            task.cancel()
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ConnectionClosed):
                raise result
        return "call" if ended in done else "closed"

    def _start(self) -> dict[str, Any]:
        start = {
            "accountSid": self._account.sid,
            "streamSid": self._sid,
            "callSid": self._record.sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(self._parameters),
        }
        return {"event": "start", "start": start, "streamSid": self._sid}

    async def _stop(self) -> None:
        stop = {"accountSid": self._account.sid, "callSid": self._record.sid}
        try:
            await self._send({"event": "stop", "stop": stop, "streamSid": self._sid})
        except ConnectionClosed:
            return

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            raise ValueError("there is no stream")
        if message["event"] != "connected":
            self._number += 1
            # doc: numbers are strings.
            message["sequenceNumber"] = str(self._number)
        await self._socket.send(json.dumps(message))

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            self._chunk += 1
            media = {
                "track": "inbound",
                "chunk": str(self._chunk),
                "timestamp": str((self._chunk - 1) * 20),
                "payload": base64.b64encode(self._person.say()).decode(),
            }
            await self._send({"event": "media", "media": media, "streamSid": self._sid})
            await asyncio.sleep(max(0.0, began + self._chunk * FRAME_S - loop.time()))

    async def _listen(self, socket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._reading.wait()
            message = json.loads(await socket.recv())
            now = loop.time()
            match message["event"]:
                case "media":
                    sound = pcmu.decode(base64.b64decode(message["media"]["payload"]))
                    # doc: media is buffered and played in order.
                    self._play_until = max(self._play_until, now) + len(sound) / 8000
                    self._person.hear(sound)
                case "mark":
                    self._marks.append((self._play_until, message["mark"]["name"]))
                case "clear":
                    # doc: the buffer is emptied and the marks in it come back.
                    self.clears += 1
                    self._play_until = now
                    self._marks = deque((now, name) for _, name in self._marks)

    async def _return_marks(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._marks and self._marks[0][0] <= loop.time():
                self.marks += 1
                mark = {"name": self._marks.popleft()[1]}
                await self._send({"event": "mark", "mark": mark, "streamSid": self._sid})
            await asyncio.sleep(FRAME_S)

    # --- told by the page -----------------------------------------------------------------------------------

    async def press(self, digit: str) -> None:
        """doc: one message a key."""
        dtmf = {"track": "inbound_track", "digit": digit}
        await self._send({"event": "dtmf", "dtmf": dtmf, "streamSid": self._sid})

    async def say_raw(self, text: str) -> None:
        """Anything at all on the socket, as no Twilio would."""
        if self._socket is None:
            raise ValueError("there is no stream")
        await self._socket.send(text)

    def drop(self) -> None:
        """The connection breaks without a word."""
        if self._socket is None:
            raise ValueError("there is no stream")
        self._socket.transport.abort()

    def stall(self, stalled: bool) -> None:
        """Take nothing from the socket, or go on."""
        if stalled:
            self._reading.clear()
        else:
            self._reading.set()
