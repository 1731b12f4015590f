"""Births, deaths, telemetry and answers on their way to the core.

Retained messages come in no order: a birth that is older than the death beside it (the same boot) must not wake a
device that is gone, so the deaths are remembered. Telemetry gathers here: the newest of a device goes on, once a beat.
"""

from collections.abc import Sequence

from commhub.kit.clock import Clock
from commhub.ports.inward import DeviceBirth, DeviceTelemetry, PresenceIn
from devices.metrics import COALESCED
from devices.payloads import Answer, Birth, Death, Telemetry, credible_time, read, read_point


class Presence:
    """Reads the payloads (raising WireError for bad ones) and calls `PresenceIn`."""

    def __init__(self, core: PresenceIn, clock: Clock) -> None:
        self._core = core
        self._clock = clock
        self._boots: dict[str, str] = {}
        self._deaths: dict[str, str] = {}
        self._gathered: dict[str, DeviceTelemetry] = {}

    def boot_of(self, device: str) -> str | None:
        """The boot id of the last birth seen by this process."""
        return self._boots.get(device)

    async def born(self, device: str, payload: bytes, *, retained: bool) -> None:
        if not payload:
            return
        birth = read(Birth, payload, device)
        if retained and self._deaths.get(device) == birth.boot:
            return
        await self._core.device_born(
            DeviceBirth(
                device_id=device,
                boot_id=birth.boot,
                at=self._clock.now(),
                model=birth.model,
                capabilities=birth.capabilities,
                groups=birth.groups,
                gb_id=birth.gb_id,
            )
        )
        self._boots[device] = birth.boot
        self._deaths.pop(device, None)

    async def died(self, device: str, payload: bytes) -> None:
        """An empty payload is a device that is back and takes its retained will away."""
        if not payload:
            return
        death = read(Death, payload, device)
        await self._core.device_died(device, death.boot, self._clock.now())
        self._deaths[device] = death.boot

    async def answered(self, device: str, payload: bytes) -> None:
        answer = read(Answer, payload, device)
        await self._core.command_answered(
            device, answer.id, answer.state, answer.detail, self._clock.now()
        )

    def gather(self, device: str, payload: bytes) -> None:
        """Keep the newest telemetry of the device until `flush`."""
        found = read(Telemetry, payload, device)
        telemetry = DeviceTelemetry(
            device_id=device,
            at=credible_time(found.ts, self._clock.now()),
            point=read_point(found.lat, found.lon, found.crs),
            speed_mps=found.speed,
            battery=found.battery,
            rssi=found.rssi,
        )
        known = self._gathered.get(device)
        if known is not None:
            COALESCED.inc()
            if known.at > telemetry.at:
                return
        self._gathered[device] = telemetry

    def has_gathered(self, device: str) -> bool:
        return device in self._gathered

    def gathered_devices(self) -> Sequence[str]:
        return tuple(self._gathered)

    async def flush(self, device: str) -> None:
        """Hand the gathered telemetry to the core; a newer one that came meanwhile stays for the next time."""
        telemetry = self._gathered.get(device)
        if telemetry is None:
            return
        await self._core.device_reported(telemetry)
        if self._gathered.get(device) is telemetry:
            del self._gathered[device]
