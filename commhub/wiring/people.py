"""`commhub user add`: a person added straight into the hub's database, whether the hub runs or not."""

from collections.abc import Sequence

from commhub.accounts.passwords import Passwords
from commhub.accounts.service import AccountService
from commhub.db import migrate, open_store
from commhub.domain.errors import InvalidError
from commhub.domain.facts import Fact
from commhub.domain.people import Role
from commhub.kit.bus import Bus
from commhub.kit.clock import SystemClock
from commhub.settings import Settings


async def add_person(
    settings: Settings, name: str, password: str, roles: Sequence[str], display_name: str
) -> None:
    """Add a user. Raises a DomainError with what is wrong."""
    unknown = [role for role in roles if role not in set(Role)]
    if unknown:
        raise InvalidError(f"no such role: {', '.join(unknown)}; there are {', '.join(Role)}")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await migrate(settings.database)
    clock = SystemClock()
    async with open_store(
        settings.database, bus=Bus[Fact](), tenant=settings.tenant, hub=settings.hub, clock=clock
    ) as store:
        accounts = AccountService(store, clock, Passwords())
        await accounts.add_user(
            name, password, frozenset(Role(role) for role in roles), display_name, "cli:commhub"
        )
