"""What devices and phones say of themselves. Implements `commhub.ports.inward.PresenceIn`.

A device that says nothing new writes nothing: after every reconnection all births arrive again. The talk groups of a
device are what the desk gave it; its birth only says which of them it has selected.
"""

from dataclasses import replace
from datetime import datetime

import structlog

from commhub.domain.device import Device
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import DeviceCommanded, DeviceSeen, PhoneSeen
from commhub.domain.geo import Position
from commhub.fleet.metrics import COMMANDS, STALE, STRANGERS
from commhub.kit.clock import Clock
from commhub.ports.inward import DeviceBirth, DeviceTelemetry
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

# How far a command has come; an answer never takes it back.
_PROGRESS = {"sent": 0, "delivered": 1, "read": 2, "done": 3, "failed": 3}


class FleetPresence:
    """Commits what came from the field."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def device_born(self, birth: DeviceBirth) -> None:
        async with self._store.begin() as uow:
            device = await _find(uow, birth.device_id, "birth")
            if device is None:
                return
            born = replace(
                device,
                online=True,
                boot_id=birth.boot_id,
                model=birth.model or device.model,
                gb_id=birth.gb_id or device.gb_id,
                capabilities=birth.capabilities or device.capabilities,
                groups=_selected_first(device, birth.groups),
            )
            if born != device:
                await self._put(uow, replace(born, seen_at=birth.at), "birth")

    async def device_died(self, device_id: str, boot_id: str, at: datetime) -> None:
        """`at` is when we heard of it; the device was last seen before."""
        del at
        async with self._store.begin() as uow:
            device = await _find(uow, device_id, "death")
            if device is None:
                return
            if device.boot_id != boot_id:
                STALE.labels("death").inc()
                return
            if device.online:
                await self._put(uow, replace(device, online=False), "death")

    async def device_reported(self, telemetry: DeviceTelemetry) -> None:
        """Also a proof of life. The responder who carries the device is where the device is."""
        async with self._store.begin() as uow:
            device = await _find(uow, telemetry.device_id, "telemetry")
            if device is None:
                return
            if device.position is not None and telemetry.at <= device.position.at:
                STALE.labels("telemetry").inc()
                return
            position = device.position
            if telemetry.point is not None:
                position = Position(telemetry.point, telemetry.at)
                await _move_responder(uow, device, position)
            seen = replace(
                device,
                online=True,
                seen_at=self._clock.now(),
                position=position,
                battery=device.battery if telemetry.battery is None else telemetry.battery,
            )
            await self._put(uow, seen, "telemetry")

    async def command_answered(
        self, device_id: str, command_id: str, state: str, detail: str | None, at: datetime
    ) -> None:
        async with self._store.begin() as uow:
            command = await uow.fleet.find_command(command_id)
            if command is None or command.device_id != device_id or state not in _PROGRESS:
                STRANGERS.labels("answer").inc()
                log.warning("answer_to_no_command", device=device_id, state=state)
                return
            if _PROGRESS[state] <= _PROGRESS[command.state]:
                return
            await uow.fleet.update_command(replace(command, state=state, answer=detail))
            uow.record(
                DeviceCommanded(
                    at=at,
                    actor=f"device:{device_id}",
                    command_id=command.id,
                    device_id=device_id,
                    op=command.op,
                    state=state,
                )
            )
        COMMANDS.labels(state).inc()

    async def phone_seen(self, account: str, online: bool, agent: str | None) -> None:
        """The bindings themselves are the SIP edge's rows; this tells the desk."""
        async with self._store.begin() as uow:
            uow.record(PhoneSeen(at=self._clock.now(), account=account, online=online, agent=agent))

    async def _put(self, uow: UnitOfWork, device: Device, changed: str) -> None:
        await uow.fleet.put(device)
        uow.record(seen(device, changed, self._clock.now()))


def seen(device: Device, changed: str, at: datetime) -> DeviceSeen:
    """The fact that the map and the device list live on."""
    point = device.position.point if device.position else None
    return DeviceSeen(
        at=at,
        actor=f"device:{device.id}",
        device_id=device.id,
        online=device.online,
        lat=point.lat if point else None,
        lon=point.lon if point else None,
        battery=device.battery,
        changed=changed,
    )


async def _find(uow: UnitOfWork, device_id: str, verb: str) -> Device | None:
    """The device, unless it is unknown or revoked: the broker lets in neither, so one that speaks anyway (what it
    said before, retained; a broker of somebody else's) is worth a line."""
    device = await uow.fleet.find(device_id)
    if device is None or device.revoked:
        STRANGERS.labels(verb).inc()
        log.warning("stranger_ignored", device=device_id, verb=verb, known=device is not None)
        return None
    return device


def _selected_first(device: Device, selected: tuple[str, ...]) -> tuple[str, ...]:
    allowed = [group for group in dict.fromkeys(selected) if group in device.groups]
    if len(allowed) < len(set(selected)):
        log.warning(
            "groups_not_allowed", device=device.id, refused=len(set(selected)) - len(allowed)
        )
    return (*allowed, *(group for group in device.groups if group not in allowed))


async def _move_responder(uow: UnitOfWork, device: Device, position: Position) -> None:
    if device.responder_id is None:
        return
    try:
        responder = await uow.directory.get_responder(device.responder_id)
    except NotFoundError:
        log.warning("responder_of_device_is_gone", device=device.id)
        return
    if responder.position is None or responder.position.at < position.at:
        await uow.directory.put_responder(replace(responder, position=position))
