"""One band's part of a tick: from what waits in the rings to samples, and from the mix to what is sent.

A wide call may have G.711 legs: they are decoded and brought up to the band here, and their mix is brought down
and encoded, so that everything between `listen` and `speak` knows one rate.
"""

import numpy as np
from numpy.typing import NDArray

from bridges.audio.g711 import FRAME, Companding
from bridges.audio.legs import LegTable
from bridges.audio.mixer import Mixer, Samples
from bridges.audio.plan import Plan
from bridges.audio.quality import Quality
from bridges.audio.resample import Downsampler, Upsampler
from bridges.audio.seams import Joint, Seam
from bridges.audio.shaping import Shaper


class NarrowStage:
    """Calls whose legs are all G.711. `mixer` has the arrays between `listen` and `speak`."""

    def __init__(self, plan: Plan, legs: LegTable, coded: Quality) -> None:
        self.plan = plan
        self.band = plan.band
        self.mixer = Mixer(plan)
        self.shaper: Shaper | None = None
        self._coded = coded
        self._payload = np.zeros((len(plan), FRAME), np.uint8)
        self._companding = Companding(legs.law[plan.rows])
        self._joint: Joint | None = None

    @property
    def seam(self) -> Seam:
        """What another stage needs to go on with these legs."""
        return Seam(self.plan.rows, self.mixer.voice, self.mixer.heard)

    def go_on(self, before: Seam) -> None:
        """Take over legs that another stage had."""
        self._joint = Joint(before, self.plan.rows)

    def listen(self, tick: int) -> None:
        """Fill `mixer.voice`, gaps and all, and `mixer.missing`."""
        rows, mixer = self.plan.rows, self.mixer
        mixer.missing[:] = missing = self._coded.missing(rows, tick)
        if 2 * np.count_nonzero(missing) < len(rows):
            self._coded.read(rows, tick, self._payload)
            self._companding.decode(self._payload, mixer.voice)
        else:
            # Most say nothing: calls that nobody speaks in are to cost next to nothing.
            speaking = np.flatnonzero(~missing)
            mixer.voice[:] = 0
            mixer.voice[speaking] = self._coded.said(rows[speaking], tick)
        self._coded.mend(rows, mixer.voice, mixer.missing, tick)

    def speak(self, coded: NDArray[np.uint8]) -> None:
        """Encode what each place hears into `coded` (coded places × 160)."""
        if self._joint is not None:
            self._joint.fade(self.mixer.heard)
            self._joint = None
        self._companding.encode(self.mixer.heard, coded)


class WideStage:
    """Calls with a linear leg. `up` and `down` are the engine's, so that streams survive a new plan."""

    def __init__(
        self, plan: Plan, legs: LegTable, coded: Quality, linear: Quality,
        up: Upsampler, down: Downsampler,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.band = plan.band
        self.mixer = Mixer(plan)
        self.shaper: Shaper | None = None
        self._coded = coded
        self._linear_voices = linear
        self._up, self._down = up, down
        self._coded_rows = plan.rows[plan.coded]
        self._linear_rows = plan.rows[plan.linear]
        self._payload = np.zeros((len(plan.coded), FRAME), np.uint8)
        self._narrow: Samples = np.zeros((len(plan.coded), FRAME), np.int16)
        self._linear: Samples = np.zeros((len(plan.linear), plan.band.frame), np.int16)
        self._heard: Samples = np.zeros((len(plan.coded), FRAME), np.int16)
        self._companding = Companding(legs.law[self._coded_rows])
        self._joint: Joint | None = None

    @property
    def seam(self) -> Seam:
        """What another stage needs to go on with these legs."""
        return Seam(self._coded_rows, self._narrow, self._heard)

    def go_on(self, before: Seam) -> None:
        """Take over legs that another stage had."""
        self._up.prime(before.rows, before.said)
        self._down.prime(before.rows, before.heard)
        self._joint = Joint(before, self._coded_rows)

    def listen(self, tick: int) -> None:
        """Fill `mixer.voice`, gaps and all, and `mixer.missing`."""
        plan, mixer = self.plan, self.mixer
        if len(plan.coded):
            missing = self._coded.read(self._coded_rows, tick, self._payload)
            self._companding.decode(self._payload, self._narrow)
            self._coded.mend(self._coded_rows, self._narrow, missing, tick)
            mixer.missing[plan.coded] = missing
            mixer.voice[plan.coded] = self._up.up(self._coded_rows, self._narrow)
        if len(plan.linear):
            missing = self._linear_voices.read(self._linear_rows, tick, self._linear)
            self._linear_voices.mend(self._linear_rows, self._linear, missing, tick)
            mixer.missing[plan.linear] = missing
            mixer.voice[plan.linear] = self._linear

    def speak(self, coded: NDArray[np.uint8]) -> None:
        """Encode what each coded place hears into `coded` (coded places × 160)."""
        if len(self.plan.coded):
            wide = self.mixer.heard[self.plan.coded]
            self._heard = self._down.down(self._coded_rows, wide)
            if self._joint is not None:
                self._joint.fade(self._heard)
                self._joint = None
            self._companding.encode(self._heard, coded)


Stage = NarrowStage | WideStage


def hand_over(before: tuple[Stage, ...], after: tuple[Stage, ...]) -> None:
    """Let the stages of a new plan go on with the legs that changed their band."""
    for old in before:
        seam = old.seam
        for new in after:
            if new.band is not old.band:
                moved = seam.of(new.plan.rows[new.plan.coded])
                if len(moved.rows):
                    new.go_on(moved)
