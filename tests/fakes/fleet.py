"""What stands around the fleet in its own tests: a broker's admission list, and orders that go nowhere."""

from collections.abc import Sequence

from commhub.domain.errors import UnavailableError
from commhub.ports.devices import CommandOrder, DeviceCredential


class FakeCredentials:
    """Remembers who is welcome."""

    def __init__(self) -> None:
        self.published: list[Sequence[DeviceCredential]] = []
        self.is_down = False

    def hash_secret(self, secret: str) -> str:
        return f"hash of {secret}"

    async def publish(self, credentials: Sequence[DeviceCredential]) -> None:
        if self.is_down:
            raise UnavailableError("the broker cannot be told")
        self.published.append(credentials)

    @property
    def welcome(self) -> dict[str, DeviceCredential]:
        """The last list, by device."""
        return {credential.device_id: credential for credential in self.published[-1]}


class FakeDeviceControl:
    """Keeps the orders."""

    def __init__(self) -> None:
        self.orders: list[CommandOrder] = []
        self.is_down = False

    async def command(self, order: CommandOrder) -> None:
        if self.is_down:
            raise UnavailableError("the device broker is not reachable")
        self.orders.append(order)
