"""Which numbers may be called over Twilio: those of E.164 under an allowed prefix, and never an emergency number.

An emergency call over Twilio would carry no position, reach whichever centre serves the trunk's country, or none, and
be refused by Twilio itself; so it is refused here, at once and in words, and the desk takes a local line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateways.twilio.metrics import REFUSED_NUMBERS

# E.164 §6.2.1: at most 15 digits; a country code and a subscriber's number are never fewer than 8 in practice.
_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_SEPARATORS = str.maketrans("", "", " -.()")
# 110 police, 112, 119 fire, 120 ambulance, 122 traffic, 12110 highway police, 12395 rescue at sea, 999 and 911 elsewhere;
# behind a country code of China also after an area code (010, 021, 0512 … without their 0).
_EMERGENCY = re.compile(
    r"(?:\+86(?:10|2[0-9]|[3-9][0-9]{2})?|\+[0-9]{1,3})?(?:000|110|112|113|117|118|119|120|122|911|999|12110|12395)"
)


@dataclass(frozen=True, slots=True)
class RefusedNumber:
    """Why a number is not called, for people."""

    why: str


def admit(number: str, prefixes: Sequence[str]) -> str | RefusedNumber:
    """The number as Twilio wants it, or the reason against it."""
    plain = number.translate(_SEPARATORS)
    if _EMERGENCY.fullmatch(plain):
        REFUSED_NUMBERS.labels("emergency").inc()
        return RefusedNumber(
            "an emergency number is never called over Twilio: it would arrive without a position, in the wrong "
            "place or nowhere; take a local line"
        )
    if not _E164.fullmatch(plain):
        REFUSED_NUMBERS.labels("no_number").inc()
        return RefusedNumber("write the number in full, for example tel:+8613800000000")
    if not any(plain.startswith(prefix) for prefix in prefixes if prefix):
        REFUSED_NUMBERS.labels("prefix").inc()
        return RefusedNumber("numbers with this prefix are not allowed (twilio.allowed_prefixes)")
    return plain
