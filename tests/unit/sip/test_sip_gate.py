"""Floods: what is dropped unread, what is answered without remembering anything, and whom neither may touch."""

import asyncio

import pytest
from fakes.waiting import eventually
from structlog.testing import capture_logs

from commhub.domain.call import Cause
from gateways.sip import metrics
from gateways.sip.config import Rate, RateConfig
from gateways.sip.gate import Gate
from gateways.sip.transport import Hop

LOUD = Hop("198.51.100.66", 5060)
RATES = RateConfig(
    stranger=Rate(per_s=10, burst=20),
    proved=Rate(per_s=100, burst=200),
    strangers=Rate(per_s=50, burst=60),
    proved_for_s=60,
)


@pytest.fixture
def gate(clock):
    return Gate(clock, RATES, lambda source: source.host == "10.0.0.1")


def admitted(gate, source, count):
    return sum(gate.admits(source) for _ in range(count))


def test_a_source_may_say_so_much_at_once_and_so_much_a_second(gate, clock):
    assert admitted(gate, LOUD, 100) == 20
    clock.advance(1)
    assert admitted(gate, LOUD, 100) == 10
    clock.advance(3600)
    assert admitted(gate, LOUD, 100) == 20


def test_more_ports_are_not_more_sources(gate):
    assert sum(gate.admits(Hop(LOUD.host, 1024 + n)) for n in range(500)) == 20


def test_one_ipv6_network_is_one_source(gate):
    assert sum(gate.admits(Hop(f"2001:db8::{n:x}", 5060)) for n in range(500)) == 20


def test_a_phone_that_proved_itself_does_not_suffer_from_its_neighbour(gate):
    phone = Hop(LOUD.host, 5071)
    gate.prove(phone)
    admitted(gate, LOUD, 500)

    assert admitted(gate, phone, 50) == 50


def test_a_proof_wears_off(gate, clock):
    gate.prove(LOUD)
    clock.advance(61)

    assert admitted(gate, LOUD, 100) == 20


def test_a_proven_phone_has_its_limit_too(gate):
    gate.prove(LOUD)

    assert admitted(gate, LOUD, 500) == 200


def test_forged_addresses_share_what_strangers_have_together(gate):
    """Phones that are known go on undisturbed meanwhile."""
    phone = Hop("192.0.2.10", 5062)
    gate.prove(phone)
    forged = sum(gate.admits(Hop(f"203.0.{n // 250}.{n % 250}", 5060)) for n in range(5000))

    assert forged == 60
    assert admitted(gate, phone, 100) == 100


def test_a_peer_known_by_its_address_is_never_dropped(gate):
    assert admitted(gate, Hop("10.0.0.1", 5060), 5000) == 5000


def test_what_is_remembered_of_sources_is_bounded(gate, clock, monkeypatch):
    monkeypatch.setattr("gateways.sip.gate._MAX_SOURCES", 100)
    monkeypatch.setattr("gateways.sip.gate._MAX_PROVED", 100)
    for n in range(1000):
        clock.advance(0.1)
        gate.admits(Hop(f"203.0.{n // 250}.{n % 250}", 5060))
        gate.prove(Hop("192.0.2.1", 1024 + n))

    assert len(gate._strangers) == len(gate._proved) == 100


def test_a_loud_source_is_named_once_and_again_when_it_is_calm(gate, clock):
    with capture_logs() as logs:
        admitted(gate, LOUD, 500)
        clock.advance(5)
        gate.settle()
        admitted(gate, LOUD, 500)
        clock.advance(11)
        gate.settle()

    assert [(line["event"], line["source"]) for line in logs] == [
        ("sip_source_throttled", LOUD.host),
        ("sip_source_calm", LOUD.host),
    ]
    assert logs[-1]["dropped"] == 480 + 480


# --- at the gateway ----------------------------------------------------------------------------------------


def servers_of(wire):
    return wire.gateway._core.layer._servers


async def test_a_request_without_credentials_is_challenged_and_forgotten(wire):
    for method, status in (("INVITE", 407), ("REGISTER", 401)):
        answer = await wire.ask(wire.request(method))
        assert answer.status == status

    assert not servers_of(wire)


async def test_a_retransmission_gets_the_same_tag(wire):
    request = wire.request("INVITE")

    first, again = await wire.ask(request), await wire.ask(request)

    assert first.recipient.tag == again.recipient.tag != ""


async def test_the_ack_of_a_challenge_belongs_to_nobody_and_is_no_stray(wire):
    request = wire.request("INVITE")
    answer = await wire.ask(request)
    before = strays()
    ack = request.replace("INVITE sip", "ACK sip", 1).replace("1 INVITE", "1 ACK")
    wire.say(ack.replace("To: <sip:1001@commhub.test>", f"To: {answer.get('To')}"))
    assert strays() == before

    wire.say(ack.replace("To: <sip:1001@commhub.test>", "To: <sip:1001@commhub.test>;tag=x"))
    assert strays() == before + 1


def strays():
    return metrics.STRAYS.labels("ack")._value.get()


async def test_a_flood_leaves_nothing_behind_and_a_registered_phone_is_served(wire):
    assert (await wire.authorized("REGISTER")).status == 200
    since = len(wire.sent)
    for n in range(5000):
        wire.say(wire.request("INVITE", call=f"f{n}"), Hop(LOUD.host, 1024 + n))

    assert len([hop for _, hop in wire.sent[since:] if hop.host == LOUD.host]) == 400
    assert len(servers_of(wire)) <= 1
    assert (await wire.authorized("REGISTER", seq=5)).status == 200


async def test_after_a_restart_registered_phones_are_no_strangers(wire):
    contact = "Contact: <sip:1001@192.0.2.10:5062>"
    assert (await wire.authorized("REGISTER", headers=[contact])).status == 200
    await wire.restart()
    for n in range(500):
        wire.say(wire.request("INVITE", call=f"f{n}"), Hop("192.0.2.10", 1024 + n))

    assert (await wire.authorized("REGISTER", headers=[contact], seq=5)).status == 200


async def test_a_storm_of_registrations_leaves_room_for_calls(wire):
    wire.gateway._inbound._pending = wire.gateway._config.max_pending
    headers = ["Contact: <sip:1001@192.0.2.10:5062>"]

    registered = await wire.authorized("REGISTER", headers=headers)
    call = asyncio.create_task(wire.authorized("INVITE", headers=headers, call="c2"))
    await eventually(lambda: wire.calls.offers)

    assert (registered.status, bool(registered.get("Retry-After"))) == (503, True)
    await wire.gateway.hang_up(wire.calls.offers[0].leg_id, Cause.BUSY)
    assert (await call).status == 486
