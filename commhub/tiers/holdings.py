"""What of this hub a neighbour can be let address: an endpoint (`radio:r12`, `cam:b7`, `sip:1001`, `desk:li`, `room:ID`), a person
(`responder:ID`) or a department (`unit:ID`). Read in one snapshot, because a whole list of them is told at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from commhub.domain.account import Permission, permissions_of
from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import InvalidError, NotFoundError
from commhub.domain.geo import Position
from commhub.domain.people import Endpoint, Responder, Scheme, Unit
from commhub.domain.room import Room
from commhub.ports.store import UnitOfWork

UNIT: Final = "unit"
RESPONDER: Final = "responder"

CALLABLE: Final = frozenset({Scheme.SIP, Scheme.RADIO, Scheme.DESK, Scheme.ROOM})
"""What can have a leg of a call here."""

_SHAREABLE = CALLABLE | {Scheme.CAMERA}
_DEVICES = {Scheme.CAMERA: DeviceKind.BODYCAM, Scheme.RADIO: DeviceKind.RADIO}
_PLAIN_ID_AT_MOST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One thing of ours as a neighbour is told of it. `endpoint` is what it is called or seen by, `unit` the department behind it."""

    subject: str
    label: str
    online: bool = True
    endpoint: Endpoint | None = None
    unit: str | None = None
    position: Position | None = None


def read_subject(text: str) -> str:
    """A subject as it is kept. Raises InvalidError for what cannot be shared, and for another hub's."""
    kind, colon, name = text.strip().partition(":")
    if kind in (UNIT, RESPONDER):
        if not colon or not name or "@" in name or len(name) > _PLAIN_ID_AT_MOST:
            raise InvalidError(f"«{text[:80]}» names no {kind}; write {kind}:ID")
        return f"{kind}:{name}"
    endpoint = Endpoint.parse(text)
    if endpoint.hub is not None:
        raise InvalidError(f"{endpoint} belongs to another hub: only what is ours can be shared")
    if endpoint.scheme not in _SHAREABLE:
        shown = ", ".join(f"{one}:" for one in (*sorted(_SHAREABLE), UNIT, RESPONDER))
        raise InvalidError(f"{endpoint} cannot be shared; these can: {shown}")
    return str(endpoint)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything of ours, by its own name."""

    devices: Mapping[str, Device]
    phones: Mapping[str, str]
    registered: frozenset[str]
    responders: Mapping[str, Responder]
    units: Mapping[str, Unit]
    desks: Mapping[str, str]
    rooms: Mapping[str, Room] = field(default_factory=dict)

    @classmethod
    async def read(cls, uow: UnitOfWork, subjects: Sequence[str] = ()) -> "Holdings":
        """`subjects` are those that will be asked for: rooms are read by their ids."""
        rooms = [
            await uow.rooms.find(one.removeprefix("room:"))
            for one in subjects
            if one.startswith("room:")
        ]
        return cls(
            devices={one.id: one for one in await uow.fleet.list() if not one.revoked},
            phones={
                one.name: one.display_name for one in await uow.sip.accounts() if not one.disabled
            },
            registered=frozenset(one.account for one in await uow.sip.bindings()),
            responders={one.id: one for one in await uow.directory.responders()},
            units={one.id: one for one in await uow.directory.units()},
            desks={
                one.name: one.display_name or one.name
                for one in await uow.accounts.users()
                if not one.disabled and Permission.CALL in permissions_of(one.roles)
            },
            rooms={one.id: one for one in rooms if one is not None},
        )

    def find(self, subject: str) -> Holding | None:
        """None for what is not here (any more)."""
        kind, _, name = subject.partition(":")
        if kind == UNIT:
            return self._unit(name)
        if kind == RESPONDER:
            return self._responder(name)
        return self._endpoint(Endpoint.parse(subject))

    def get(self, subject: str) -> Holding:
        """Raises NotFoundError."""
        found = self.find(subject)
        if found is None:
            raise NotFoundError(f"there is no {subject} here")
        return found

    def _unit(self, name: str) -> Holding | None:
        unit = self.units.get(name)
        if unit is None:
            return None
        there = any(one.on_duty for one in self.responders.values() if one.unit_id == name)
        return Holding(subject=f"{UNIT}:{name}", label=unit.name, online=there, unit=unit.name)

    def _responder(self, name: str) -> Holding | None:
        person = self.responders.get(name)
        if person is None:
            return None
        callable_ = (one for one in person.endpoints if one.scheme in CALLABLE)
        unit = self.units.get(person.unit_id)
        return Holding(
            subject=f"{RESPONDER}:{name}",
            label=person.name,
            online=person.on_duty,
            endpoint=next((one for one in callable_ if one.hub is None), None),
            unit=unit.name if unit else None,
            position=person.position,
        )

    def _endpoint(self, endpoint: Endpoint) -> Holding | None:
        name = endpoint.name
        match endpoint.scheme:
            case Scheme.RADIO | Scheme.CAMERA:
                return self._equipment(endpoint)
            case Scheme.SIP if name in self.phones:
                label, online = self.phones[name], name in self.registered
            case Scheme.DESK if name in self.desks:
                label, online = self.desks[name], True
            case Scheme.ROOM if name in self.rooms:
                label, online = self.rooms[name].name, self.rooms[name].is_open
            case _:
                return None
        return Holding(subject=str(endpoint), label=label, online=online, endpoint=endpoint)

    def _equipment(self, endpoint: Endpoint) -> Holding | None:
        kind = _DEVICES[endpoint.scheme]
        device = self.devices.get(endpoint.name)
        if device is not None and device.kind is kind:
            holder = self.responders.get(device.responder_id or "")
            unit = self.units.get(holder.unit_id) if holder else None
            return Holding(
                subject=str(endpoint),
                label=device.name,
                online=device.online,
                endpoint=endpoint,
                unit=unit.name if unit else None,
                position=device.position,
            )
        # A talk group is on the air whether anybody listens or not.
        members = [one for one in self.devices.values() if endpoint.name in one.groups]
        if kind is not DeviceKind.RADIO or not members:
            return None
        online = any(one.online for one in members)
        return Holding(subject=str(endpoint), label=endpoint.name, online=online, endpoint=endpoint)
