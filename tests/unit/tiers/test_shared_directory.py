"""What one hub shares another can address, as long as it is shared, with what is told of it; and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.objects import a_responder, a_unit
from fakes.tier_calls import Devices
from fakes.tiers import TierHub, a_hub, join, pair
from fakes.waiting import eventually
from fakes.web import app_of, client_of, someone
from fastapi import APIRouter

from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import InvalidError, NotAllowedError, NotFoundError
from commhub.domain.facts import DeviceSeen
from commhub.domain.geo import Point, Position
from commhub.domain.people import Endpoint, Role
from commhub.domain.tier import Shared, ShareRight, Tier
from commhub.kit.clock import SystemClock
from commhub.ports.edge_store import SipAccount
from commhub.tiers import directory_routes
from commhub.tiers.commands import HubCommands
from commhub.tiers.directory import EVERYBODY, NewExport, SharedDirectoryService
from commhub.tiers.presence import AGAIN_S, Presence

LI = someone(Role.SYSTEM_ADMIN)
CALL, SEE, COMMAND = ShareRight.CALL, ShareRight.SEE, ShareRight.COMMAND
ALL = frozenset(ShareRight)
WITHIN_S = 30


@dataclass
class Sharing:
    """A hub with its part of the directory in common."""

    hub: TierHub
    directory: SharedDirectoryService
    presence: Presence

    async def share(self, subject: str, *rights: ShareRight, peer: str = EVERYBODY) -> str:
        async with self.hub.store.begin() as uow:
            new = NewExport(peer=peer, subject=subject, rights=frozenset(rights))
            export = await self.directory.share(uow, new, LI)
        self.directory.wake()
        return export.id

    def router(self) -> APIRouter:
        hub = self.hub
        commands = HubCommands(
            hub.store, SystemClock(), hub.links, self.directory, Devices(), hub.words
        )
        return directory_routes.build_router(self.directory, self.presence, commands, hub.store)

    async def theirs(self) -> dict[str, Shared]:
        return {one.shared.address: one.shared for one in await self.directory.shared()}

    async def until(self, holds: Callable[[dict[str, Shared]], object]) -> dict[str, Shared]:
        async def seen() -> dict[str, Shared] | None:
            found = await self.theirs()
            return found if holds(found) else None

        found = await eventually(lambda: _wrapped(seen), within_s=WITHIN_S)
        return found[0]

    async def put(self, device: Device) -> None:
        async with self.hub.store.begin() as uow:
            await uow.fleet.put(device)
            uow.record(DeviceSeen(at=datetime.now(UTC), device_id=device.id, online=device.online))


async def _wrapped(seen: Callable[[], object]) -> list[object] | None:
    """In a list, because no lines at all is an answer too."""
    found = await seen()  # type: ignore[misc]  # what is handed in is a coroutine function
    return None if found is None else [found]


@asynccontextmanager
async def sharing(
    name: str, tier: Tier, folder: Path, again_s: float = AGAIN_S
) -> AsyncIterator[Sharing]:
    async with a_hub(name, tier, folder) as hub:
        directory = SharedDirectoryService(hub.store, SystemClock(), hub.links, hub.words)
        presence = Presence(
            directory,
            hub.store,
            hub.bus,
            SystemClock(),
            hub.links,
            hub.words,
            rest_s=0.01,
            again_s=again_s,
        )
        running = asyncio.create_task(presence.run())
        try:
            yield Sharing(hub, directory, presence)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


RADIO = Device(id="r12", kind=DeviceKind.RADIO, name="巡逻12", groups=("patrol",), online=True)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Sharing]:
    async with sharing("street-a", Tier.STREET, tmp_path) as one:
        await one.put(RADIO)
        async with one.hub.store.begin() as uow:
            await uow.directory.put_unit(a_unit(id="water", name="水务所"))
            await uow.directory.put_responder(
                a_responder(id="zhang", unit_id="water", endpoints=(Endpoint.parse("sip:1001"),))
            )
            for name in ("1001", "1002"):
                await uow.sip.put_account(
                    SipAccount(name=name, display_name=name, ha1_md5="x", ha1_sha256="x")
                )
        yield one


@pytest.fixture
async def district(tmp_path: Path) -> AsyncIterator[Sharing]:
    async with sharing("district-1", Tier.DISTRICT, tmp_path) as one:
        yield one


@asynccontextmanager
async def linked(street: Sharing, district: Sharing) -> AsyncIterator[None]:
    """While a link between them is up."""
    link = asyncio.create_task(join(street.hub, district.hub))
    try:
        await eventually(
            lambda: (
                street.hub.links.state_of("district-1").up
                and district.hub.links.state_of("street-a").up
            ),
            within_s=WITHIN_S,
        )
        yield
    finally:
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await eventually(lambda: not district.hub.links.state_of("street-a").up, within_s=WITHIN_S)


async def test_what_is_shared_is_addressed_by_the_hubs_name_until_it_is_shared_no_more(
    street: Sharing, district: Sharing
) -> None:
    await pair(street.hub, district.hub)
    async with linked(street, district):
        export = await street.share("radio:r12", CALL, SEE)
        await street.share("unit:water", CALL)
        found = await district.until(lambda lines: len(lines) == 2)
        radio = found["radio:r12@street-a"]
        assert radio.endpoint == Endpoint.parse("radio:r12@street-a")
        assert (radio.label, radio.rights) == ("巡逻12", {CALL, SEE})
        assert found["unit:water@street-a"].unit == "水务所"
        await street.directory.unshare(export, LI)
        assert set(await district.until(lambda lines: len(lines) == 1)) == {"unit:water@street-a"}


async def test_what_was_shared_before_the_hubs_met_is_told_when_they_do(
    street: Sharing, district: Sharing
) -> None:
    await street.share("radio:r12", CALL)
    await pair(street.hub, district.hub)
    async with linked(street, district):
        assert set(await district.until(len)) == {"radio:r12@street-a"}


async def test_presence_and_position_follow_and_are_told_anew_after_the_link_was_down(
    street: Sharing, district: Sharing
) -> None:
    await pair(street.hub, district.hub)
    await street.share("radio:r12", SEE)
    async with linked(street, district):
        await district.until(lambda lines: any(one.online for one in lines.values()))
    reach = (await district.directory.shared())[0]
    assert not reach.is_reachable
    assert not reach.link.up
    position = Position(Point(31.2, 121.5), datetime.now(UTC))
    await street.put(replace(RADIO, online=False, position=position))
    async with linked(street, district):
        await district.until(lambda lines: all(not one.online for one in lines.values()))
        await eventually(
            lambda: district.presence.position_of("radio:r12@street-a") == position,
            within_s=WITHIN_S,
        )
        assert not (await district.directory.shared())[0].is_reachable


async def test_presence_that_overtook_its_list_is_told_again(
    district: Sharing, tmp_path: Path
) -> None:
    async with sharing("street-a", Tier.STREET, tmp_path, again_s=0.0) as street:
        await street.put(RADIO)
        await pair(street.hub, district.hub)
        await street.share("radio:r12", SEE)
        async with linked(street, district):
            known = await district.until(lambda lines: any(one.online for one in lines.values()))
            (line,) = known.values()
            async with district.hub.store.begin() as uow:
                await uow.shared_directory.put_shared(replace(line, online=False))
            street.directory.wake()
            await district.until(lambda lines: all(one.online for one in lines.values()))


async def test_a_position_is_told_only_to_who_may_see(street: Sharing, district: Sharing) -> None:
    await pair(street.hub, district.hub)
    await street.put(replace(RADIO, position=Position(Point(31.2, 121.5), datetime.now(UTC))))
    await street.share("radio:r12", CALL)
    async with linked(street, district):
        await district.until(lambda lines: any(one.online for one in lines.values()))
        await street.put(replace(RADIO, online=False))
        await district.until(lambda lines: all(not one.online for one in lines.values()))
        assert district.presence.position_of("radio:r12@street-a") is None


async def test_command_is_given_upward_and_never_downward(
    street: Sharing, district: Sharing
) -> None:
    await pair(street.hub, district.hub)
    await district.put(replace(RADIO, id="r1"))
    await street.share("radio:r12", *ALL)
    await district.share("radio:r1", *ALL)
    with pytest.raises(NotAllowedError, match="below"):
        await district.share("radio:r1", COMMAND, peer="street-a")
    async with linked(street, district):
        above, below = await district.until(len), await street.until(len)
    assert above["radio:r12@street-a"].rights == ALL
    assert below["radio:r1@district-1"].rights == {CALL, SEE}


async def test_rights_are_asked_of_the_export_and_of_who_is_above(
    street: Sharing, district: Sharing
) -> None:
    await pair(street.hub, district.hub)
    await street.share("radio:r12", CALL, COMMAND)
    await street.share("responder:zhang", CALL)
    await district.put(RADIO)
    await district.share("radio:r12", CALL)

    async def ask(of: Sharing, by: str, endpoint: str, right: ShareRight) -> None:
        async with of.hub.store.read() as uow:
            peering = await uow.peerings.get(by)
            await of.directory.check(uow, peering, Endpoint.parse(endpoint), right)

    await ask(street, "district-1", "radio:r12", COMMAND)
    # A person who is shared is reached by their phone; the phone beside it is nobody's business.
    await ask(street, "district-1", "sip:1001", CALL)
    with pytest.raises(NotFoundError):
        await ask(street, "district-1", "sip:1002", CALL)
    with pytest.raises(NotAllowedError, match="not to see"):
        await ask(street, "district-1", "radio:r12", SEE)
    with pytest.raises(NotAllowedError, match="below"):
        await ask(district, "street-a", "radio:r12", COMMAND)


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        ("radio:r12@district-1", InvalidError),
        ("tel:110", InvalidError),
        ("nonsense", InvalidError),
        ("unit:", InvalidError),
        ("radio:r99", NotFoundError),
        ("cam:r12", NotFoundError),
        ("unit:nobody", NotFoundError),
        ("room:none", NotFoundError),
    ],
)
async def test_what_is_not_ours_or_not_there_cannot_be_shared(
    street: Sharing, subject: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await street.share(subject, CALL)


async def test_exports_and_the_directory_over_http(street: Sharing, district: Sharing) -> None:
    await pair(street.hub, district.hub)
    router, theirs = street.router(), district.router()
    async with linked(street, district):
        async with client_of(app_of(router), key="admin") as client:
            body = {"peer": "*", "subject": "radio:r12", "rights": ["call", "see"]}
            made = await client.post("tiers/exports", json=body, headers={"Idempotency-Key": "k"})
            again = await client.post("tiers/exports", json=body, headers={"Idempotency-Key": "k"})
            assert made.status_code == again.status_code == 201, made.text
            assert made.json() == again.json()
            assert len((await client.get("tiers/exports")).json()) == 1
            nobody = await client.post("tiers/exports", json=body | {"peer": "street-z"})
            assert nobody.status_code == 404
            await district.until(lambda lines: any(one.online for one in lines.values()))
            async with client_of(app_of(theirs)) as desk:
                (line,) = (await desk.get("tiers/directory")).json()
                assert line["address"] == "radio:r12@street-a"
                assert line["reachable"] is True
                assert line["rights"] == ["call", "see"]
            gone = await client.delete(f"tiers/exports/{made.json()['id']}")
            assert gone.status_code == 204
        await district.until(lambda lines: not lines)
