"""The registrar (RFC 3261 §10, RFC 3327, RFC 5626 §6): which phones stand behind an account, kept as rows.

A REGISTER is judged and committed whole or not at all; those of one account are handled one after another.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import structlog

from commhub.kit.clock import Clock
from commhub.kit.supervise import Doorbell
from commhub.ports.edge_store import SipAccount, SipBinding
from commhub.ports.inward import PresenceIn
from commhub.ports.store import Store
from gateways.sip.bindings import RefusedError, Wish, Wishes, read_wishes
from gateways.sip.core import Core
from gateways.sip.digest import Authenticator, Verdict
from gateways.sip.errors import MalformedError
from gateways.sip.grammar import quote_string, read_uri
from gateways.sip.message import Request, clean_text
from gateways.sip.methods import refuse
from gateways.sip.reached import Reached
from gateways.sip.transactions import ServerTransaction
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)

SWEEP_AT_MOST_S = 15.0
REGISTRAR_SUPPORTS = "path, outbound"
FLOW_TIMER_S = 120
"""How often a phone may let us hear from its flow (RFC 5626 §4.4.1)."""


class Registrar:
    """Answers REGISTER and knows where accounts can be reached."""

    def __init__(
        self,
        core: Core,
        store: Store,
        presence: PresenceIn,
        clock: Clock,
        authenticator: Authenticator,
    ) -> None:
        self._core = core
        self._config = core.config
        self._store = store
        self._presence = presence
        self._clock = clock
        self._authenticator = authenticator
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed = Doorbell()
        self._following = clock.now()
        self._reached = Reached(clock, keeps=not store.is_shared)

    async def reach(self, name: str) -> tuple[SipAccount | None, Sequence[SipBinding]]:
        """The account (None when there is none, or it is disabled) and its live bindings: the preferred first (q),
        among equals the newest. Of the flows of one phone the newest alone (RFC 5626 §7)."""
        if (known := self._reached.find(name)) is not None:
            return known
        now, as_of = self._clock.now(), self._reached.changes
        async with self._store.read() as uow:
            account = await uow.sip.find_account(name)
            bindings = await uow.sip.bindings_of(name)
        if account is None or account.disabled:
            return None, ()
        live = [binding for binding in bindings if binding.expires_at > now]
        live.sort(key=lambda binding: binding.expires_at, reverse=True)
        phones: dict[str, SipBinding] = {}
        for binding in live:
            phones.setdefault(binding.instance or binding.contact, binding)
        found = account, tuple(sorted(phones.values(), key=lambda binding: -binding.q))
        if live:
            self._reached.keep(name, found, as_of, now)
        return found

    async def sources(self) -> list[tuple[Hop, str]]:
        """Where the registered phones speak from, as far as their ports outlive a restart of ours, and whose they are."""
        async with self._store.read() as uow:
            bindings = await uow.sip.bindings()
        return [(Hop.parse(b.received, b.transport), b.account) for b in bindings if not b.path]

    async def register(self, transaction: ServerTransaction) -> None:
        """Answer one REGISTER (§10.3)."""
        request = transaction.request
        judgement = await self._authenticator.judge(request, transaction.source, "Authorization")
        if judgement.verdict is Verdict.THROTTLED:
            refuse(self._core, transaction, 403, {"Retry-After": str(judgement.retry_after_s)})
        elif judgement.account is None:
            self._challenge(transaction, stale=judgement.verdict is Verdict.STALE)
        elif _user_of(request) != judgement.account.name:
            # A phone may register itself, nobody else (§10.3 step 4).
            refuse(self._core, transaction, 403, {})
        else:
            await self._update(transaction, judgement.account)

    def _challenge(self, transaction: ServerTransaction, *, stale: bool) -> None:
        headers = [
            ("WWW-Authenticate", challenge)
            for challenge in self._authenticator.challenges(
                transaction.request, transaction.source, stale=stale
            )
        ]
        transaction.respond(
            transaction.request.response(401, to_tag=transaction.to_tag, headers=headers)
        )

    async def _update(self, transaction: ServerTransaction, account: SipAccount) -> None:
        lock = self._locks.setdefault(account.name, asyncio.Lock())
        async with lock:
            try:
                wishes = read_wishes(transaction.request, self._config)
                before, after = await self._apply(transaction, account.name, wishes)
            except MalformedError as error:
                refuse(self._core, transaction, error.status, {})
                return
            except RefusedError as error:
                refuse(self._core, transaction, error.status, error.headers)
                return
            finally:
                self._reached.changed(account.name)
            for wish in wishes.contacts or ():
                if wish.seconds:
                    self._core.wires.bind(account.name, wish.contact, transaction.source)
            if any(binding.expires_at < self._following for binding in after):
                self._changed.ring()
            await self._tell_presence(account.name, before, after)
        transaction.respond(
            transaction.request.response(
                200, to_tag=transaction.to_tag, headers=self._granted(transaction, wishes, after)
            )
        )

    def _granted(
        self, transaction: ServerTransaction, wishes: Wishes, after: Sequence[SipBinding]
    ) -> list[tuple[str, str]]:
        """The headers of the 200: all contacts there are now (§10.3 step 8), the Path as it came (RFC 3327 §5.3),
        and whether flows are kept (RFC 5626 §6)."""
        now = self._clock.now()
        headers = [("Contact", _contact(binding, now)) for binding in after]
        headers += [("Path", path) for path in transaction.request.headers.getlist("Path")]
        if wishes.is_outbound:
            headers += [("Require", "outbound"), ("Flow-Timer", str(FLOW_TIMER_S))]
        headers.append(("Supported", REGISTRAR_SUPPORTS))
        return [*headers, ("User-Agent", self._core.user_agent)]

    async def _apply(
        self, transaction: ServerTransaction, account: str, wishes: Wishes
    ) -> tuple[list[SipBinding], list[SipBinding]]:
        """One transaction: the live bindings before and after. Raises MalformedError or RefusedError."""
        request, now = transaction.request, self._clock.now()
        async with self._store.begin() as uow:
            stored = {b.contact: b for b in await uow.sip.bindings_of(account)}
            live = {c: b for c, b in stored.items() if b.expires_at > now}
            asked = wishes.contacts
            if asked is None:
                asked = tuple(Wish(contact=contact, seconds=0) for contact in live)
            after = dict(live)
            for wish in asked:
                for known in _replaced(live, wish):
                    _check_order(known, request)
                    after.pop(known.contact, None)
                if wish.seconds:
                    binding = self._binding(transaction, account, wish, wishes.path)
                    after[wish.contact] = binding
            if len(after) > self._config.max_contacts:
                raise RefusedError(403)
            for contact in stored.keys() - after.keys():
                await uow.sip.delete_binding(account, contact)
            for contact, binding in after.items():
                if stored.get(contact) != binding:
                    await uow.sip.put_binding(binding)
        return list(live.values()), list(after.values())

    def _binding(
        self, transaction: ServerTransaction, account: str, wish: Wish, path: tuple[str, ...]
    ) -> SipBinding:
        request = transaction.request
        instance, reg_id = wish.flow or (None, None)
        return SipBinding(
            account=account,
            contact=wish.contact,
            call_id=request.call_id,
            cseq=request.cseq.sequence,
            expires_at=self._clock.now() + timedelta(seconds=wish.seconds),
            received=str(transaction.source),
            transport=transaction.source.transport,
            path=path,
            agent=clean_text(request.get("User-Agent")) or None,
            q=wish.q,
            instance=instance,
            reg_id=reg_id,
        )

    async def _tell_presence(
        self, account: str, before: Sequence[SipBinding], after: Sequence[SipBinding]
    ) -> None:
        agent = after[-1].agent if after else None
        changed = bool(before) != bool(after) or (after and agent not in {b.agent for b in before})
        if changed:
            await self._core.tell(
                "phone_seen", lambda: self._presence.phone_seen(account, bool(after), agent)
            )

    # --- expiry --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Remove what expires, when it expires."""
        while True:
            self._following = await self.sweep()
            left = (self._following - self._clock.now()).total_seconds()
            await self._changed.wait(max(left, 0.05))

    async def sweep(self) -> datetime:
        """Remove expired bindings, tell the presence of accounts without any left; when to look again. Only what is
        due soon is read: ten thousand phones register within a minute, and each of them may ring the bell."""
        now = self._clock.now()
        horizon = now + timedelta(seconds=SWEEP_AT_MOST_S)
        async with self._store.read() as uow:
            due = await uow.sip.bindings_until(horizon)
        if expired := [binding for binding in due if binding.expires_at <= now]:
            await self._remove(expired)
        return min((b.expires_at for b in due if b.expires_at > now), default=horizon)

    async def _remove(self, expired: Sequence[SipBinding]) -> None:
        gone: set[str] = set()
        now = self._clock.now()
        async with self._store.begin() as uow:
            for seen in expired:
                current = {b.contact: b for b in await uow.sip.bindings_of(seen.account)}
                refreshed = current.get(seen.contact)
                if refreshed is not None and refreshed.expires_at <= now:
                    await uow.sip.delete_binding(seen.account, seen.contact)
                    del current[seen.contact]
                if not current:
                    gone.add(seen.account)
        for seen in expired:
            self._reached.changed(seen.account)
        for account in gone:
            await self._tell_presence(account, expired, ())


