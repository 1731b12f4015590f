"""Ports inside the core: how features call one another within one unit of work.

A feature never imports another. What it needs done in the same transaction it asks for here, handing over its
unit of work, and wiring gives it the feature that does it. Nothing here commits. After the caller's commit it
calls `wake()`, which only saves the other feature's loop its next poll: losing that call loses nothing.

Whoever changes an incident, its tasks, timers or messages takes the incident's row first
(`uow.incidents.get`), two incidents in the order of their ids: so no two transactions wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from commhub.domain.account import Principal
from commhub.domain.call import Call, Cause, Leg
from commhub.domain.incident import Incident
from commhub.domain.message import CardAction
from commhub.domain.people import Endpoint, Responder
from commhub.domain.report import Report
from commhub.domain.room import Room
from commhub.ports.decisions import Decision
from commhub.ports.inward import IncomingCall, NewReport, ReportsIn
from commhub.ports.store import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A report with what the rules said. `attention`: why a person must look at the incident all the same. `incident_id` and
    `origin` are set for what another hub opened: here it has the same id."""

    report: Report
    decision: Decision
    attention: str | None = None
    incident_id: str | None = None
    origin: str | None = None


class Registrar(Protocol):
    """Opens incidents for reports (incidents)."""

    async def register(
        self, uow: UnitOfWork, registrations: Sequence[Registration]
    ) -> Sequence[Incident]:
        """Open one incident for each, dispatch it, and attach the report to it. All or none."""
        ...

    async def register_bare(self, uow: UnitOfWork, report: Report, attention: str) -> Incident:
        """Open an incident that only asks a person to look: nothing of it depends on rules or people."""
        ...

    def wake(self) -> None: ...


class Intake(ReportsIn, Protocol):
    """The inward port of reports, and its answer (reports)."""

    async def wait_for_incident(self, report_id: str, timeout_s: float) -> str:
        """Return the id of the report's incident. Raises UnavailableError when that takes longer; the report
        is safe and will get one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCard:
    """What asks a responder to act. One task has one card."""

    incident_id: str
    task_id: str
    title: str
    body: str
    fields: tuple[tuple[str, str], ...]
    actions: tuple[CardAction, ...]
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardChange:
    """What a card that was sent says from now on; without `actions` nothing can be tapped any more."""

    status: str
    actions: tuple[CardAction, ...] = ()
    by: str = ""


class Outbox(Protocol):
    """Queues messages (messages)."""

    async def queue_card(
        self, uow: UnitOfWork, card: TaskCard, responder: Responder, channels: Sequence[str]
    ) -> Sequence[str]:
        """Queue the card on each of `channels` that reaches the responder, the first at once and the others
        as fallbacks in that order; when none does, on any that does. Return the channels; empty: no way."""
        ...

    async def change_card(self, uow: UnitOfWork, task_id: str, change: CardChange) -> None:
        """Queue the change of the task's card. What has not left yet is not sent at all when the change
        takes its actions away. Only the latest change of a card matters."""
        ...

    def wake(self) -> None: ...


class AckEffect(StrEnum):
    """What a tap did. LATE: the task had gone to somebody else; REPEATED: it had been done already;
    ILLEGAL: not in this stage; NOT_YOURS: somebody else's task; UNKNOWN: no such card or action."""

    DONE = "done"
    LATE = "late"
    REPEATED = "repeated"
    ILLEGAL = "illegal"
    NOT_YOURS = "not_yours"
    UNKNOWN = "unknown"


class TaskMoves(Protocol):
    """What responders do to their tasks (incidents)."""

    async def judge(
        self, uow: UnitOfWork, task_id: str, action: CardAction, responder_id: str | None
    ) -> AckEffect:
        """What `action` would do now, if that responder asks for it. Takes the incident's row, so that the
        answer holds until the transaction ends."""
        ...

    async def move_task(
        self,
        uow: UnitOfWork,
        task_id: str,
        action: CardAction,
        actor: str,
        at: datetime,
        note: str | None = None,
    ) -> None:
        """Do what `judge` called DONE. Raises IllegalMoveError otherwise."""
        ...

    async def refresh_card(self, uow: UnitOfWork, task_id: str) -> None:
        """Queue a change of the task's card to what is true now: every tap uses up the card's key."""
        ...

    def wake(self) -> None: ...


