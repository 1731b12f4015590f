"""What a successor of a worker is told, and how it is written down."""

import os
from dataclasses import replace

import pytest
from fakes.clock import ScriptedClock

from bridges import protocol
from bridges.journal import KEPT, PASSING, Journal
from bridges.journal_file import FRESH_FOR_S, MAX_TAKES, TAKES_WITHIN_S, JournalFile
from bridges.restoring import restore
from commhub.domain.errors import UnavailableError
from commhub.ports.media import (
    AudioFormat,
    LegShape,
    MediaOrder,
    Playback,
    RadioStanding,
    RtpAddress,
    RtpRemote,
    SrtpKeys,
    WebRtcOrder,
)

REMOTE = RtpRemote(
    address=RtpAddress("127.0.0.1", 4000),
    audio=AudioFormat(encoding="PCMU", payload_type=0),
    srtp=SrtpKeys(suite="AES_CM_128_HMAC_SHA1_80", local_key="ours", remote_key="theirs"),
)
RESERVE = MediaOrder(call_id="c1", leg_id="l1")
CONNECT = protocol.ConnectArgs("l1", REMOTE)
JOIN = protocol.JoinGroupArgs("c1", "g1", "street-a")
RECORD = protocol.RecordArgs("c1", True, True)


def filled(*orders):
    journal = Journal()
    for order in orders:
        journal.keep(order)
    return journal


def told(journal, call_id=None):
    return list(journal.orders(call_id))


def test_every_order_is_either_kept_or_of_the_moment():
    assert set(protocol.ARGS.values()) == KEPT | PASSING
    assert not KEPT & PASSING


def test_a_leg_is_told_with_the_port_it_was_given():
    journal = Journal()
    journal.keep(RESERVE, {"host": "127.0.0.1", "port": 24_006})
    journal.keep(CONNECT)
    assert told(journal) == [MediaOrder(call_id="c1", leg_id="l1", port=24_006), CONNECT]


def test_a_place_and_the_far_end_it_was_asked_for_with_are_told_apart():
    journal = Journal()
    both = replace(RESERVE, remote=REMOTE)
    assert journal.keep(both, {"port": 24_006}) == replace(both, port=24_006)
    place = replace(RESERVE, port=24_006)
    assert told(journal) == [place, CONNECT]
    hold = protocol.ConnectArgs("l1", replace(REMOTE, receives=False))
    journal.keep(hold)
    assert told(journal) == [place, hold]
    journal.keep(RESERVE, {"port": 24_006})
    assert told(journal) == [place, hold]


def test_the_last_word_about_a_thing_is_told_once():
    hold = protocol.ConnectArgs("l1", replace(REMOTE, receives=False))
    quiet, loud = (protocol.ShapeArgs("l1", LegShape(muted=muted)) for muted in (True, False))
    journal = filled(RESERVE, CONNECT, quiet, hold, loud, quiet)
    assert told(journal) == [RESERVE, hold, quiet]


def test_a_released_leg_takes_its_orders_along_and_the_last_one_the_calls():
    key = protocol.KeyGroupArgs("c1", "street-a", True)
    journal = filled(RESERVE, CONNECT, JOIN, RECORD, key, protocol.ReleaseArgs("l1"))
    assert told(journal) == [JOIN, RECORD, key]
    journal.keep(protocol.ReleaseArgs("g1"))
    assert told(journal) == []
    assert journal.calls == ()
    journal.keep(protocol.ReleaseArgs("g1"))
    assert told(journal) == []


def test_a_recording_a_key_and_a_prompt_that_were_stopped_are_not_told():
    loop = Playback(id="p1", call_id="c1", prompt="hold", leg_ids=("l1",), loop=True)
    once = Playback(id="p2", call_id="c1", prompt="beep")
    key = protocol.KeyGroupArgs("c1", "street-a", True)
    journal = filled(RESERVE, JOIN, RECORD, key, loop, once)
    assert told(journal) == [RESERVE, JOIN, RECORD, key, loop]
    for order in (
        protocol.RecordArgs("c1", False),
        protocol.KeyGroupArgs("c1", "street-a", False),
        protocol.StopPlayingArgs("p1"),
        protocol.StopPlayingArgs("p2"),
    ):
        journal.keep(order)
    assert told(journal) == [RESERVE, JOIN]


def test_a_moved_leg_is_told_in_its_new_call():
    shape = protocol.ShapeArgs("l1", LegShape(gain_db=3.0))
    journal = filled(RESERVE, CONNECT, shape, JOIN, protocol.MoveArgs("l1", "c2"))
    assert told(journal, "c2") == [MediaOrder(call_id="c2", leg_id="l1"), CONNECT, shape]
    assert told(journal, "c1") == [JOIN]
    assert journal.legs == {"g1": "c1", "l1": "c2"}


def test_a_browsers_leg_is_known_but_not_how_it_was_answered():
    order = WebRtcOrder(call_id="c1", leg_id="d1")
    journal = filled(protocol.AnswerArgs(order, "v=0 with keys"), protocol.MoveArgs("d1", "c2"))
    assert told(journal) == [protocol.AnswerArgs(replace(order, call_id="c2"), "")]
    carried_out = []
    assert restore(told(filled(RESERVE, protocol.AnswerArgs(order, ""))), carried_out.append) == {
        "d1"
    }
    assert carried_out == [RESERVE]


