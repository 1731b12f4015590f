"""What a path carries and which layer a view gets, on scripted paths: reports, loss and queues as they would come."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

from bridges.video.estimator import Estimator, SendRate
from bridges.video.layers import LayerChoice, usable_layers
from bridges.video.transport_cc import TransportFeedback
from commhub.ports.video import Layer

RATES = {Layer.MAIN: 4_200.0, Layer.SUB: 700.0, Layer.LOW: 150.0}
STEP_S = 0.05


@dataclass
class Path:
    """A far end behind a path of `capacity` kbit/s that also loses `loss` of the packets. It queues up to `queue_s` and
    then drops; it tells by receiver report every second, by REMB, by arrival times, or by some of them."""

    capacity: float
    loss: float = 0.0
    queue_s: float = 0.0
    reports: bool = True
    remb: bool = False
    arrivals: bool = False
    estimator: Estimator = field(default_factory=Estimator)
    choice: LayerChoice = field(default_factory=LayerChoice)
    now: float = 100.0
    changes: list[tuple[float, Layer]] = field(default_factory=list)
    _queued: float = 0.0
    _sent: float = 0.0
    _lost: float = 0.0
    _report_at: float = 101.0
    _number: int = 65_000
    _remb_kbps: float = 300.0
    _told: list[tuple[int, float]] = field(default_factory=list)

    def run(self, seconds: float) -> Layer:
        """Let time pass, a key frame always at hand; returns what is shown then."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self._step()
        return self.choice.shown

    def _step(self) -> None:
        wanted = self.choice.decide(
            RATES,
            self.estimator.kbps(self.now),
            self.now,
            is_strained=self.estimator.is_strained(self.now),
        )
        if wanted != self.choice.shown:
            self.choice.switched(wanted, self.now)
            self.changes.append((self.now, wanted))
        kbits = RATES[self.choice.shown] * STEP_S
        self._send(int(kbits * 1000 / 8))
        room = self.capacity * STEP_S
        self._queued += kbits
        through = min(self._queued, room)
        self._queued -= through
        overflow = max(0.0, self._queued - self.capacity * self.queue_s)
        self._queued -= overflow
        self._sent += kbits
        self._lost += overflow + through * self.loss
        self.now += STEP_S
        self._tell(through)

    def _send(self, octets: int) -> None:
        self.estimator.sent(octets, self.now)
        if self.arrivals:
            count = max(1, octets // 1200)
            numbers = np.arange(self._number, self._number + count) & 0xFFFF
            sizes = np.full(count, octets // count)
            self.estimator.sent_numbered(numbers, sizes, self.now)
            delay = 0.02 + self._queued / self.capacity
            share = STEP_S / count
            self._told += [
                (int(one), self.now + i * share + delay) for i, one in enumerate(numbers)
            ]
            self._number = self._number + count & 0xFFFF

    def _tell(self, through: float) -> None:
        if self.arrivals:
            come = [one for one in self._told if one[1] <= self.now]
            self._told = self._told[len(come) :]
            if come:
                ticks = tuple(int(at * 4000) for _, at in come)
                self.estimator.heard_arrivals(TransportFeedback(come[0][0], 0, ticks), self.now)
        if self.now < self._report_at:
            return
        self._report_at += 1.0
        if self.reports:
            self.estimator.heard_loss(self._lost / self._sent, self.now)
        if self.remb:
            arriving = through / STEP_S
            limit = self.capacity if self._queued or self._lost else 1.5 * arriving
            self._remb_kbps = min(self._remb_kbps * 1.08, limit)
            self.estimator.heard_remb(int(self._remb_kbps * 1000), self.now)
        self._sent = self._lost = 0.0


KINDS = {
    "loss alone": {},
    "a long queue and loss": {"queue_s": 0.5},
    "arrival times": {"queue_s": 2.0, "arrivals": True},
    "REMB": {"remb": True, "queue_s": 0.3},
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@kinds
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_good_path_keeps_main_though_two_percent_are_lost(kind, loss):
    path = Path(capacity=20_000, loss=loss, **kind)
    assert path.run(120) is Layer.MAIN
    assert [layer for _, layer in path.changes] == [Layer.MAIN]


@kinds
def test_a_path_of_one_megabit_falls_to_sub_within_two_seconds(kind):
    path = Path(capacity=1_000, **kind)
    assert path.run(2.0) is Layer.SUB
    assert path.run(5.0) is Layer.SUB
    assert [layer for _, layer in path.changes] == [Layer.MAIN, Layer.SUB]


@kinds
def test_a_path_that_narrows_falls_within_two_seconds_and_comes_back_when_it_widens(kind):
    path = Path(capacity=10_000, **kind)
    assert path.run(20) is Layer.MAIN
    path.capacity = 1_000
    assert path.run(2.0) is Layer.SUB
    assert path.run(4.0) is Layer.SUB
    path.capacity = 10_000
    assert path.run(30) is Layer.MAIN
    assert path.run(120) is Layer.MAIN


@kinds
def test_a_narrow_path_is_not_tried_again_and_again(kind):
    path = Path(capacity=1_000, **kind)
    path.run(600)
    trials = [at for at, layer in path.changes[1:] if layer is Layer.MAIN]
    assert len(trials) <= 6
    waits = np.diff(trials)
    assert all(later > earlier * 1.5 for earlier, later in itertools.pairwise(waits))
    assert Layer.LOW not in {layer for _, layer in path.changes}


def test_a_path_of_a_fifth_of_a_megabit_ends_at_low():
    path = Path(capacity=200)
    assert path.run(4) is Layer.LOW


def test_a_view_without_any_report_stays_at_its_best():
    path = Path(capacity=20_000, reports=False)
    assert path.run(60) is Layer.MAIN
    assert path.estimator.kbps(path.now) is None


def test_a_tile_gets_no_more_than_it_needs_and_main_at_once_when_it_is_focused():
    path = Path(capacity=20_000, choice=LayerChoice(Layer.SUB))
    assert path.run(30) is Layer.SUB
    path.choice.limit(Layer.MAIN)
    assert path.run(0.1) is Layer.MAIN
    path.choice.limit(Layer.LOW)
    assert path.run(0.1) is Layer.LOW


def test_a_layer_that_begins_later_is_taken_up_and_one_that_ends_is_left():
    choice = LayerChoice()
    assert choice.decide({}, None, 0.0) is None
    assert choice.decide({Layer.SUB: 700.0}, None, 0.0) is Layer.SUB
    choice.switched(Layer.SUB, 0.0)
    assert choice.decide(RATES, 5_000.0, 1.0) is Layer.MAIN
    choice.switched(Layer.MAIN, 1.0)
    assert choice.decide({Layer.LOW: 150.0}, 5_000.0, 2.0) is Layer.LOW


def test_the_old_layer_goes_on_until_the_new_one_has_a_key_frame_and_a_wish_may_be_taken_back():
    choice = LayerChoice()
    choice.decide(RATES, None, 0.0)
    choice.switched(Layer.MAIN, 0.0)
    for at in (5.0, 5.4):
        choice.decide(RATES, 900.0, at, is_strained=True)
    assert (choice.wanted, choice.shown) == (Layer.SUB, Layer.MAIN)
    choice.decide(RATES, 5_000.0, 5.8)
    assert (choice.wanted, choice.shown) == (Layer.MAIN, Layer.MAIN)


def test_of_layers_that_are_all_too_good_the_least_is_shown():
    assert usable_layers({Layer.MAIN: 1.0}, Layer.LOW) == [Layer.MAIN]
    assert usable_layers({Layer.MAIN: 1.0, Layer.SUB: 1.0}, Layer.LOW) == [Layer.SUB]
    assert usable_layers({}, Layer.MAIN) == []


def test_the_rate_is_that_of_the_last_second():
    rate = SendRate()
    assert rate.kbps(0.0) == 0.0
    for i in range(400):
        rate.add(1_250, i / 100)
    assert rate.kbps(4.0) == pytest.approx(1_000, rel=0.06)
    assert rate.kbps(5.1) == 0.0


def test_feedback_of_packets_never_sent_or_long_ago_changes_nothing():
    estimator = Estimator()
    estimator.heard_arrivals(TransportFeedback(5, 0, (1, 2, None)), 0.0)
    estimator.sent_numbered(np.array([5]), np.array([1200]), 1.0)
    estimator.heard_arrivals(TransportFeedback(4, 0, (9, 40_000, 1)), 60.0)
    assert (estimator.queue_s, estimator.kbps(60.0)) == (0.0, None)


def test_an_impossible_fraction_is_bounded():
    estimator = Estimator()
    estimator.sent(10_000, 0.0)
    estimator.heard_loss(7.0, 0.1)
    assert estimator.loss == 1.0
    assert estimator.kbps(0.1) == 50.0
