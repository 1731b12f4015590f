"""What a run came to, and whether the hubs did their work at all."""

import json
from dataclasses import asdict, dataclass

from benchmarks.cascade.eyes import PICTURE

_FPS_AT_LEAST = 29.0
_SEEN_AT_LEAST = 0.99
_COMPARED_AT_LEAST = 500
_MORE_THAN_A_STREAM = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`fps` and `height` of the pictures one viewer in the city decoded; `hop` is how much later a packet reaches a viewer one tier further up,
    the slower of both hops; `streams_per_hop` by what the picture engines push, beside `streams_received` by the packets that came;
    `rejoin_s` from when the killed district is ready until the city sees again, `voice_rejoin_s` until street and city hear each other; `packets_after_leaving` from 2 s after the last viewer
    left. `least_seen`: of the camera's packets, what the poorest viewer got."""

    fps: float
    height: int
    hop_p95_ms: float
    streams_per_hop: int
    rejoin_s: float
    voice_rejoin_s: float
    viewers: int
    decoded: int
    hop_p50_ms: float
    compared: int
    least_seen: float
    streams_received: float
    packets_after_leaving: int

    @property
    def faults(self) -> list[str]:
        """What was not done; slowness is no fault, it is a figure."""
        checks = [
            (self.height == PICTURE[1], f"the pictures are {self.height} high"),
            (self.fps >= _FPS_AT_LEAST, f"{self.fps} pictures a second were decoded"),
            (self.compared >= _COMPARED_AT_LEAST, f"{self.compared} packets were compared"),
            (self.streams_per_hop == 1, f"{self.streams_per_hop} streams are pushed on a hop"),
            (
                0 < self.streams_received < _MORE_THAN_A_STREAM,
                f"{self.streams_received} times the camera's packets came over a hop",
            ),
            (self.least_seen >= _SEEN_AT_LEAST, f"a viewer got {self.least_seen:.1%} of it"),
            (
                not self.packets_after_leaving,
                f"{self.packets_after_leaving} packets flowed 2 s after the last viewer left",
            ),
        ]
        return [sentence for is_well, sentence in checks if not is_well]

    def line(self) -> str:
        return (
            f"street → district → city, {self.viewers} viewers in the city: {self.fps} pictures/s of {self.height} lines "
            f"({self.decoded} decoded), a hop adds p50 {self.hop_p50_ms} p95 {self.hop_p95_ms} ms ({self.compared} packets compared), "
            f"{self.streams_per_hop} stream a hop ({self.streams_received} by its packets), {self.packets_after_leaving} packets "
            f"2 s after the last left, pictures back {self.rejoin_s} s and voices {self.voice_rejoin_s} s "
            f"after the district was"
        )

    def as_json(self) -> str:
        return json.dumps(asdict(self))
