"""What is measured of legs with packets: their meters, and who has been silent for too long."""

from collections.abc import Mapping

import numpy as np

from bridges.audio.bands import TICK_MS
from bridges.audio.events import LegSilent, Output
from bridges.audio.legs import LegTable
from bridges.audio.quality import Quality
from bridges.audio.reports import Reports
from bridges.audio.snapshot import Snapshot

_TICK_S = TICK_MS / 1000


class Meters:
    """Reads the table of legs; a leg counts as silent `silent_after_s` after its last packet."""

    def __init__(
        self,
        legs: LegTable,
        reports: Reports,
        coded: Quality,
        linear: Quality,
        silent_after_s: float,
    ) -> None:
        self._legs = legs
        self._reports = reports
        self._coded = coded
        self._linear = linear
        self._silent_ticks = round(silent_after_s / _TICK_S)

    def measure(self, table: Mapping[str, tuple[int, str]], tick: int) -> Snapshot:
        """The meters of these legs: leg id to row and call id."""
        legs = self._legs
        rows = np.array([row for row, _ in table.values()], np.int64)
        return Snapshot(
            legs=tuple((leg, call_id) for leg, (_, call_id) in table.items()),
            received=legs.received[rows],
            sent=legs.sent[rows],
            lost=legs.lost(rows),
            jitter_ms=self._reports.jitter.milliseconds(rows),
            concealed=legs.concealed[rows],
            depth_ms=np.where(
                legs.linear[rows], self._linear.depth_ms(rows), self._coded.depth_ms(rows)
            ),
            told=tuple(self._reports.told(row) for row, _ in table.values()),
            level=legs.level[rows],
            silent_ticks=np.where(legs.sends[rows], tick - legs.heard_at[rows], 0),
        )

    def watch_silence(self, tick: int, out: list[Output]) -> None:
        """Tell once of each leg that should be heard and is not."""
        legs = self._legs
        silent = legs.connected & legs.sends & (tick - legs.heard_at >= self._silent_ticks)
        for row in np.flatnonzero(silent & ~legs.silence_told):
            leg_id = legs.id_of(int(row))
            if leg_id is not None:
                out.append(LegSilent(leg_id, float(tick - legs.heard_at[row]) * _TICK_S))
        legs.silence_told[:] = silent
