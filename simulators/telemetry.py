"""Somebody walks around with the device, and it says where they are."""

import asyncio
import itertools
import math
import time
from argparse import ArgumentParser, Namespace

from simulators.field import FieldDevice

_RADIUS_M = 40.0
_SPEED_MPS = 1.2
_M_PER_DEGREE = 111_195.0


def add_arguments(parser: ArgumentParser) -> None:
    """Where the walk goes around, and how often it is told."""
    parser.add_argument("--lat", type=float, required=True)
    parser.add_argument("--lon", type=float, required=True)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two positions")


class Telemetry:
    """A circle of 40 m at walking pace, and a battery that goes down."""

    def __init__(self, options: Namespace) -> None:
        self._lat: float = options.lat
        self._lon: float = options.lon
        self._every: float = options.every
        self._battery = 100.0
        self._sequence = itertools.count(1)

    @property
    def battery(self) -> int:
        return round(self._battery)

    def place(self) -> tuple[float, float]:
        """WGS-84 latitude and longitude now."""
        angle = time.monotonic() * _SPEED_MPS / _RADIUS_M
        lat = self._lat + _RADIUS_M * math.sin(angle) / _M_PER_DEGREE
        width = _M_PER_DEGREE * math.cos(math.radians(self._lat))
        return round(lat, 6), round(self._lon + _RADIUS_M * math.cos(angle) / width, 6)

    async def run(self, device: FieldDevice) -> None:
        """Tell it every few seconds, while connected."""
        while True:
            if device.is_connected:
                device.say("tele", self._message(), qos=0)
            self._battery = max(5.0, self._battery - 0.02)
            await asyncio.sleep(self._every)

    def _message(self) -> dict[str, object]:
        lat, lon = self.place()
        return {
            "lat": lat,
            "lon": lon,
            "crs": "wgs84",
            "speed": _SPEED_MPS,
            "battery": self.battery,
            "rssi": -67,
            "ts": time.time(),
            "seq": next(self._sequence),
        }
