"""The duty lines of the settings, and what is wrong with them in one line."""

import pytest
from pydantic import ValidationError

from commhub.settings import Settings, SettingsError
from commhub.wiring.duty import duty_lines

LINE = {
    "name": "值班电话",
    "numbers": ["8000", "+862155550110"],
    "overflow": [{"after_s": 60, "to": "radio:patrol-1"}, {"after_s": 30, "to": "sip:1002"}],
}


def lines_of(*lines):
    return duty_lines(Settings(duty={"lines": list(lines)}))


def test_a_line_is_found_by_each_of_its_numbers_and_overflows_in_the_order_of_time():
    lines = lines_of(LINE)
    assert lines.dialled("8000") == lines.dialled("+862155550110") == lines.named("值班电话")
    assert [str(one.to) for one in lines.dialled("8000").overflow] == ["sip:1002", "radio:patrol-1"]
    assert lines.dialled("1001") is None


def test_without_lines_nobody_dials_the_desk():
    assert lines_of().dialled("8000") is None


@pytest.mark.parametrize(
    "other",
    [{"name": "第二值班电话", "numbers": ["8000"]}, {"name": "值班电话", "numbers": ["8001"]}],
)
def test_two_lines_share_neither_number_nor_name(other):
    with pytest.raises(SettingsError, match=r"duty\.lines"):
        lines_of(LINE, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"numbers": []},
        {"numbers": ["a b"]},
        {"name": ""},
        {"overflow": [{"after_s": 0, "to": "sip:1002"}]},
        {"overflow": [{"after_s": 5, "to": "wecom:li"}]},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        lines_of(LINE | wrong)


def test_an_overflow_that_is_no_address_is_refused():
    with pytest.raises(SettingsError, match="值班电话"):
        lines_of(LINE | {"overflow": [{"after_s": 5, "to": "sip:"}]})
