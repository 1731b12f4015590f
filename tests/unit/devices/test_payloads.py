"""Payload rules that need no broker to be seen."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.errors import WireError
from devices.payloads import (
    MAX_BYTES,
    Birth,
    Sos,
    credible_time,
    describe,
    name_of,
    read,
    read_text,
    read_time,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ts", "time"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1.5, datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),
        ("2026-03-02T16:00:00+08:00", NOW),
        ("2026-03-02T08:00:00Z", NOW),
        ("2026-03-02T08:00:00", None),
        ("yesterday", None),
        (True, None),
        (float("nan"), None),
        (1e300, None),
        (10**400, None),
        (None, None),
        ([1], None),
    ],
)
def test_times_are_read_or_left_out(ts: object, time: datetime | None) -> None:
    assert read_time(ts) == time


def test_a_time_nobody_believes_is_now() -> None:
    assert credible_time(0, NOW) == NOW
    assert credible_time((NOW + timedelta(days=1)).timestamp(), NOW) == NOW
    late = NOW - timedelta(minutes=5)
    assert credible_time(late.timestamp(), NOW) == late


def test_newer_firmware_may_say_more() -> None:
    birth = read(Birth, b'{"boot": "b1", "holograms": [1, {"x": 2}]}', "b7")
    assert birth.boot == "b1"


def test_faults_name_the_place_and_repeat_nothing() -> None:
    with pytest.raises(WireError) as caught:
        read(Birth, b'{"boot": "b1", "groups": ["north", "geheim #1"]}', "b7")
    assert describe(caught.value) == {"reason": "fields", "fault": "groups.1: value_error"}


def test_nul_in_text_is_dropped_because_no_database_keeps_it() -> None:
    assert read_text("he\x00lp", 100) == "help"
    assert read(Birth, b'{"boot": "b1", "model": "X\\u00001"}', "b7").model == "X1"


def test_a_broken_sos_still_says_which_one_it_is() -> None:
    assert name_of(b'{"id": "s1", "boot": 5}') == "s1"
    assert name_of(b"{") is None
    assert name_of(b'{"id": {}}') is None


def test_a_payload_over_the_bound_is_not_even_parsed() -> None:
    with pytest.raises(WireError) as caught:
        read(Sos, b"[" * (MAX_BYTES + 1), "b7")
    assert caught.value.reason == "too_large"
