"""What is written down of a leg's quality when it has ended."""

from datetime import datetime

from commhub.domain.call import Call, Leg
from commhub.domain.call_facts import LegMeasured
from commhub.domain.quality import estimate
from commhub.ports.media import LegMeter

_FRAME_MS = 20.0
"""The frames that are made up, and those of the usual packet: one is under way while the next is gathered."""


def measured(leg: Leg, call: Call, meter: LegMeter, *, at: datetime) -> LegMeasured:
    """The fact of what the engine measured. The delay is half the round trip, what waits here, and a packet; where
    the far end told no round trip the way is taken as short."""
    connected_ms = 0.0
    if leg.connected_at is not None:
        connected_ms = ((leg.ended_at or at) - leg.connected_at).total_seconds() * 1000
    lost = _percent(meter.lost, meter.received + meter.lost)
    concealed = _percent(meter.concealed * _FRAME_MS, connected_ms)
    delay = (meter.round_trip_ms or 0.0) / 2 + meter.depth_ms + _FRAME_MS
    return LegMeasured(
        at=at,
        incident_id=call.incident_id,
        call_id=call.id,
        leg_id=leg.id,
        endpoint=str(leg.endpoint),
        codec=leg.codec,
        # What came too late was not lost, and was not heard either.
        score=estimate(leg.codec or "", lost_pct=max(lost, concealed), delay_ms=delay),
        lost_pct=lost,
        concealed_pct=concealed,
        jitter_ms=meter.jitter_ms,
        round_trip_ms=meter.round_trip_ms,
        far_lost_pct=meter.far_lost_pct,
    )


def _percent(part: float, whole: float) -> float:
    return round(min(100 * part / whole, 100.0), 1) if whole > 0 else 0.0
