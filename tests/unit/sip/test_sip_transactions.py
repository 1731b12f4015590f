"""The four machines of RFC 3261 §17 under scripted time and loss. T1 is 0.5 s, as in the RFC."""

import heapq
from collections import Counter

import pytest

from gateways.sip.config import TimerConfig
from gateways.sip.message import Request, parse
from gateways.sip.transactions import State, TransactionLayer
from gateways.sip.transport import Hop

PEER = Hop("192.0.2.1", 5060)


class ScriptedTime:
    """A scheduler that moves only by `advance`."""

    def __init__(self):
        self.now = 0.0
        self._due = []
        self._count = 0

    def call_later(self, delay, callback):
        self._count += 1
        entry = [self.now + delay, self._count, callback]
        heapq.heappush(self._due, entry)
        return _Timer(entry)

    def advance(self, seconds):
        end = self.now + seconds
        while self._due and self._due[0][0] <= end + 1e-9:
            at, _, callback = heapq.heappop(self._due)
            self.now = at
            if callback is not None:
                callback()
        self.now = end

    @property
    def pending(self):
        return sum(entry[2] is not None for entry in self._due)


class _Timer:
    def __init__(self, entry):
        self._entry = entry

    def cancel(self):
        self._entry[2] = None


class User:
    """Both a client's and a server's user: it remembers."""

    def __init__(self):
        self.requests, self.responses, self.failed = [], [], []
        self.acks, self.cancels, self.unacknowledged, self.strays = [], [], [], []

    def response_received(self, transaction, response, source):
        self.responses.append(response.status)

    def transaction_failed(self, transaction, error):
        self.failed.append(error)

    def request_received(self, transaction):
        self.requests.append(transaction)

    def cancelled(self, transaction):
        self.cancels.append(transaction)

    def ack_received(self, request, source, transaction):
        self.acks.append((request, transaction))

    def answer_unacknowledged(self, transaction):
        self.unacknowledged.append(transaction)

    def stray_response(self, response, source):
        self.strays.append(response)


class Side:
    def __init__(self, *, peer=PEER):
        self.peer = peer
        self.time, self.user, self.sent = ScriptedTime(), User(), []
        self.times = []
        self.layer = TransactionLayer(self.time, TimerConfig(), self._send, self.user)

    def _send(self, data, hop):
        self.sent.append(parse(data))
        self.times.append(round(self.time.now, 3))

    def start(self, method):
        return self.layer.start_client(request(method), self.peer, self.user)

    def answer(self, transaction, status, tag="far"):
        response = transaction.request.response(status, to_tag=tag)
        self.layer.receive_response(response, self.peer)

    def hear(self, method, branch="z9hG4bKin"):
        self.layer.receive_request(request(method, branch), self.peer)

    def statuses(self):
        return [m.status for m in self.sent]

    def methods(self):
        return [m.method for m in self.sent]


def request(method, branch="z9hG4bKout"):
    text = (
        f"{method} sip:b@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch={branch};rport\r\n"
        "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n"
        f"CSeq: 1 {method}\r\n\r\n"
    )
    found = parse(text.encode())
    assert isinstance(found, Request)
    return found


@pytest.fixture
def side():
    return Side()


# --- client, INVITE (17.1.1) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "methods"), [(180, []), (200, []), (486, ["ACK"])])
def test_a_request_of_a_former_process_that_was_answered_is_not_sent_again(status, methods):
    side = Side()
    transaction = side.layer.adopt_client(request("INVITE"), PEER, side.user)
    side.answer(transaction, status)
    transaction.start()
    side.time.advance(40)
    assert side.methods() == methods
    assert side.user.failed == []


def test_an_unheard_invite_is_sent_seven_times_and_then_given_up(side):
    side.start("INVITE")
    side.time.advance(31.9)

    assert side.times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert not side.user.failed
    side.time.advance(0.2)
    assert len(side.user.failed) == 1
    assert side.time.pending == 0


def test_a_provisional_response_stops_the_retransmission_of_an_invite(side):
    transaction = side.start("INVITE")
    side.time.advance(0.6)
    side.answer(transaction, 180)
    side.time.advance(100)

    assert len(side.sent) == 2
    assert side.user.responses == [180]
    assert transaction.state is State.PROCEEDING


def test_a_refusal_is_acknowledged_every_time_it_comes_and_told_once(side):
    transaction = side.start("INVITE")
    for _ in range(3):
        side.answer(transaction, 486)

    assert side.methods() == ["INVITE", "ACK", "ACK", "ACK"]
    ack = side.sent[1]
    assert ack.cseq.sequence == 1
    assert ack.top_via.parameters["branch"] == "z9hG4bKout"
    assert ack.recipient.tag == "far"
    assert side.user.responses == [486]
    side.time.advance(32.1)
    assert transaction.state is State.TERMINATED


def test_every_200_of_a_fork_reaches_the_user_until_timer_m(side):
    transaction = side.start("INVITE")
    side.answer(transaction, 200, tag="one")
    side.answer(transaction, 200, tag="two")

    assert side.user.responses == [200, 200]
    assert side.methods() == ["INVITE"]
    side.time.advance(32.1)
    side.answer(transaction, 200, tag="one")
    assert len(side.user.strays) == 1


