"""The fleet's HTTP with the real broker behind it, and the broker over TLS."""

import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fakes.clock import ScriptedClock
from fakes.field import FakePresence, FakeReports, Field, RawDevice, broker_config, running_field
from fakes.waiting import eventually
from fakes.web import app_of, client_of

from commhub.db import SqlStore
from commhub.domain.errors import UnavailableError
from commhub.fleet.phones import Phones
from commhub.fleet.presence import FleetPresence
from commhub.fleet.routes import build_router
from commhub.fleet.service import FleetService
from commhub.kit.clock import SystemClock
from commhub.ports.edge_store import SipAccount
from devices.broker import Broker
from devices.broker_files import CONTROL_USER, BrokerTls
from devices.connection import DeviceGateway, GatewayConfig
from devices.credentials import BrokerCredentials


def no_phones(name: str, password: str) -> SipAccount:
    raise UnavailableError("no SIP in this test")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Field]:
    async with running_field(tmp_path) as running:
        yield running


@pytest.fixture
async def admin(site: Field, store: SqlStore) -> AsyncIterator[httpx.AsyncClient]:
    """The hub's fleet as wiring puts it together."""
    clock = SystemClock()
    config = GatewayConfig(address=site.address(CONTROL_USER), tenant="test", coalesce_s=0.05)
    async with DeviceGateway(config, FakeReports(), FleetPresence(store, clock), clock) as gateway:
        await gateway.wait_up()
        fleet = FleetService(store, site.credentials, gateway, clock)
        router = build_router(fleet, Phones(store, no_phones, clock), store)
        async with client_of(app_of(router), key="admin") as client:
            yield client


async def test_a_device_lives_from_admission_to_revocation(
    site: Field, admin: httpx.AsyncClient
) -> None:
    body = {"id": "r12", "kind": "radio", "name": "Radio 12", "groups": ["north"]}
    secret = (await admin.post("fleet", json=body)).json()["secret"]

    async def shown() -> dict:
        return (await admin.get("fleet/r12")).json()

    async with site.device("r12", secret=secret, session_s=60) as radio:
        await eventually(lambda: radio.refusal is None)
        await radio.subscribe("d/r12/dn/cmd", "g/north/ptt")
        await radio.up("birth", {"boot": "b1", "groups": ["north"], "model": "X1"}, retain=True)
        await radio.up("tele", {"lat": 31.2, "lon": 121.4, "battery": 77}, qos=0)

        async def reported() -> bool:
            return (await shown())["battery"] == 77

        await eventually(reported)
        assert (await shown())["online"]

        sent = await admin.post("fleet/r12/commands", json={"op": "text", "args": {"text": "hi"}})
        await eventually(lambda: radio.commands)
        await radio.up("rsp", {"id": radio.commands[0]["id"], "state": "done"})

        async def done() -> bool:
            (command,) = (await admin.get("fleet/r12/commands")).json()["items"]
            assert command["id"] == sent.json()["id"]
            return command["state"] == "done"

        await eventually(done)

        assert (await admin.delete("fleet/r12/credential")).status_code == 204
        await eventually(lambda: not radio.is_connected, within_s=5)
        device = await shown()
        assert (device["revoked"], device["online"]) == (True, False)

    again = site.device("r12", secret=secret)
    async with again:
        assert again.refusal == "Not authorized"


def self_signed(folder: Path) -> BrokerTls:
    """A certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    tls = BrokerTls(
        certificate=folder / "broker.pem",
        key=folder / "broker.key",
        authority=folder / "broker.pem",
    )
    tls.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    tls.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return tls


async def test_with_a_certificate_the_broker_speaks_tls_only(
    tmp_path: Path, clock: ScriptedClock
) -> None:
    tls = self_signed(tmp_path)
    config = replace(broker_config(tmp_path), tls=tls)
    async with Broker(config) as broker:
        site = Field(config, broker, BrokerCredentials(config))
        address = replace(site.address(CONTROL_USER), authority=tls.authority)
        gateway_config = GatewayConfig(address=address, tenant="test")
        gateway = DeviceGateway(gateway_config, FakeReports(), FakePresence(), clock)
        async with gateway:
            await eventually(lambda: gateway.is_up)
            async with RawDevice(site.address(CONTROL_USER)) as without_tls:
                assert not without_tls.is_connected
                assert without_tls.refusal is None
