"""Devices as people manage and command them.

A credential is stored as the broker's hash only; its secret is shown once. The broker is told after the commit, of
all credentials there are: so the last one to tell it is right, whatever happened in between, and telling it at start
mends what a crash left undone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from commhub.domain.device import Device, DeviceCommand, DeviceKind, is_safe_id
from commhub.domain.errors import ConflictError, InvalidError, UnavailableError
from commhub.domain.facts import DeviceCommanded
from commhub.fleet.metrics import COMMANDS
from commhub.fleet.presence import seen
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id, new_secret
from commhub.ports.devices import CommandOrder, Credentials, DeviceControl, DeviceCredential
from commhub.ports.store import Store, UnitOfWork

log = structlog.get_logger(__name__)

# `GET fleet/phones` is another list.
RESERVED_IDS = frozenset({"phones"})
# What a command is called that the hub itself answers an alarm with.
RESERVED_OPS = "sos."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    """`groups` are the talk groups it may use, the one to begin with first."""

    id: str
    kind: DeviceKind
    name: str
    responder_id: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """An order to a device that it should carry out within `expires_in`."""

    op: str
    args: Mapping[str, object] = field(default_factory=dict)
    expires_in: timedelta = timedelta(minutes=5)


class FleetService:
    """Use cases of devices. `publish_credentials` belongs to every start of the hub."""

    def __init__(
        self, store: Store, credentials: Credentials, control: DeviceControl, clock: Clock
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._control = control
        self._clock = clock
        self._publishing = asyncio.Lock()

    async def devices(self) -> Sequence[Device]:
        """All of them, by id."""
        async with self._store.read() as uow:
            return await uow.fleet.list()

    async def device(self, device_id: str) -> Device:
        """Raises NotFoundError."""
        async with self._store.read() as uow:
            return await uow.fleet.get(device_id)

    async def admit(self, uow: UnitOfWork, new: NewDevice, by: str) -> tuple[Device, str]:
        """Store a device with a new credential; its secret is returned and kept nowhere. One whose credential was
        revoked is admitted again. After the commit, call `publish_credentials`.

        Raises InvalidError, ConflictError (it is there), NotFoundError (no such responder).
        """
        if not all(map(is_safe_id, (new.id, *new.groups))) or new.id in RESERVED_IDS:
            raise InvalidError(
                "ids of devices and groups are 1 to 64 letters, digits, dots, dashes and underscores"
            )
        known = await uow.fleet.find(new.id)
        if known is not None and not known.revoked:
            raise ConflictError(f"there is a device {new.id}; revoke its credential first")
        if new.responder_id is not None:
            await uow.directory.get_responder(new.responder_id)
        device = replace(
            known or Device(id=new.id, kind=new.kind, name=new.name),
            kind=new.kind,
            name=new.name,
            responder_id=new.responder_id,
            groups=tuple(dict.fromkeys(new.groups)),
            online=False,
            revoked=False,
        )
        secret = new_secret()
        await uow.fleet.put(device)
        await uow.fleet.put_credential(device.id, self._credentials.hash_secret(secret))
        await self._note(uow, device, by, "device.admit")
        return device, secret

    async def revoke(self, device_id: str, by: str) -> Device:
        """Take the device's credential away and cut it off. Raises NotFoundError; UnavailableError when the broker
        could not be told: the device is revoked, but perhaps still connected, and this may be called again."""
        async with self._store.begin() as uow:
            device = replace(await uow.fleet.get(device_id), revoked=True, online=False)
            await uow.fleet.put(device)
            await uow.fleet.delete_credential(device_id)
            await self._note(uow, device, by, "device.revoke")
        await self.publish_credentials()
        return device

    async def publish_credentials(self) -> None:
        """Tell the broker who is welcome. Raises UnavailableError."""
        async with self._publishing:
            async with self._store.read() as uow:
                hashes = await uow.fleet.credentials()
                devices = await uow.fleet.list()
            await self._credentials.publish(
                [
                    DeviceCredential(
                        device_id=device.id,
                        password_hash=hashes[device.id],
                        groups=device.groups,
                    )
                    for device in devices
                    if device.id in hashes and not device.revoked
                ]
            )

    async def command(self, device_id: str, new: NewCommand, by: str) -> DeviceCommand:
        """Commit the command, then hand it to the broker. Raises NotFoundError, InvalidError, and UnavailableError,
        after which the command is there as failed."""
        if new.op.startswith(RESERVED_OPS):
            raise InvalidError(f"«{new.op}» is what the hub answers alarms with, no command")
        now = self._clock.now()
        command = DeviceCommand(
            id=new_id(), device_id=device_id, op=new.op, at=now, expires_at=now + new.expires_in
        )
        async with self._store.begin() as uow:
            device = await uow.fleet.get(device_id)
            if device.revoked:
                raise InvalidError("the device's credential is revoked, so it hears no commands")
            await uow.fleet.add_command(command)
            self._record(uow, command, by)
        try:
            await self._control.command(
                CommandOrder(
                    id=command.id,
                    device_id=device_id,
                    op=command.op,
                    args=new.args,
                    expires_at=command.expires_at,
                )
            )
        except (UnavailableError, InvalidError) as error:
            await self._fail(command, str(error))
            raise
        COMMANDS.labels("sent").inc()
        return command

    async def order(
        self,
        device_id: str,
        op: str,
        args: Mapping[str, object],
        by: str,
        expires_in: timedelta,
    ) -> None:
        """`ports.inside.DeviceOrders`: a command that another feature wants carried out."""
        await self.command(device_id, NewCommand(op=op, args=args, expires_in=expires_in), by)

    async def commands(self, device_id: str, limit: int) -> Sequence[DeviceCommand]:
        """The latest commands of a device, newest first. One that ran out before it arrived is «expired».

        Raises NotFoundError.
        """
        async with self._store.read() as uow:
            await uow.fleet.get(device_id)
            found = await uow.fleet.commands_of(device_id, limit)
        now = self._clock.now()
        return [_as_of(command, now) for command in found]

    async def _fail(self, command: DeviceCommand, reason: str) -> None:
        async with self._store.begin() as uow:
            # The device may have been faster than the broker's silence.
            latest = await uow.fleet.find_command(command.id)
            if latest is None or latest.state != "sent":
                return
            failed = replace(latest, state="failed", answer=reason)
            await uow.fleet.update_command(failed)
            self._record(uow, failed, "system")
        COMMANDS.labels("failed").inc()

    def _record(self, uow: UnitOfWork, command: DeviceCommand, by: str) -> None:
        uow.record(
            DeviceCommanded(
                at=self._clock.now(),
                actor=by,
                command_id=command.id,
                device_id=command.device_id,
                op=command.op,
                state=command.state,
            )
        )

    async def _note(self, uow: UnitOfWork, device: Device, by: str, action: str) -> None:
        now = self._clock.now()
        uow.record(seen(device, action.removeprefix("device."), now))
        await uow.audit.append(now, by, action, f"device:{device.id}", "ok")


def _as_of(command: DeviceCommand, now: datetime) -> DeviceCommand:
    gone = command.expires_at is not None and command.expires_at <= now
    return replace(command, state="expired") if gone and command.state == "sent" else command
