"""Views served all at once (`Rewriter.steady`, told afterwards by `follow`) get the same stream as one by one (`take`)."""

import random
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.video.codecs.numbers import Number, Numbers
from bridges.video.intake import CLOCK_RATE, Intake, Run
from bridges.video.rewriting import Passed, Rewriter

FRAME = 3_000


@dataclass
class Layer:
    """A layer's runs, with losses, late packets and leaps of its clock."""

    intake: Intake
    dice: random.Random
    timestamp: int
    sequence: int
    picture: int = 100
    passed: Passed = field(default_factory=Passed)
    late: list[tuple[int, int, int]] = field(default_factory=list)

    def runs(self, *, leap: bool) -> list[Run]:
        self.timestamp += FRAME + (self.dice.randrange(1 << 31) if leap else 0)
        self.picture += 1
        packets = []
        for _ in range(self.dice.randrange(1, 5)):
            self.sequence += 1
            packets.append(
                (self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.picture & 0x7FFF)
            )
        fate = self.dice.random()
        if len(packets) > 1 and fate < 0.2:
            self.late.append(packets.pop(self.dice.randrange(len(packets))))
        elif self.late and fate < 0.4:
            packets.append(self.late.pop())
        return self.intake.take(
            np.array([one[0] for one in packets], np.uint16),
            np.array([one[1] for one in packets], np.uint32),
            Numbers.of([Number(one[2], 2, True, one[2] & 0xFF, 4) for one in packets]),
        )


def serve_steadily(rewriter: Rewriter, layer: Layer, run: Run, now: float) -> tuple[list, list]:
    """As an audience does: array additions where they suffice, else the run is taken."""
    steady = rewriter.steady
    leapt = layer.passed.leaps(run, now)
    if leapt or run.first < steady.first:
        rewriter.follow(layer.passed)
        sent = rewriter.take(run, now)
        layer.passed.note(run, now, leapt=leapt)
        if sent is None:
            return [], []
        return sent.sequences.tolist(), sent.timestamps.tolist()
    layer.passed.note(run, now)
    return (
        (run.sequences + np.uint16(steady.sequence_add)).tolist(),
        (run.timestamps + np.uint32(steady.timestamp_add)).tolist(),
    )


@dataclass
class Pair:
    """Two views that are shown the same, in the two ways."""

    single: Rewriter
    steady: Rewriter

    def switch(self, layer: Layer, run: Run, now: float) -> None:
        self.single.switch(run, now)
        self.steady.switch(run, now)
        ours, theirs = self.single.take(run, now), self.steady.take(run, now)
        assert ours.sequences.tolist() == theirs.sequences.tolist()
        assert ours.timestamps.tolist() == theirs.timestamps.tolist()
        layer.passed.note(run, now, leapt=layer.passed.leaps(run, now))

    def take(self, layer: Layer, run: Run, now: float) -> None:
        sent = self.single.take(run, now)
        expected = ([], []) if sent is None else (sent.sequences.tolist(), sent.timestamps.tolist())
        assert serve_steadily(self.steady, layer, run, now) == expected

    def check_the_way_back(self) -> None:
        assert self.steady.highest == self.single.highest
        for number in range(self.single.highest - 300, self.single.highest + 2):
            ours, theirs = self.single.find(number & 0xFFFF), self.steady.find(number & 0xFFFF)
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                assert (ours.origin, ours.extended) == (theirs.origin, theirs.extended)
                assert ours.stretch.picture_shift == theirs.stretch.picture_shift
                assert ours.stretch.timestamp_shift == theirs.stretch.timestamp_shift


def may_begin(layer: Layer, run: Run) -> bool:
    """Whether a key frame could begin with this run."""
    is_new = run.last > layer.passed.last and len(set(run.timestamps)) == 1
    return is_new and int(run.sequences[0]) == run.first & 0xFFFF


@settings(max_examples=150)
@given(seed=st.integers(0, 1 << 32), switching=st.sampled_from([0.02, 0.2]), leaps=st.booleans())
def test_all_at_once_is_the_same_as_one_by_one(seed, switching, leaps):
    dice = random.Random(seed)
    layers = {
        origin: Layer(Intake(origin), dice, dice.randrange(1 << 32), dice.randrange(1 << 16))
        for origin in (1, 2)
    }
    first = (dice.randrange(0x10000), dice.randrange(1 << 32))
    pair = Pair(Rewriter(*first), Rewriter(*first))

    def sync() -> None:
        if pair.steady.origin in layers:
            pair.steady.follow(layers[pair.steady.origin].passed)

    for frame in range(100):
        now = 5.0 + frame * FRAME / CLOCK_RATE
        for layer in layers.values():
            for run in layer.runs(leap=leaps and dice.random() < 0.03):
                if run.origin == pair.single.origin:
                    pair.take(layer, run, now)
                elif may_begin(layer, run) and dice.random() < switching:
                    sync()
                    pair.switch(layer, run, now)
                else:
                    layer.passed.note(run, now, leapt=layer.passed.leaps(run, now))
    sync()
    pair.check_the_way_back()
