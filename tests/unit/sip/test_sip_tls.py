"""TLS of the SIP edge: certificates that change under a running hub, and whom it believes when it calls out."""

import asyncio
import datetime as dt
import ssl
import stat
from contextlib import AsyncExitStack

import pytest
from cryptography import x509
from fakes.waiting import eventually

from gateways.sip.connection import StreamLimits
from gateways.sip.streams import StreamTransport
from gateways.sip.tls import CertificateError, TlsIdentity, make_identity
from gateways.sip.transport import Hop

HELLO = b"OPTIONS sip:hub SIP/2.0\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def files(tmp_path):
    return make_identity(tmp_path / "tls", ["127.0.0.1", "hub.example.net"])


def serial_of(path):
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def trusting(path):
    """A client that believes this certificate alone."""
    return ssl.create_default_context(cafile=str(path))


async def shown_by(port):
    """The serial number of the certificate a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


class Side:
    def __init__(self, identity, **limits):
        self.got, self.lost = [], []
        self.transport = StreamTransport(
            "127.0.0.1",
            0,
            StreamLimits(**limits),
            lambda data, hop: self.got.append((data, hop)),
            lambda error, hop: None,
            lambda hop, reason: self.lost.append((hop, reason)),
            identity,
        )

    def hop(self, name=""):
        return Hop("127.0.0.1", self.transport.port, "TLS", name)


@pytest.fixture
async def side():
    async with AsyncExitStack() as stack:

        async def make(certificate, key, authorities=None, **limits):
            made = Side(TlsIdentity(certificate, key, authorities), **limits)
            await stack.enter_async_context(made.transport)
            return made

        yield make


# --- the certificate we make ourselves -----------------------------------------------------------------------


def test_a_self_made_certificate_names_the_hub_and_its_key_is_nobody_elses(files):
    certificate, key = files
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["hub.example.net"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_self_made_certificate_is_kept_until_it_names_something_else(tmp_path):
    first, _ = make_identity(tmp_path, ["127.0.0.1"])
    serial = serial_of(first)
    assert serial_of(make_identity(tmp_path, ["127.0.0.1"])[0]) == serial
    assert serial_of(make_identity(tmp_path, ["127.0.0.1", "2001:db8::1"])[0]) != serial


def test_a_self_made_certificate_is_made_anew_before_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("gateways.sip.tls._SELF_MADE_FOR", dt.timedelta(days=20))
    serial = serial_of(make_identity(tmp_path, ["127.0.0.1"])[0])
    monkeypatch.undo()

    assert serial_of(make_identity(tmp_path, ["127.0.0.1"])[0]) != serial


def test_files_that_are_no_certificate_are_one_clear_error(tmp_path, files):
    certificate, key = files
    with pytest.raises(CertificateError, match="missing"):
        TlsIdentity(tmp_path / "missing.pem", key)
    key.write_text("no key")
    with pytest.raises(CertificateError):
        TlsIdentity(certificate, key)


# --- serving -------------------------------------------------------------------------------------------------


async def test_a_phone_that_trusts_the_certificate_speaks_and_is_answered(side, files):
    hub = await side(*files)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", hub.transport.port, ssl=trusting(files[0])
    )
    writer.write(HELLO)
    await eventually(lambda: hub.got)
    hub.transport.send(HELLO, hub.got[0][1])

    assert await reader.readexactly(len(HELLO)) == HELLO
    assert hub.got[0][1].transport == "TLS"
    writer.close()


async def test_a_renewed_certificate_is_shown_to_the_next_phone_and_the_present_one_stays(
    side, files, tmp_path
):
    hub = await side(*files)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", hub.transport.port, ssl=trusting(files[0])
    )
    former = serial_of(files[0])
    make_identity(tmp_path / "tls", ["127.0.0.1", "another.example.net"])
    assert serial_of(files[0]) != former

    assert await shown_by(hub.transport.port) == serial_of(files[0])
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    writer.close()


async def test_a_renewal_that_cannot_be_read_leaves_the_former_certificate_in_use(side, files):
    hub = await side(*files)
    former = serial_of(files[0])
    files[0].write_text("half a certifi")
    assert await shown_by(hub.transport.port) == former
    files[0].unlink()
    assert await shown_by(hub.transport.port) == former


async def test_who_does_not_come_through_the_handshake_is_let_go(side, files):
    hub = await side(*files, handshake_within_s=0.2)
    silent, one = await asyncio.open_connection("127.0.0.1", hub.transport.port)
    plain, two = await asyncio.open_connection("127.0.0.1", hub.transport.port)
    two.write(HELLO)
    async with asyncio.timeout(5):
        assert await silent.read() == b""
        await plain.read()

    assert hub.got == []
    await eventually(lambda: not hub.transport._admitted)
    one.close()
    two.close()


async def test_handshakes_count_against_their_source(side, files):
    hub = await side(*files, connections_per_source=2)
    waiting = [await asyncio.open_connection("127.0.0.1", hub.transport.port) for _ in range(2)]
    await eventually(lambda: len(hub.transport._admitted) == 2)
    third, writer = await asyncio.open_connection("127.0.0.1", hub.transport.port)
    async with asyncio.timeout(2):
        assert await third.read() == b""
    for _, one in [*waiting, (third, writer)]:
        one.close()


# --- calling out ---------------------------------------------------------------------------------------------


async def test_a_far_end_is_believed_by_an_authority_we_were_given_and_by_its_name(side, files):
    there = await side(*files)
    here = await side(*files, authorities=files[0])
    here.transport.send(HELLO, there.hop("hub.example.net"))
    here.transport.send(HELLO, there.hop())
    await eventually(lambda: len(there.got) == 2)

    assert here.lost == []
    # One was opened to a name, one to an address: neither certificate vouches for the other.
    assert here.transport.connections == 2


async def test_a_far_end_that_shows_another_name_is_sent_nothing(side, files):
    there = await side(*files)
    here = await side(*files, authorities=files[0])
    here.transport.send(HELLO, there.hop("trunk.example.net"))
    await eventually(lambda: here.lost)

    assert there.got == []


async def test_a_far_end_nobody_vouches_for_is_sent_nothing(side, files):
    there, here = await side(*files), await side(*files)
    here.transport.send(HELLO, there.hop("hub.example.net"))
    await eventually(lambda: here.lost)

    assert there.got == []
    assert "CERTIFICATE_VERIFY_FAILED" in here.lost[0][1] or "certificate" in here.lost[0][1]
