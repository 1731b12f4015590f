"""One phone's watch over another's calls: the notifier's side of a subscription (RFC 6665 §4.2).

A NOTIFY waits for the answer to the one before; whatever changes meanwhile is told by the next, once. Counters go into
the row when the subscription is made and refreshed, not with every NOTIFY: a process that takes it up jumps ahead.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from commhub.ports.edge_store import SipSubscription
from gateways.sip import metrics
from gateways.sip.core import Core
from gateways.sip.dialogs import Dialog
from gateways.sip.errors import SipError, TransactionError
from gateways.sip.lamps import DIALOG_INFO, Lamps, dialog_info
from gateways.sip.message import Response
from gateways.sip.transactions import ClientTransaction
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[None, None, None], str], None]
JUMP = 10_000
"""More NOTIFYs than one subscription sends between two refreshes."""

# After these the watcher knows nothing of the subscription, or never will (RFC 6665 §4.2.2, RFC 5057 §5).
_GONE = frozenset({404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604})


@dataclass(slots=True, kw_only=True)
class Watch:
    """Implements `transactions.ClientUser`. `event` is the Event header as it came: its `id` is repeated."""

    core: Core
    lamps: Lamps
    id: str
    watcher: str
    account: str
    event: str
    dialog: Dialog
    expires_at: datetime
    gone: Callable[["Watch"], None]
    spawn: Spawn
    version: int = 0
    ended: str | None = None
    _under_way: bool = False
    _stale: bool = False

    def to_row(self) -> SipSubscription:
        state: dict[str, object] = {
            "watcher": self.watcher,
            "account": self.account,
            "event": self.event,
            "dialog": self.dialog.to_json(),
            "version": self.version,
        }
        return SipSubscription(id=self.id, expires_at=self.expires_at, state=state)

    @classmethod
    def from_row(
        cls,
        row: SipSubscription,
        core: Core,
        lamps: Lamps,
        gone: Callable[["Watch"], None],
        spawn: Spawn,
    ) -> "Watch":
        """Raises KeyError, TypeError or ValueError for a row of another making."""
        state = row.state
        dialog = state["dialog"]
        if not isinstance(dialog, Mapping):
            raise TypeError("a dialog is a mapping")
        known = Dialog.from_json(dialog)
        return cls(
            core=core,
            lamps=lamps,
            id=row.id,
            watcher=str(state["watcher"]),
            account=str(state["account"]),
            event=str(state["event"]),
            dialog=replace(known, local_seq=known.local_seq + JUMP),
            expires_at=row.expires_at,
            gone=gone,
            spawn=spawn,
            version=int(str(state["version"])) + JUMP,
        )

    def end(self, reason: str) -> None:
        """Tell the watcher that this was all; `reason` as RFC 6665 §4.1.3 names it."""
        self.ended = reason
        self._stale = True

    def mark(self) -> None:
        """Something has changed that the watcher does not know."""
        self._stale = True

    async def tell(self) -> None:
        """Send what there is to tell, unless a NOTIFY is under way."""
        if self._under_way or not self._stale:
            return
        self._stale, self._under_way = False, True
        self.dialog, request = self.dialog.request("NOTIFY")
        headers = request.headers
        headers.set("Contact", self.core.wires.contact())
        headers.set("Event", self.event)
        headers.set("Subscription-State", self._state())
        headers.set("User-Agent", self.core.user_agent)
        headers.set("Content-Type", DIALOG_INFO)
        entity = f"sip:{self.account}@{self.core.config.uri_host}"
        request.body = dialog_info(entity, self.version, self.lamps.of(self.account))
        self.version += 1
        try:
            await self.core.send_request(request, self.dialog.hop, self)
        except (SipError, ValueError) as error:
            log.info("sip_notify_not_sent", reason=str(error))
            self._drop()

    def _state(self) -> str:
        left = round((self.expires_at - self.core.clock.now()).total_seconds())
        if self.ended is not None:
            return f"terminated;reason={self.ended}"
        return f"active;expires={max(left, 0)}"

    def _drop(self) -> None:
        metrics.NOTIFIES.labels("lost").inc()
        self.gone(self)

    # --- gateways.sip.machines.ClientUser ----------------------------------------------------------------------

    def response_received(
        self, transaction: ClientTransaction, response: Response, source: Hop
    ) -> None:
        if not response.is_final:
            return
        self._under_way = False
        if response.status in _GONE:
            self._drop()
            return
        metrics.NOTIFIES.labels("taken" if response.status < 300 else "refused").inc()
        if self.ended is not None and not self._stale:
            self.gone(self)
        elif self._stale:
            self.spawn(self.tell(), "sip-notify")

    def transaction_failed(self, transaction: ClientTransaction, error: TransactionError) -> None:
        self._drop()
