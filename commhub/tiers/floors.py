"""Floors (话权) end to end: a call here with a talk group of another hub. Its arbiter is that hub's alone (`domain/floor.py`, in its media
worker); its events are told to the hub whose call it is, and that hub's desk asks it for the key, a grant or a revocation.

Events are tells: each replaces the one before, and the last one is told anew when a link comes up. A key that a desk elsewhere
holds down is let go of when the link to it is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from commhub.domain.account import Principal
from commhub.domain.call import Direction, Leg
from commhub.domain.call_facts import FloorMoved
from commhub.domain.errors import DomainError, InvalidError, NotFoundError
from commhub.domain.facts import Fact
from commhub.domain.people import Scheme
from commhub.domain.tier import Order, Peering, ShareRight, check_order
from commhub.kit.bus import Bus
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from commhub.ports.between import CALLER, FloorsHere
from commhub.ports.media import FloorAction
from commhub.ports.store import Store, UnitOfWork
from commhub.ports.tiers import Body, TierLinks, TierWords
from commhub.tiers.asked import principal_of
from commhub.tiers.directory import SharedDirectoryService

log = structlog.get_logger(__name__)

FLOOR = "call.floor"
KEY = "call.key"
COMMAND = "call.floor_command"
_EVENTS = frozenset({"taken", "idle", "revoked", "queue"})
_FACTS = 4096
_ASK_WITHIN_S = 5.0
_LONGEST_QUEUE = 64


@dataclass(frozen=True, slots=True)
class _Last:
    """What was told last of the floors in one neighbour's call, by group."""

    peer: str
    bodies: Mapping[str, Body]


