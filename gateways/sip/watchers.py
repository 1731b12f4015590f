"""Busy lamps: phones that subscribe to each other's calls (RFC 4235 over RFC 6665).

Every account may watch every other, after the same digest as for a call. Subscriptions are rows; a process that takes
them up tells every watcher the state as it is now.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import structlog

from commhub.kit.ids import new_id
from commhub.ports.store import Store
from gateways.sip import metrics
from gateways.sip.core import Core, respond_ok
from gateways.sip.dialogs import DialogKey, dialog_of_invite
from gateways.sip.doorman import Doorman
from gateways.sip.errors import MalformedError
from gateways.sip.lamps import DIALOG_INFO, Lamps
from gateways.sip.message import Request
from gateways.sip.methods import refuse
from gateways.sip.registrar import Registrar
from gateways.sip.transactions import ServerTransaction
from gateways.sip.uas import called_number
from gateways.sip.watching import Spawn, Watch

log = structlog.get_logger(__name__)

EVENTS = "dialog"
DEFAULT_EXPIRES_S = 3_600
MAX_EXPIRES_S = 3_600
SWEEP_EVERY_S = 5.0


class Watchers:
    """All subscriptions of this edge."""

    def __init__(
        self,
        core: Core,
        store: Store,
        doorman: Doorman,
        registrar: Registrar,
        lamps: Lamps,
        spawn: Spawn,
    ) -> None:
        self._core = core
        self._store = store
        self._doorman = doorman
        self._registrar = registrar
        self._lamps = lamps
        self._spawn = spawn
        self._watches: dict[DialogKey, Watch] = {}
        self._of: dict[str, set[DialogKey]] = {}
        lamps.watch = self._changed

    def __len__(self) -> int:
        return len(self._watches)

    # --- SUBSCRIBE -------------------------------------------------------------------------------------------

    async def receive(self, transaction: ServerTransaction) -> None:
        """Answer a SUBSCRIBE."""
        if transaction.request.recipient.tag:
            await self.refresh(transaction)
        else:
            await self.subscribe(transaction)

    async def subscribe(self, transaction: ServerTransaction) -> None:
        """Answer a SUBSCRIBE that opens a dialog (RFC 6665 §4.2.1)."""
        request = transaction.request
        watcher = await self._doorman.authenticate(self._core, transaction)
        if watcher is None:
            return
        account, _ = await self._registrar.reach(called_number(request.uri))
        if account is None:
            refuse(self._core, transaction, 404, {})
            return
        seconds = self._granted(transaction)
        if seconds is None:
            return
        if self._is_full(watcher.name):
            metrics.OVERLOADED.inc()
            refuse(self._core, transaction, 503, {"Retry-After": "60"})
            return
        try:
            dialog = dialog_of_invite(request, transaction.to_tag, transaction.source)
        except MalformedError as error:
            refuse(self._core, transaction, error.status, {})
            return
        watch = Watch(
            core=self._core,
            lamps=self._lamps,
            id=new_id(),
            watcher=watcher.name,
            account=account.name,
            event=request.get("Event").strip(),
            dialog=dialog,
            expires_at=self._core.clock.now() + timedelta(seconds=seconds),
            gone=self._gone,
            spawn=self._spawn,
        )
        self._know(watch)
        await self._grant(watch, transaction, seconds)

    async def refresh(self, transaction: ServerTransaction) -> None:
        """Answer a SUBSCRIBE inside a subscription's dialog."""
        request = transaction.request
        watch = self._watches.get(_key(request))
        if watch is None or watch.ended is not None:
            transaction.refuse(481)
            return
        former = watch.dialog.remote_seq
        if former is not None and request.cseq.sequence <= former:
            transaction.refuse(500)  # RFC 3261 §12.2.2
            return
        seconds = self._granted(transaction)
        if seconds is None:
            return
        try:
            watch.dialog = watch.dialog.heard(request, transaction.source)
        except MalformedError as error:
            refuse(self._core, transaction, error.status, {})
            return
        watch.expires_at = self._core.clock.now() + timedelta(seconds=seconds)
        await self._grant(watch, transaction, seconds)

    def _granted(self, transaction: ServerTransaction) -> int | None:
        """For how long; None when the SUBSCRIBE was refused (RFC 6665 §4.2.1.1)."""
        request = transaction.request
        if request.get("Event").partition(";")[0].strip().lower() != EVENTS:
            refuse(self._core, transaction, 489, {"Allow-Events": EVENTS})
            return None
        kinds = {kind.partition(";")[0].strip() for kind in request.tokens("Accept")}
        if kinds and not kinds & {DIALOG_INFO, "application/*", "*/*"}:
            refuse(self._core, transaction, 406, {"Accept": DIALOG_INFO})
            return None
        try:
            asked = request.number("Expires")
        except MalformedError as error:
            refuse(self._core, transaction, error.status, {})
            return None
        seconds = min(DEFAULT_EXPIRES_S if asked is None else asked, MAX_EXPIRES_S)
        least = self._core.config.min_expires_s
        if 0 < seconds < least:
            refuse(self._core, transaction, 423, {"Min-Expires": str(least)})
            return None
        return seconds

    async def _grant(self, watch: Watch, transaction: ServerTransaction, seconds: int) -> None:
        """200, and the state at once (§4.2.1.2): also for whoever only asks once (Expires: 0)."""
        if seconds:
            await self._write(watch)
        routes = [("Record-Route", r) for r in transaction.request.headers.getlist("Record-Route")]
        contact = self._core.wires.contact(transaction.source)
        respond_ok(
            self._core,
            transaction,
            [*routes, ("Contact", contact), ("Expires", str(seconds)), ("Allow-Events", EVENTS)],
        )
        watch.mark()
        if not seconds:
            watch.end("timeout")
        await watch.tell()

    # --- what is known ---------------------------------------------------------------------------------------

    def _is_full(self, watcher: str) -> bool:
        config = self._core.config
        own = sum(watch.watcher == watcher for watch in self._watches.values())
        return len(self._watches) >= config.max_watches or own >= config.max_watches_each

    def _know(self, watch: Watch) -> None:
        self._watches[watch.dialog.key] = watch
        self._of.setdefault(watch.account, set()).add(watch.dialog.key)
        metrics.WATCHES.set(len(self._watches))

    def _gone(self, watch: Watch) -> None:
        if self._watches.pop(watch.dialog.key, None) is None:
            return
        keys = self._of[watch.account]
        keys.discard(watch.dialog.key)
        if not keys:
            del self._of[watch.account]
        metrics.WATCHES.set(len(self._watches))
        self._spawn(self._forget(watch.id), "sip-watch")

    async def _write(self, watch: Watch) -> None:
        async with self._store.begin() as uow:
            await uow.sip.put_subscription(watch.to_row())

    async def _forget(self, watch_id: str) -> None:
        async def delete() -> None:
            async with self._store.begin() as uow:
                await uow.sip.delete_subscription(watch_id)

        await self._core.tell("watch", delete)

    def _changed(self, account: str) -> None:
        for key in self._of.get(account, ()):
            watch = self._watches[key]
            watch.mark()
            self._spawn(watch.tell(), "sip-notify")

    # --- life ------------------------------------------------------------------------------------------------

    async def resume(self, leg_ids: Iterable[str]) -> None:
        """Take up the subscriptions of a former process, and the state of its legs, before any of them goes on and
        before the first datagram is read."""
        now = self._core.clock.now()
        async with self._store.read() as uow:
            rows = await uow.sip.subscriptions()
            for leg_id in leg_ids:
                if (leg := await uow.calls.find_leg(leg_id)) is not None:
                    self._lamps.resumed(leg)
        for row in rows:
            try:
                watch = Watch.from_row(row, self._core, self._lamps, self._gone, self._spawn)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("sip_watch_not_resumed", reason=repr(error))
                await self._forget(row.id)
                continue
            if row.expires_at <= now:
                await self._forget(row.id)
                continue
            self._know(watch)
            # So that yet another process jumps further.
            await self._write(watch)
            watch.mark()

    async def run(self) -> None:
        """Tell whoever was taken up, and end what expires, until cancelled."""
        for watch in list(self._watches.values()):
            await watch.tell()
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await self.sweep()

    async def sweep(self) -> None:
        """End the subscriptions that were not refreshed in time (RFC 6665 §4.2.2)."""
        now = self._core.clock.now()
        for watch in [w for w in self._watches.values() if w.expires_at <= now and not w.ended]:
            watch.end("timeout")
            await watch.tell()


def _key(request: Request) -> DialogKey:
    return (request.call_id, request.recipient.tag, request.sender.tag)
