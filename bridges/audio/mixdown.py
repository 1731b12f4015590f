"""The middle of a tick: from the rings to the packets, in the steps that `bridges.audio` names.

A plan and everything sized by it is made anew when legs come, go or change (`arrange`); what outlives plans is given
as `Parts`.
"""

from dataclasses import dataclass

import numpy as np

from bridges.audio.counts import Counts
from bridges.audio.digits import Digits
from bridges.audio.events import Output
from bridges.audio.groups import RadioGroups
from bridges.audio.hush import Hush
from bridges.audio.lanes import Lanes
from bridges.audio.legs import LegTable
from bridges.audio.mixer import levels_dbov
from bridges.audio.outbox import Outbox
from bridges.audio.plan import make_plans
from bridges.audio.prompts import Prompts
from bridges.audio.quality import Quality
from bridges.audio.resample import Downsampler, Upsampler
from bridges.audio.sender import Sender
from bridges.audio.shaping import Shapes
from bridges.audio.speakers import Speakers, Streams
from bridges.audio.speech import SpeechWatch
from bridges.audio.stages import NarrowStage, Stage, WideStage, hand_over
from bridges.audio.taps import RecordTaps
from bridges.audio.vault import Vault

_LEVEL_ROUNDS = 10
"""Ticks in which every leg's level is measured once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the steps of a tick are done by."""

    legs: LegTable
    counts: Counts
    coded: Quality
    linear: Quality
    up: Upsampler
    down: Downsampler
    shapes: Shapes
    groups: RadioGroups
    speech: SpeechWatch
    prompts: Prompts
    taps: RecordTaps
    digits: Digits
    lanes: Lanes
    streams: Streams
    vault: Vault
    outbox: Outbox
    hush: Hush
    shared_fd: int


class Mixdown:
    """The stages of the present plan, and what sends for them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._arrange(())

    @property
    def stages(self) -> tuple[NarrowStage, WideStage]:
        return self._stages

    def run(self, tick: int, now: float, out: list[Output]) -> None:
        """Do the steps; `bridges.audio` says what each may change."""
        parts = self._parts
        if parts.legs.changed:
            self._arrange(self._stages)
        for voices in (parts.coded, parts.linear):
            voices.prepare(tick)
        for stage in self._stages:
            stage.listen(tick)
            if stage.shaper is not None:
                stage.shaper.speak()
            stage.mixer.total()
        _, wide = self._stages
        parts.groups.mix(wide.plan, wide.mixer.totals, now, out, wide.shaper)
        parts.speech.look(tick, now, out)
        parts.prompts.to_calls()
        parts.taps.take(tick, parts.groups.said())
        for stage in self._stages:
            stage.mixer.subtract()
            if stage.shaper is not None:
                stage.shaper.hear(parts.groups.said())
        parts.prompts.to_legs(out)
        parts.digits.sound(self._stages)
        for stage in self._stages:
            stage.mixer.clip()
        self._send(tick, out)

    def _send(self, tick: int, out: list[Output]) -> None:
        parts = self._parts
        coded = self._sender.voice
        for stage in self._stages:
            count = len(stage.plan.coded)
            stage.speak(coded[:count])
            coded = coded[count:]
            self._measure(stage, tick)
        _, wide = self._stages
        self._speakers.speak(wide.mixer, tick, parts.outbox)
        self._sender.send(tick, out)
        parts.digits.tell(tick, parts.outbox)
        parts.outbox.flush(out)

    def _arrange(self, before: tuple[Stage, ...]) -> None:
        parts = self._parts
        legs = parts.legs
        narrow, wide = make_plans(legs, parts.groups.calls())
        self._stages = (
            NarrowStage(narrow, legs, parts.coded),
            WideStage(wide, legs, parts.coded, parts.linear, parts.up, parts.down),
        )
        hand_over(before, self._stages)
        for stage in self._stages:
            stage.shaper = parts.shapes.shaper(stage.plan, stage.mixer, legs)
        parts.speech.arrange(self._stages)
        parts.taps.arrange(self._stages)
        parts.prompts.arrange(self._stages)
        coded = np.concatenate((narrow.rows[narrow.coded], wide.rows[wide.coded]))
        self._sender = Sender(
            legs, coded, parts.vault, parts.hush, parts.counts, parts.shared_fd
        )  # fmt: skip
        self._speakers = Speakers(legs, parts.lanes, parts.streams, wide)
        legs.changed = False

    def _measure(self, stage: Stage, tick: int) -> None:
        count = len(stage.plan)
        part = tick % _LEVEL_ROUNDS
        start, end = count * part // _LEVEL_ROUNDS, count * (part + 1) // _LEVEL_ROUNDS
        if start < end:
            levels = levels_dbov(stage.mixer.voice[start:end])
            self._parts.legs.level[stage.plan.rows[start:end]] = levels
