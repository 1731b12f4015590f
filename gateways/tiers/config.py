"""How links behave. Times are in seconds."""

from dataclasses import dataclass

from commhub.domain.tier import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class TierConfig:
    """`us` is this hub's name, `name` what people call it. A link without a frame for `silence_s` is dead. `window` messages at
    most wait for their answer, `asks` questions of a peer are worked on at once, `frames` wait to be written.
    `sip` is where our phones' edge is, «host:port», as a neighbour reaches it. `again_s` is how soon a lost link is dialled again, growing to `again_at_most_s`, half as much again
    at worst: a meeting is whole again five seconds after a hub between is back, and most of them are for its pictures and voices."""

    us: str
    name: str
    tier: Tier
    beat_s: float = 4.0
    silence_s: float = 12.0
    hello_within_s: float = 10.0
    look_every_s: float = 2.0
    sip: str | None = None
    again_s: float = 0.3
    again_at_most_s: float = 2.0
    window: int = 256
    asks: int = 64
    frames: int = 2048
    ca_file: str | None = None
