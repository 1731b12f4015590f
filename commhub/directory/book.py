"""The address book: every address there is, who is behind it, and whether it can be reached now.

An address comes from four places: what a responder's entry says, the fleet (cameras and radios with their talk
groups), the phones' SIP accounts and the desks. The same address is one line; the equipment knows whether it is
online.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from commhub.domain.account import Permission, User, permissions_of
from commhub.domain.device import Device, DeviceKind
from commhub.domain.people import Endpoint, Responder, Scheme
from commhub.ports.edge_store import SipAccount, SipBinding

_SCHEME_OF = {DeviceKind.BODYCAM: Scheme.CAMERA, DeviceKind.RADIO: Scheme.RADIO}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. `online` None: nobody can know (a telephone number)."""

    endpoint: Endpoint
    name: str
    responder_id: str | None = None
    unit_id: str | None = None
    online: bool | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """What the store knows, read in one snapshot."""

    responders: Sequence[Responder]
    devices: Sequence[Device]
    accounts: Sequence[SipAccount]
    bindings: Sequence[SipBinding]
    users: Sequence[User] = ()

    def entries(self, now: datetime) -> list[Entry]:
        """All lines, sorted by address."""
        people = {responder.id: responder for responder in self.responders}
        lines: dict[str, Entry] = {}
        for responder in self.responders:
            for endpoint in responder.endpoints:
                lines[str(endpoint)] = _owned(
                    Entry(endpoint=endpoint, name=responder.name), responder
                )
        for found, owner_id in self._equipment(now):
            known = lines.get(str(found.endpoint))
            owner = people.get(owner_id) if owner_id else None
            lines[str(found.endpoint)] = _merged(known, found, owner)
        return [lines[key] for key in sorted(lines)]

    def _equipment(self, now: datetime) -> Iterable[tuple[Entry, str | None]]:
        """Lines of devices, groups and phones, each with its holder's id."""
        devices = [device for device in self.devices if not device.revoked]
        for device in devices:
            if scheme := _SCHEME_OF.get(device.kind):
                yield _of_device(device, scheme), device.responder_id
        for group, members in _groups(devices).items():
            yield _of_group(group, members), None
        agents = {
            binding.account: binding.agent for binding in self.bindings if binding.expires_at > now
        }
        for account in self.accounts:
            if not account.disabled:
                yield _of_phone(account, agents), account.responder_id
        for user in self.users:
            if not user.disabled and Permission.CALL in permissions_of(user.roles):
                yield _of_desk(user), None


def _of_device(device: Device, scheme: Scheme) -> Entry:
    detail = ", ".join(
        part
        for part in (
            device.model,
            f"{device.battery}%" if device.battery is not None else None,
            *device.groups,
        )
        if part
    )
    return Entry(
        endpoint=Endpoint(scheme, device.id),
        name=device.name,
        online=device.online,
        detail=detail or None,
    )


def _groups(devices: Iterable[Device]) -> Mapping[str, list[Device]]:
    groups: dict[str, list[Device]] = {}
    for device in devices:
        if device.kind is DeviceKind.RADIO:
            for group in device.groups:
                groups.setdefault(group, []).append(device)
    return groups


def _of_group(group: str, members: Sequence[Device]) -> Entry:
    online = sum(member.online for member in members)
    return Entry(
        endpoint=Endpoint(Scheme.RADIO, group),
        name=group,
        online=online > 0,
        detail=f"talk group, {online} of {len(members)} online",
    )


def _of_phone(account: SipAccount, agents: Mapping[str, str | None]) -> Entry:
    return Entry(
        endpoint=Endpoint(Scheme.SIP, account.name),
        name=account.display_name,
        online=account.name in agents,
        detail=agents.get(account.name),
    )


def _of_desk(user: User) -> Entry:
    return Entry(endpoint=Endpoint(Scheme.DESK, user.name), name=user.display_name or user.name)


def _merged(known: Entry | None, found: Entry, owner: Responder | None) -> Entry:
    """The equipment's line under the name of the person behind it; the responder's own entry names them first."""
    if known is not None:
        return replace(known, online=found.online, detail=found.detail or found.name)
    return _owned(found, owner) if owner else found


def _owned(entry: Entry, responder: Responder) -> Entry:
    return replace(entry, name=responder.name, responder_id=responder.id, unit_id=responder.unit_id)