def test_cancel_waits_for_a_provisional_response_and_goes_once(side):
    transaction = side.start("INVITE")
    transaction.cancel(side.user)
    assert side.methods() == ["INVITE"]

    side.answer(transaction, 180)
    transaction.cancel(side.user)
    transaction.cancel(side.user)

    assert side.methods() == ["INVITE", "CANCEL"]
    assert side.sent[1].get("Via") == side.sent[0].get("Via")
    assert side.sent[1].get("CSeq") == "1 CANCEL"


def test_a_cancelled_invite_whose_487_never_comes_is_given_up(side):
    transaction = side.start("INVITE")
    side.answer(transaction, 180)
    transaction.cancel(side.user)
    side.time.advance(33)

    assert len(side.user.failed) == 2  # the CANCEL, and the INVITE
    assert side.time.pending == 0


# --- client, other requests (17.1.2) -------------------------------------------------------------------------


def test_an_unheard_request_is_repeated_up_to_every_t2_until_timer_f(side):
    side.start("BYE")
    side.time.advance(31.9)

    assert side.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    side.time.advance(0.2)
    assert len(side.user.failed) == 1


def test_a_final_response_that_comes_again_is_absorbed_until_timer_k(side):
    transaction = side.start("OPTIONS")
    side.answer(transaction, 200)
    side.answer(transaction, 200)

    assert side.user.responses == [200]
    side.time.advance(5.1)
    side.answer(transaction, 200)
    assert len(side.user.strays) == 1


# --- server, INVITE (17.2.1) ---------------------------------------------------------------------------------


def test_a_slow_answer_is_preceded_by_100(side):
    side.hear("INVITE")
    side.time.advance(0.25)

    assert side.statuses() == [100]


def test_a_repeated_invite_is_answered_with_the_last_response_and_told_once(side):
    side.hear("INVITE")
    (transaction,) = side.user.requests
    transaction.respond(transaction.request.response(180, to_tag="x"))
    side.hear("INVITE")

    assert side.statuses() == [180, 180]
    assert len(side.user.requests) == 1


def test_a_refusal_is_repeated_until_its_ack(side):
    side.hear("INVITE")
    (transaction,) = side.user.requests
    transaction.refuse(486)
    side.time.advance(4)
    assert side.times == [0, 0.5, 1.5, 3.5]

    side.hear("ACK")
    side.time.advance(3)
    assert len(side.sent) == 4
    assert transaction.state is State.CONFIRMED
    side.hear("ACK")
    side.time.advance(3)
    assert transaction.state is State.TERMINATED
    assert side.user.acks == []


def test_a_refusal_without_ack_ends_by_timer_h_and_is_told(side):
    side.hear("INVITE")
    side.user.requests[0].refuse(486)
    side.time.advance(33)

    assert Counter(side.statuses())[486] == 11
    assert len(side.user.unacknowledged) == 1
    assert side.time.pending == 0


def test_after_a_200_the_machine_is_silent_and_its_ack_is_the_users(side):
    side.hear("INVITE")
    (transaction,) = side.user.requests
    transaction.respond(transaction.request.response(200, to_tag="x"))
    side.hear("INVITE")
    side.time.advance(10)
    side.hear("ACK")

    assert side.statuses() == [200]
    assert len(side.user.acks) == 1
    assert side.user.acks[0][1] is transaction


def test_a_second_final_response_is_not_sent(side):
    side.hear("INVITE")
    (transaction,) = side.user.requests
    transaction.respond(transaction.request.response(200, to_tag="x"))
    transaction.refuse(500)

    assert side.statuses() == [200]


def test_cancel_is_answered_and_told_while_the_invite_is_open(side):
    side.hear("INVITE")
    side.hear("CANCEL")

    assert side.statuses() == [200]
    assert side.user.cancels == side.user.requests
    assert side.sent[0].recipient.tag == side.user.requests[0].to_tag


def test_cancel_after_the_answer_is_answered_and_changes_nothing(side):
    side.hear("INVITE")
    (transaction,) = side.user.requests
    transaction.respond(transaction.request.response(200, to_tag="x"))
    side.hear("CANCEL")

    assert side.statuses() == [200, 200]
    assert side.user.cancels == []


def test_cancel_of_nothing_is_481(side):
    side.hear("CANCEL")

    assert side.statuses() == [481]


# --- server, other requests (17.2.2) -------------------------------------------------------------------------


def test_a_repeated_request_gets_the_same_final_response_until_timer_j(side):
    side.hear("BYE")
    side.user.requests[0].refuse(200)
    for _ in range(3):
        side.hear("BYE")
    assert side.statuses() == [200] * 4

    side.time.advance(32.1)
    side.hear("BYE")
    assert len(side.user.requests) == 2


def test_a_request_is_the_same_only_with_branch_host_and_method(side):
    side.hear("OPTIONS", "z9hG4bKone")
    side.hear("OPTIONS", "z9hG4bKtwo")
    side.hear("BYE", "z9hG4bKone")

    assert len(side.user.requests) == 3


