"""What a number means: an emergency, a call that a rule allows over these lines, or nothing that may be called.

Pure. The order is the policy: an emergency number is known before any rule is asked, and what no rule lists is refused,
because a stolen password must not be worth more than the numbers somebody wrote down.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateways.sip.trunks.config import NumberingConfig, NumberRule

# RFC 3966 §5.1.1's visual separators. `*` and `#` are no part of a number here: at a carrier they switch
# forwarding and services, not calls.
_SEPARATORS = str.maketrans("", "", " -.()")
_NUMBER = re.compile(r"\+?[0-9]{2,15}")
# Mainland area codes without their 0: 10, 2x, and three digits from 3 to 9.
_AREA = "(?:10|2[0-9]|[3-9][0-9]{2})"


@dataclass(frozen=True, slots=True)
class Route:
    """How a number is called. `number` is written in full (`+86…`) where it can be; each line has its own way of
    writing it."""

    number: str
    via: tuple[str, ...]
    emergency: bool = False
    price_per_minute: float = 0.0
    longest_s: float = 0.0

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Route":
        """What `to_json` wrote. Raises KeyError or TypeError for anything else."""
        return cls(**{**state, "via": tuple(state["via"])})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a number is not called, as one word for counters and in words for people."""

    reason: str
    why: str


class NumberPlan:
    """The rules of one hub."""

    def __init__(self, config: NumberingConfig) -> None:
        self._config = config
        self._rules = {rule.prefix: rule for rule in config.rules}
        numbers = "|".join(map(re.escape, config.emergency.numbers)) or "(?!)"
        country = re.escape(config.country_code)
        self._emergency = re.compile(
            rf"(?:{re.escape(config.outside_prefix)})?"
            rf"(?P<area>(?:\+|00){country}{_AREA}?|0{_AREA})?(?P<number>{numbers})"
        )

    @property
    def has_rules(self) -> bool:
        return bool(self._rules)

    def emergency(self, text: str) -> str | None:
        """The emergency number that was meant, None for any other. Behind the country code, an area code or the
        outside prefix it is the same number: who dials in fear dials what they are used to."""
        match = self._emergency.fullmatch(text.translate(_SEPARATORS))
        return match.group("number") if match else None

    def dialled(self, text: str) -> str | None:
        """What somebody with a keypad means by `text` when it is no number of our own: an outside number as `route` takes
        it. None when it lacks the outside prefix. Emergency numbers need none."""
        plain = text.translate(_SEPARATORS)
        if (emergency := self.emergency(plain)) is not None:
            return emergency
        prefix = self._config.outside_prefix
        if not plain.startswith("+"):
            number = plain.removeprefix(prefix)
            if not plain.startswith(prefix) or not number.isdecimal():
                return None
            plain = rewrite(number, self._config.dialled_prefixes)
        return plain if _NUMBER.fullmatch(plain) else None

    def route(self, text: str, *, from_outside: bool = False) -> Route | Refusal:
        """How `text` is called. `from_outside`: for somebody who came in over a line."""
        plain = text.translate(_SEPARATORS)
        if (emergency := self.emergency(plain)) is not None:
            return self._emergency_route(emergency, from_outside=from_outside)
        if not _NUMBER.fullmatch(plain):
            return Refusal("no_number", "this is no telephone number; write it like +8613800000000")
        rule = self._rule_of(plain)
        if rule is None:
            return Refusal("not_listed", "no rule of sip.numbers allows this number")
        if not rule.via:
            return Refusal("forbidden", f"numbers that begin with {rule.prefix} are forbidden")
        if from_outside and not rule.hairpin:
            return Refusal(
                "hairpin", "who came in over a line may not go out over one to this number"
            )
        return Route(
            plain, rule.via, price_per_minute=rule.price_per_minute, longest_s=rule.longest_s
        )

    def _emergency_route(self, number: str, *, from_outside: bool) -> Route | Refusal:
        if from_outside:
            # Their own carrier knows where they are; over our line help would come to us.
            return Refusal("hairpin", "an emergency call from outside is not passed on")
        if not self._config.emergency.via:
            return Refusal(
                "no_emergency_line",
                "no line of this hub is set up for emergency calls (sip.emergency.via): take another telephone",
            )
        return Route(number, self._config.emergency.via, emergency=True)

    def _rule_of(self, number: str) -> NumberRule | None:
        return next(
            (
                self._rules[number[:length]]
                for length in range(len(number), 0, -1)
                if number[:length] in self._rules
            ),
            None,
        )


def rewrite(number: str, prefixes: Mapping[str, str]) -> str:
    """The number with the longest prefix that fits replaced; one that none fits stays as it is. An empty prefix fits
    every number."""
    for length in range(len(number), -1, -1):
        if (put := prefixes.get(number[:length])) is not None:
            return put + number[length:]
    return number
