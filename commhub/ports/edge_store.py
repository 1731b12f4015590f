"""The store's rows of edges: what SIP and the telephone network write to take up their legs after a restart. Part of the unit of
work like every other noun (`commhub/ports/store.py` says how all of it behaves).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from commhub.kit.values import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SipAccount:
    """A phone's account: HA1 = H(user:realm:password) per algorithm (RFC 7616 §3.4.2); no password is kept."""

    name: str
    display_name: str
    ha1_md5: str
    ha1_sha256: str
    responder_id: str | None = None
    disabled: bool = False


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SipBinding:
    """A registered contact (RFC 3261 §10). `received` is the source «host:port» behind NAT (RFC 3581); `path` the
    proxies before it, as Route values (RFC 3327); `q` its preference, 0 to 1; `instance` and `reg_id` the phone and
    which of its flows this is (RFC 5626)."""

    account: str
    contact: str
    call_id: str
    cseq: int
    expires_at: datetime
    received: str
    transport: str
    path: tuple[str, ...] = ()
    agent: str | None = None
    q: float = 1.0
    instance: str | None = None
    reg_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSubscription:
    """Somebody watches an account's calls (RFC 6665): the dialog and its counters, as the SIP edge wrote them."""

    id: str
    expires_at: datetime
    state: Mapping[str, object]


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SipDialog:
    """A dialog's state (RFC 3261 §12) as the SIP edge wrote it, keyed by its leg, for life after a restart."""

    leg_id: str
    call_id: str
    state: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioLeg:
    """A telephone leg's state as the Twilio edge wrote it, for life after a restart."""

    leg_id: str
    state: Mapping[str, object]


class TwilioLegs(Protocol):
    async def put(self, leg: TwilioLeg) -> None:
        """Insert or replace by leg."""
        ...

    async def delete(self, leg_id: str) -> None: ...
    async def list(self) -> Sequence[TwilioLeg]: ...


class Sip(Protocol):
    async def put_account(self, account: SipAccount) -> None: ...
    async def find_account(self, name: str) -> SipAccount | None: ...
    async def accounts(self) -> Sequence[SipAccount]: ...
    async def put_binding(self, binding: SipBinding) -> None:
        """Insert or replace by (account, contact)."""
        ...

    async def delete_binding(self, account: str, contact: str) -> None: ...
    async def bindings_of(self, account: str) -> Sequence[SipBinding]: ...
    async def bindings(self) -> Sequence[SipBinding]: ...
    async def bindings_until(self, moment: datetime) -> Sequence[SipBinding]:
        """Those that expire by then, the first to do so first."""
        ...

    async def put_dialog(self, dialog: SipDialog) -> None: ...
    async def delete_dialog(self, leg_id: str) -> None: ...
    async def dialogs(self) -> Sequence[SipDialog]:
        """Those of this hub: another one on the same store takes up its own after a restart."""
        ...

    async def put_subscription(self, subscription: SipSubscription) -> None: ...
    async def delete_subscription(self, subscription_id: str) -> None: ...
    async def subscriptions(self) -> Sequence[SipSubscription]: ...
