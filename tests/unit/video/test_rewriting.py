"""A view's stream over any schedule of switches, losses, reorderings and packets left out."""

import itertools
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridges.video.codecs.numbers import Number, NumberReader, Numbers
from bridges.video.intake import CLOCK_RATE, Intake, Run, extended_near, signed
from bridges.video.rewriting import Rewriter
from bridges.video.stretches import HISTORY

FRAME = 3_000
FRAME_S = FRAME / CLOCK_RATE


@dataclass
class Packet:
    """As a layer sends it; `frame` counts from the start of time, so that layers show the same moment."""

    sequence: int
    timestamp: int
    frame: int
    picture: int
    tl0: int


@dataclass
class Layer:
    """A publisher's layer: a frame of a few packets each FRAME_S, its numbers from anywhere."""

    intake: Intake
    sequence: int
    timestamp: int
    picture: int
    is_wide: bool
    dice: random.Random
    reader: NumberReader = field(default_factory=NumberReader)
    tl0: int = 200

    def frame(self, frame: int) -> list[Packet]:
        self.picture += 1
        self.tl0 += 1
        packets = []
        for _ in range(self.dice.randrange(1, 6)):
            packets.append(
                Packet(
                    self.sequence & 0xFFFF,
                    self.timestamp + frame * FRAME & 0xFFFFFFFF,
                    frame,
                    self.picture & (0x7FFF if self.is_wide else 0x7F),
                    self.tl0 & 0xFF,
                )
            )
            self.sequence += 1
        return packets

    def run(self, packets: list[Packet]) -> Run:
        numbers = Numbers.of(
            [
                self.reader.extend(Number(one.picture, 2, self.is_wide, one.tl0, 4))
                for one in packets
            ]
        )
        (run,) = self.intake.take(
            np.array([one.sequence for one in packets], np.uint16),
            np.array([one.timestamp for one in packets], np.uint32),
            numbers,
        )
        return run


def make_layer(origin: int, dice: random.Random) -> Layer:
    return Layer(
        Intake(origin),
        sequence=dice.randrange(0x10000),
        timestamp=dice.randrange(1 << 32),
        picture=dice.randrange(0x8000),
        is_wide=origin % 3 != 0,
        dice=dice,
    )