def _user_of(request: Request) -> str | None:
    """The address-of-record's user; None for a To that names nobody here."""
    try:
        return read_uri(request.recipient.uri.partition("?")[0]).user
    except ValueError:
        return None


def _replaced(live: Mapping[str, SipBinding], wish: Wish) -> list[SipBinding]:
    """What a contact takes the place of: itself, and whatever the same flow of the same phone was called before
    (RFC 5626 §6: after a restart its port is another one)."""
    return [
        binding
        for binding in live.values()
        if binding.contact == wish.contact
        or (wish.flow is not None and (binding.instance, binding.reg_id) == wish.flow)
    ]


def _contact(binding: SipBinding, now: datetime) -> str:
    """A contact as the 200 lists it (§10.3 step 8)."""
    parameters = [f"expires={_seconds_left(binding, now)}"]
    if binding.q != 1.0:
        parameters.append(f"q={binding.q:.3f}".rstrip("0"))
    if binding.instance is not None:
        parameters.append(f"+sip.instance={quote_string(f'<{binding.instance}>')}")
        parameters.append(f"reg-id={binding.reg_id}")
    return ";".join([f"<{binding.contact}>", *parameters])


def _check_order(known: SipBinding, request: Request) -> None:
    """A request that was overtaken by a later one of the same phone changes nothing (§10.3 step 7)."""
    if known.call_id == request.call_id and request.cseq.sequence <= known.cseq:
        raise RefusedError(500)


def _seconds_left(binding: SipBinding, now: datetime) -> int:
    return max(1, round((binding.expires_at - now).total_seconds()))
