"""Trunks and number rules in the settings: what does not fit together is said at the start, by name."""

import pytest

from commhub.settings import SettingsError, load_settings
from commhub.wiring.alerts import alert_channels
from commhub.wiring.sip import sip_config
from commhub.wiring.trunks import numbering

LINES = """
[[sip.trunks]]
name = "carrier"
server = "sbc.carrier.example:5080"
domain = "carrier.example"
registers = true
username = "hub"
password = "line-secret"
number = "+862112345678"
sources = ["203.0.113.0/28"]
in_prefixes = { "0" = "+86" }
out_prefixes = { "+86" = "0" }
inbound = { "+862112345678" = "2000" }
trusted = true

[[sip.trunks]]
name = "local"
server = "192.0.2.5"
transport = "tcp"
emergency = true

[[sip.numbers]]
prefix = "+86"
via = ["carrier", "local"]
price_per_minute = 0.2

[[sip.numbers]]
prefix = "+86168"

[sip.calling]
outside_prefix = "9"
dialled_prefixes = { "0" = "+86" }
spend_per_day = 200.0

[sip.emergency]
via = ["local"]
"""


@pytest.fixture
def given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "commhub.toml").write_text(text)
        return load_settings()

    return write


def test_lines_and_rules_are_read(given):
    settings = given(LINES)
    carrier, local = sip_config(settings).trunks
    assert (carrier.register, carrier.username, carrier.password) == (True, "hub", "line-secret")
    assert (local.transport, local.emergency, local.register) == ("TCP", True, False)
    rules = numbering(settings)
    assert [rule.prefix for rule in rules.rules] == ["+86", "+86168"]
    assert rules.rules[0].longest_s == 4 * 3600
    assert (rules.outside_prefix, rules.caps.spend_per_day) == ("9", 200.0)
    assert rules.emergency.via == ("local",)
    assert rules.emergency.numbers == ("110", "119", "120", "122")


def test_a_password_is_in_no_repr(given):
    settings = given(LINES)
    assert "line-secret" not in repr(settings)
    assert "line-secret" not in repr(sip_config(settings))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('via = ["carrier", "local"]', 'via = ["carier"]', "no line is called carier"),
        ('via = ["carrier", "local"]', 'via = ["twilio"]', "no line is called twilio"),
        (
            '[sip.emergency]\nvia = ["local"]',
            '[sip.emergency]\nvia = ["carrier"]',
            "emergency = true",
        ),
        ('prefix = "+86168"', 'prefix = "+86"', "one rule"),
        ('password = "line-secret"\n', "", "username and password"),
        ('domain = "carrier.example"\n', "", "realm"),
        ('sources = ["203.0.113.0/28"]', 'sources = ["0.0.0.0/0"]', "whole internet"),
        ('sources = ["203.0.113.0/28"]', 'sources = ["203.0.113.1/28"]', "sip.trunks.carrier"),
        ('name = "local"', 'name = "carrier"', "a name of its own"),
        ('name = "local"', 'name = "twilio"', "a name of its own"),
        ('server = "192.0.2.5"', 'server = "a b"', "server"),
        ('outside_prefix = "9"', 'outside_prefix = "nine"', "outside_prefix"),
        ('prefix = "+86168"', 'prefix = "+86*"', "prefix"),
    ],
)
def test_what_does_not_fit_is_one_line(given, old, new, line):
    assert LINES.count(old) == 1

    def begin():
        settings = given(LINES.replace(old, new))
        sip_config(settings)
        numbering(settings)

    with pytest.raises(SettingsError, match=line.replace("+", r"\+")):
        begin()


def test_a_hub_without_lines_needs_none(given):
    settings = given("")
    assert sip_config(settings).trunks == ()
    assert numbering(settings).rules == ()


def test_phones_ring_for_task_cards_only_where_somebody_wants_it(given):
    assert alert_channels(given(""), None) == []
    names = [
        c.name for c in alert_channels(given("[alerts]\nphones = true\nnumbers = true\n"), None)
    ]
    assert names == ["sip", "tel"]
