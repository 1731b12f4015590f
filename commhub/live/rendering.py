"""From rows to the JSON text of the model: what belongs to the state, and how one object of it looks."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from commhub.domain.call import Call
from commhub.domain.duty import DutyCall, DutyState
from commhub.domain.errors import NotFoundError
from commhub.domain.facts import TimelineEntry
from commhub.domain.room import Room
from commhub.domain.tier import CheckIn, Share, Supervision
from commhub.http.call_views import CallView, DutyCallView, LegView
from commhub.http.tier_views import tier_view
from commhub.http.views import (
    DeviceView,
    IncidentView,
    PhoneView,
    ServiceView,
    TimelineEntryView,
    View,
)
from commhub.live.eyes import RoomRows
from commhub.live.model import Collection
from commhub.ports.edge_store import SipAccount, SipBinding
from commhub.ports.store import IncidentQuery, UnitOfWork

STEP = 200

# Above this many dirty objects one query for all of them costs less than one for each.
FEW = 8

OfIncident = TypeVar("OfIncident", Share, CheckIn, Supervision)

Objects = dict[str, str | None]
"""JSON text by id; None: no longer part of the state."""


def _json(view: View) -> str:
    return view.model_dump_json()


def _duty_json(call: DutyCall) -> str:
    return _json(DutyCallView.model_validate(call))


def entry_json(entry: TimelineEntry) -> str:
    """A line of a timeline."""
    return _json(TimelineEntryView.model_validate(entry))


def service_json(name: str, state: str, detail: str | None) -> str:
    """A part of the hub."""
    return _json(ServiceView(name=name, state=state, detail=detail))


def _by_incident(rows: Iterable[OfIncident]) -> dict[str, list[OfIncident]]:
    found: dict[str, list[OfIncident]] = {}
    for row in rows:
        found.setdefault(row.incident_id, []).append(row)
    return found


class Renderer:
    """Renders within one read transaction; `now` decides which registrations of phones still count. `rooms` are the rows of
    the rooms it rendered."""

    def __init__(self, uow: UnitOfWork, now: datetime) -> None:
        self._uow = uow
        self._now = now
        self.rooms: dict[str, RoomRows] = {}

    async def some(self, collection: Collection, ids: Iterable[str]) -> Objects:
        """Render these objects as they are now."""
        wanted = frozenset(ids)
        found: Objects = dict.fromkeys(wanted)
        match collection:
            case Collection.INCIDENTS:
                found |= await self._incidents(wanted)
            case Collection.CALLS:
                found |= await self._calls(wanted)
            case Collection.DUTY:
                found |= await self._duty_calls(wanted)
            case Collection.FLEET:
                found |= await self._devices(wanted)
            case Collection.PHONES:
                found |= await self._phones(wanted)
            case Collection.ROOMS:
                found |= await self._rooms(wanted)
            case Collection.SHARES:
                found |= await self._shares(wanted)
            case Collection.SERVICES | Collection.PEERINGS:
                raise ValueError(f"{collection} are no rows")
        return found

    async def everything(self) -> Mapping[Collection, Mapping[str, str]]:
        """Render the whole state: open incidents, live calls, callers that wait or were missed, open rooms, what open
        incidents have in common with other hubs, all devices and phones."""
        devices = await self._uow.fleet.list()
        return {
            Collection.INCIDENTS: await self._open_incidents(),
            Collection.CALLS: await self._live_calls(),
            Collection.DUTY: {c.id: _duty_json(c) for c in await self._uow.duty.open()},
            Collection.FLEET: {d.id: _json(DeviceView.model_validate(d)) for d in devices},
            Collection.PHONES: await self._all_phones(),
            Collection.ROOMS: await self._open_rooms(),
            Collection.SHARES: await self._all_shares(),
        }

    async def _open_incidents(self) -> dict[str, str]:
        found: dict[str, str] = {}
        before: str | None = None
        while True:
            query = IncidentQuery(open_only=True, before=before, limit=STEP)
            rows = await self._uow.incidents.list(query)
            found |= {row.id: _json(IncidentView.model_validate(row)) for row in rows}
            if len(rows) < STEP:
                return found
            before = rows[-1].id

    async def _incidents(self, ids: frozenset[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for incident_id in ids:
            with suppress(NotFoundError):
                incident = await self._uow.incidents.get(incident_id)
                if incident.is_open:
                    found[incident_id] = _json(IncidentView.model_validate(incident))
        return found

    async def _all_shares(self) -> dict[str, str]:
        """What open incidents have in common with other hubs, by the incident."""
        shares, check_ins, supervisions = await self._uow.shares.current()
        came, ordered = _by_incident(check_ins), _by_incident(supervisions)
        return {
            key: _json(tier_view(key, held, came.get(key, ()), ordered.get(key, ())))
            for key, held in _by_incident(shares).items()
        }

    async def _shares(self, ids: frozenset[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for key in ids:
            shares = await self._uow.shares.of_incident(key)
            if shares and (await self._uow.incidents.get(key)).is_open:
                check_ins = await self._uow.shares.check_ins_of(key)
                supervisions = await self._uow.shares.supervisions_of(key)
                found[key] = _json(tier_view(key, shares, check_ins, supervisions))
        return found

    async def _live_calls(self) -> dict[str, str]:
        found: dict[str, str] = {}
        before: str | None = None
        while True:
            rows = await self._uow.calls.list(True, before, STEP)
            for row in rows:
                found[row.id] = await self._call_json(row)
            if len(rows) < STEP:
                return found
            before = rows[-1].id

    async def _calls(self, ids: frozenset[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for call_id in ids:
            with suppress(NotFoundError):
                call = await self._uow.calls.get(call_id)
                if call.is_live:
                    found[call_id] = await self._call_json(call)
        return found

    async def _call_json(self, call: Call) -> str:
        legs = [LegView.model_validate(leg) for leg in await self._uow.calls.legs_of(call.id)]
        return _json(CallView.model_validate(call).model_copy(update={"legs": legs}))

    async def _open_rooms(self) -> dict[str, str]:
        found: dict[str, str] = {}
        before: str | None = None
        while True:
            rows = await self._uow.rooms.list(True, None, before, STEP)
            for row in rows:
                found[row.id] = await self._room_json(row)
            if len(rows) < STEP:
                return found
            before = rows[-1].id

    async def _rooms(self, ids: frozenset[str]) -> dict[str, str]:
        rooms = [room for i in ids if (room := await self._uow.rooms.find(i)) is not None]
        return {room.id: await self._room_json(room) for room in rooms if room.is_open}

    async def _room_json(self, room: Room) -> str:
        people = await self._uow.rooms.participants_of(room.id)
        rows = RoomRows(room, people, await self._uow.rooms.sources_of(room.id))
        self.rooms[room.id] = rows
        return rows.text

    async def _duty_calls(self, ids: frozenset[str]) -> dict[str, str]:
        calls = [c for i in ids if (c := await self._uow.duty.find(i)) is not None]
        return {c.id: _duty_json(c) for c in calls if c.state is not DutyState.CLOSED}

    async def _devices(self, ids: frozenset[str]) -> dict[str, str]:
        if len(ids) > FEW:
            devices = [device for device in await self._uow.fleet.list() if device.id in ids]
        else:
            devices = [d for i in ids if (d := await self._uow.fleet.find(i)) is not None]
        return {device.id: _json(DeviceView.model_validate(device)) for device in devices}

    async def _all_phones(self) -> dict[str, str]:
        by_account: dict[str, list[SipBinding]] = {}
        for binding in await self._uow.sip.bindings():
            by_account.setdefault(binding.account, []).append(binding)
        accounts = await self._uow.sip.accounts()
        return {a.name: self._phone_json(a, by_account.get(a.name, ())) for a in accounts}

    async def _phones(self, ids: frozenset[str]) -> dict[str, str]:
        if len(ids) > FEW:
            everyone = await self._all_phones()
            return {name: everyone[name] for name in ids & everyone.keys()}
        found: dict[str, str] = {}
        for name in ids:
            account = await self._uow.sip.find_account(name)
            if account is not None:
                found[name] = self._phone_json(account, await self._uow.sip.bindings_of(name))
        return found

    def _phone_json(self, account: SipAccount, bindings: Sequence[SipBinding]) -> str:
        # The registrar ends a registration a little after its time; the contact that lasts longest is the newest.
        alive = [binding for binding in bindings if binding.expires_at > self._now]
        latest = max(alive, key=lambda binding: binding.expires_at, default=None)
        return _json(
            PhoneView(
                name=account.name,
                display_name=account.display_name,
                responder_id=account.responder_id,
                online=latest is not None,
                agent=latest.agent if latest else None,
            )
        )
