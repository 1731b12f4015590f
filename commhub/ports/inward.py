"""Inward ports: how a protocol edge tells the core what happened.

Every method returns after the commit, so an edge acknowledges its sender only then. Every method may be
called again with the same arguments (the sender did not hear our acknowledgement) and then changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from commhub.domain.call import Cause, LegState
from commhub.domain.geo import Point
from commhub.domain.people import Endpoint
from commhub.domain.report import Source
from commhub.kit.values import quick
from commhub.ports.media import EngineStatus, LegMeter, RecordedFile, RtpAddress
from commhub.ports.store import Also


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReport:
    """A report before it has an id. `idempotency_key` is the source's own (device boot + sequence, MsgId,
    Idempotency-Key header): same key and same content is the same report, other content is a ConflictError."""

    source: Source
    idempotency_key: str
    category: str
    text: str
    level: int | None = None
    reporter: str | None = None
    place: str | None = None
    point: Point | None = None
    grid: str | None = None
    occurred_at: datetime | None = None
    casualties: int = 0
    drill: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceipt:
    """`repeated`: the report was there already."""

    report_id: str
    repeated: bool = False
    incident_id: str | None = None


class ReportsIn(Protocol):
    async def submit(self, report: NewReport) -> ReportReceipt:
        """Commit a report. Raises ConflictError (same key, other content) or InvalidError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAck:
    """Somebody tapped or typed an answer. `delivery_id` is what the card carried; `event_key` makes the
    same event delivered five times one; `response_code` is the channel's new key to the card."""

    channel: str
    event_key: str
    delivery_id: str
    actor: str
    action: str
    at: datetime
    response_code: str | None = None
    raw: str = ""


class AcksIn(Protocol):
    async def acknowledge(self, ack: NewAck) -> None:
        """Commit the raw event; its effect follows at once or after a restart. Unknown deliveries are kept
        with their error and do not raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBirth:
    """A device came up and said what it is."""

    device_id: str
    boot_id: str
    at: datetime
    model: str | None = None
    capabilities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    gb_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTelemetry:
    """A position and health message; older than the last one known is ignored."""

    device_id: str
    at: datetime
    point: Point | None = None
    speed_mps: float | None = None
    battery: int | None = None
    rssi: int | None = None


class PresenceIn(Protocol):
    async def device_born(self, birth: DeviceBirth) -> None: ...

    async def device_died(self, device_id: str, boot_id: str, at: datetime) -> None:
        """A death of another boot than the one known is stale and ignored."""
        ...

    async def device_reported(self, telemetry: DeviceTelemetry) -> None: ...

    async def command_answered(
        self, device_id: str, command_id: str, state: str, detail: str | None, at: datetime
    ) -> None: ...

    async def phone_seen(self, account: str, online: bool, agent: str | None) -> None: ...


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingCall:
    """Somebody dialled the hub. `leg_id` was made by the edge and names the leg from now on. `is_new`: it was made just now and
    never offered, so that nobody need look for it; saying so of one that was offered raises ConflictError."""

    leg_id: str
    caller: Endpoint
    called: str
    display_name: str | None = None
    is_new: bool = False


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingAccepted:
    """The leg belongs to this call; the edge lets it ring until `LegDriver.answer` is called for it."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingRefused:
    cause: Cause


class CallsIn(Protocol):
    """Progress of legs. Reports about a leg that has ended are ignored.

    `also` is what the edge itself keeps of the leg: it is committed with the step, and also where the step changes
    nothing; for a call that is refused it is not written."""

    async def call_offered(
        self, incoming: IncomingCall, *, also: Also | None = None
    ) -> IncomingAccepted | IncomingRefused: ...

    async def leg_ringing(self, leg_id: str) -> None: ...

    async def leg_connected(
        self, leg_id: str, codec: str | None, *, also: Also | None = None
    ) -> None:
        """Media is agreed and flowing (also: taken off hold)."""
        ...

    async def leg_held(self, leg_id: str) -> None: ...

    async def leg_ended(
        self, leg_id: str, cause: Cause, detail: str | None, *, also: Also | None = None
    ) -> None: ...


class TransfersIn(Protocol):
    """Calls that phones hand on by their own keys. A leg is named by its id, as in `CallsIn`."""

    async def refer(self, leg_id: str, new_leg_id: str, number: str) -> Cause | None:
        """Ring a number, as a phone dials it, into the call of a leg that talks. Why not; None when it rings."""
        ...

    async def join(self, leg_id: str, other_id: str) -> Cause | None:
        """Have those who talk with either leg talk with one another, and hang both legs up. Why not, or None."""
        ...

    async def replace(
        self, leg_id: str, incoming: IncomingCall
    ) -> IncomingAccepted | IncomingRefused:
        """Put the caller in the place of a leg. The edge answers it at once and then ends that leg."""
        ...

    async def state_of(self, leg_id: str) -> tuple[LegState, Cause | None] | None:
        """How a leg is, and why it ended; None for one that is unknown."""
        ...


class DigitsIn(Protocol):
    """Keys pressed by whoever is on a leg, in whatever way they came."""

    async def dtmf_received(self, leg_id: str, digit: str) -> None: ...


class MediaIn(Protocol):
    """What the media engine tells control. Losing one is harmless: `engine_status` says all again."""

    async def engine_status(self, status: EngineStatus) -> None:
        """All legs there are, after a worker was reached or given up; whatever talks and is not among them has
        lost its audio for good. A leg that is being set up again counts as there."""
        ...

    async def dtmf_received(self, leg_id: str, digit: str) -> None: ...

    async def leg_silent(self, leg_id: str, seconds: float) -> None:
        """No RTP for that long from a leg that should send."""
        ...

    async def leg_vanished(self, leg_id: str) -> None:
        """A browser went without a word: the engine has taken its leg out of the call."""
        ...

    async def leg_measured(self, meter: LegMeter) -> None:
        """A leg was released: what was measured of it to the end."""
        ...

    async def voice_heard(self, leg_id: str, level_dbov: float | None) -> None:
        """A leg that is watched (`MediaEngine.watch`) speaks, so loud; said again each second while it does, and with None when
        it has ended."""
        ...

    async def leg_readdressed(self, leg_id: str, address: RtpAddress) -> None:
        """The leg's worker was lost and could not give it its old port again: the far end sends to nobody until
        it is told the new address."""
        ...

    async def floor_moved(
        self,
        group: str,
        event: str,
        talker: str | None,
        calls: Sequence[str],
        cause: str | None = None,
        queue: Sequence[str] = (),
    ) -> None:
        """`event` is taken, idle, revoked (`cause` says why) or queue; `calls` are the calls the group is a leg of,
        `queue` those who wait for its floor now, the next one first."""
        ...

    async def recording_stored(self, file: RecordedFile) -> None:
        """Told again until it was taken."""
        ...

    async def recording_failed(self, call_id: str, leg_id: str | None, reason: str) -> None:
        """A recording (of the leg, or the mixed one) ended early or never began: the disk is full or gone. The
        call goes on."""
        ...

    async def playback_ended(self, playback_id: str, call_id: str, reason: str) -> None:
        """`reason` is finished, stopped, gone (its legs or its call) or failed (the file cannot be read)."""
        ...