class HubFloors:
    """Follows our floors until cancelled, and hears of theirs. Implements `ports.between.FloorsElsewhere`."""

    def __init__(
        self,
        store: Store,
        bus: Bus[Fact],
        clock: Clock,
        links: TierLinks,
        directory: SharedDirectoryService,
        floors: FloorsHere,
        words: TierWords,
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._links = links
        self._directory = directory
        self._floors = floors
        self._last: dict[str, _Last] = {}
        self._pressed: dict[str, tuple[str, Principal]] = {}
        words.on_tell(FLOOR, self._hear)
        words.on_ask(KEY, self._press)
        words.on_ask(COMMAND, self._command)
        words.on_link(self._link_moved)

    # --- ours, told --------------------------------------------------------------------------------------

    async def run(self) -> None:
        await run_forever("tier-floors", self._follow)

    async def _follow(self) -> None:
        with self._bus.subscribe(_FACTS, _is_ours) as facts:
            async for fact in facts:
                if isinstance(fact, FloorMoved):
                    await self._tell(fact)

    async def _tell(self, fact: FloorMoved) -> None:
        """To every neighbour whose call has the group."""
        async with self._store.read() as uow:
            for leg in await _visitors(uow):
                if fact.call_id not in (None, leg.call_id):
                    continue
                known = await uow.shared_directory.find_hub_leg(leg.id)
                if known is None or fact.group not in await _groups(uow, leg.call_id):
                    continue
                body = _said(fact, leg, known.their_leg)
                if fact.event != "queue":
                    before = self._last.get(leg.id)
                    bodies = dict(before.bodies) if before else {}
                    self._last[leg.id] = _Last(known.peer, bodies | {fact.group: body})
                self._links.tell(known.peer, FLOOR, body)

    async def _link_moved(self, peering: Peering, up: bool) -> None:
        if not up:
            await self._let_go(peering.peer)
            return
        async with self._store.read() as uow:
            live = {leg.id for leg in await _visitors(uow)}
        self._last = {leg_id: last for leg_id, last in self._last.items() if leg_id in live}
        for last in self._last.values():
            for body in last.bodies.values():
                if last.peer == peering.peer:
                    self._links.tell(peering.peer, FLOOR, body)

    async def _let_go(self, peer: str) -> None:
        """Nobody can say any more that the key is up."""
        for leg_id, (by_peer, principal) in list(self._pressed.items()):
            if by_peer != peer:
                continue
            del self._pressed[leg_id]
            try:
                await self._floors.press_for(leg_id, False, principal)
            except DomainError as error:
                log.info("tier_key_not_let_go", leg_id=leg_id, reason=str(error))

    # --- theirs, heard -----------------------------------------------------------------------------------

    async def _hear(self, peering: Peering, body: Body) -> None:
        event, queue = str(body["event"]), body.get("queue") or ()
        if event not in _EVENTS or not isinstance(queue, list | tuple):
            raise InvalidError("no event of a floor")
        async with self._store.begin() as uow:
            leg = await uow.calls.find_leg(str(body["leg"]))
            if leg is None or not leg.is_live or leg.endpoint.hub != peering.peer:
                return
            call = await uow.calls.get(leg.call_id)
            talker, cause = body.get("talker"), body.get("cause")
            who = None if talker is None else _named_here(str(talker), leg)
            uow.record(
                FloorMoved(
                    at=self._clock.now(),
                    actor=who or f"hub:{peering.peer}",
                    incident_id=await _not_told_twice(uow, call.incident_id, peering.peer, event),
                    group=f"{str(body['group'])[:64]}@{peering.peer}",
                    event=event,
                    talker=who,
                    call_id=leg.call_id,
                    cause=None if cause is None else str(cause)[:32],
                    queue=tuple(_named_here(str(one), leg) for one in queue[:_LONGEST_QUEUE]),
                )
            )

    # --- ports.between.FloorsElsewhere -------------------------------------------------------------------

    async def press(self, leg: Leg, down: bool, by: Principal) -> None:
        """See `ports.between.FloorsElsewhere`."""
        body = {"leg": leg.id, "down": down, "by": by.actor}
        await self._links.ask(leg.endpoint.hub or "", KEY, body, _ASK_WITHIN_S)

    async def command(
        self,
        peer: str,
        group: str,
        action: FloorAction,
        participant: str | None,
        by: Principal,
    ) -> None:
        """See `ports.between.FloorsElsewhere`."""
        async with self._store.read() as uow:
            live = await uow.calls.live_legs(Scheme.RADIO)
        legs = [leg for leg in live if leg.endpoint.hub == peer]
        if not legs:
            raise NotFoundError(f"no call here is with a radio of {peer}")
        # Of several calls the one that is meant, where one is.
        leg = next((one for one in legs if participant == f"call:{one.call_id}"), legs[0])
        body = {
            "leg": leg.id,
            "group": group,
            "action": action.value,
            "participant": None if participant is None else _named_there(participant, leg),
            "by": by.actor,
        }
        await self._links.ask(peer, COMMAND, body, _ASK_WITHIN_S)

    # --- asked of us -------------------------------------------------------------------------------------

    async def _press(self, peering: Peering, body: Body) -> Body:
        check_order(peering, Order.CALL_SHARED)
        down, by = body["down"] is True, principal_of(peering, body)
        async with self._store.read() as uow:
            leg_id = await _leg_of(uow, peering, body)
        if down:
            self._pressed[leg_id] = (peering.peer, by)
        else:
            self._pressed.pop(leg_id, None)
        await self._floors.press_for(leg_id, down, by)
        return {}

    async def _command(self, peering: Peering, body: Body) -> Body:
        """Only from above, and only with the right to command what is shared."""
        check_order(peering, Order.COMMAND_SHARED)
        action, group = FloorAction(str(body["action"])), str(body["group"])
        participant = body.get("participant")
        async with self._store.read() as uow:
            leg_id = await _leg_of(uow, peering, body)
            known = await uow.shared_directory.find_hub_leg(leg_id)
            if known is None:
                raise NotFoundError("this call is over")
            await self._directory.check(uow, peering, known.endpoint, ShareRight.COMMAND)
        await self._floors.command_for(
            leg_id,
            group,
            action,
            None if participant is None else str(participant),
            principal_of(peering, body),
        )
        return {}


async def _visitors(uow: UnitOfWork) -> list[Leg]:
    """The live legs by which neighbours call us."""
    return [
        leg
        for leg in await uow.calls.live_legs()
        if leg.endpoint.hub is not None and leg.direction is Direction.INBOUND
    ]


async def _groups(uow: UnitOfWork, call_id: str) -> set[str]:
    """Our talk groups in a call."""
    found = set()
    for leg in await uow.calls.legs_of(call_id):
        if leg.is_live and leg.endpoint.scheme is Scheme.RADIO and leg.endpoint.hub is None:
            device = await uow.fleet.find(leg.endpoint.name)
            found.add(device.groups[0] if device and device.groups else leg.endpoint.name)
    return found


async def _leg_of(uow: UnitOfWork, peering: Peering, body: Body) -> str:
    """Our leg of the call that a neighbour names by its own. Raises NotFoundError."""
    known = await uow.shared_directory.find_their_leg(peering.peer, str(body["leg"]))
    leg = None if known is None else await uow.calls.find_leg(known.leg_id)
    if leg is None or not leg.is_live:
        raise NotFoundError("this call is over")
    return leg.id


async def _not_told_twice(
    uow: UnitOfWork, incident_id: str | None, peer: str, event: str
) -> str | None:
    """The incident on whose timeline the event is to stand: where both hubs have it, the other one's line comes by itself."""
    if incident_id is None or event == "queue":
        return None
    share = await uow.shares.find(incident_id, peer)
    return None if share is not None and share.is_open else incident_id


def _said(fact: FloorMoved, leg: Leg, their_leg: str) -> Body:
    own = f"call:{leg.call_id}"

    def named(participant: str) -> str:
        return CALLER if participant == own else participant

    return {
        "leg": their_leg,
        "group": fact.group,
        "event": fact.event,
        "talker": None if fact.talker is None else named(fact.talker),
        "cause": fact.cause,
        "queue": [named(one) for one in fact.queue],
    }


def _named_here(participant: str, leg: Leg) -> str:
    """Their word for who talks, in ours."""
    if participant == CALLER:
        return f"call:{leg.call_id}"
    return f"{participant[:100]}@{leg.endpoint.hub}"


def _named_there(participant: str, leg: Leg) -> str:
    if participant == f"call:{leg.call_id}":
        return CALLER
    name, at, hub = participant.partition("@")
    if at and hub != leg.endpoint.hub:
        raise InvalidError(f"{participant} is not at {leg.endpoint.hub}")
    return name


def _is_ours(fact: Fact) -> bool:
    return isinstance(fact, FloorMoved) and "@" not in fact.group
