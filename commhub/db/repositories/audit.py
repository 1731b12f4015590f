"""The audit's hash chain: append-only, and provably so.

Each entry's digest is SHA-256 over its canonical JSON and the digest before it, so an edit or a deletion
breaks the chain behind it; the head row keeps the last place and digest, so a tail cut off shows as well.
Who can rewrite entries and head together leaves no trace inside the database: note `head` elsewhere from
time to time, and give it to `verify` as the anchor.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, update

from commhub.db.codec import Row, Rows
from commhub.db.pending import insert_or_leave
from commhub.db.repositories.base import Repository
from commhub.db.tables import people
from commhub.db.transaction import Transaction
from commhub.domain.account import AuditEntry

_TABLE = people.audit_entries
_HEADS = people.audit_heads
_ENTRIES = Rows(AuditEntry, _TABLE)

_WORDS = ("actor", "action", "subject", "outcome", "detail")
_HEAD = select(_HEADS.c.seq, _HEADS.c.digest)

_VERIFY_STEP = 1000


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last entry's place and digest; place 0 and no digest before the first."""

    seq: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """`problem` None: the chain is whole up to `head`. Otherwise the sentence names the first bad place."""

    entries: int
    head: ChainHead
    problem: str | None = None


def digest_of(seq: int, at: datetime, words: Sequence[str], *, tenant: str, previous: str) -> str:
    """SHA-256 in hex; `words` are actor, action, subject, outcome and detail."""
    canonical = json.dumps(
        [tenant, seq, at.astimezone(UTC).isoformat(timespec="microseconds"), *words, previous],
        ensure_ascii=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


class SqlAudit(Repository):
    """Implements commhub.ports.store.Audit. Entries join the chain last of all in their transaction: the head
    row is locked only then, so concurrent writers hardly wait and the chain never forks."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction)
        self._waiting: list[tuple[datetime, tuple[str, ...]]] = []

    async def append(
        self, at: datetime, actor: str, action: str, subject: str, outcome: str, detail: str = ""
    ) -> None:
        if not self._waiting:
            self._tx.defer(self._chain)
        self._waiting.append((at, (actor, action, subject, outcome, detail)))

    def _chain(self, connection: Connection) -> None:
        """Give the waiting entries their places and digests, and move the head."""
        head = self._lock_head(connection)
        rows: list[Row] = []
        for at, words in self._waiting:
            digest = digest_of(
                head.seq + 1, at, words, tenant=self._tx.owner.tenant, previous=head.digest
            )
            head = ChainHead(head.seq + 1, digest)
            named = dict(zip(_WORDS, words, strict=True))
            rows.append(self._owned({"seq": head.seq, "at": at, "digest": digest, **named}))
        self._waiting.clear()
        connection.execute(insert(_TABLE), rows)
        connection.execute(
            update(_HEADS).where(self._tx.mine(_HEADS)).values(seq=head.seq, digest=head.digest)
        )

    def _lock_head(self, connection: Connection) -> ChainHead:
        statement = _HEAD.where(self._tx.mine(_HEADS)).with_for_update()
        row = connection.execute(statement).first()
        if row is None:
            # Two first writers may meet here; the second waits for the first and then finds its row.
            first = self._owned({"seq": 0, "digest": ""})
            insert_or_leave(_HEADS, tuple(first), on_sqlite=self._tx.on_sqlite).run(
                connection, first
            )
            row = connection.execute(statement).one()
        return ChainHead(row.seq, row.digest)

    def _owned(self, row: Row) -> Row:
        return {"tenant": self._tx.owner.tenant, "hub": self._tx.owner.hub, **row}

    async def list(self, before: int | None, limit: int) -> Sequence[AuditEntry]:
        await self._settle()
        statement = self._select(_ENTRIES).order_by(_TABLE.c.seq.desc()).limit(limit)
        if before is not None:
            statement = statement.where(_TABLE.c.seq < before)
        return await self._all(_ENTRIES, statement)

    async def head(self) -> ChainHead:
        """Where the chain ends now."""
        await self._settle()
        row = await self._tx.first(_HEAD.where(self._tx.mine(_HEADS)))
        return ChainHead() if row is None else ChainHead(row.seq, row.digest)

    async def _settle(self) -> None:
        if self._waiting:
            await self._tx.flush()

    async def verify(self, anchor: ChainHead | None = None) -> AuditVerdict:
        """Walk the whole chain. `anchor` is a head noted earlier: its entry must still be there, unchanged."""
        head = await self.head()
        previous = ChainHead()
        while True:
            entries = await self._all(
                _ENTRIES,
                self._select(_ENTRIES)
                .where(_TABLE.c.seq > previous.seq)
                .order_by(_TABLE.c.seq)
                .limit(_VERIFY_STEP),
            )
            for entry in entries:
                problem = self._flaw(entry, previous, anchor)
                if problem is not None:
                    return AuditVerdict(previous.seq, head, problem)
                previous = ChainHead(entry.seq, entry.digest)
            if len(entries) < _VERIFY_STEP:
                break
        if previous != head:
            return AuditVerdict(
                previous.seq, head, f"the chain ends at {previous.seq}, its head says {head.seq}"
            )
        if anchor is not None and anchor.seq > previous.seq:
            return AuditVerdict(
                previous.seq, head, f"the anchor's entry {anchor.seq} is no longer there"
            )
        return AuditVerdict(previous.seq, head)

    def _flaw(self, entry: AuditEntry, previous: ChainHead, anchor: ChainHead | None) -> str | None:
        if entry.seq != previous.seq + 1:
            return f"entry {previous.seq + 1} is missing"
        words = (entry.actor, entry.action, entry.subject, entry.outcome, entry.detail)
        expected = digest_of(
            entry.seq, entry.at, words, tenant=self._tx.owner.tenant, previous=previous.digest
        )
        if entry.digest != expected:
            return f"entry {entry.seq} was changed"
        if anchor is not None and anchor.seq == entry.seq and anchor.digest != entry.digest:
            return f"entry {entry.seq} is not the one the anchor names"
        return None