class Attention(Protocol):
    """Tells the desk (incidents)."""

    async def raise_attention(
        self, uow: UnitOfWork, incident_id: str, code: str, text: str
    ) -> None:
        """Mark an open incident as needing a person, once per `code`, and say so on its timeline."""
        ...


class Adoption(Protocol):
    """Incidents that other hubs opened (reports)."""

    async def adopt(
        self, uow: UnitOfWork, report: NewReport, incident_id: str, origin: str
    ) -> Incident:
        """Open the incident here under the id it has everywhere, have the rules decide on it and dispatch it, all in the caller's
        transaction. Raises InvalidError when it cannot be registered here, UnavailableError."""
        ...

    def wake(self) -> None: ...


class Tending(Protocol):
    """What follows at an incident of ours from what other hubs do with it (incidents)."""

    async def reopen(self, uow: UnitOfWork, incident_id: str, actor: str, note: str) -> Incident:
        """Reopen one that has ended; any other, and one that was merged, stays as it is."""
        ...

    async def put_down(self, uow: UnitOfWork, incident_id: str, actor: str, note: str) -> Incident:
        """It was given back (退回), so nobody of this hub handles it any more: its tasks end, its clock stops, its stage is rejected.
        One that has ended stays as it is."""
        ...


class RoomSound(Protocol):
    """The calls that carry the sound of rooms (calls). All but `open` begin transactions of their own; done twice is done
    once, and a leg or call that is over is fine."""

    def address(self, text: str, by: Principal) -> Endpoint:
        """Read an address that can be called from here; `desk:me` is the desk of who asks. Raises InvalidError."""
        ...

    async def open(self, uow: UnitOfWork, room: Room, actor: str) -> Call:
        """A call for the room, in the caller's transaction; it lives until `close`."""
        ...

    async def seat(
        self, call_id: str, endpoint: Endpoint, name: str, by: Principal, *, muted: bool = False
    ) -> Leg:
        """The live leg of that address in the call; a new one, placed by its driver, when there is none. Raises
        ConflictError when the call has ended, InvalidError when it is full or the address cannot be called."""
        ...

    async def mute(self, leg_id: str, muted: bool, by: Principal) -> None:
        """Have nobody hear the leg, or everybody again."""
        ...

    async def hold(self, leg_id: str, held: bool, by: Principal) -> None:
        """Keep the leg waiting: it hears the hold prompt, and nobody hears it."""
        ...

    async def hang_up(self, leg_id: str, by: Principal) -> None: ...

    async def close(self, call_id: str, by: Principal) -> None:
        """End the call and all its legs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where whoever dialled a room goes. `held`: into its waiting room, so nobody hears them yet."""

    call_id: str
    held: bool = False


class DialledRooms(Protocol):
    """What the number of a room means (rooms)."""

    def may_be_room(self, number: str) -> bool:
        """Whether it looks like one; asks nobody."""
        ...

    async def dialled(self, uow: UnitOfWork, incoming: IncomingCall) -> Entrance | Cause | None:
        """Let a caller in, as a participant that `incoming.leg_id` carries; why not; None for a number of no room. The
        room's row is taken, so ask before the row of any call is."""
        ...


class RoomVoices(Protocol):
    """Who speaks in rooms (rooms)."""

    async def voice_heard(self, leg_id: str, level_dbov: float | None) -> None:
        """See `ports.inward.MediaIn`. Of a leg that is in no room it means nothing."""
        ...

    def engine_came(self) -> None:
        """The media engine came (back), perhaps without knowing what it was to watch."""
        ...


class DeviceOrders(Protocol):
    """Orders to the field (fleet)."""

    async def order(
        self,
        device_id: str,
        op: str,
        args: Mapping[str, object],
        by: str,
        expires_in: timedelta,
    ) -> None:
        """Commit the command, then hand it to the broker. Raises NotFoundError, InvalidError, UnavailableError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a person is told. `link` may hold a secret of theirs in its fragment, which is shown to nobody else."""

    title: str
    body: str
    incident_id: str | None = None
    link: str | None = None


class Notices(Protocol):
    """Plain texts to people (messages)."""

    async def notify(self, uow: UnitOfWork, recipient: str, notice: Notice, by: Principal) -> None:
        """Queue a text to an endpoint or a responder's id. Raises InvalidError for an address nothing reaches,
        NotFoundError for an unknown responder."""
        ...

    def wake(self) -> None: ...
