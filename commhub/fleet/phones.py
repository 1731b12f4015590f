"""SIP accounts of phones. The password is made here, shown once, and kept only as the hashes digest needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from commhub.domain.device import is_safe_id
from commhub.domain.errors import ConflictError, InvalidError
from commhub.kit.clock import Clock
from commhub.kit.ids import new_secret
from commhub.ports.edge_store import SipAccount
from commhub.ports.store import Store, UnitOfWork

# Typed on a phone's keypad or screen now and then, so shorter than a device's secret: 96 random bits.
PASSWORD_BYTES = 12

# (name, password) → the account with its hashes; the SIP edge knows how, and its realm.
HashAccount = Callable[[str, str], SipAccount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """An account and whether a phone is registered for it; `agent` is what the phone calls itself."""

    name: str
    display_name: str
    responder_id: str | None
    online: bool
    agent: str | None = None


class Phones:
    """Use cases of phones."""

    def __init__(self, store: Store, hash_account: HashAccount, clock: Clock) -> None:
        self._store = store
        self._hash_account = hash_account
        self._clock = clock

    async def all(self) -> Sequence[Phone]:
        """Every account."""
        now = self._clock.now()
        async with self._store.read() as uow:
            accounts = await uow.sip.accounts()
            bindings = await uow.sip.bindings()
        agents = {b.account: b.agent for b in bindings if b.expires_at > now}
        return [
            Phone(
                name=account.name,
                display_name=account.display_name,
                responder_id=account.responder_id,
                online=account.name in agents,
                agent=agents.get(account.name),
            )
            for account in accounts
        ]

    async def add(
        self, uow: UnitOfWork, name: str, display_name: str, responder_id: str | None, by: str
    ) -> tuple[Phone, str]:
        """Add an account; its password is returned and kept nowhere.

        Raises InvalidError, ConflictError (the name is taken), NotFoundError (no such responder).
        """
        if not is_safe_id(name):
            raise InvalidError(
                "a phone's name is 1 to 64 letters, digits, dots, dashes and underscores"
            )
        if await uow.sip.find_account(name) is not None:
            raise ConflictError(f"there is a phone {name}")
        if responder_id is not None:
            await uow.directory.get_responder(responder_id)
        password = new_secret(PASSWORD_BYTES)
        account = replace(
            self._hash_account(name, password),
            display_name=display_name,
            responder_id=responder_id,
        )
        await uow.sip.put_account(account)
        await uow.audit.append(self._clock.now(), by, "phone.add", f"phone:{name}", "ok")
        phone = Phone(name=name, display_name=display_name, responder_id=responder_id, online=False)
        return phone, password
