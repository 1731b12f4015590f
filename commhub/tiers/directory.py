"""The directory in common (共享通讯录): which of ours a neighbour may call, see or command, and which of theirs we may.

The list is a durable message, whole and idempotent, on every change; it is said again to a neighbour that may not have the present
one. Who is online and where is a state of the moment (`presence`). What a lower hub shares may be commanded from above;
the right to command is never given upward nor believed from above (`ShareRight`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commhub.domain.account import Principal
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError
from commhub.domain.people import Endpoint
from commhub.domain.tier import (
    Export,
    Order,
    Peering,
    Relation,
    Shared,
    ShareRight,
    TierMessage,
    check_order,
)
from commhub.domain.tier_facts import SharedMoved
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.kit.supervise import Doorbell
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import LinkState, TierLinks, TierWords
from commhub.tiers.holdings import RESPONDER, Holding, Holdings, read_subject

EXPORTS = "directory.exports"
EVERYBODY = "*"
_MOST = 5000
_ORDERS = {
    ShareRight.CALL: Order.CALL_SHARED,
    ShareRight.SEE: Order.SEE_SHARED,
    ShareRight.COMMAND: Order.COMMAND_SHARED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExport:
    """`peer` is a neighbour, or «*» for all of them; without a label it is called what it is called here."""

    peer: str
    subject: str
    rights: frozenset[ShareRight]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """What a neighbour shares, with how the link to it is."""

    shared: Shared
    link: LinkState

    @property
    def is_reachable(self) -> bool:
        return self.link.up and self.shared.online


class SharedDirectoryService:
    """Use cases of what is shared; registers what it understands. `changed` rings when presence is to be told anew."""

    def __init__(self, store: Store, clock: Clock, links: TierLinks, words: TierWords) -> None:
        self._store = store
        self._clock = clock
        self._links = links
        self.changed = Doorbell()
        self._said: dict[str, object] = {}
        words.on_message(EXPORTS, self._hear_exports)
        words.on_link(self._link_moved)

    # --- the desk ----------------------------------------------------------------------------------------

    async def exports(self) -> Sequence[Export]:
        """All of ours, by subject."""
        async with self._store.read() as uow:
            return await uow.shared_directory.exports()

    async def share(self, uow: UnitOfWork, new: NewExport, by: Principal) -> Export:
        """Let a neighbour (or all) address it; the same subject again replaces what was let before. Raises InvalidError,
        NotFoundError for a thing or a neighbour that is not there. Call `wake` after the commit."""
        subject = read_subject(new.subject)
        if not new.rights:
            raise InvalidError("say what they may do with it: call, see or command")
        holding = (await Holdings.read(uow, [subject])).get(subject)
        if new.peer != EVERYBODY:
            peering = await uow.peerings.get(new.peer)
            if ShareRight.COMMAND in new.rights:
                check_order(peering, Order.COMMAND_SHARED)
        known = [
            one
            for one in await uow.shared_directory.exports()
            if (one.peer, one.subject) == (new.peer, subject)
        ]
        now = self._clock.now()
        export = Export(
            id=known[0].id if known else new_id(),
            peer=new.peer,
            subject=subject,
            label=new.label or holding.label,
            rights=new.rights,
            created_at=now,
            created_by=by.actor,
        )
        await uow.shared_directory.put_export(export)
        shown = f"{new.peer} {' '.join(sorted(new.rights))}"
        await uow.audit.append(now, by.actor, "tier.share", subject, "ok", shown)
        await self._queue_all(uow, new.peer)
        return export

    async def unshare(self, export_id: str, by: Principal) -> None:
        """Let them address it no more; twice is once."""
        async with self._store.begin() as uow:
            found = [one for one in await uow.shared_directory.exports() if one.id == export_id]
            for export in found:
                await uow.shared_directory.delete_export(export_id)
                await uow.audit.append(
                    self._clock.now(), by.actor, "tier.unshare", export.subject, "ok", export.peer
                )
                await self._queue_all(uow, export.peer)
        self.wake()

    async def shared(self) -> Sequence[Reach]:
        """What neighbours share with us, by hub and subject; nothing of those that are no neighbours any more."""
        async with self._store.read() as uow:
            active = {one.peer for one in await uow.peerings.list() if one.is_active}
            found = await uow.shared_directory.shared()
        states = {peer: self._links.state_of(peer) for peer in active}
        return [Reach(one, states[one.peer]) for one in found if one.peer in active]

    def wake(self) -> None:
        """Something was committed here."""
        self._links.wake()
        self.changed.ring()

    # --- who may what ------------------------------------------------------------------------------------

    async def check(
        self, uow: UnitOfWork, peering: Peering, endpoint: Endpoint, right: ShareRight
    ) -> None:
        """Whether the neighbour may do that with an endpoint of ours. Raises NotAllowedError, and NotFoundError for what it is not let
        know of."""
        check_order(peering, _ORDERS[right])
        found = await self._exports_of(uow, peering.peer, endpoint)
        if not found:
            raise NotFoundError(f"{endpoint} is not shared with {peering.peer}")
        if not any(right in one.rights for one in found):
            raise NotAllowedError(f"{endpoint} is shared with {peering.peer}, but not to {right}")

    async def _exports_of(self, uow: UnitOfWork, peer: str, endpoint: Endpoint) -> Sequence[Export]:
        """Those of the address itself, and of a person who is reached by it."""
        exports = await uow.shared_directory.exports(peer)
        found = [one for one in exports if one.subject == str(endpoint)]
        if not found and any(one.subject.startswith(f"{RESPONDER}:") for one in exports):
            person = await uow.directory.find_by_endpoint(endpoint)
            subject = None if person is None else f"{RESPONDER}:{person.id}"
            found = [one for one in exports if one.subject == subject]
        return found

    # --- what is said ------------------------------------------------------------------------------------

    async def told_to(self, uow: UnitOfWork, peering: Peering) -> list[tuple[Export, Holding]]:
        """What the neighbour may address of what is here now; its own line of a subject comes before that for all."""
        exports: dict[str, Export] = {}
        for export in await uow.shared_directory.exports(peering.peer):
            if export.peer != EVERYBODY or export.subject not in exports:
                exports[export.subject] = export
        holdings = await Holdings.read(uow, list(exports))
        found = ((one, holdings.find(one.subject)) for one in exports.values())
        return [(export, holding) for export, holding in found if holding is not None]

    async def _queue_all(self, uow: UnitOfWork, peer: str) -> None:
        """Have the whole list told to the neighbour, or to all."""
        for peering in await uow.peerings.list():
            if peering.is_active and peer in (EVERYBODY, peering.peer):
                await self._queue(uow, peering)

    async def _queue(self, uow: UnitOfWork, peering: Peering) -> None:
        """The list as it is once nobody else can queue an older one: the neighbour's row is taken first."""
        await uow.peerings.get(peering.peer)
        body = await self._list_for(uow, peering)
        self._said[peering.peer] = body
        await uow.peerings.queue(
            TierMessage(
                id=new_id(),
                peer=peering.peer,
                kind=EXPORTS,
                body=body,
                created_at=self._clock.now(),
            )
        )

    async def _list_for(self, uow: UnitOfWork, peering: Peering) -> Mapping[str, object]:
        return {
            "exports": [
                {
                    "subject": export.subject,
                    "label": export.label,
                    "rights": sorted(_given(export.rights, peering)),
                    "endpoint": str(holding.endpoint) if holding.endpoint else None,
                    "unit": holding.unit,
                    "online": holding.online,
                }
                for export, holding in await self.told_to(uow, peering)
            ]
        }

    async def _link_moved(self, peering: Peering, up: bool) -> None:
        """A neighbour that came may never have heard of ours (it was just paired), or of what they are called now."""
        if not up:
            async with self._store.begin() as uow:
                subjects = tuple(
                    one.address for one in await uow.shared_directory.shared(peering.peer)
                )
                self._record(uow, peering.peer, subjects)
            return
        async with self._store.read() as uow:
            body = await self._list_for(uow, peering)
        if self._said.get(peering.peer) != body:
            async with self._store.begin() as uow:
                await self._queue(uow, peering)
        self.wake()

    # --- what is heard -----------------------------------------------------------------------------------

    async def _hear_exports(self, uow: UnitOfWork, peering: Peering, message: TierMessage) -> None:
        """The neighbour's whole list: what is not in it is not shared any more."""
        now, told = self._clock.now(), message.body["exports"]
        if not isinstance(told, list) or len(told) > _MOST:
            raise InvalidError(f"a hub shares a list of at most {_MOST} things")
        lines = [_read_line(line, peering) for line in told]
        before = {one.subject: one for one in await uow.shared_directory.shared(peering.peer)}
        after = {
            line.subject: Shared(
                peer=peering.peer,
                subject=line.subject,
                label=line.label,
                rights=line.rights,
                updated_at=now,
                endpoint=line.endpoint,
                unit=line.unit,
                online=line.online,
            )
            for line in lines
        }
        moved = []
        for subject in before.keys() - after.keys():
            await uow.shared_directory.delete_shared(peering.peer, subject)
            moved.append(before[subject])
        for subject, shared in after.items():
            if not _alike(before.get(subject), shared):
                await uow.shared_directory.put_shared(shared)
                moved.append(shared)
        self._record(uow, peering.peer, tuple(sorted(one.address for one in moved)))

    def _record(self, uow: UnitOfWork, peer: str, subjects: tuple[str, ...]) -> None:
        if subjects:
            uow.record(SharedMoved(at=self._clock.now(), peer=peer, subjects=subjects))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    subject: str
    label: str
    rights: frozenset[ShareRight]
    endpoint: Endpoint | None
    unit: str | None
    online: bool