def test_without_the_magic_cookie_the_older_rule_matches_repeats(side):
    side.hear("OPTIONS", "1")
    side.hear("OPTIONS", "1")

    assert len(side.user.requests) == 1


def test_a_full_table_refuses_without_remembering():
    side = Side()
    side.layer._limit = 1
    side.hear("OPTIONS", "z9hG4bKone")
    side.hear("OPTIONS", "z9hG4bKtwo")

    assert side.statuses() == [503]
    assert len(side.user.requests) == 1


# --- reliable transports (17.1.1.2, 17.1.2.2, 17.2.1, 17.2.2) and connections that break (17.1.4) ----------------

STREAM = Hop("192.0.2.1", 5060, "TCP")
FLOW = Hop("192.0.2.1", 49152, "TCP").as_flow()


def test_over_a_stream_no_request_is_repeated_and_silence_still_ends_it():
    for method in ("INVITE", "BYE"):
        side = Side(peer=STREAM)
        side.start(method)
        side.time.advance(31.9)
        assert side.methods() == [method]
        side.time.advance(0.2)
        assert [error.status for error in side.user.failed] == [408]


def test_over_a_stream_timers_d_and_k_are_zero():
    for method, status in (("INVITE", 486), ("BYE", 200)):
        side = Side(peer=STREAM)
        transaction = side.start(method)
        side.answer(transaction, status)
        side.time.advance(0)
        assert transaction.state is State.TERMINATED
        assert side.time.pending == 0


def test_over_a_stream_timers_i_and_j_are_zero_and_a_refusal_is_sent_once():
    side = Side(peer=STREAM)
    side.hear("BYE")
    side.user.requests[0].refuse(200)
    side.time.advance(0)
    assert side.user.requests[0].state is State.TERMINATED

    side.hear("INVITE")
    invite = side.user.requests[1]
    invite.refuse(486)
    side.time.advance(20)
    assert side.statuses() == [200, 486]
    side.hear("ACK")
    side.time.advance(0)
    assert invite.state is State.TERMINATED
    assert side.time.pending == 0


def test_an_unanswered_request_is_repeated_once_over_a_new_connection_and_then_fails_with_503():
    side = Side(peer=STREAM)
    side.start("BYE")
    side.layer.connection_lost(STREAM, "reset")
    assert side.methods() == ["BYE", "BYE"]
    assert side.sent[0].get("Via") == side.sent[1].get("Via")

    side.layer.connection_lost(STREAM, "refused")
    assert [error.status for error in side.user.failed] == [503]
    assert side.time.pending == 0


def test_what_went_to_a_phone_by_its_own_connection_fails_with_it():
    side = Side(peer=FLOW)
    side.start("INVITE")
    side.layer.connection_lost(FLOW, "closed")

    assert side.methods() == ["INVITE"]
    assert [error.status for error in side.user.failed] == [503]


def test_a_ringing_invite_outlives_its_connection_because_the_answer_may_come_by_another():
    side = Side(peer=FLOW)
    transaction = side.start("INVITE")
    side.answer(transaction, 180)
    side.layer.connection_lost(FLOW, "closed")
    side.answer(transaction, 200)

    assert side.user.failed == []
    assert side.user.responses == [180, 200]


def test_a_connection_that_breaks_concerns_nobody_elses_requests():
    side = Side(peer=STREAM)
    side.start("BYE")
    side.layer.connection_lost(Hop("192.0.2.1", 5061, "TCP"), "closed")
    side.layer.connection_lost(Hop("192.0.2.1", 5060, "TLS"), "closed")

    assert side.methods() == ["BYE"]
    assert side.user.failed == []
    side.time.advance(33)
    assert side.layer._by_connection == {}


# --- both ends, scripted loss --------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [{0}, {0, 1, 2}, {1, 3}, {0, 2, 4, 6}])
def test_a_refused_invite_survives_the_loss_of_any_of_its_messages(lost):
    """Caller and callee share one time; the numbered datagrams vanish."""
    time, count = ScriptedTime(), iter(range(1000))
    caller, callee = User(), User()
    layers = {}

    def wire(to):
        def send(data, hop):
            if next(count) in lost:
                return
            message = parse(data)
            if isinstance(message, Request):
                time.call_later(0.01, lambda: layers[to].receive_request(message, PEER))
            else:
                time.call_later(0.01, lambda: layers[to].receive_response(message, PEER))

        return send

    layers["callee"] = TransactionLayer(time, TimerConfig(), wire("caller"), callee)
    layers["caller"] = TransactionLayer(time, TimerConfig(), wire("callee"), caller)
    callee.request_received = lambda transaction: (
        callee.requests.append(transaction),
        transaction.refuse(486),
    )
    layers["caller"].start_client(request("INVITE"), PEER, caller)
    time.advance(120)

    assert caller.responses == [486]
    assert len(callee.requests) == 1
    assert callee.unacknowledged == []
    assert time.pending == 0
