"""Pairing (配对): two hubs exchange keys once, by a ticket that the upper one makes and the lower one shows.

A ticket carries the upper hub's address and key beside the secret, so both sides know whom they have before them. It is good once,
for one name; shown again by the same hub (whose answer was lost) it is answered alike.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from commhub.domain.account import Principal
from commhub.domain.errors import ConflictError, InvalidError, NotAllowedError
from commhub.domain.tier import (
    PairingTicket,
    Peering,
    PeeringState,
    Relation,
    Tier,
    relation_of,
)
from commhub.domain.tier_facts import PeeringMoved
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id, new_secret
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import Body, PairingCall, TierKeys

TICKET = "commhub-tier:"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# An Ed25519 public key, base64 without padding.
_KEY = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST_KEYS = 4
_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Us:
    """This hub as its neighbours know it. `url` is where lower ones reach it, `sip` where its phones' edge is."""

    hub: str
    name: str
    tier: Tier
    url: str
    sip: str | None = None


class Pairing:
    """Use cases of neighbours. Implements `ports.tiers.PairingIn`."""

    def __init__(
        self, store: Store, clock: Clock, us: Us, keys: TierKeys, call: PairingCall
    ) -> None:
        self._store = store
        self._clock = clock
        self._us = us
        self._keys = keys
        self._call = call

    # --- at the upper hub --------------------------------------------------------------------------------

    async def invite(
        self, peer: str, by: Principal, good_for: timedelta = timedelta(days=1)
    ) -> str:
        """A ticket for the lower hub of that name, to be handed over by people. Raises InvalidError."""
        if not _NAME.fullmatch(peer):
            raise InvalidError("a hub's name has small letters, digits and hyphens")
        if peer == self._us.hub:
            raise InvalidError("a hub is not its own neighbour")
        if not timedelta() < good_for <= _LONGEST:
            raise InvalidError("a ticket is good for at most 7 days")
        secret, now = new_secret(), self._clock.now()
        async with self._store.begin() as uow:
            await uow.peerings.add_ticket(
                PairingTicket(
                    id=new_id(),
                    peer=peer,
                    secret_hash=_hash(secret),
                    created_at=now,
                    created_by=by.actor,
                    expires_at=now + good_for,
                )
            )
            await uow.audit.append(now, by.actor, "tier.invite", peer, "ok")
        said = {"url": self._us.url, "hub": self._us.hub, "key": self._keys.public[0]}
        return _ticket_of({**said, "secret": secret})

    async def accept(self, body: Body) -> Body:
        """See `ports.tiers.PairingIn`."""
        shown = _Shown.read(body)
        async with self._store.begin() as uow:
            ticket = await self._good_ticket(uow, shown)
            if relation_of(self._us.tier, shown.tier) is not Relation.LOWER:
                raise NotAllowedError(
                    f"{shown.hub} is a {shown.tier} and {self._us.hub} a {self._us.tier}: "
                    "the hub that makes the ticket is the one above"
                )
            now = self._clock.now()
            await uow.peerings.update_ticket(replace(ticket, used_at=ticket.used_at or now))
            await self._put(uow, shown, Relation.LOWER, ticket.created_by)
        us = self._us
        return {
            "hub": us.hub,
            "name": us.name,
            "tier": us.tier.value,
            "keys": list(self._keys.public),
            "sip": us.sip,
        }

    async def _good_ticket(self, uow: UnitOfWork, shown: "_Shown") -> PairingTicket:
        ticket = await uow.peerings.find_ticket(_hash(shown.secret))
        if ticket is None or ticket.peer != shown.hub:
            raise NotAllowedError(f"this ticket is none of {self._us.hub} for {shown.hub}")
        if self._clock.now() >= ticket.expires_at:
            raise NotAllowedError("this ticket is too old: have a new one made")
        if ticket.used_at is not None:
            known = await uow.peerings.find(shown.hub)
            if known is None or known.keys[:1] != shown.keys[:1]:
                raise NotAllowedError("this ticket was used: have a new one made")
        return ticket

    # --- at the lower hub --------------------------------------------------------------------------------

    async def pair(self, ticket: str, by: Principal) -> Peering:
        """Show a ticket to the hub that made it, and know it from then on. Raises InvalidError for what is no ticket, and what
        `ports.tiers.PairingCall` raises."""
        said = _said_by(ticket)
        answer = await self._call(
            said["url"],
            {
                "secret": said["secret"],
                "hub": self._us.hub,
                "name": self._us.name,
                "tier": self._us.tier.value,
                "keys": list(self._keys.public),
                "sip": self._us.sip,
            },
        )
        shown = _Shown.read({**answer, "secret": "-"})
        if shown.hub != said["hub"] or said["key"] not in shown.keys:
            raise NotAllowedError(
                f"{said['url']} is not the hub that made this ticket: its key is another one"
            )
        if relation_of(self._us.tier, shown.tier) is not Relation.UPPER:
            raise NotAllowedError(f"{shown.hub} is not above this hub")
        async with self._store.begin() as uow:
            return await self._put(uow, shown, Relation.UPPER, by.actor, url=said["url"])

    # --- at both -----------------------------------------------------------------------------------------

    async def _put(
        self,
        uow: UnitOfWork,
        shown: "_Shown",
        relation: Relation,
        by: str,
        url: str | None = None,
    ) -> Peering:
        now = self._clock.now()
        known = await uow.peerings.find(shown.hub)
        if known is not None and known.relation is not relation:
            raise ConflictError(f"{shown.hub} is known here already, as {known.relation}")
        peering = Peering(
            peer=shown.hub,
            name=shown.name,
            tier=shown.tier,
            relation=relation,
            paired_at=now,
            paired_by=by,
            keys=shown.keys,
            url=url,
            sip=shown.sip,
            uplink_kbps=known.uplink_kbps if known else 0,
        )
        await uow.peerings.put(peering)
        await uow.audit.append(now, by, "tier.pair", shown.hub, "ok", shown.keys[0])
        _tell(uow, self._clock, peering, by)
        return peering

    async def list(self) -> Sequence[Peering]:
        """All neighbours, revoked ones too."""
        async with self._store.read() as uow:
            return await uow.peerings.list()

    async def revoke(self, peer: str, by: Principal) -> Peering:
        """Know that hub no more: its link ends, and what it says is refused. Raises NotFoundError; twice is once."""
        return await self._change(peer, by, "tier.revoke", state=PeeringState.REVOKED)

    async def limit(self, peer: str, uplink_kbps: int, by: Principal) -> Peering:
        """What pictures may take together on the way to it; 0 is no bound."""
        if uplink_kbps < 0:
            raise InvalidError(
                "the way to a neighbour has some kilobits a second, or 0 for no bound"
            )
        return await self._change(peer, by, "tier.limit", uplink_kbps=uplink_kbps)

    async def _change(self, peer: str, by: Principal, action: str, **change: object) -> Peering:
        async with self._store.begin() as uow:
            before = await uow.peerings.get(peer)
            after = _changed(before, change)
            if after != before:
                now = self._clock.now()
                await uow.peerings.put(after)
                await uow.audit.append(now, by.actor, action, peer, "ok", str(change))
                _tell(uow, self._clock, after, by.actor)
        return after

    async def renew_keys(self, by: Principal) -> str:
        """Begin to use a new key: neighbours learn it as they connect, `settle_keys` ends the old one."""
        key = self._keys.renew()
        async with self._store.begin() as uow:
            await uow.audit.append(self._clock.now(), by.actor, "tier.renew_keys", key, "ok")
        return key

    async def settle_keys(self, renewed_at_most: Sequence[str]) -> bool:
        """Sign with the new key once every active neighbour is among those that have heard of it. True when that is done."""
        if not self._keys.is_renewing:
            return False
        active = {peering.peer for peering in await self.list() if peering.is_active}
        if active - set(renewed_at_most):
            return False
        self._keys.promote()
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What a hub says of itself when it pairs."""

    secret: str
    hub: str
    name: str
    tier: Tier
    keys: tuple[str, ...]
    sip: str | None

    @classmethod
    def read(cls, body: Body) -> "_Shown":
        """Raises InvalidError for anything that is no such thing."""
        try:
            hub, sip = _name(body["hub"]), body.get("sip")
            return cls(
                secret=str(body["secret"])[:128],
                hub=hub,
                name=str(body.get("name") or hub)[:64],
                tier=Tier(str(body["tier"])),
                keys=_keys(body["keys"]),
                sip=None if sip is None else str(sip)[:128],
            )
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidError("a hub pairs with its name, its tier and its keys") from error


def _name(text: object) -> str:
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError("no name of a hub")
    return text


def _keys(told: object) -> tuple[str, ...]:
    if not isinstance(told, list) or not 0 < len(told) <= _MOST_KEYS:
        raise ValueError("no keys")
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in told):
        raise ValueError("no keys")
    return tuple(told)


def _changed(peering: Peering, change: dict[str, object]) -> Peering:
    if isinstance(state := change.get("state"), PeeringState):
        peering = replace(peering, state=state)
    if isinstance(kbps := change.get("uplink_kbps"), int):
        peering = replace(peering, uplink_kbps=kbps)
    return peering


def _tell(uow: UnitOfWork, clock: Clock, peering: Peering, by: str) -> None:
    uow.record(
        PeeringMoved(
            at=clock.now(),
            actor=by,
            peer=peering.peer,
            name=peering.name,
            tier=peering.tier.value,
            relation=peering.relation.value,
            state=peering.state.value,
        )
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _ticket_of(said: dict[str, str]) -> str:
    return TICKET + base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


def _said_by(ticket: str) -> dict[str, str]:
    text = "".join(ticket.split())
    why: Exception | None = None
    try:
        scheme, _, packed = text.partition(":")
        said = json.loads(base64.urlsafe_b64decode(packed + "=="))
        wanted = {name: str(said[name]) for name in ("url", "hub", "key", "secret")}
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        scheme, wanted, why = "", {}, error
    if f"{scheme}:" != TICKET:
        raise InvalidError(
            f"this is no ticket; one begins with {TICKET} and comes from `commhub tier invite` at the upper hub"
        ) from why
    return wanted
