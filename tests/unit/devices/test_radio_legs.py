"""Radio groups as legs, on a real store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fakes.waiting import eventually

from commhub.db import SqlStore
from commhub.domain.call import Cause
from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import InvalidError, UnavailableError
from commhub.domain.people import Endpoint
from commhub.ports.store import Also
from commhub.ports.telephony import LegOrder
from devices.radio_legs import RadioLegs

RADIO = Device(
    id="r12", kind=DeviceKind.RADIO, name="Radio 12", groups=("north", "south"), online=True
)


class Media:
    """Joins groups when the gate is open."""

    def __init__(self) -> None:
        self.joined: list[tuple[str, str, str]] = []
        self.released: list[str] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def join_group(self, call_id: str, leg_id: str, group: str) -> None:
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.joined.append((call_id, leg_id, group))

    async def release(self, leg_id: str) -> None:
        self.released.append(leg_id)


class Calls:
    """Hears how legs fare."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    async def leg_connected(
        self, leg_id: str, codec: str | None, *, also: Also | None = None
    ) -> None:
        self.heard.append(("connected", leg_id, codec))

    async def leg_ended(
        self, leg_id: str, cause: Cause, detail: str | None, *, also: Also | None = None
    ) -> None:
        self.heard.append(("ended", leg_id, cause))


@pytest.fixture
def media() -> Media:
    return Media()


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def legs(store: SqlStore, media: Media, calls: Calls) -> AsyncIterator[RadioLegs]:
    async with RadioLegs(store, media, calls) as driver:
        yield driver


async def keep(store: SqlStore, device: Device) -> None:
    async with store.begin() as uow:
        await uow.fleet.put(device)


def order(endpoint: str, leg_id: str = "l1") -> LegOrder:
    return LegOrder(call_id="c1", leg_id=leg_id, endpoint=Endpoint.parse(endpoint))


async def test_a_radio_is_reached_by_its_selected_group(
    legs: RadioLegs, store: SqlStore, media: Media, calls: Calls
) -> None:
    await keep(store, RADIO)
    await legs.place(order("radio:r12"))
    await legs.place(order("radio:r12"))
    await eventually(lambda: calls.heard)
    assert media.joined == [("c1", "l1", "north")]
    assert calls.heard == [("connected", "l1", "OPUS")]


async def test_a_group_is_on_the_air_whether_anybody_listens_or_not(
    legs: RadioLegs, store: SqlStore, media: Media, calls: Calls
) -> None:
    await keep(store, replace(RADIO, online=False))
    await legs.place(order("radio:south"))
    await eventually(lambda: calls.heard)
    assert media.joined == [("c1", "l1", "south")]


@pytest.mark.parametrize(
    ("endpoint", "device", "cause"),
    [
        ("radio:r99", RADIO, Cause.NOT_FOUND),
        ("radio:r12", replace(RADIO, online=False), Cause.UNREACHABLE),
        ("radio:r12", replace(RADIO, groups=()), Cause.UNREACHABLE),
        ("radio:r12", replace(RADIO, revoked=True), Cause.NOT_ALLOWED),
        ("radio:north", replace(RADIO, revoked=True), Cause.NOT_FOUND),
        ("radio:r12@street-b", RADIO, Cause.UNREACHABLE),
    ],
)
async def test_a_radio_that_cannot_be_reached_ends_its_leg_with_the_cause(
    legs: RadioLegs, store: SqlStore, calls: Calls, endpoint: str, device: Device, cause: Cause
) -> None:
    await keep(store, device)
    await legs.place(order(endpoint))
    await eventually(lambda: calls.heard)
    assert calls.heard == [("ended", "l1", cause)]


async def test_no_worker_ends_the_leg_as_unreachable_and_a_fault_leaves_the_others_alone(
    legs: RadioLegs, store: SqlStore, media: Media, calls: Calls
) -> None:
    await keep(store, RADIO)
    media.failures = [UnavailableError("no worker")]
    await legs.place(order("radio:r12"))
    await eventually(lambda: calls.heard == [("ended", "l1", Cause.UNREACHABLE)])

    media.failures = [RuntimeError("bug")]
    await legs.place(order("radio:r12", "l2"))
    await eventually(lambda: calls.heard[1:] == [("ended", "l2", Cause.FAILED)])
    await legs.place(order("radio:r12", "l3"))
    await eventually(lambda: calls.heard[2:] == [("connected", "l3", "OPUS")])


async def test_hanging_up_while_joining_never_connects(
    legs: RadioLegs, store: SqlStore, media: Media, calls: Calls
) -> None:
    await keep(store, RADIO)
    media.gate.clear()
    await legs.place(order("radio:r12"))
    await asyncio.sleep(0)
    await legs.hang_up("l1", Cause.DESK)
    media.gate.set()
    await legs.hang_up("never-seen", Cause.DESK)
    assert media.released == ["l1", "never-seen"]
    assert calls.heard == [("ended", "l1", Cause.DESK), ("ended", "never-seen", Cause.DESK)]
    assert media.joined == []


async def test_radios_place_no_calls(legs: RadioLegs) -> None:
    with pytest.raises(InvalidError):
        await legs.answer("l1")
