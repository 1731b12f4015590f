"""Who there is, and one line for every address."""

from datetime import timedelta

import pytest
from fakes.clock import ScriptedClock
from fakes.town import responder
from fakes.web import app_of, client_of

from commhub.db import SqlStore
from commhub.directory.routes import build_router
from commhub.directory.service import DirectoryService
from commhub.domain.account import User
from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.geo import Point, Position
from commhub.domain.people import Endpoint, Role, Unit
from commhub.ports.edge_store import SipAccount, SipBinding


@pytest.fixture
async def directory(store: SqlStore, clock: ScriptedClock) -> DirectoryService:
    async with store.begin() as uow:
        await uow.directory.put_unit(Unit(id="u1", name="Grid one", team="grid"))
    return DirectoryService(store, clock)


async def put(store: SqlStore, directory: DirectoryService, *people) -> None:
    async with store.begin() as uow:
        for person in people:
            await directory.put_responder(uow, person)


def binding(account: str, clock: ScriptedClock, seconds: float) -> SipBinding:
    return SipBinding(
        account=account,
        contact=f"sip:{account}@192.0.2.1",
        call_id="c",
        cseq=1,
        expires_at=clock.now() + timedelta(seconds=seconds),
        received="192.0.2.1:5060",
        transport="udp",
        agent="baresip",
    )


async def test_the_book_merges_people_devices_groups_and_phones(
    store: SqlStore, directory: DirectoryService, clock: ScriptedClock
) -> None:
    addresses = ("wecom:wang", "sip:1001", "radio:r12", "tel:+861")
    await put(store, directory, responder("wang", endpoints=tuple(map(Endpoint.parse, addresses))))
    async with store.begin() as uow:
        await uow.fleet.put(
            Device(id="r12", kind=DeviceKind.RADIO, name="Radio 12", groups=("g1",), online=True)
        )
        await uow.fleet.put(
            Device(id="b7", kind=DeviceKind.BODYCAM, name="Camera 7", responder_id="wang")
        )
        await uow.fleet.put(Device(id="b8", kind=DeviceKind.BODYCAM, name="lost", revoked=True))
        await uow.fleet.put(Device(id="s1", kind=DeviceKind.SENSOR, name="smoke"))
        for name in ("1001", "1002", "1003"):
            await uow.sip.put_account(
                SipAccount(name=name, display_name=f"Desk {name}", ha1_md5="", ha1_sha256="")
            )
        await uow.sip.put_binding(binding("1001", clock, 60))
        await uow.sip.put_binding(binding("1002", clock, -1))

    entries = await directory.endpoints()

    lines = {str(e.endpoint): (e.name, e.responder_id, e.online) for e in entries}
    assert lines == {
        "cam:b7": ("wang-name", "wang", False),
        "radio:g1": ("g1", None, True),
        "radio:r12": ("wang-name", "wang", True),
        "sip:1001": ("wang-name", "wang", True),
        "sip:1002": ("Desk 1002", None, False),
        "sip:1003": ("Desk 1003", None, False),
        "tel:+861": ("wang-name", "wang", None),
        "wecom:wang": ("wang-name", "wang", None),
    }
    by_address = {str(e.endpoint): e for e in entries}
    assert by_address["radio:g1"].detail == "talk group, 1 of 1 online"
    assert by_address["sip:1001"].detail == "baresip"
    assert by_address["sip:1001"].unit_id == "u1"


async def test_the_book_has_the_desks_of_those_who_place_calls(
    store: SqlStore, directory: DirectoryService, clock: ScriptedClock
) -> None:
    people = {"li": Role.DISPATCHER, "zhao": Role.VIEWER, "qian": Role.COMMANDER}
    async with store.begin() as uow:
        for name, role in people.items():
            await uow.accounts.add_user(
                User(
                    id=name,
                    name=name,
                    display_name="Li" if name == "li" else "",
                    password_hash="",
                    roles=frozenset({role}),
                    created_at=clock.now(),
                    disabled=name == "qian",
                )
            )
    assert [(str(e.endpoint), e.name) for e in await directory.endpoints()] == [("desk:li", "Li")]


async def test_two_people_may_not_share_a_wecom_user_in_any_case(
    store: SqlStore, directory: DirectoryService
) -> None:
    await put(store, directory, responder("wang"))

    with pytest.raises(ConflictError):
        await put(store, directory, responder("other", endpoints=(Endpoint.parse("wecom:WANG"),)))


async def test_a_responder_belongs_to_a_unit_that_exists(
    store: SqlStore, directory: DirectoryService
) -> None:
    with pytest.raises(InvalidError):
        await put(store, directory, responder("wang", unit_id="ghost"))


async def test_units_and_responders_over_http(
    store: SqlStore, directory: DirectoryService, clock: ScriptedClock
) -> None:
    app = app_of(build_router(directory, store), clock=clock)
    async with client_of(app, key="admin") as admin:
        unit = await admin.post(
            "directory/units", json={"id": "u2", "name": "Fire", "team": "fire"}
        )
        assert (unit.status_code, unit.json()["loop"]) == (201, "community")
        body = {
            "name": "Wang",
            "unit_id": "u2",
            "skills": ["hazmat"],
            "endpoints": ["wecom:wang", "sip:1001"],
        }
        headers = {"Idempotency-Key": "one"}
        made = await admin.post("directory/responders", json=body, headers=headers)
        again = await admin.post("directory/responders", json=body, headers=headers)

        assert made.status_code == 201
        assert again.json() == made.json()
        (listed,) = (await admin.get("directory/responders")).json()
        assert listed == made.json()
        assert listed["endpoints"] == ["wecom:wang", "sip:1001"]
        assert {u["id"] for u in (await admin.get("directory/units")).json()} == {"u1", "u2"}
        book = (await admin.get("directory/endpoints")).json()
        assert [line["endpoint"] for line in book] == ["sip:1001", "wecom:wang"]


async def test_replacing_a_responder_keeps_where_they_are(
    store: SqlStore, directory: DirectoryService, clock: ScriptedClock
) -> None:
    position = Position(Point(31.2, 121.4), clock.now())
    await put(store, directory, responder("wang", position=position))
    app = app_of(build_router(directory, store), clock=clock)

    async with client_of(app, key="admin") as admin:
        body = {"id": "wang", "name": "Wang", "unit_id": "u1", "on_duty": False}
        answer = await admin.post("directory/responders", json=body)

    assert answer.json()["position"]["point"] == {"lat": 31.2, "lon": 121.4}
    assert answer.json()["on_duty"] is False


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"endpoints": ["nonsense"]}, 422),
        ({"unit_id": "ghost"}, 422),
        ({"capacity": 0}, 422),
        ({"surprise": 1}, 422),
    ],
)
async def test_a_wrong_responder_is_refused(
    store: SqlStore, directory: DirectoryService, clock: ScriptedClock, change: dict, status: int
) -> None:
    app = app_of(build_router(directory, store), clock=clock)
    body = {"name": "Wang", "unit_id": "u1", **change}
    async with client_of(app, key="admin") as admin:
        answer = await admin.post("directory/responders", json=body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_viewer_may_read_and_not_write(
    store: SqlStore, directory: DirectoryService, clock: ScriptedClock
) -> None:
    app = app_of(build_router(directory, store), clock=clock)
    async with client_of(app, key="viewer") as viewer:
        assert (await viewer.get("directory/endpoints")).status_code == 200
        refused = await viewer.post("directory/units", json={"name": "Fire", "team": "fire"})
        assert refused.status_code == 403