def _read_line(told: object, peering: Peering) -> _Line:
    """Raises InvalidError, KeyError, TypeError or ValueError for another form."""
    if not isinstance(told, Mapping):
        raise InvalidError("a shared thing is an object")
    endpoint, unit = told.get("endpoint"), told.get("unit")
    own = None if endpoint is None else Endpoint.parse(str(endpoint))
    if own is not None and own.hub is not None:
        raise InvalidError(f"{own} is not of {peering.peer}: a hub shares what is its own")
    rights = frozenset(ShareRight(str(one)) for one in told["rights"])
    return _Line(
        subject=read_subject(str(told["subject"])),
        label=str(told["label"])[:64],
        rights=_believed(rights, peering),
        endpoint=None if own is None else Endpoint(own.scheme, own.name, peering.peer),
        unit=None if unit is None else str(unit)[:64],
        online=told.get("online") is True,
    )


def _given(rights: frozenset[ShareRight], to: Peering) -> frozenset[ShareRight]:
    """Who is below is never given command, also where something is shared with all."""
    return rights if to.relation is Relation.UPPER else rights - {ShareRight.COMMAND}


def _believed(rights: frozenset[ShareRight], of: Peering) -> frozenset[ShareRight]:
    return rights if of.relation is Relation.LOWER else rights - {ShareRight.COMMAND}


def _alike(before: Shared | None, after: Shared) -> bool:
    return before is not None and (
        before.label,
        before.rights,
        before.endpoint,
        before.unit,
        before.online,
    ) == (after.label, after.rights, after.endpoint, after.unit, after.online)
