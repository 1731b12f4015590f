"""Devices in the field, what lets them in, and the orders they were given."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import equipment
from commhub.domain.device import Device, DeviceCommand

_TABLE = equipment.devices
_SECRETS = equipment.device_credentials
_ORDERS = equipment.device_commands
_DEVICES = Rows(Device, _TABLE)
_COMMANDS = Rows(DeviceCommand, _ORDERS)


class SqlFleet(Repository):
    """Implements commhub.ports.store.Fleet."""

    async def put(self, device: Device) -> None:
        await self._tx.put(_TABLE, _DEVICES.to_row(device))

    async def get(self, device_id: str) -> Device:
        return await self._get_held(_DEVICES, device_id, "device")

    async def find(self, device_id: str) -> Device | None:
        return await self._hold(_DEVICES, device_id)

    async def list(self) -> Sequence[Device]:
        """Sorted by id."""
        return await self._all(_DEVICES, self._select(_DEVICES).order_by(_TABLE.c.id))

    async def put_credential(self, device_id: str, password_hash: str) -> None:
        """Raises InvalidError when the device is not there."""
        await self._tx.put(_SECRETS, {"device_id": device_id, "password_hash": password_hash})

    async def delete_credential(self, device_id: str) -> None:
        await self._tx.write(
            _SECRETS,
            delete(_SECRETS).where(self._tx.mine(_SECRETS), _SECRETS.c.device_id == device_id),
        )

    async def credentials(self) -> Mapping[str, str]:
        rows = await self._tx.rows(
            select(_SECRETS.c.device_id, _SECRETS.c.password_hash)
            .where(self._tx.mine(_SECRETS))
            .order_by(_SECRETS.c.device_id)
        )
        return dict(rows)

    async def add_command(self, command: DeviceCommand) -> None:
        self._tx.add(_ORDERS, _COMMANDS.to_row(command))

    async def find_command(self, command_id: str) -> DeviceCommand | None:
        return await self._hold(_COMMANDS, command_id)

    async def update_command(self, command: DeviceCommand) -> None:
        self._tx.update(_ORDERS, _COMMANDS.to_row(command))

    async def commands_of(self, device_id: str, limit: int) -> Sequence[DeviceCommand]:
        """Newest first."""
        return await self._all(
            _COMMANDS,
            self._page(_COMMANDS, None, limit).where(_ORDERS.c.device_id == device_id),
        )
