"""Settings: a wrong one is one clear line, and never repeats a secret."""

import pytest

from commhub.settings import SettingsError, load_settings
from commhub.wiring.sip import sip_config
from commhub.wiring.telephone import twilio_config
from gateways.sip.sdes import SrtpPolicy


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_without_file_and_environment_the_hub_has_working_defaults(tmp_path):
    settings = load_settings()
    assert settings.database == f"sqlite:///{tmp_path / 'data' / 'commhub.db'}"
    assert settings.public_url == "http://127.0.0.1:8000"


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    (tmp_path / "commhub.toml").write_text('hub = "east"\n[http]\nport = 81\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("COMMHUB_HTTP__PORT", "82")
    settings = load_settings()
    assert (settings.hub, settings.http.port, settings.http.host) == ("east", 82, "0.0.0.0")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("COMMHUB_HTTP__PORT", "99999", "http.port"),
        ("COMMHUB_TIER", "planet", "tier"),
        ("COMMHUB_HUB", "Not A Name", "hub"),
        ("COMMHUB_CONFIG", "nowhere.toml", "nowhere.toml"),
        ("COMMHUB_SIP__CODECS", '["PCMA", "G729"]', "sip.codecs"),
        ("COMMHUB_SIP__CODECS", "[]", "sip.codecs"),
        ("COMMHUB_SIP__SRTP", "maybe", "sip.srtp"),
        ("COMMHUB_TWILIO__NUMBER", "13800000000", "twilio.number"),
        ("COMMHUB_TWILIO__ALLOWED_PREFIXES", '["86"]', "twilio.allowed_prefixes"),
        ("COMMHUB_TWILIO__PUBLIC_URL", "wss://hub.example", "twilio.public_url"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch, name, value, line):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=line):
        load_settings()


def test_codecs_and_srtp_of_the_sip_edge_are_settings(monkeypatch):
    monkeypatch.setenv("COMMHUB_SIP__CODECS", '["opus", "PCMA"]')
    monkeypatch.setenv("COMMHUB_SIP__SRTP", "require")
    terms = sip_config(load_settings()).terms
    assert (terms.codecs, terms.srtp) == (("opus", "PCMA"), SrtpPolicy.REQUIRE)


TWILIO = {"ACCOUNT_SID": "AC1", "AUTH_TOKEN": "t", "NUMBER": "+15550100100"}


def set_twilio(monkeypatch, **given):
    for name, value in given.items():
        monkeypatch.setenv(f"COMMHUB_TWILIO__{name}", value)


def test_without_an_account_there_is_no_telephone():
    assert twilio_config(load_settings()) is None


@pytest.mark.parametrize("missing", ["AUTH_TOKEN", "NUMBER"])
def test_half_a_telephone_account_is_refused_by_name(monkeypatch, missing):
    set_twilio(monkeypatch, **{name: v for name, v in TWILIO.items() if name != missing})
    with pytest.raises(SettingsError, match=missing.lower()):
        twilio_config(load_settings())


def test_twilio_itself_must_find_us_by_https(monkeypatch):
    set_twilio(monkeypatch, **TWILIO)
    with pytest.raises(SettingsError, match="https"):
        twilio_config(load_settings())
    set_twilio(monkeypatch, PUBLIC_URL="https://hub.example/")
    config = twilio_config(load_settings())
    assert config.stream_url == "wss://hub.example/twilio/stream"
    assert config.allowed_prefixes == ()


def test_the_telephone_account_is_taken_as_it_stands(monkeypatch):
    set_twilio(
        monkeypatch,
        **TWILIO,
        API_BASE="http://127.0.0.1:8091",
        ALLOWED_PREFIXES='["+86", "+852"]',
        INBOUND='{"+15550100100": "1001"}',
        MAX_LEGS="3",
    )
    config = twilio_config(load_settings())
    assert (config.allowed_prefixes, config.inbound, config.max_legs) == (
        ("+86", "+852"),
        {"+15550100100": "1001"},
        3,
    )
    assert "auth_token" not in repr(config)


def test_a_misspelt_secret_is_not_repeated(monkeypatch):
    monkeypatch.setenv("COMMHUB_WECOM__SECERT", "do-not-print-me")
    with pytest.raises(SettingsError, match=r"wecom\.secert") as caught:
        load_settings()
    assert "do-not-print-me" not in str(caught.value)


def test_a_file_that_is_no_toml_is_one_line(tmp_path):
    (tmp_path / "commhub.toml").write_text("hub = [")
    with pytest.raises(SettingsError, match="settings file"):
        load_settings()
