"""Neighbouring hubs: who they are, what is still to be said to them, and what of theirs was taken."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, literal, select, union_all, update
from sqlalchemy.sql.elements import ColumnElement

from commhub.db.codec import Rows
from commhub.db.prepared import Prepared
from commhub.db.repositories.base import Question, Repository, absent
from commhub.db.tables import tiers
from commhub.domain.tier import MessageState, PairingTicket, Peering, TierMessage
from commhub.kit.ids import new_id

_PEERS = tiers.peerings
_BOX = tiers.outbox
_CURSORS = tiers.cursors
_TAKEN = tiers.taken
# No hub has this name, so its cursor is our own outbox.
_OURS = ""
_PEERINGS = Rows(Peering, _PEERS)
_TICKETS = Rows(PairingTicket, tiers.tickets)
_MESSAGES = Rows(TierMessage, _BOX)

_PEER = Question(_PEERINGS, _PEERS.c.peer == bindparam("peer"))
_SETTLE = Prepared(
    update(_BOX)
    .where(_BOX.c.tenant == bindparam("_tenant"), _BOX.c.id == bindparam("_id"))
    .values(state=bindparam("state"), code=bindparam("code"), reason=bindparam("reason"))
)
_CURSOR = Prepared(
    select(_CURSORS.c.epoch, _CURSORS.c.seq).where(
        _CURSORS.c.tenant == bindparam("tenant"), _CURSORS.c.peer == bindparam("peer")
    )
)


def _told(column: Any, *seqs: ColumnElement[bool]) -> list[Select[Any]]:
    """What was told to a peer, by each state: so the index that has the state before the place finds it at once."""
    return [
        select(column.label("seq")).where(
            _BOX.c.tenant == bindparam("tenant"),
            _BOX.c.peer == bindparam("peer"),
            _BOX.c.state == literal(state, _BOX.c.state.type),
            *seqs,
        )
        for state in MessageState
    ]


_LAST_OF_EACH = union_all(*_told(func.max(_BOX.c.seq), _BOX.c.seq < bindparam("seq"))).subquery()
_BEFORE = Prepared(select(func.max(_LAST_OF_EACH.c.seq)))
_PLACES = Prepared(
    union_all(
        *_told(_BOX.c.seq, _BOX.c.seq >= bindparam("first"), _BOX.c.seq <= bindparam("last"))
    ).order_by("seq")
)
_REFUSE = Prepared(
    update(_TAKEN)
    .where(
        _TAKEN.c.tenant == bindparam("_tenant"),
        _TAKEN.c.peer == bindparam("_peer"),
        _TAKEN.c.message_id == bindparam("_message_id"),
    )
    .values(code=bindparam("code"), reason=bindparam("reason"))
)
_REFUSAL = Prepared(
    select(_TAKEN.c.code, _TAKEN.c.reason).where(
        _TAKEN.c.tenant == bindparam("tenant"),
        _TAKEN.c.peer == bindparam("peer"),
        _TAKEN.c.message_id == bindparam("message_id"),
    )
)


class SqlPeerings(Repository):
    """Implements commhub.ports.tier_store.Peerings."""

    async def put(self, peering: Peering) -> None:
        await self._tx.put(_PEERS, _PEERINGS.to_row(peering))

    async def get(self, peer: str) -> Peering:
        statement = _PEER.locking if self._tx.is_writable else _PEER.plain
        found = await self._tx.ask(statement, _PEERS, peer=peer)
        if not found:
            raise absent("neighbour", peer)
        return _PEERINGS.from_row(found[0])

    async def find(self, peer: str) -> Peering | None:
        return await self._find_by(_PEERINGS, "peer", peer)

    async def list(self) -> Sequence[Peering]:
        return await self._all(_PEERINGS, self._select(_PEERINGS).order_by(_PEERS.c.peer))

    async def add_ticket(self, ticket: PairingTicket) -> None:
        self._tx.add(tiers.tickets, _TICKETS.to_row(ticket))

    async def find_ticket(self, secret_hash: str) -> PairingTicket | None:
        return await self._find_by(_TICKETS, "secret_hash", secret_hash)

    async def update_ticket(self, ticket: PairingTicket) -> None:
        self._tx.update(tiers.tickets, _TICKETS.to_row(ticket))

    # --- the outbox ----------------------------------------------------------------------------------

    async def queue(self, message: TierMessage) -> None:
        row = _MESSAGES.to_row(message)
        del row["seq"]
        self._tx.add(_BOX, row)

    async def waiting(self, peer: str, after: int, limit: int) -> Sequence[TierMessage]:
        return await self._all(
            _MESSAGES,
            self._select(_MESSAGES)
            .where(_BOX.c.peer == peer, _BOX.c.state == MessageState.WAITING, _BOX.c.seq > after)
            .order_by(_BOX.c.seq)
            .limit(limit),
        )

    async def settle(self, message: TierMessage) -> None:
        await self._tx.change(
            _BOX,
            _SETTLE,
            {
                "_tenant": self._tx.owner.tenant,
                "_id": message.id,
                "state": message.state,
                "code": message.code,
                "reason": message.reason,
            },
        )

    async def find_message(self, message_id: str) -> TierMessage | None:
        return await self._find_by(_MESSAGES, "id", message_id)

    async def how_many_wait(self, peer: str) -> int:
        count = await self._tx.value(
            select(func.count())
            .select_from(_BOX)
            .where(self._tx.mine(_BOX), _BOX.c.peer == peer, _BOX.c.state == MessageState.WAITING)
        )
        return int(count or 0)

    async def epoch(self) -> str:
        await self._tx.insert_new(_CURSORS, {"peer": _OURS, "epoch": new_id(), "seq": 0})
        return (await self.applied(_OURS))[0]

    async def before(self, peer: str, seq: int) -> int:
        found = await self._tx.ask(_BEFORE, _BOX, peer=peer, seq=seq)
        return int(found[0][0] or 0)

    async def places(self, peer: str, first: int, last: int) -> Sequence[int]:
        found = await self._tx.ask(_PLACES, _BOX, peer=peer, first=first, last=last)
        return [row[0] for row in found]

    async def forget_settled(self, before: datetime) -> int:
        return await self._tx.write(
            _BOX,
            delete(_BOX).where(
                self._tx.mine(_BOX),
                _BOX.c.state != MessageState.WAITING,
                _BOX.c.created_at < before,
            ),
        )

    # --- the inbox -----------------------------------------------------------------------------------

    async def applied(self, peer: str) -> tuple[str, int]:
        found = await self._tx.ask(_CURSOR, _CURSORS, peer=peer)
        return (found[0][0], found[0][1]) if found else ("", 0)

    async def take(self, peer: str, epoch: str, seq: int, message_id: str, at: datetime) -> bool:
        row: dict[str, object] = {"peer": peer, "message_id": message_id, "taken_at": at}
        if not await self._tx.insert_new(_TAKEN, row):
            return False
        of, reached = await self.applied(peer)
        furthest = max(seq, reached) if of == epoch else seq
        await self._tx.put(_CURSORS, {"peer": peer, "epoch": epoch, "seq": furthest})
        return True

    async def note_refusal(self, peer: str, message_id: str, code: str, reason: str) -> None:
        await self._tx.change(
            _TAKEN,
            _REFUSE,
            {
                "_tenant": self._tx.owner.tenant,
                "_peer": peer,
                "_message_id": message_id,
                "code": code,
                "reason": reason,
            },
        )

    async def refusal_of(self, peer: str, message_id: str) -> tuple[str, str] | None:
        found = await self._tx.ask(_REFUSAL, _TAKEN, peer=peer, message_id=message_id)
        return (found[0][0], found[0][1] or "") if found and found[0][0] else None

    async def forget_taken(self, before: datetime) -> int:
        return await self._tx.write(
            _TAKEN, delete(_TAKEN).where(self._tx.mine(_TAKEN), _TAKEN.c.taken_at < before)
        )
