"""Who we are and whom we believe over TLS (RFC 3261 §26.3): certificate files that may change under a running hub.

A renewed certificate counts for the next connection, without a restart and without a signal; one that cannot be read
is reported and the former stays in use, because a hub that stops answering phones is the worse of the two.
"""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Iterable
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateways.sip import metrics
from gateways.sip.errors import SipError

log = structlog.get_logger(__name__)

_SELF_MADE_FOR = dt.timedelta(days=825)
_CLOCKS_DIFFER = dt.timedelta(hours=1)
_RENEW_BEFORE = dt.timedelta(days=30)
_Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(SipError):
    """A certificate or key that cannot be used."""


class TlsIdentity:
    """A certificate chain and its key, both PEM files. Raises CertificateError when they do not fit together."""

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self._stamp = self._look()
        self._server = self._load()
        self._client: ssl.SSLContext | None = None

    def server(self) -> ssl.SSLContext:
        """For a connection that a peer opens; phones show no certificate, they prove themselves by digest."""
        stamp = self._look()
        if stamp != self._stamp:
            # Noted first: what is broken is tried again when it changes, not at every connection.
            self._stamp, self._client = stamp, None
            try:
                self._server = self._load()
            except CertificateError as error:
                metrics.TLS_RELOADS.labels("failed").inc()
                log.error("sip_certificate_not_reloaded", reason=str(error))  # noqa: TRY400 - the reason says it
            else:
                metrics.TLS_RELOADS.labels("done").inc()
                log.info("sip_certificate_reloaded")
        return self._server

    def client(self) -> ssl.SSLContext:
        """For a connection that we open. The far end must be named by a certificate of an authority we believe
        (§26.3.1): the system's, or those of the file that was given; ours is shown where it is asked for. Raises
        CertificateError."""
        if self._client is None:
            self._client = client_context(self._authorities, (self._certificate, self._key))
        return self._client

    def _look(self) -> _Stamp:
        stamps = []
        for path in (self._certificate, self._key):
            try:
                found = path.stat()
            except OSError:
                stamps.append((0, 0, 0))
            else:
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key)
            found = x509.load_pem_x509_certificate(self._certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise CertificateError(f"{self._certificate}, {self._key}: {error}") from error
        metrics.TLS_EXPIRES.set(expiry_of(found).timestamp())
        return context


def client_context(
    authorities: Path | None = None, own: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """How we connect to others. Raises CertificateError."""
    try:
        context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if own is not None:
            context.load_cert_chain(*own)
    except (OSError, ValueError) as error:
        raise CertificateError(f"TLS to others: {error}") from error
    return context


def expiry_of(certificate: x509.Certificate) -> dt.datetime:
    """When it ends, in UTC."""
    return certificate.not_valid_after_utc


def identity_files(folder: Path) -> tuple[Path, Path]:
    """Where `make_identity` puts a certificate and its key."""
    return folder / "sip-certificate.pem", folder / "sip-key.pem"


def make_identity(folder: Path, hosts: Iterable[str]) -> tuple[Path, Path]:
    """A certificate nobody else vouches for, with its key, in `folder`: for a demo or a closed network whose phones
    are told to trust it. One that is there, names all `hosts` and lasts another month is kept."""
    certificate, key = identity_files(folder)
    wanted = sorted(set(hosts))
    if not _still_good(certificate, key, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        chain, secret = _self_signed(wanted)
        _write_whole(key, secret, 0o600)
        _write_whole(certificate, chain, 0o644)
    return certificate, key


def _still_good(certificate: Path, key: Path, wanted: list[str]) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key.stat()
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    lasting = expiry_of(found) - dt.datetime.now(dt.UTC) > _RENEW_BEFORE
    return lasting and {_general_name(host) for host in wanted} <= set(names)


def _self_signed(hosts: list[str]) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "commhub")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _SELF_MADE_FOR)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), secret


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_whole(path: Path, data: bytes, mode: int) -> None:
    """Replace a file at once: a reader sees the former or the new one."""
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    aside.replace(path)
