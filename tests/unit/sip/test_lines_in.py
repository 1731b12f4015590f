"""Calls from lines: whose they are, whom they may mean, who is believed to call."""

import pytest
from fakes.sip_lines import FIRST, SDP, SECOND, Exchange, a_trunk
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.transport import Hop


@pytest.fixture
def trunks():
    return (
        a_trunk(
            trusted=True,
            in_prefixes={"00": "+", "0": "+86"},
            inbound={"+862112345678": "2000", "10*": "*"},
            sources=("203.0.113.0/28", "192.0.2.77:5070"),
            max_calls=2,
        ),
        a_trunk("second", SECOND, inbound={"*": "patrol-1"}),
    )


@pytest.fixture
def alarm():
    alarms = []

    async def told(kind, text, call_id=None):
        alarms.append(kind)

    told.all = alarms
    return told


@pytest.fixture
def first(wire):
    return Exchange(wire)


@pytest.fixture
def second(wire):
    return Exchange(wire, SECOND)


async def offered(wire, text, source):
    before = len(wire.calls.offers)
    wire.say(text, source)
    await eventually(lambda: len(wire.calls.offers) > before)
    return wire.calls.offers[-1]


async def test_a_number_of_ours_means_what_the_settings_say(wire, first):
    offer = await offered(wire, first.calls("02112345678", name="Li"), FIRST)
    assert offer.called == "2000"
    assert str(offer.caller) == "tel:+862187654321"
    assert offer.display_name == "Li"
    assert wire.gateway.lines.find("first").calls == 1


async def test_a_star_stands_for_a_range_and_for_the_number_itself(wire, first, second):
    assert (await offered(wire, first.calls("1002"), FIRST)).called == "1002"
    assert (await offered(wire, second.calls("+862199999999"), SECOND)).called == "patrol-1"


async def test_a_number_nobody_listed_is_not_found_and_the_desk_hears_of_it(wire, first, alarm):
    answer = await wire.ask(first.calls("013900000000"), FIRST)
    assert answer.status == 404
    assert wire.calls.offers == []
    assert alarm.all == ["foreign_number"]


@pytest.mark.parametrize("source", [Hop("203.0.113.9", 33333), Hop("192.0.2.77", 5070)])
async def test_a_line_may_call_from_its_other_addresses(wire, first, source):
    assert await offered(wire, first.calls("02112345678", source=source), source)


@pytest.mark.parametrize(
    "source",
    [
        Hop("203.0.113.16", 5060),
        Hop("192.0.2.77", 5071),
        Hop("198.51.100.1", 5999),
        Hop("192.0.2.10", 5062),
    ],
)
async def test_nobody_else_calls_without_a_password(wire, first, source):
    answer = await wire.ask(first.calls("02112345678", source=source), source)
    assert answer.status == 407
    assert wire.calls.offers == []


async def test_over_a_stream_the_port_says_nothing(wire):
    line = wire.gateway.lines.find("first")
    assert line.is_source(Hop(FIRST.host, 41234, "TCP"))
    assert not line.is_source(Hop("198.51.100.3", 5060, "TCP"))


@pytest.mark.parametrize(
    ("headers", "caller", "name"),
    [
        (['P-Asserted-Identity: "Zhao" <sip:02155556666@first.example>'], "+862155556666", "Zhao"),
        (["P-Asserted-Identity: <tel:+8613800000000>"], "+8613800000000", None),
        (["P-Asserted-Identity: <sip:anonymous@x>, <tel:00852-1234-5678>"], "+85212345678", None),
        (["P-Asserted-Identity: <sip:013700000000;rn=1@x>"], "+8613700000000", None),
        (["P-Asserted-Identity: <not an address"], "+862187654321", "Li"),
    ],
)
async def test_a_trusted_line_is_believed_who_calls(wire, first, headers, caller, name):
    offer = await offered(wire, first.calls("02112345678", headers=headers, name="Li"), FIRST)
    assert (offer.caller.name, offer.display_name) == (caller, name)


async def test_who_withholds_a_number_is_known_when_a_trusted_line_asserts_it(wire, first):
    headers = ["P-Asserted-Identity: <tel:+8613800000000>", "Privacy: id"]
    offer = await offered(
        wire, first.calls("02112345678", headers=headers, caller="anonymous"), FIRST
    )
    assert offer.caller.name == "+8613800000000"


async def test_a_line_that_is_not_trusted_asserts_nothing(wire, second):
    headers = ["P-Asserted-Identity: <tel:+8613800000000>"]
    offer = await offered(wire, second.calls("1", headers=headers, caller="anonymous"), SECOND)
    assert offer.caller.name == "anonymous"


async def test_a_phone_asserts_nothing(wire):
    headers = (
        "P-Asserted-Identity: <tel:110>",
        "Contact: <sip:1001@192.0.2.10:5062>",
        "Content-Type: application/sdp",
    )
    challenge = await wire.ask(wire.request("INVITE", to="2000", headers=headers, body=SDP))
    line = wire.credentials(challenge, "INVITE")
    wire.say(wire.request("INVITE", seq=2, to="2000", headers=(*headers, line), body=SDP))
    await eventually(lambda: wire.calls.offers)
    assert str(wire.calls.offers[0].caller) == "sip:1001"


async def test_a_line_has_only_so_many_calls(wire, first):
    for _ in range(2):
        wire.say(first.calls("02112345678"), FIRST)
    await eventually(lambda: len(wire.calls.offers) == 2)
    assert (await wire.ask(first.calls("02112345678"), FIRST)).status == 486


async def test_a_call_that_the_core_refuses_leaves_its_line(wire, first):
    wire.calls.refuse_with = Cause.NOT_FOUND
    assert (await wire.ask(first.calls("1002"), FIRST)).status == 404
    await eventually(lambda: wire.gateway.legs == 0)
    assert wire.gateway.lines.find("first").calls == 0


async def test_the_number_stands_in_to_when_the_line_calls_our_contact(wire, first):
    text = first.calls("02112345678").replace(
        "INVITE sip:02112345678@127.0.0.1", "INVITE sip:commhub@127.0.0.1"
    )
    assert (await offered(wire, text, FIRST)).called == "2000"