@dataclass
class Viewer:
    """What arrived at the far end, unwrapped: by sequence number what the layer's packet was."""

    rewriter: Rewriter
    got: dict[int, tuple[int, Packet]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    pictures: dict[int, int] = field(default_factory=dict)
    tl0s: dict[int, int] = field(default_factory=dict)
    highest: int | None = None

    def take(self, run: Run, packets: list[Packet], now: float, keep=None) -> None:
        sent = self.rewriter.take(run, now, keep)
        if sent is None:
            return
        lines = range(len(packets)) if sent.lines is None else sent.lines.tolist()
        slots = np.zeros((len(sent.sequences), 16), np.uint8)
        sent.write_numbers(run.numbers, slots, np.full(len(slots), 3))
        for i, line in enumerate(lines):
            sequence = int(sent.sequences[i])
            near = sequence if self.highest is None else self.highest
            sequence = extended_near(sequence, near)
            assert sequence not in self.got, "one number twice"
            self.highest = max(near, sequence)
            self.got[sequence] = (run.origin, packets[line])
            self.times[sequence] = int(sent.timestamps[i])
            wide = bool(run.numbers.is_wide[line])
            picture = int(slots[i, 5]) & 0x7F
            self.pictures[sequence] = picture << 8 | int(slots[i, 6]) if wide else picture
            self.tl0s[sequence] = int(slots[i, 7])


@settings(max_examples=150)
@example(seed=21451, loss=0.02, shuffled=3, left_out=0.3, switching=0.2, replayed=True)
@given(
    seed=st.integers(0, 1 << 32),
    loss=st.sampled_from([0.0, 0.02, 0.3]),
    shuffled=st.sampled_from([0, 3, 12]),
    left_out=st.sampled_from([0.0, 0.3]),
    switching=st.sampled_from([0.02, 0.2]),
    replayed=st.booleans(),
)
def test_a_view_is_one_stream_whatever_happens(seed, loss, shuffled, left_out, switching, replayed):
    dice = random.Random(seed)
    layers = [make_layer(origin, dice) for origin in range(3)]
    viewer = Viewer(Rewriter(dice.randrange(0x10000), dice.randrange(1 << 32)))
    recent: dict[int, list[list[Packet]]] = {layer.intake.origin: [] for layer in layers}
    lost: set[tuple[int, int]] = set()
    late: list[tuple[Layer, list[Packet]]] = []
    moments: dict[int, float] = {}
    for frame in range(120):
        now = 50.0 + frame * FRAME_S
        moments[frame] = now
        sent = [layer.frame(frame) for layer in layers]
        drop_frame = dice.random() < left_out
        for layer, packets in zip(layers, sent, strict=True):
            origin = layer.intake.origin
            wants = origin == viewer.rewriter.origin
            if not wants and dice.random() < switching:
                # This frame is the layer's key frame, or (replayed) the GOP since some frames ago is at hand.
                gop = [*recent[origin][-8:], packets] if replayed else [packets]
                everything = [one for old in gop for one in old]
                # All of it has come by now.
                late = [one for one in late if one[1][0] not in everything]
                run = layer.run(everything)
                viewer.rewriter.switch(run, now)
                viewer.take(run, everything, now)
                recent[origin].append(packets)
                continue
            recent[origin].append(packets)
            kept = [one for one in packets if dice.random() >= loss]
            lost |= {(origin, one.sequence) for one in packets if one not in kept}
            if shuffled and len(kept) > 1 and dice.random() < 0.3 and not drop_frame:
                late.append((layer, [kept.pop(dice.randrange(len(kept)))]))
                lost.add((origin, late[-1][1][0].sequence))
            if kept:
                keep = np.full(len(kept), not drop_frame)
                viewer.take(layer.run(kept), kept, now, keep if drop_frame else None)
        for entry in [one for one in late if dice.random() < 1 / max(shuffled, 1)]:
            late.remove(entry)
            entry_layer, packets = entry
            viewer.take(entry_layer.run(packets), packets, now)
    if not viewer.got:
        return
    check_sequences(viewer, lost)
    check_times(viewer, moments)
    check_pictures(viewer)


def check_sequences(viewer: Viewer, missing: set[tuple[int, int]]) -> None:
    """Every number between the first and the last is there, or NACKs of it name a packet that was lost on its way to us (or
    came after its layer was left); what is there, maps to what it was."""
    for number in range(min(viewer.got), viewer.highest + 1):
        found = viewer.rewriter.find(number & 0xFFFF)
        if number in viewer.got:
            origin, packet = viewer.got[number]
            assert found is not None
            assert (found.origin, found.extended & 0xFFFF) == (origin, packet.sequence)
            assert found.stretch.timestamp(packet.timestamp) == viewer.times[number]
        else:
            assert found is not None, "a gap of our own making"
            assert (found.origin, found.extended & 0xFFFF) in missing
    assert viewer.rewriter.find(viewer.highest + 1 & 0xFFFF) is None
    assert viewer.rewriter.find(min(viewer.got) - 1 & 0xFFFF) is None


def check_times(viewer: Viewer, moments: dict[int, float]) -> None:
    """In sequence order: time never goes back, and never runs ahead of the time that passed."""
    numbers = sorted(viewer.got)
    for before, after in itertools.pairwise(numbers):
        step = signed(viewer.times[after] - viewer.times[before])
        assert step >= 0
        assert step <= round((moments[119] - moments[0]) * CLOCK_RATE)
    # What was shown live lies on one line with the clock, within one frame.
    begun, ended = numbers[0], numbers[-1]
    passed = (viewer.got[ended][1].frame - viewer.got[begun][1].frame) * FRAME
    assert signed(viewer.times[ended] - viewer.times[begun]) <= passed + 2 * FRAME


def check_pictures(viewer: Viewer) -> None:
    """In sequence order: a picture's packets share a number, the next has the next; over lost packets it is not behind."""
    numbers = sorted(viewer.got)
    for before, after in itertools.pairwise(numbers):
        (origin, old), (other, new) = viewer.got[before], viewer.got[after]
        mask = 0x7F if min(origin % 3, other % 3) == 0 else 0x7FFF
        step = viewer.pictures[after] - viewer.pictures[before] & mask
        if origin == other and old.frame == new.frame:
            assert step == 0
        elif after == before + 1:
            # Pictures between them, if there were any, were left out.
            assert step == 1
        if after == before + 1 and origin != other:
            assert viewer.tl0s[after] - viewer.tl0s[before] & 0xFF == 1


def simple_run(intake: Intake, sequences: list[int], timestamps: list[int]) -> Run:
    (run,) = intake.take(np.array(sequences, np.uint16), np.array(timestamps, np.uint32))
    return run


def started(sequence: int = 100, timestamp: int = 0) -> tuple[Rewriter, Intake]:
    """A view that was sent the single packet 10 of its layer."""
    rewriter, intake = Rewriter(sequence, timestamp), Intake(1)
    run = simple_run(intake, [10], [FRAME])
    rewriter.switch(run, now=0.0)
    assert rewriter.take(run, 0.0).sequences.tolist() == [sequence]
    return rewriter, intake


def test_nothing_passes_before_the_first_switch_and_nothing_of_other_layers():
    rewriter = Rewriter(100, 0)
    assert rewriter.take(simple_run(Intake(1), [10], [0]), 0.0) is None
    rewriter, _ = started()
    assert rewriter.take(simple_run(Intake(2), [11], [2 * FRAME]), 0.0) is None


def test_a_loss_on_the_way_to_us_is_a_gap_that_a_late_packet_fills():
    rewriter, intake = started()
    assert rewriter.take(simple_run(intake, [11, 13], [0, FRAME]), 0.0).sequences.tolist() == [
        101, 103,
    ]  # fmt: skip
    assert rewriter.find(102).extended & 0xFFFF == 12
    assert rewriter.take(simple_run(intake, [12], [0]), 0.0).sequences.tolist() == [102]


def test_what_is_left_out_leaves_no_gap():
    rewriter, intake = started()
    run = simple_run(intake, [11, 12, 13, 14], [0, 0, FRAME, FRAME])
    sent = rewriter.take(run, 0.0, np.array([True, False, False, True]))
    assert sent.sequences.tolist() == [101, 102]
    assert sent.lines.tolist() == [0, 3]
    assert rewriter.find(102).extended & 0xFFFF == 14


def test_what_should_be_left_out_but_comes_after_its_successors_is_sent_rather_than_leave_a_gap():
    rewriter, intake = started()
    rewriter.take(simple_run(intake, [12], [0]), 0.0)
    sent = rewriter.take(simple_run(intake, [11], [0]), 0.0, np.array([False]))
    assert sent.sequences.tolist() == [101]


def test_a_packet_that_was_left_out_does_not_come_back():
    rewriter, intake = started()
    rewriter.take(simple_run(intake, [11, 12], [0, 0]), 0.0, np.array([False, True]))
    assert rewriter.take(simple_run(intake, [11], [0]), 0.0) is None


def test_packets_from_before_the_switch_stay_away():
    rewriter, intake = started()
    assert rewriter.take(simple_run(intake, [9], [0]), 0.0) is None


def test_a_switch_after_a_silence_goes_on_after_the_silence():
    rewriter, _ = started(timestamp=0xFFFFFFFF - 10)
    other = simple_run(Intake(2), [500], [77])
    rewriter.switch(other, now=7.0)
    sent = rewriter.take(other, 7.0)
    assert sent.sequences.tolist() == [101]
    assert sent.timestamps.tolist() == [(0xFFFFFFFF - 10 + 7 * CLOCK_RATE) & 0xFFFFFFFF]


def test_a_replay_ends_at_the_present_and_live_pictures_go_on_from_there():
    rewriter, _ = started()
    other = Intake(2)
    replay = simple_run(other, list(range(500, 545)), [i * FRAME for i in range(45)])
    rewriter.switch(replay, now=1.0)
    sent = rewriter.take(replay, 1.0).timestamps.tolist()
    assert sent == sorted(set(sent))
    assert sent[-1] == CLOCK_RATE
    live = rewriter.take(simple_run(other, [545], [45 * FRAME]), 1.0 + FRAME_S)
    assert live.timestamps.tolist() == [CLOCK_RATE + FRAME]
    late = rewriter.find(100 + 3)
    assert late.stretch.timestamp(2 * FRAME) == sent[2]


def test_a_newcomers_replay_takes_no_time():
    rewriter = Rewriter(1, 1000)
    replay = simple_run(Intake(2), list(range(30)), [i * FRAME for i in range(30)])
    rewriter.switch(replay, now=0.0)
    sent = rewriter.take(replay, 0.0).timestamps.tolist()
    assert sent[0] == 1000
    assert sent[-1] - sent[0] < FRAME


@pytest.mark.parametrize("leap", [10 * CLOCK_RATE, -3 * CLOCK_RATE, 1 << 31])
def test_a_leap_of_a_layers_clock_is_none_of_the_view(leap):
    rewriter, intake = started()
    after = FRAME + leap
    stamps = [after & 0xFFFFFFFF, after + FRAME & 0xFFFFFFFF]
    first = rewriter.take(simple_run(intake, [11], stamps[:1]), FRAME_S)
    second = rewriter.take(simple_run(intake, [12], stamps[1:]), 2 * FRAME_S)
    assert first.timestamps.tolist() == [FRAME]
    assert second.timestamps.tolist() == [2 * FRAME]
    assert [*first.sequences.tolist(), *second.sequences.tolist()] == [101, 102]


def test_a_leap_within_a_batch_is_two_runs():
    intake = Intake(1)
    runs = intake.take(np.array([65_535, 0, 1], np.uint16), np.array([0, 0, 1 << 30], np.uint32))
    assert [(run.first & 0xFFFF, run.last & 0xFFFF) for run in runs] == [(65_535, 0), (1, 1)]
    assert intake.take(np.array([], np.uint16), np.array([], np.uint32)) == []


def test_pictures_in_decoding_order_keep_their_distances():
    """B-frames: timestamps go back a little and are believed."""
    rewriter, intake = started()
    stamps = [5 * FRAME, 3 * FRAME, 4 * FRAME]
    sent = rewriter.take(simple_run(intake, [11, 12, 13], stamps), 0.2).timestamps.tolist()
    assert [signed(one - sent[0]) for one in sent] == [0, -2 * FRAME, -FRAME]


def test_a_nack_of_long_ago_maps_to_nothing():
    rewriter, intake = started()
    for i in range(11, 11 + HISTORY):
        rewriter.take(simple_run(intake, [i & 0xFFFF], [0]), 0.0)
    assert rewriter.find(100) is None
    assert rewriter.find(101).extended & 0xFFFF == 11


def test_a_view_of_which_every_second_packet_is_left_out_remembers_a_bounded_past():
    rewriter, intake = started()
    for i in range(11, 11 + 6 * HISTORY, 2):
        run = simple_run(intake, [i & 0xFFFF, i + 1 & 0xFFFF], [0, 0])
        rewriter.take(run, 0.0, np.array([True, False]))
    assert len(rewriter._stretches) <= 1_024
    assert rewriter.find(rewriter.highest & 0xFFFF) is not None


def test_sender_reports_tell_the_views_own_time():
    rewriter, intake = started(timestamp=5)
    assert rewriter.timestamp_at(1.0) == 5 + CLOCK_RATE
    rewriter.take(simple_run(intake, [11], [2 * FRAME]), FRAME_S)
    assert rewriter.timestamp_at(FRAME_S) == 5 + FRAME
