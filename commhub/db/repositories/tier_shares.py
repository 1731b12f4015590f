"""What is shared with neighbouring hubs: of incidents, of the directory, of rooms."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Table, bindparam, delete, func, or_, select

from commhub.db.codec import Row, Rows
from commhub.db.prepared import Prepared
from commhub.db.repositories.base import Question, Repository
from commhub.db.tables import dispatch, tiers
from commhub.domain.incident import OPEN_STAGES
from commhub.domain.tier import (
    CheckIn,
    CheckInState,
    Export,
    PeeringState,
    Share,
    Shared,
    ShareState,
    Supervision,
    SupervisionState,
)
from commhub.domain.tier_calls import HubLeg
from commhub.domain.tier_rooms import CascadeState, RemoteSource, RoomCascade, Uplink

T = TypeVar("T")

_SHARES = Rows(Share, tiers.shares)
_CHECK_INS = Rows(CheckIn, tiers.check_ins)
_SUPERVISIONS = Rows(Supervision, tiers.supervisions)
_EXPORTS = Rows(Export, tiers.exports)
_SHARED = Rows(Shared, tiers.shared)
_HUB_LEGS = Rows(HubLeg, tiers.hub_legs)
_CASCADES = Rows(RoomCascade, tiers.cascades)
_SOURCES = Rows(RemoteSource, tiers.remote_sources)
_UPLINKS = Rows(Uplink, tiers.uplinks)
_OPEN = (ShareState.OFFERED, ShareState.HELD, ShareState.RETURNED)
_GOING = (CascadeState.ASKED, CascadeState.JOINED, CascadeState.DOWN)
# What both hubs have, and what is told to the end: the last word of an incident is one, too.
_TAKEN = (ShareState.HELD, ShareState.RETURNED, ShareState.ENDED)
_TOLD = tiers.shares.c
_LINE_ROWS = dispatch.timeline
_LINES = _LINE_ROWS.c

_SHARE = Question(
    _SHARES, _TOLD.incident_id == bindparam("incident_id"), _TOLD.peer == bindparam("peer")
)
_SHARES_OF = Question(
    _SHARES, _TOLD.incident_id == bindparam("incident_id"), order_by=(_TOLD.created_at, _TOLD.peer)
)
_SHARED_ONE = Question(
    _SHARED,
    tiers.shared.c.peer == bindparam("peer"),
    tiers.shared.c.subject == bindparam("subject"),
)
_THEIR_LEG = Question(
    _HUB_LEGS,
    tiers.hub_legs.c.peer == bindparam("peer"),
    tiers.hub_legs.c.their_leg == bindparam("their_leg"),
)
_ORIGIN = Question(
    _SOURCES,
    tiers.remote_sources.c.room_id == bindparam("room_id"),
    tiers.remote_sources.c.origin == bindparam("origin"),
)


def _delete(table: Table, *columns: str) -> Prepared:
    named = [table.c[name] == bindparam(f"_{name}") for name in columns]
    return Prepared(delete(table).where(table.c.tenant == bindparam("_tenant"), *named))


_DELETE_EXPORT = _delete(tiers.exports, "id")
_DELETE_SHARED = _delete(tiers.shared, "peer", "subject")
_DELETE_SOURCE = _delete(tiers.remote_sources, "source_id")
_DELETE_UPLINK = _delete(tiers.uplinks, "id")


class _Gone(Repository):
    async def _drop(self, table: Table, statement: Prepared, **key: str) -> None:
        row: Row = {f"_{name}": value for name, value in key.items()}
        await self._tx.change(table, statement, row | {"_tenant": self._tx.owner.tenant})


class SqlShares(Repository):
    """Implements commhub.ports.tier_store.Shares."""

    async def put(self, share: Share) -> None:
        await self._tx.put(tiers.shares, _SHARES.to_row(share))

    async def find(self, incident_id: str, peer: str) -> Share | None:
        found = await self._ask(_SHARE, incident_id=incident_id, peer=peer)
        return found[0] if found else None

    async def of_incident(self, incident_id: str) -> Sequence[Share]:
        return await self._ask(_SHARES_OF, incident_id=incident_id)

    async def of_peer(self, peer: str, open_only: bool = True) -> Sequence[Share]:
        statement = self._select(_SHARES).where(_TOLD.peer == peer)
        if open_only:
            statement = statement.where(_TOLD.state.in_(_OPEN))
        return await self._all(_SHARES, statement.order_by(_TOLD.created_at, _TOLD.incident_id))

    async def behind(self, limit: int, since: int = 0) -> Sequence[Share]:
        untold = (
            select(_LINES.seq)
            .where(
                _LINES.tenant == _TOLD.tenant,
                _LINES.incident_id == _TOLD.incident_id,
                _LINES.seq > _TOLD.told_seq,
                # A peer knows what it wrote itself, and what came to us by it.
                _LINES.hub != _TOLD.peer,
                or_(_LINES.came_by.is_(None), _LINES.came_by != _TOLD.peer),
            )
            .exists()
        )
        revoked = (
            select(tiers.peerings.c.peer)
            .where(
                tiers.peerings.c.tenant == _TOLD.tenant,
                tiers.peerings.c.peer == _TOLD.peer,
                tiers.peerings.c.state == PeeringState.REVOKED,
            )
            .exists()
        )
        statement = self._select(_SHARES).where(_TOLD.state.in_(_TAKEN), untold, ~revoked)
        if since:
            # Few lines are new, and many shares old: so the lines are asked which shares to look at.
            new = select(_LINES.incident_id).where(self._tx.mine(_LINE_ROWS), _LINES.seq > since)
            statement = statement.where(_TOLD.incident_id.in_(new))
        return await self._all(_SHARES, statement.limit(limit))

    async def current(self) -> tuple[Sequence[Share], Sequence[CheckIn], Sequence[Supervision]]:
        open_ones = select(dispatch.incidents.c.id).where(
            self._tx.mine(dispatch.incidents), dispatch.incidents.c.stage.in_(OPEN_STAGES)
        )

        async def all_of(rows: Rows[T], by: str) -> list[T]:
            columns = rows.table.c
            wanted = self._select(rows).where(columns.incident_id.in_(open_ones))
            return await self._all(rows, wanted.order_by(columns.incident_id, columns[by]))

        return (
            await all_of(_SHARES, "peer"),
            await all_of(_CHECK_INS, "id"),
            await all_of(_SUPERVISIONS, "id"),
        )

    async def put_check_in(self, check_in: CheckIn) -> None:
        await self._tx.put(tiers.check_ins, _CHECK_INS.to_row(check_in))

    async def find_check_in(self, check_in_id: str) -> CheckIn | None:
        return await self._hold(_CHECK_INS, check_in_id)

    async def check_ins_of(self, incident_id: str) -> Sequence[CheckIn]:
        rows = tiers.check_ins.c
        statement = self._select(_CHECK_INS).where(rows.incident_id == incident_id)
        return await self._all(_CHECK_INS, statement.order_by(rows.id))

    async def put_supervision(self, supervision: Supervision) -> None:
        await self._tx.put(tiers.supervisions, _SUPERVISIONS.to_row(supervision))

    async def find_supervision(self, supervision_id: str) -> Supervision | None:
        return await self._hold(_SUPERVISIONS, supervision_id)

    async def supervisions_of(self, incident_id: str) -> Sequence[Supervision]:
        rows = tiers.supervisions.c
        statement = self._select(_SUPERVISIONS).where(rows.incident_id == incident_id)
        return await self._all(_SUPERVISIONS, statement.order_by(rows.id))

    async def overdue_check_ins(self, now: datetime, limit: int) -> Sequence[CheckIn]:
        rows = tiers.check_ins.c
        statement = self._select(_CHECK_INS).where(
            rows.state == CheckInState.CALLED, rows.due_at <= now
        )
        return await self._all(_CHECK_INS, statement.order_by(rows.due_at).limit(limit))

    async def overdue_supervisions(self, now: datetime, limit: int) -> Sequence[Supervision]:
        rows = tiers.supervisions.c
        statement = self._select(_SUPERVISIONS).where(
            rows.state == SupervisionState.OPEN, rows.due_at <= now
        )
        return await self._all(_SUPERVISIONS, statement.order_by(rows.due_at).limit(limit))

    async def next_due(self) -> datetime | None:
        soonest: list[datetime] = []
        for table, waits in (
            (tiers.check_ins, CheckInState.CALLED),
            (tiers.supervisions, SupervisionState.OPEN),
        ):
            found = await self._tx.value(
                select(func.min(table.c.due_at)).where(self._tx.mine(table), table.c.state == waits)
            )
            soonest += [] if found is None else [found]
        return min(soonest, default=None)


class SqlSharedDirectory(_Gone):
    """Implements commhub.ports.tier_store.SharedDirectory."""

    async def put_export(self, export: Export) -> None:
        await self._tx.put(tiers.exports, _EXPORTS.to_row(export))

    async def delete_export(self, export_id: str) -> None:
        await self._drop(tiers.exports, _DELETE_EXPORT, id=export_id)

    async def exports(self, peer: str | None = None) -> Sequence[Export]:
        rows = tiers.exports.c
        statement = self._select(_EXPORTS)
        if peer is not None:
            statement = statement.where(rows.peer.in_((peer, "*")))
        return await self._all(_EXPORTS, statement.order_by(rows.subject, rows.peer))

    async def put_hub_leg(self, leg: HubLeg) -> None:
        await self._tx.put(tiers.hub_legs, _HUB_LEGS.to_row(leg))

    async def find_hub_leg(self, leg_id: str) -> HubLeg | None:
        return await self._find_by(_HUB_LEGS, "leg_id", leg_id)

    async def find_their_leg(self, peer: str, their_leg: str) -> HubLeg | None:
        found = await self._ask(_THEIR_LEG, peer=peer, their_leg=their_leg)
        return found[0] if found else None

    async def put_shared(self, shared: Shared) -> None:
        await self._tx.put(tiers.shared, _SHARED.to_row(shared))

    async def delete_shared(self, peer: str, subject: str) -> None:
        await self._drop(tiers.shared, _DELETE_SHARED, peer=peer, subject=subject)

    async def find_shared(self, peer: str, subject: str) -> Shared | None:
        found = await self._ask(_SHARED_ONE, peer=peer, subject=subject)
        return found[0] if found else None

    async def shared(self, peer: str | None = None) -> Sequence[Shared]:
        rows = tiers.shared.c
        statement = self._select(_SHARED)
        if peer is not None:
            statement = statement.where(rows.peer == peer)
        return await self._all(_SHARED, statement.order_by(rows.peer, rows.subject))


class SqlCascades(_Gone):
    """Implements commhub.ports.tier_store.Cascades."""

    async def put(self, cascade: RoomCascade) -> None:
        await self._tx.put(tiers.cascades, _CASCADES.to_row(cascade))

    async def of_room(self, room_id: str) -> Sequence[RoomCascade]:
        return await self._where(_CASCADES, room_id=room_id)

    async def going(self, peer: str | None = None) -> Sequence[RoomCascade]:
        joins = tiers.cascades.c
        statement = self._select(_CASCADES).where(joins.state.in_(_GOING))
        if peer is not None:
            statement = statement.where(joins.peer == peer)
        return await self._all(_CASCADES, statement.order_by(joins.room_id, joins.peer))

    async def put_source(self, source: RemoteSource) -> None:
        await self._tx.put(tiers.remote_sources, _SOURCES.to_row(source))

    async def delete_source(self, source_id: str) -> None:
        await self._drop(tiers.remote_sources, _DELETE_SOURCE, source_id=source_id)

    async def find_source(self, source_id: str) -> RemoteSource | None:
        return await self._find_by(_SOURCES, "source_id", source_id)

    async def find_origin(self, room_id: str, origin: str) -> RemoteSource | None:
        found = await self._ask(_ORIGIN, room_id=room_id, origin=origin)
        return found[0] if found else None

    async def sources_of(self, room_id: str) -> Sequence[RemoteSource]:
        return await self._where(_SOURCES, room_id=room_id)

    async def sources_from(self, peer: str) -> Sequence[RemoteSource]:
        return await self._where(_SOURCES, peer=peer)

    async def put_uplink(self, uplink: Uplink) -> None:
        await self._tx.put(tiers.uplinks, _UPLINKS.to_row(uplink))

    async def delete_uplink(self, uplink_id: str) -> None:
        await self._drop(tiers.uplinks, _DELETE_UPLINK, id=uplink_id)

    async def find_uplink(self, uplink_id: str) -> Uplink | None:
        return await self._find_by(_UPLINKS, "id", uplink_id)

    async def uplinks_to(self, peer: str) -> Sequence[Uplink]:
        return await self._where(_UPLINKS, peer=peer)

    async def uplinks_of(self, room_id: str) -> Sequence[Uplink]:
        return await self._where(_UPLINKS, room_id=room_id)

    async def uplinks(self) -> Sequence[Uplink]:
        return await self._where(_UPLINKS)

    async def _where(self, rows: Rows[T], **values: str) -> list[T]:
        """The rows with these values, in the order of their keys."""
        table = rows.table
        statement = self._select(rows)
        for name, value in values.items():
            statement = statement.where(table.c[name] == value)
        return await self._all(rows, statement.order_by(*table.primary_key))
