"""Numbers that no limit stands in the way of, as the settings have them."""

from collections.abc import Callable

import pytest

from commhub.settings import Settings
from commhub.wiring.urgent import urgent_numbers


def urgent(**more: object) -> Callable[[str], bool]:
    return urgent_numbers(Settings(**more))


@pytest.mark.parametrize("number", ["110", "119", "120", "122", "0110", "9110"])
def test_emergency_numbers_are_urgent_however_they_are_dialled(number):
    plain = urgent()
    prefixed = urgent(sip={"calling": {"outside_prefix": number.removesuffix("110") or "0"}})
    assert plain(number) or prefixed(number)


def test_the_numbers_are_the_settings(monkeypatch):
    abroad = urgent(sip={"emergency": {"numbers": ("112", "999")}})
    assert abroad("112")
    assert abroad("999")
    assert not abroad("110")


def test_a_duty_line_is_urgent_and_nothing_else_is():
    line = {"name": "值班电话", "numbers": ("8000",)}
    found = urgent(duty={"lines": (line,)})
    assert found("8000")
    assert not found("1001")
    assert not found("")
