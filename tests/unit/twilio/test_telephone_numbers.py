"""Whom Twilio may be asked to call."""

import pytest

from gateways.twilio.numbers import RefusedNumber, admit

CHINA = ("+86",)


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("+8613800000000", "+8613800000000"),
        ("+86 138-0000-0000", "+8613800000000"),
        ("+86 (21) 6888.0000", "+862168880000"),
    ],
)
def test_a_number_under_an_allowed_prefix_is_called_as_e164(written, called):
    assert admit(written, CHINA) == called


@pytest.mark.parametrize(
    "number",
    [
        "110",
        "119",
        "120",
        "122",
        "112",
        "911",
        "999",
        "12110",
        "12395",
        "+86110",
        "+86119",
        "+86 120",
        "+8610110",
        "+8621119",
        "+86512120",
        "+1911",
        "+44999",
        "+8612110",
    ],
)
def test_an_emergency_number_is_refused_in_words_even_when_its_prefix_is_allowed(number):
    refused = admit(number, ("+", "+86", "1", "9"))
    assert isinstance(refused, RefusedNumber)
    assert "emergency" in refused.why


@pytest.mark.parametrize(
    "number",
    [
        "",
        "1001",
        "13800000000",
        "+0138000000",
        "+86138",
        "+861380000000012345",
        "+86１３８00000000",
        "+86138000000;ext=1",
        "sip:1001",
        "+8613800000000\n",
        "٠١٢٣٤٥٦٧٨٩",
    ],
)
def test_what_is_no_full_number_is_refused(number):
    assert isinstance(admit(number, CHINA), RefusedNumber)


def test_nobody_is_called_unless_a_prefix_allows_it():
    assert isinstance(admit("+8613800000000", ()), RefusedNumber)
    assert isinstance(admit("+8613800000000", ("",)), RefusedNumber)
    refused = admit("+15550123456", CHINA)
    assert isinstance(refused, RefusedNumber)
    assert "allowed_prefixes" in refused.why
