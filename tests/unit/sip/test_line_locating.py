"""Where a trunk is that has a name: NAPTR, SRV by priority and weight, addresses, and name servers that are away."""

import socket
from collections import Counter

import pytest
from fakes.name_servers import name_server

from gateways.sip.errors import TransactionError
from gateways.sip.trunks.locating import AUTO, Locator

BOTH = (socket.AF_INET, socket.AF_INET6)
FOUR = (socket.AF_INET,)
RECORDS = """
@           60 NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp
@           60 NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp
@           60 NAPTR 10 20 "s" "SIP+D2T" "" _sip._tcp
@           60 NAPTR 5 10 "u" "E2U+sip" "!^.*$!sip:info@evil.example!" .
@           60 A 192.0.2.99
_sip._udp   60 SRV 20 0 5060 backup
_sip._udp   60 SRV 10 80 5070 heavy
_sip._udp   60 SRV 10 20 5080 light
_sip._tcp   60 SRV 10 0 5090 heavy
_sips._tcp  60 SRV 10 0 5061 heavy
heavy       60 A 192.0.2.1
heavy       60 AAAA 2001:db8::1
light       60 A 192.0.2.2
backup      60 A 192.0.2.3
_sip._udp.none 60 SRV 0 0 0 .
none        60 A 192.0.2.4
plain       60 A 192.0.2.5
plain       60 A 192.0.2.6
"""


@pytest.fixture
async def server():
    async with name_server("carrier.test", RECORDS) as server:
        yield server


@pytest.fixture
def locator(server):
    return Locator((server.address,))


async def texts(locator, host="carrier.test", port=None, transport="UDP", families=FOUR):
    places = await locator.places(host, port, transport, families)
    return [f"{hop} {hop.transport}" for hop in places]


async def test_priority_goes_before_weight(locator):
    found = await texts(locator)
    assert set(found[:2]) == {"192.0.2.1:5070 UDP", "192.0.2.2:5080 UDP"}
    assert found[2:] == ["192.0.2.3:5060 UDP"]


async def test_of_one_priority_the_heavier_is_first_more_often(locator):
    first = Counter([(await texts(locator))[0] for _ in range(400)])
    # 80 to 20; three in ten would already be five standard deviations off.
    assert 0.7 * 400 < first["192.0.2.1:5070 UDP"] < 0.9 * 400


async def test_naptr_chooses_the_transports_in_its_order_and_nothing_but_transports(locator):
    found = await texts(locator, transport=AUTO)
    assert found[:2] == ["192.0.2.1:5061 TLS", "192.0.2.1:5090 TCP"]
    assert [one.rpartition(" ")[2] for one in found[2:]] == ["UDP"] * 3


async def test_the_certificate_has_to_name_the_domain_and_not_where_its_records_led(locator):
    (place, *_) = await locator.places("carrier.test", None, AUTO, FOUR)
    assert place.name == "carrier.test"


async def test_both_families_are_places_of_a_host(locator):
    assert await texts(locator, transport="TCP", families=BOTH) == [
        "192.0.2.1:5090 TCP",
        "[2001:db8::1]:5090 TCP",
    ]


async def test_a_name_without_srv_is_a_host_and_each_of_its_addresses_a_place(locator):
    assert sorted(await texts(locator, "plain.carrier.test")) == [
        "192.0.2.5:5060 UDP",
        "192.0.2.6:5060 UDP",
    ]


async def test_a_named_port_is_asked_for_by_no_srv(locator, server):
    assert await texts(locator, port=5555) == ["192.0.2.99:5555 UDP"]
    assert {kind for _, kind in server.asked} == {"A"}


async def test_a_service_that_says_it_is_not_there_leaves_the_host(locator):
    assert await texts(locator, "none.carrier.test") == ["192.0.2.4:5060 UDP"]


async def test_an_address_is_asked_for_by_nothing(locator, server):
    assert await texts(locator, "192.0.2.7") == ["192.0.2.7:5060 UDP"]
    assert await texts(locator, "[2001:db8::7]", 5099, AUTO) == ["[2001:db8::7]:5099 UDP"]
    assert server.asked == []


async def test_what_was_found_is_kept_for_its_time(locator, server):
    await texts(locator)
    asked = len(server.asked)
    await texts(locator)
    assert len(server.asked) == asked


async def test_a_line_stays_where_it_was_when_no_name_server_answers(server):
    locator = Locator((server.address,))
    before = await texts(locator, port=5555)
    server.is_silent = True
    locator._made.cache.flush()
    assert await texts(locator, port=5555) == before


async def test_a_name_that_nobody_knows_is_no_place(locator):
    with pytest.raises(TransactionError, match="no address for nobody"):
        await texts(locator, "nobody.carrier.test")
