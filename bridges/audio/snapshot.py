"""The meters of all legs at one tick: columns copied in the engine's thread, made readable outside of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridges.audio.bands import TICK_MS
from commhub.ports.media import LegMeter


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`legs` are leg and call ids, the columns in their order; `radio` the group legs, ready made."""

    legs: tuple[tuple[str, str], ...]
    received: NDArray[np.int64]
    sent: NDArray[np.int64]
    lost: NDArray[np.int64]
    jitter_ms: NDArray[np.float64]
    concealed: NDArray[np.int64]
    depth_ms: NDArray[np.float64]
    told: tuple[tuple[float | None, float | None], ...]
    level: NDArray[np.float64]
    silent_ticks: NDArray[np.int64]
    radio: tuple[LegMeter, ...] = ()

    def meters(self) -> list[LegMeter]:
        phones = [
            LegMeter(
                leg_id=leg_id,
                call_id=call_id,
                received=int(self.received[i]),
                sent=int(self.sent[i]),
                lost=int(self.lost[i]),
                jitter_ms=round(float(self.jitter_ms[i]), 1),
                concealed=int(self.concealed[i]),
                depth_ms=round(float(self.depth_ms[i]), 1),
                round_trip_ms=self.told[i][0],
                far_lost_pct=self.told[i][1],
                level_dbov=round(float(self.level[i]), 1),
                silent_s=round(float(self.silent_ticks[i]) * TICK_MS / 1000, 2),
            )
            for i, (leg_id, call_id) in enumerate(self.legs)
        ]
        return [*phones, *self.radio]
