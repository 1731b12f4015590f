"""Phones' accounts, their registered contacts, and dialogs that outlive the process."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import bindparam, delete

from commhub.db.codec import Row, Rows
from commhub.db.memory import Key
from commhub.db.prepared import Prepared
from commhub.db.repositories.base import Question, Repository
from commhub.db.tables import equipment
from commhub.db.transaction import Transaction
from commhub.ports.edge_store import SipAccount, SipBinding, SipDialog, SipSubscription

_CONTACTS = equipment.sip_bindings
_TABLE = equipment.sip_dialogs
_ACCOUNTS = Rows(SipAccount, equipment.sip_accounts)
_BINDINGS = Rows(SipBinding, _CONTACTS)
_DIALOGS = Rows(SipDialog, _TABLE)
_WATCHES = equipment.sip_subscriptions
_SUBSCRIPTIONS = Rows(SipSubscription, _WATCHES)

_BINDINGS_OF = Question(
    _BINDINGS,
    _CONTACTS.c.account == bindparam("account"),
    order_by=(_CONTACTS.c.expires_at.desc(), _CONTACTS.c.contact),
)
_DELETE_BINDING = Prepared(
    delete(_CONTACTS).where(
        _CONTACTS.c.tenant == bindparam("tenant"),
        _CONTACTS.c.account == bindparam("account"),
        _CONTACTS.c.contact == bindparam("contact"),
    )
)
_DELETE_DIALOG = Prepared(
    delete(_TABLE).where(
        _TABLE.c.tenant == bindparam("tenant"), _TABLE.c.leg_id == bindparam("leg_id")
    )
)


def _key(name: str) -> Key:
    return equipment.sip_accounts, name


class SqlSip(Repository):
    """Implements commhub.ports.store.Sip. Contacts that have expired are still listed: the registrar ends
    them, so that somebody hears of it."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction)
        self._known: dict[str, SipAccount] = {}
        if transaction.is_alone:
            transaction.leaves(self._tell)

    def _tell(self, known: dict[Key, object], gone: set[Key]) -> None:
        del gone
        known.update((_key(name), account) for name, account in self._known.items())

    async def put_account(self, account: SipAccount) -> None:
        await self._tx.put(equipment.sip_accounts, _ACCOUNTS.to_row(account))
        self._known[account.name] = account

    async def find_account(self, name: str) -> SipAccount | None:
        found = self._known.get(name) if self._tx.is_alone else None
        found = found or cast("SipAccount | None", self._tx.recall(_key(name)))
        if found is None:
            found = await self._find_by(_ACCOUNTS, "name", name)
            if found is not None:
                self._known[name] = found
        return found

    async def accounts(self) -> Sequence[SipAccount]:
        """Sorted by name."""
        return await self._all(
            _ACCOUNTS, self._select(_ACCOUNTS).order_by(equipment.sip_accounts.c.name)
        )

    async def put_binding(self, binding: SipBinding) -> None:
        """Raises InvalidError when the account is not there."""
        await self._tx.put(_CONTACTS, _BINDINGS.to_row(binding))

    async def delete_binding(self, account: str, contact: str) -> None:
        row: Row = {"tenant": self._tx.owner.tenant, "account": account, "contact": contact}
        await self._tx.change(_CONTACTS, _DELETE_BINDING, row)

    async def bindings_of(self, account: str) -> Sequence[SipBinding]:
        """The one that expires last first."""
        return await self._ask(_BINDINGS_OF, account=account)

    async def bindings(self) -> Sequence[SipBinding]:
        return await self._all(
            _BINDINGS,
            self._select(_BINDINGS).order_by(_CONTACTS.c.account, _CONTACTS.c.expires_at.desc()),
        )

    async def bindings_until(self, moment: datetime) -> Sequence[SipBinding]:
        return await self._all(
            _BINDINGS,
            self._select(_BINDINGS)
            .where(_CONTACTS.c.expires_at <= moment)
            .order_by(_CONTACTS.c.expires_at, _CONTACTS.c.account, _CONTACTS.c.contact),
        )

    async def put_dialog(self, dialog: SipDialog) -> None:
        self._tx.put_later(_TABLE, _DIALOGS.to_row(dialog))

    async def delete_dialog(self, leg_id: str) -> None:
        row: Row = {"tenant": self._tx.owner.tenant, "leg_id": leg_id}
        self._tx.change_later(_TABLE, _DELETE_DIALOG, row)

    async def dialogs(self) -> Sequence[SipDialog]:
        here = _TABLE.c.hub == self._tx.owner.hub
        return await self._all(
            _DIALOGS, self._select(_DIALOGS).where(here).order_by(_TABLE.c.leg_id)
        )

    async def put_subscription(self, subscription: SipSubscription) -> None:
        await self._tx.put(_WATCHES, _SUBSCRIPTIONS.to_row(subscription))

    async def delete_subscription(self, subscription_id: str) -> None:
        await self._tx.write(
            _WATCHES,
            delete(_WATCHES).where(self._tx.mine(_WATCHES), _WATCHES.c.id == subscription_id),
        )

    async def subscriptions(self) -> Sequence[SipSubscription]:
        return await self._all(_SUBSCRIPTIONS, self._select(_SUBSCRIPTIONS).order_by(_WATCHES.c.id))
