"""A district's phone and a street's radio talk over two whole hubs: by one SIP call between them, with the street's floor told above; and what
is cut or killed meanwhile does not cut the talk."""

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fakes.phones import SimulatedPhone, simulated_phone
from fakes.servers import free_port, listens, running
from fakes.simulators import Simulator
from fakes.tier_hubs import tier_hubs
from fakes.waiting import eventually
from fakes.whole_hub import signed_in

from commhub.wiring.demo.settle import Desk
from commhub.wiring.hub_process import HubError, HubProcess

# Two hubs, a radio and two phones start within it, beside whatever else the machine does.
pytestmark = [pytest.mark.audio, pytest.mark.timeout(300)]

WITHIN_S = 60.0
PHONE_TONE, RADIO_TONE = 440, 1250
LISTEN = ("--listen", f"{PHONE_TONE},{RADIO_TONE}")
# A tone counts as heard at 20 dB over the noise.
HEARD_DB = 20


async def ask(method: Any, *given: Any, **named: Any) -> Any:
    return await asyncio.to_thread(method, *given, **named)


@dataclass
class Two:
    """A street with a radio and a phone, a district with a phone, and their desks."""

    street: HubProcess
    district: HubProcess
    below: Desk
    above: Desk
    radio: Simulator
    phone: SimulatedPhone
    street_phone: SimulatedPhone

    async def call(self, *legs: str, desk: Desk | None = None, **more: str) -> str:
        desk = desk or self.above
        made = await ask(desk.post, "/calls", {"legs": list(legs), **more})
        return str(made["id"])

    async def legs(self, call_id: str, desk: Desk | None = None) -> dict[str, Any]:
        call = await ask((desk or self.above).get, f"/calls/{call_id}")
        return {leg["endpoint"]: leg for leg in call["legs"]}

    async def until(self, call_id: str, desk: Desk | None = None, **states: str) -> dict[str, Any]:
        """Legs by their endpoint's name (`r12` for radio:r12@street-a) in these states."""

        async def are() -> dict[str, Any] | None:
            legs = {
                one["endpoint"].partition(":")[2].partition("@")[0]: one
                for one in (await self.legs(call_id, desk)).values()
            }
            fits = all(
                legs.get(f"{n.lstrip('_')}", {}).get("state") == s for n, s in states.items()
            )
            return legs if fits else None

        return await eventually(are, within_s=WITHIN_S)

    async def connected(self) -> str:
        call_id = await self.call("sip:1001", "radio:r12@street-a")
        await self.until(call_id, _1001="connected", r12="connected")
        return call_id

    async def street_call(self) -> dict[str, Any]:
        """The live call that the street has of it."""

        async def live() -> dict[str, Any] | None:
            found = await ask(self.below.get, "/calls", live="true")
            return found["items"][0] if found["items"] else None

        return await eventually(live, within_s=WITHIN_S)

    async def radio_hears_the_phone(self) -> None:
        await self.radio.do("clear")

        async def heard() -> bool:
            levels = (await self.radio.state())["levels"]
            return bool(levels[str(PHONE_TONE)] - levels["floor"] > HEARD_DB)

        await eventually(heard, within_s=WITHIN_S)

    async def phone_hears_the_radio(self) -> None:
        await self.phone.until(
            lambda state: state["heard"][str(RADIO_TONE)] - state["heard"]["floor"] > HEARD_DB,
            within_s=WITHIN_S,
        )

    async def until_floor(self, incident_id: str, **wanted: str | None) -> None:
        """A line of a floor of the street on the district's timeline."""

        async def is_told() -> bool:
            page = await ask(self.above.get, f"/incidents/{incident_id}/timeline", limit=200)
            floors = [one["data"] for one in page["items"] if one["kind"] == "floor_moved"]
            return any(
                all(floor[name] == value for name, value in wanted.items()) for floor in floors
            )

        await eventually(is_told, within_s=WITHIN_S)

    async def key(self, call_id: str, down: bool) -> None:
        """Press the key of the district's desk, or let go of it."""
        leg = (await self.legs(call_id))["radio:r12@street-a"]
        await ask(self.above.patch, f"/calls/{call_id}/legs/{leg['id']}", {"key": down})

    async def command_floor(self, group: str, command: dict[str, str]) -> None:
        """By the desk above. What it answers has no body."""

        def post() -> None:
            with httpx.Client(cookies=self.above.cookies, timeout=15) as client:
                answer = client.post(
                    f"{self.above.url}/api/v1/calls/floors/{group}",
                    json=command,
                    headers={"Origin": self.above.url},
                )
            assert answer.status_code == 204, answer.text

        await ask(post)

    async def key_is(self, call_id: str, what: str) -> None:
        """Press until it works, or until the refusal says so."""

        async def is_so() -> bool:
            try:
                await self.key(call_id, True)
            except HubError as error:
                return what in str(error)
            return what == "taken"

        await eventually(is_so, within_s=WITHIN_S)


async def a_phone(stack: AsyncExitStack, hub: HubProcess, desk: Desk, name: str) -> SimulatedPhone:
    made = await ask(desk.post, "/fleet/phones", {"name": name, "display_name": name})
    more = ("--tone", str(PHONE_TONE), *LISTEN)
    phone = await stack.enter_async_context(
        simulated_phone(name, made["password"], hub.port("sip"), *more)
    )
    await phone.until(lambda state: state["registered"], within_s=WITHIN_S)
    return phone


