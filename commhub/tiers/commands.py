"""Commands to the field over tiers: the hub above orders a device of ours that it was given the right to command, at once or not at all.

The device's own hub carries it out (`ports.inside.DeviceOrders`) and answers when the broker has it; both put it on the incident.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from commhub.domain.account import Principal
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError
from commhub.domain.people import Endpoint, Scheme
from commhub.domain.tier import Order, Peering, ShareRight, check_order
from commhub.domain.tier_facts import SharedCommanded
from commhub.kit.clock import Clock
from commhub.ports.inside import DeviceOrders
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import Body, TierLinks, TierWords
from commhub.tiers.asked import incident_in_common, principal_of
from commhub.tiers.directory import SharedDirectoryService

COMMAND = "device.command"
_DEVICES = frozenset({Scheme.RADIO, Scheme.CAMERA})
_OP = re.compile(r"[a-z][a-z0-9_.]{0,31}")
_LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCommand:
    """`address` is a neighbour's device (`cam:b7@street-a`), `incident_id` what it is about."""

    address: str
    op: str
    args: Mapping[str, object] = field(default_factory=dict)
    expires_in: timedelta = timedelta(minutes=5)
    incident_id: str | None = None


class HubCommands:
    """Both ends of it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        links: TierLinks,
        directory: SharedDirectoryService,
        devices: DeviceOrders,
        words: TierWords,
    ) -> None:
        self._store = store
        self._clock = clock
        self._links = links
        self._directory = directory
        self._devices = devices
        words.on_ask(COMMAND, self._carry_out)

    async def order(self, command: SharedCommand, by: Principal) -> None:
        """Have the neighbour's device carry it out; returns when its hub has handed it over. Raises NotFoundError, NotAllowedError,
        InvalidError, UnavailableError (the link is down), TierRefusedError (the other hub refuses)."""
        endpoint = _device(command.address)
        peer = endpoint.hub or ""
        async with self._store.read() as uow:
            subject = str(Endpoint(endpoint.scheme, endpoint.name))
            shared = await uow.shared_directory.find_shared(peer, subject)
            if shared is None:
                raise NotFoundError(f"{command.address} is not shared with this hub")
            if ShareRight.COMMAND not in shared.rights:
                raise NotAllowedError(f"{command.address} is shared, but not to command")
            if command.incident_id is not None:
                await uow.incidents.get(command.incident_id)
        await self._links.ask(
            peer,
            COMMAND,
            {
                "device": subject,
                "op": command.op,
                "args": dict(command.args),
                "expires_in_s": command.expires_in.total_seconds(),
                "incident": command.incident_id,
                "by": by.actor,
            },
        )
        async with self._store.begin() as uow:
            self._record(uow, peer, subject, command.op, by, command.incident_id, given=True)
            await uow.audit.append(
                self._clock.now(), by.actor, "tier.command", command.address, "ok", command.op
            )

    async def _carry_out(self, peering: Peering, body: Body) -> Body:
        check_order(peering, Order.COMMAND_SHARED)
        endpoint, op, args = _device(str(body["device"])), str(body["op"]), body.get("args") or {}
        expires_in = timedelta(seconds=float(str(body["expires_in_s"])))
        if endpoint.hub is not None or not isinstance(args, Mapping) or not _OP.fullmatch(op):
            raise InvalidError("a command names a device of ours, what to do, and its arguments")
        if not timedelta() < expires_in <= _LONGEST:
            raise InvalidError("a command is good for at most an hour")
        async with self._store.read() as uow:
            await self._directory.check(uow, peering, endpoint, ShareRight.COMMAND)
            incident_id = await incident_in_common(uow, peering, body.get("incident"))
        by = principal_of(peering, body)
        await self._devices.order(endpoint.name, op, args, by.actor, expires_in)
        async with self._store.begin() as uow:
            self._record(uow, peering.peer, str(endpoint), op, by, incident_id, given=False)
            await uow.audit.append(
                self._clock.now(), by.actor, "tier.command", str(endpoint), "ok", op
            )
        return {}

    def _record(
        self,
        uow: UnitOfWork,
        peer: str,
        subject: str,
        op: str,
        by: Principal,
        incident_id: str | None,
        *,
        given: bool,
    ) -> None:
        uow.record(
            SharedCommanded(
                at=self._clock.now(),
                actor=by.actor,
                incident_id=incident_id,
                peer=peer,
                subject=subject,
                op=op,
                given=given,
            )
        )


def _device(text: str) -> Endpoint:
    endpoint = Endpoint.parse(text)
    if endpoint.scheme not in _DEVICES:
        raise InvalidError(f"{endpoint} is no device; commands go to cam: and radio:")
    return endpoint
