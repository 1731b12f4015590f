"""The SIP edge from the settings: transports, certificates, proxies."""

import pytest

from commhub.settings import Settings, SettingsError
from commhub.wiring.sip import sip_config
from gateways.sip.tls import make_identity


def settings(**sip):
    return Settings.model_validate({"sip": sip})


def test_without_a_certificate_there_is_udp_and_tcp_and_no_tls():
    config = sip_config(settings())

    assert config.tcp
    assert config.tls is None


def test_a_certificate_with_its_key_turns_tls_on(tmp_path):
    certificate, key = make_identity(tmp_path, ["127.0.0.1"])
    config = sip_config(settings(tls_certificate=certificate, tls_key=key, tls_port=5099))

    assert (config.tls.certificate, config.tls.key) == (certificate, key)
    assert config.tls_port == 5099


@pytest.mark.parametrize("given", ["tls_certificate", "tls_key"])
def test_half_a_certificate_is_one_clear_line(tmp_path, given):
    with pytest.raises(SettingsError, match=r"setting sip\.tls_"):
        sip_config(settings(**{given: tmp_path / "file.pem"}))


def test_a_file_that_is_no_certificate_is_one_clear_line(tmp_path):
    certificate, key = make_identity(tmp_path, ["127.0.0.1"])
    certificate.write_text("nothing")

    with pytest.raises(SettingsError, match=r"setting sip\.tls_certificate: ") as caught:
        sip_config(settings(tls_certificate=certificate, tls_key=key))
    assert "\n" not in str(caught.value)


def test_proxies_are_addresses_and_networks():
    config = sip_config(settings(proxies=["192.0.2.5", "2001:db8::/64"]))

    assert config.proxies == ("192.0.2.5/32", "2001:db8::/64")
