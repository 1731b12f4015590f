"""Checks that we begin, against scripted far ends: which path is chosen, when consent is asked, and whose answers count."""

import pytest
from aioice import stun

from bridges.transport.checking import CANDIDATES_LIMIT, Checking, RemoteIce
from bridges.transport.stun import Credentials, answer_check

OURS, THEIRS = Credentials("ours", "o" * 22), Credentials("them", "t" * 22)
NEAR, FAR, ELSEWHERE = ("192.0.2.1", 1001), ("192.0.2.2", 1002), ("192.0.2.3", 1003)


class FarEnd:
    """Answers at the addresses in `there`; `asked` is what came, `clock` the time both have."""

    def __init__(self, *candidates, there=None, credentials=THEIRS):
        self.clock = 100.0
        self.there = set(candidates if there is None else there)
        self.credentials = credentials
        self.asked = []
        remote = RemoteIce(ufrag="them", password="t" * 22, candidates=candidates)
        self.checking = Checking(OURS, remote, self.clock, dice=lambda: 0.5)

    def run(self, seconds, step=0.025):
        """Let time pass; checks are answered at once."""
        end = self.clock + seconds
        while self.clock < end:
            checks = self.checking.due(self.clock)
            while checks:
                for data, goal in checks:
                    self.asked.append((stun.parse_message(data), goal))
                    if goal in self.there:
                        self.answer(data, goal)
                checks = self.checking.due(self.clock)
            self.clock += step

    def answer(self, data, goal):
        check = answer_check(data, self.credentials, ("198.51.100.9", 5))
        if check is not None:
            self.checking.take(check.answer, goal, self.clock)

    def goals(self, *, nominates=None):
        return [
            goal
            for message, goal in self.asked
            if nominates is None or ("USE-CANDIDATE" in message.attributes) == nominates
        ]


def first_check(far):
    ((data, goal),) = far.checking.due(far.clock)
    return data, goal


def test_the_first_address_that_answers_is_nominated_and_is_the_path():
    far = FarEnd(NEAR, FAR)
    far.run(0.1)
    assert far.checking.path == NEAR
    assert far.goals(nominates=True) == [NEAR]
    message, _ = far.asked[0]
    assert message.attributes["USERNAME"] == "them:ours"
    assert "ICE-CONTROLLING" in message.attributes
    assert "USE-CANDIDATE" not in message.attributes
    assert message.check_message_integrity(b"t" * 22)


def test_addresses_are_asked_one_after_another_and_again_with_longer_pauses():
    far = FarEnd(NEAR, FAR, there=())
    far.run(0.06)
    assert far.goals() == [NEAR, FAR]
    far.run(15)
    assert far.checking.path is None
    assert 16 <= len(far.asked) <= 32


def test_where_the_best_address_is_dead_the_next_one_is_the_path():
    far = FarEnd(NEAR, FAR, there=[FAR])
    far.run(0.3)
    assert far.checking.path == FAR


def test_an_address_the_far_end_proved_itself_is_asked_too():
    far = FarEnd(there=[ELSEWHERE])
    far.run(1)
    assert far.asked == []
    far.checking.heard(ELSEWHERE, far.clock)
    far.run(0.2)
    assert far.checking.path == ELSEWHERE


def test_consent_is_asked_every_five_seconds_and_every_second_while_none_comes():
    far = FarEnd(NEAR)
    far.run(1)
    before = len(far.asked)
    far.run(20)
    assert len(far.asked) - before == 4
    answered = far.checking.answered_at
    far.there.clear()
    far.run(11)
    assert far.checking.answered_at == answered
    assert 5 <= far.goals().count(NEAR) - before - 4 <= 12


def test_who_moved_is_found_where_it_is_heard_from():
    far = FarEnd(NEAR)
    far.run(1)
    far.there = {ELSEWHERE}
    far.checking.heard(ELSEWHERE, far.clock)
    far.run(12)
    assert far.checking.path == ELSEWHERE


def test_a_path_that_answers_but_never_its_nomination_gives_way():
    far = FarEnd(NEAR, FAR)
    plain = far.answer

    def fickle(data, goal):
        if goal == FAR or b"\x00\x25\x00\x00" not in data:
            plain(data, goal)

    far.answer = fickle
    far.run(5)
    assert far.checking.path == FAR


def test_after_a_conflict_of_roles_we_take_the_other_one():
    far = FarEnd(NEAR)
    data, goal = first_check(far)
    refusal = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.ERROR,
        transaction_id=data[8:20],
    )
    refusal.attributes["ERROR-CODE"] = (487, "Role Conflict")
    refusal.add_message_integrity(b"t" * 22)
    assert far.checking.take(bytes(refusal), goal, far.clock)
    far.run(0.3)
    assert "ICE-CONTROLLED" in far.asked[0][0].attributes
    assert far.goals(nominates=True) == []
    assert far.checking.path == NEAR


@pytest.mark.parametrize(
    ("password", "source"),
    [("x" * 22, NEAR), ("t" * 22, FAR)],
    ids=["forged", "from elsewhere"],
)
def test_an_answer_that_is_forged_or_comes_from_elsewhere_is_none(password, source):
    far = FarEnd(NEAR)
    data, goal = first_check(far)
    answer = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=data[8:20],
    )
    answer.attributes["XOR-MAPPED-ADDRESS"] = goal
    answer.add_message_integrity(password.encode())
    assert not far.checking.take(bytes(answer), source, far.clock)
    far.there.clear()
    far.run(0.2)
    assert far.checking.path is None


def test_an_answer_counts_once_and_an_unsigned_one_or_rubbish_never():
    far = FarEnd(NEAR)
    data, goal = first_check(far)
    bare = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=data[8:20],
    )
    for rubbish in (bytes(bare), b"", b"\x01\x01", data, data[:19], b"\x01\x01" + data[2:] * 20):
        assert not far.checking.take(rubbish, goal, far.clock)
    answer = answer_check(data, THEIRS, goal).answer
    assert far.checking.take(answer, goal, far.clock)
    assert not far.checking.take(answer, goal, far.clock)


def test_no_more_addresses_are_asked_than_there_may_be():
    many = [("192.0.2.9", 1000 + n) for n in range(200)]
    far = FarEnd(*many, there=())
    for n in range(200):
        far.checking.heard(("192.0.2.8", 1000 + n), far.clock)
    far.run(15)
    assert len(set(far.goals())) <= 2 * CANDIDATES_LIMIT
    # One each 50 ms at most, however many there are.
    assert len(far.asked) <= 15 / 0.05 + 1
