"""What wiring decides about messages."""

from dataclasses import dataclass, field
from datetime import timedelta

from commhub.kit.patience import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageConfig:
    """`at_once` sends run side by side on one channel; one that takes longer than `send_within` is «unknown».

    `send_within` must be well below `lease`: a lease that runs out means that its holder died. A fallback channel
    follows `fallback_after` its predecessor. `tries` attempts, then a delivery has failed.
    """

    at_once: int = 16
    send_within: timedelta = timedelta(seconds=15)
    lease: timedelta = timedelta(seconds=30)
    fallback_after: timedelta = timedelta(seconds=45)
    tries: int = 8
    event_tries: int = 5
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=120.0))
    poll_s: float = 2.0
    event_batch: int = 100