async def a_radio(stack: AsyncExitStack, hub: HubProcess, desk: Desk, name: str) -> Simulator:
    body = {"id": name, "kind": "radio", "name": name, "groups": ["patrol"]}
    made = await ask(desk.post, "/fleet", body)
    port = free_port()
    command = [
        *(sys.executable, "-m", "simulators.radio", "--id", name, f"--secret={made['secret']}"),
        *("--mqtt-host", "127.0.0.1", "--mqtt-port", str(hub.port("mqtt"))),
        *(
            "--group",
            "patrol",
            "--lat",
            "31.23",
            "--lon",
            "121.47",
            "--tone",
            str(RADIO_TONE),
            *LISTEN,
            "--http-port",
            str(port),
        ),
    ]
    process = await ask(stack.enter_context, running(command, lambda: listens(port)))
    radio = Simulator(port, process.pid)

    async def is_online() -> bool:
        devices = await ask(desk.get, "/fleet")
        listed = devices["items"] if isinstance(devices, dict) else devices
        return any(one["id"] == name and one["online"] for one in listed)

    await eventually(is_online, within_s=WITHIN_S)
    return radio


@asynccontextmanager
async def two_hubs(folder):
    async with AsyncExitStack() as stack:
        hubs = await stack.enter_async_context(
            tier_hubs(folder, {"street-a": "street", "district-1": "district"})
        )
        street, district = hubs["street-a"], hubs["district-1"]
        below = await stack.enter_async_context(signed_in(street))
        above = await stack.enter_async_context(signed_in(district))
        radio = await a_radio(stack, street, below, "r12")
        street_phone = await a_phone(stack, street, below, "2001")
        phone = await a_phone(stack, district, above, "1001")
        for subject in ("radio:r12", "sip:2001"):
            body = {"peer": "*", "subject": subject, "rights": ["call", "see", "command"]}
            await ask(below.post, "/tiers/exports", body)
        two = Two(street, district, below, above, radio, phone, street_phone)

        async def is_shared() -> bool:
            lines = await ask(above.get, "/tiers/directory")
            return sum(line["reachable"] for line in lines) == 2

        await eventually(is_shared, within_s=WITHIN_S)
        yield two


@pytest.fixture
async def two(tmp_path):
    async with two_hubs(tmp_path) as both:
        yield both


async def test_they_hear_each_other_and_the_streets_floor_is_told_and_asked_for_above(
    two: Two,
) -> None:
    incident = await ask(two.above.post, "/incidents", {"category": "fire", "text": "烟"})
    call_id = await two.call("sip:1001", "radio:r12@street-a", incident=incident["id"])
    await two.until(call_id, _1001="connected", r12="connected")
    own = await two.street_call()
    assert {leg["endpoint"] for leg in own["legs"]} == {"desk:li@district-1", "radio:r12"}

    await two.phone.do("talk", on=True)
    await two.radio_hears_the_phone()
    await two.phone.do("talk", on=False)
    await two.until_floor(incident["id"], event="taken", talker=f"call:{call_id}")
    await two.radio.do("ptt", down=True)
    await two.phone_hears_the_radio()
    await two.until_floor(
        incident["id"], event="taken", talker="radio:r12@street-a", group="patrol@street-a"
    )

    # The desk above interrupts the radio by the street's own arbiter, and takes the floor away again.
    await two.key(call_id, True)
    await two.until_floor(incident["id"], event="revoked", cause="preempted")
    command = {"action": "revoke", "participant": f"call:{call_id}"}
    await two.command_floor("patrol@street-a", command)
    await two.until_floor(incident["id"], event="revoked", cause="dispatcher")

    await ask(two.above.delete, f"/calls/{call_id}")

    async def is_over() -> bool:
        return not (await ask(two.below.get, "/calls", live="true"))["items"]

    await eventually(is_over, within_s=WITHIN_S)


async def test_a_kill_of_a_control_and_a_link_that_is_down_leave_the_talk_as_it_is(
    two: Two,
) -> None:
    call_id = await two.connected()
    await two.phone.do("talk", on=True)
    await two.radio_hears_the_phone()
    two.district.kill("control")
    for _ in range(3):
        await two.radio_hears_the_phone()
    await ask(two.district.wait_ready)
    await two.radio_hears_the_phone()
    await two.until(call_id, _1001="connected", r12="connected")
    await two.key_is(call_id, "taken")
    await two.key(call_id, False)

    two.street.kill("control")
    await two.key_is(call_id, "the link to street-a is down")
    await two.radio_hears_the_phone()
    await ask(two.street.wait_ready)
    await two.radio_hears_the_phone()
    await two.key_is(call_id, "taken")


async def test_who_is_called_over_hubs_may_refuse_or_be_busy_and_both_desks_say_so(
    two: Two,
) -> None:
    await two.street_phone.do("mode", mode="busy")
    call_id = await two.call("sip:1001", "sip:2001@street-a")
    legs = await two.until(call_id, _2001="ended")
    assert legs["2001"]["cause"] == "busy"
    await two.street_phone.do("mode", mode="decline")
    call_id = await two.call("sip:1001", "sip:2001@street-a")
    legs = await two.until(call_id, _2001="ended")
    assert legs["2001"]["cause"] == "declined"
    call_id = await two.call("sip:1001", "sip:9999@street-a")
    legs = await two.until(call_id, _9999="ended")
    assert legs["9999"]["cause"] == "not_found"
    assert "not shared" in legs["9999"]["detail"]
