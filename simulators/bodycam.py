"""A body camera: it walks around, says where it is, calls for help, shows what it sees and obeys.

    python -m simulators.bodycam --id b7 --secret … --http-port 9107 --lat 31.2304 --lon 121.4737

`POST /do/sos {"text"?}` raises an alarm and repeats it until the hub acknowledges; `/state` shows how that went. Told `live.start`
it publishes 1080p30 of about 4 Mbit/s and a 540p sub-stream by WHIP until `live.stop`; `live` in `/state` shows how that goes.
"""

import asyncio
import contextlib
import itertools
import json
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from simulators.field import Commands, FieldDevice, base_parser, together
from simulators.page import create_page, serve
from simulators.publishing import LivePictures
from simulators.telemetry import Telemetry, add_arguments

REPEAT_S = 2.0


class BodyCamera:
    """The camera behind the page."""

    def __init__(self, options: Namespace) -> None:
        self._sos: dict[str, dict[str, Any]] = {}
        self._sos_count = itertools.count(1)
        self._raised = asyncio.Event()
        self.telemetry = Telemetry(options)
        self.live = LivePictures(options.tone)
        self._commands = Commands(
            lambda answer: self.device.say("rsp", answer),
            {"live.start": self.live.start, "live.stop": self.live.stop},
        )
        self.device = FieldDevice(
            options,
            {
                "model": "SIM-BC1",
                "capabilities": ["sos", "tele", "text", "live"],
                "codecs": ["H264", "opus"],
                "groups": [],
                "gbId": "31010100001327000007",
            },
            listens_to=(),
            heard=self._heard,
        )

    def state(self) -> Mapping[str, Any]:
        """What the page shows. `acknowledged` is about the last alarm (null: there was none)."""
        alarms = list(self._sos.values())
        lat, lon = self.telemetry.place()
        return {
            "id": self.device.id,
            "connected": self.device.is_connected,
            "connections": self.device.connections,
            "boot": self.device.boot,
            "position": {"lat": lat, "lon": lon},
            "battery": self.telemetry.battery,
            "acknowledged": alarms[-1]["acknowledged"] if alarms else None,
            "sos": alarms,
            "commands": self._commands.seen,
            "live": self.live.state(),
        }

    async def raise_sos(self, body: dict[str, Any]) -> dict[str, str]:
        """Press the button. Every press is an alarm of its own, with an id of its own."""
        text = str(body.get("text", ""))
        sos_id = f"sos-{next(self._sos_count)}"
        lat, lon = self.telemetry.place()
        self._sos[sos_id] = {
            "id": sos_id,
            "acknowledged": False,
            "report": None,
            "refused": None,
            "sent": 0,
            "message": {
                "id": sos_id,
                "boot": self.device.boot,
                "text": text,
                "lat": lat,
                "lon": lon,
                "crs": "wgs84",
                "ts": time.time(),
            },
        }
        self._raised.set()
        return {"sos": sos_id}

    async def repeat_alarms(self) -> None:
        """Say each alarm, unchanged, until it is acknowledged or refused."""
        while True:
            self._raised.clear()
            waiting = [a for a in self._sos.values() if not (a["acknowledged"] or a["refused"])]
            for alarm in waiting if self.device.is_connected else ():
                alarm["sent"] += 1
                self.device.say("sos", alarm["message"])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_S):
                    await self._raised.wait()

    def _heard(self, topic: str, payload: bytes) -> None:
        del topic
        command = json.loads(payload)
        args = command.get("args", {})
        match command["op"]:
            case "sos.ack" if args["sos"] in self._sos:
                self._sos[args["sos"]].update(acknowledged=True, report=args["report"])
            case "sos.nack" if args["sos"] in self._sos:
                self._sos[args["sos"]].update(refused=args["reason"])
            case "sos.ack" | "sos.nack":
                return
            case _:
                self._commands.take(command)


async def run(options: Namespace) -> None:
    """Be the camera until told to stop."""
    camera = BodyCamera(options)
    page = create_page(f"Body camera {options.id}", camera.state, {"sos": camera.raise_sos})
    async with camera.device:
        try:
            await together(
                serve(page, options.http_host, options.http_port),
                camera.repeat_alarms(),
                camera.telemetry.run(camera.device),
            )
        finally:
            await camera.live.close()


def main() -> None:
    """Read the command line and run."""
    parser = base_parser("A simulated body camera")
    add_arguments(parser)
    parser.add_argument("--tone", type=int, default=1000, help="hertz of what its microphone hears")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