def test_a_leg_whose_port_is_taken_or_that_is_refused_is_let_go_and_the_others_are_had():
    done = []

    def carry_out(args):
        done.append(args)
        if isinstance(args, MediaOrder):
            return {"host": "127.0.0.1", "port": 24_010 if args.leg_id == "l1" else args.port}
        if args == protocol.ConnectArgs("l2", REMOTE):
            raise UnavailableError("no room")
        return None

    had = [MediaOrder(call_id="c1", leg_id=f"l{n}", port=24_000 + 2 * n) for n in (1, 2, 3)]
    orders = [
        order
        for n, one in enumerate(had, 1)
        for order in (one, protocol.ConnectArgs(f"l{n}", REMOTE))
    ]
    assert restore(orders, carry_out) == {"l1", "l2"}
    assert done == [
        had[0],
        protocol.ReleaseArgs("l1"),
        had[1],
        protocol.ConnectArgs("l2", REMOTE),
        protocol.ReleaseArgs("l2"),
        had[2],
        protocol.ConnectArgs("l3", REMOTE),
    ]


def test_the_standing_of_the_radios_is_told_first_and_whole():
    one, two = (RadioStanding(device_id=f"r{n}", groups=("a",)) for n in (1, 2))
    sos = RadioStanding(device_id="r1", groups=("a",), emergency=True)
    journal = filled(
        RESERVE, protocol.EnrollArgs((one, two), True), protocol.EnrollArgs((sos,), False)
    )
    assert told(journal) == [protocol.EnrollArgs((sos, two), True), RESERVE]


def test_orders_about_unknown_legs_leave_nothing():
    journal = filled(CONNECT, protocol.MoveArgs("l1", "c2"), protocol.RecordArgs("c9", False))
    assert told(journal) == []


# --- on disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "w0.journal"


def write(path, clock, *orders):
    """A worker that took the orders and was killed."""
    file = JournalFile(path, clock)
    file.take_up()
    for order in orders:
        file.keep(order)
    file.touch()
    file.close()


def taken(path, clock):
    file = JournalFile(path, clock)
    orders = list(file.take_up())
    file.touch()
    file.close()
    return orders


def test_a_successor_reads_what_the_killed_worker_kept(path, clock):
    write(path, clock, RESERVE, CONNECT, JOIN, RECORD, protocol.StatusArgs())
    assert taken(path, clock) == [RESERVE, CONNECT, JOIN, RECORD]
    assert taken(path, clock) == [RESERVE, CONNECT, JOIN, RECORD]


def test_a_successor_reads_a_place_and_its_far_end_from_one_line(path, clock):
    write(path, clock, replace(RESERVE, remote=REMOTE), JOIN)
    assert taken(path, clock) == [RESERVE, CONNECT, JOIN]


def test_only_the_owner_may_read_the_keys_in_it(path, clock):
    write(path, clock, RESERVE, CONNECT)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_last_line_costs_that_order_alone(path, clock):
    write(path, clock, RESERVE, CONNECT, JOIN)
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    os.utime(path, (clock.now().timestamp(),) * 2)
    assert taken(path, clock) == [RESERVE, CONNECT]


@pytest.mark.parametrize(
    "line",
    [b"\x00\xff", b"[]", b'{"op": "fly"}', b'{"op": "reserve", "args": 7}', b'{"taken_up": 7}'],
)
def test_a_line_nobody_understands_is_passed_over(path, clock, line):
    write(path, clock, RESERVE, CONNECT)
    with path.open("ab") as file:
        file.write(line + b"\n")
    os.utime(path, (clock.now().timestamp(),) * 2)
    assert taken(path, clock) == [RESERVE, CONNECT]


def test_calls_that_were_left_alone_too_long_are_not_taken_up(path, clock):
    write(path, clock, RESERVE, CONNECT)
    clock.advance(FRESH_FOR_S + 1)
    assert taken(path, clock) == []
    assert taken(path, clock) == []


def test_calls_that_kill_every_worker_are_given_up(path, clock):
    write(path, clock, RESERVE, CONNECT)
    for _ in range(MAX_TAKES - 1):
        clock.advance(1)
        assert taken(path, clock) == [RESERVE, CONNECT]
    clock.advance(1)
    assert taken(path, clock) == []


def test_calls_whose_worker_dies_now_and_then_are_not_given_up(path, clock):
    write(path, clock, RESERVE, CONNECT)
    for _ in range(2 * MAX_TAKES):
        clock.advance(TAKES_WITHIN_S / 2)
        assert taken(path, clock) == [RESERVE, CONNECT]


def test_the_file_stays_as_short_as_its_calls(path, clock):
    file = JournalFile(path, clock)
    file.take_up()
    file.keep(RESERVE)
    for n in range(5000):
        file.keep(protocol.ShapeArgs("l1", LegShape(muted=bool(n % 2))))
    file.close()
    assert len(path.read_bytes().splitlines()) < 2500
