"""What wiring decides about incidents."""

from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentConfig:
    """`origin` is this hub's name. `link` is the web page of an incident, with {incident_id} in it.

    `accept_within` holds when the rules name no accept clock; `look_again_after`: how soon people are looked for
    again when there was nobody; the duty leader is asked `leader_asks` times unless the rules say how often.
    """

    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    origin: str = ""
    link: str | None = None
    accept_within: timedelta = timedelta(minutes=5)
    look_again_after: timedelta = timedelta(minutes=1)
    leader_asks: int = 3
    poll_s: float = 2.0
    batch: int = 100
    tries: int = 3
