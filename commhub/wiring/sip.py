"""The SIP edge from the settings: one place, for the hub that runs it and the doctor that looks at it."""

from commhub import __version__
from commhub.settings import Settings, SettingsError
from commhub.settings_parts import SipSettings
from commhub.wiring.trunks import trunk_configs
from gateways.sip.config import SipConfig, TlsConfig
from gateways.sip.connection import StreamLimits
from gateways.sip.sdes import SrtpPolicy
from gateways.sip.tls import CertificateError, TlsIdentity


def sip_config(settings: Settings) -> SipConfig:
    """The SIP edge of these settings."""
    sip = settings.sip
    return SipConfig(
        host=sip.host,
        port=sip.port,
        advertised_host=sip.advertised_host,
        ipv6_host=sip.ipv6_host,
        ipv6_advertised_host=sip.ipv6_advertised_host,
        ipv6_media=settings.media.ipv6_host is not None,
        tcp=sip.tcp,
        tls=sip_tls(sip),
        tls_port=sip.tls_port,
        streams=StreamLimits(connections_per_source=sip.connections_per_source),
        proxies=tuple(str(network) for network in sip.proxies),
        realm=sip.realm,
        codecs=sip.codecs,
        srtp=SrtpPolicy(sip.srtp),
        session_s=sip.session_s,
        early_media=sip.early_media,
        trunks=trunk_configs(settings),
        nameservers=sip.nameservers,
        user_agent=f"commhub/{__version__}",
    )


def sip_tls(sip: SipSettings) -> TlsConfig | None:
    """The certificate of these settings; None when there is none. Raises SettingsError for half of one, and for files
    that are none."""
    if sip.tls_certificate is None and sip.tls_key is None:
        return None
    if sip.tls_certificate is None or sip.tls_key is None:
        missing = "tls_key" if sip.tls_key is None else "tls_certificate"
        raise SettingsError(f"setting sip.{missing}: a certificate needs its key")
    tls = TlsConfig(certificate=sip.tls_certificate, key=sip.tls_key, authorities=sip.tls_ca_file)
    try:
        TlsIdentity(tls.certificate, tls.key, tls.authorities).client()
    except CertificateError as error:
        raise SettingsError(f"setting sip.tls_certificate: {error}") from error
    return tls
