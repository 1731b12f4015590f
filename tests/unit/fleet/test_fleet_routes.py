"""The fleet's HTTP, with a real store behind it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fakes.clock import ScriptedClock
from fakes.fleet import FakeCredentials, FakeDeviceControl
from fakes.web import app_of, client_of
from fastapi import FastAPI

from commhub.db import SqlStore
from commhub.fleet.phones import Phones
from commhub.fleet.routes import build_router
from commhub.fleet.service import FleetService
from commhub.ports.edge_store import SipAccount, SipBinding

RADIO = {"id": "r12", "kind": "radio", "name": "Radio 12", "groups": ["north", "north", "south"]}


def hash_account(name: str, password: str) -> SipAccount:
    return SipAccount(
        name=name, display_name="", ha1_md5=f"md5 {password}", ha1_sha256=f"sha {password}"
    )


@pytest.fixture
def credentials() -> FakeCredentials:
    return FakeCredentials()


@pytest.fixture
def control() -> FakeDeviceControl:
    return FakeDeviceControl()


@pytest.fixture
def app(
    store: SqlStore, clock: ScriptedClock, credentials: FakeCredentials, control: FakeDeviceControl
) -> FastAPI:
    fleet = FleetService(store, credentials, control, clock)
    return app_of(build_router(fleet, Phones(store, hash_account, clock), store), clock=clock)


@pytest.fixture
async def admin(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, key="admin") as client:
        yield client


async def admit(admin: httpx.AsyncClient, **changes: object) -> httpx.Response:
    return await admin.post("fleet", json=RADIO | changes)


async def test_an_admitted_device_is_welcome_with_the_secret_shown_once(
    admin: httpx.AsyncClient, credentials: FakeCredentials
) -> None:
    answer = await admin.post("fleet", json=RADIO, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 201
    secret = answer.json()["secret"]
    assert answer.json()["device"]["groups"] == ["north", "south"]
    assert credentials.welcome["r12"].password_hash == f"hash of {secret}"
    assert credentials.welcome["r12"].groups == ("north", "south")

    again = await admin.post("fleet", json=RADIO, headers={"Idempotency-Key": "k1"})
    assert again.status_code == 201
    assert again.json()["secret"] is None


async def test_the_secret_is_stored_nowhere(admin: httpx.AsyncClient, store: SqlStore) -> None:
    secret = (await admit(admin)).json()["secret"]
    async with store.read() as uow:
        assert (await uow.fleet.credentials())["r12"] == f"hash of {secret}"
    shown = (await admin.get("fleet/r12")).text + (await admin.get("fleet")).text
    assert secret not in shown


@pytest.mark.parametrize("bad_id", ["phones", "a/b", "a+b", "#", "röhre", "", "x" * 65, "a:b"])
async def test_unsafe_device_ids_are_refused(admin: httpx.AsyncClient, bad_id: str) -> None:
    assert (await admit(admin, id=bad_id)).status_code == 422


async def test_unsafe_groups_and_unknown_responders_are_refused(admin: httpx.AsyncClient) -> None:
    assert (await admit(admin, groups=["a/#"])).status_code == 422
    assert (await admit(admin, responder_id="nobody")).status_code == 404
    assert (await admin.get("fleet")).json() == []


async def test_a_device_is_admitted_once_until_it_is_revoked(
    admin: httpx.AsyncClient, credentials: FakeCredentials
) -> None:
    first = (await admit(admin)).json()["secret"]
    assert (await admit(admin)).status_code == 409

    assert (await admin.delete("fleet/r12/credential")).status_code == 204
    assert credentials.welcome == {}
    assert (await admin.get("fleet/r12")).json()["revoked"]

    second = await admit(admin)
    assert second.status_code == 201
    assert second.json()["secret"] != first
    assert "r12" in credentials.welcome


async def test_a_revocation_the_broker_did_not_hear_of_is_an_error(
    admin: httpx.AsyncClient, credentials: FakeCredentials
) -> None:
    await admit(admin)
    credentials.is_down = True
    assert (await admin.delete("fleet/r12/credential")).status_code == 503
    credentials.is_down = False
    assert (await admin.delete("fleet/r12/credential")).status_code == 204
    assert credentials.welcome == {}


async def test_admitting_and_revoking_are_audited(
    admin: httpx.AsyncClient, store: SqlStore
) -> None:
    await admit(admin)
    await admin.delete("fleet/r12/credential")
    async with store.read() as uow:
        rows = await uow.audit.list(None, 10)
    assert [(row.action, row.subject) for row in rows] == [
        ("device.revoke", "device:r12"),
        ("device.admit", "device:r12"),
    ]


async def test_only_administrators_admit_and_only_the_desk_commands(
    admin: httpx.AsyncClient, app: FastAPI
) -> None:
    await admit(admin)
    async with client_of(app, key="desk") as desk, client_of(app, key="viewer") as viewer:
        assert (await desk.post("fleet", json=RADIO)).status_code == 403
        assert (await desk.delete("fleet/r12/credential")).status_code == 403
        assert (await viewer.post("fleet/r12/commands", json={"op": "text"})).status_code == 403
        assert (await viewer.get("fleet")).status_code == 200
        assert (await desk.post("fleet/r12/commands", json={"op": "text"})).status_code == 201


async def test_a_command_goes_to_the_device_and_is_listed(
    admin: httpx.AsyncClient, control: FakeDeviceControl, clock: ScriptedClock
) -> None:
    await admit(admin)
    body = {"op": "text", "args": {"text": "come back"}, "expires_in_s": 60}
    sent = await admin.post("fleet/r12/commands", json=body)
    assert sent.json()["state"] == "sent"
    (order,) = control.orders
    assert (order.id, order.op, order.args) == (sent.json()["id"], "text", {"text": "come back"})
    assert order.expires_at == clock.now() + timedelta(seconds=60)

    clock.advance(61)
    listed = (await admin.get("fleet/r12/commands")).json()["items"]
    assert [item["state"] for item in listed] == ["expired"]


async def test_a_command_that_cannot_be_sent_is_there_as_failed(
    admin: httpx.AsyncClient, control: FakeDeviceControl
) -> None:
    await admit(admin)
    control.is_down = True
    assert (await admin.post("fleet/r12/commands", json={"op": "text"})).status_code == 503
    (item,) = (await admin.get("fleet/r12/commands")).json()["items"]
    assert (item["state"], item["answer"]) == ("failed", "the device broker is not reachable")


async def test_commands_nobody_could_carry_out_are_refused(
    admin: httpx.AsyncClient, control: FakeDeviceControl
) -> None:
    await admit(admin)
    bad = [
        {"op": "sos.ack"},
        {"op": "Text"},
        {"op": "text", "args": {"text": "x" * 20_000}},
        {"op": "text", "expires_in_s": 0},
        {"op": "text", "surprise": 1},
    ]
    for body in bad:
        assert (await admin.post("fleet/r12/commands", json=body)).status_code == 422, body
    assert (await admin.post("fleet/ghost/commands", json={"op": "text"})).status_code == 404
    assert control.orders == []


async def test_a_phone_gets_a_password_that_is_stored_as_hashes_only(
    admin: httpx.AsyncClient, store: SqlStore
) -> None:
    body = {"name": "1001", "display_name": "Desk"}
    added = await admin.post("fleet/phones", json=body)
    assert added.status_code == 201
    password = added.json()["password"]
    async with store.read() as uow:
        account = await uow.sip.find_account("1001")
    assert account is not None
    assert (account.ha1_md5, account.display_name) == (f"md5 {password}", "Desk")
    assert (await admin.post("fleet/phones", json=body)).status_code == 409


async def test_a_phone_is_online_while_a_binding_lasts(
    admin: httpx.AsyncClient, store: SqlStore, clock: ScriptedClock
) -> None:
    await admin.post("fleet/phones", json={"name": "1001", "display_name": "Desk"})
    binding = SipBinding(
        account="1001",
        contact="sip:1001@192.0.2.1",
        call_id="x",
        cseq=1,
        expires_at=clock.now() + timedelta(seconds=60),
        received="192.0.2.1:5060",
        transport="udp",
        agent="Acme 1.0",
    )
    async with store.begin() as uow:
        await uow.sip.put_binding(binding)
    (phone,) = (await admin.get("fleet/phones")).json()
    assert (phone["online"], phone["agent"]) == (True, "Acme 1.0")

    clock.advance(61)
    (phone,) = (await admin.get("fleet/phones")).json()
    assert not phone["online"]
