"""What the doctor says of voice by IPv6 and of where the trunks are."""

import pytest
from fakes.name_servers import name_server

from commhub.settings import Settings
from commhub.settings_parts import MediaSettings, SipSettings, TrunkSettings
from commhub.wiring.doctor import examine
from commhub.wiring.doctor_lines import ipv6_voice, lines
from commhub.wiring.findings import Verdict


@pytest.fixture
def settings(tmp_path):
    def of(*, sip=None, **media):
        return Settings(data_dir=tmp_path, media=MediaSettings(**media), sip=sip or SipSettings())

    return of


@pytest.mark.parametrize(
    ("media", "verdict", "found"),
    [
        ({}, Verdict.OK, "off"),
        ({"ipv6_host": "::1"}, Verdict.OK, "on this machine only"),
        ({"ipv6_host": "::"}, Verdict.FAILED, "nowhere"),
        ({"ipv6_host": "::", "ipv6_advertised_host": "::1"}, Verdict.OK, "UDP ::1"),
        ({"ipv6_host": "2001:db8::7"}, Verdict.FAILED, "no address of this machine"),
        ({"ipv6_host": "::1", "ipv6_advertised_host": "fe80::1"}, Verdict.FAILED, "every link"),
        (
            {"ipv6_host": "::1", "ipv6_advertised_host": "2001:db8::7"},
            Verdict.WARNING,
            "not arrive",
        ),
    ],
)
async def test_the_address_for_voice_by_ipv6(settings, media, verdict, found):
    finding = await ipv6_voice(settings(**media))
    assert finding.verdict is verdict
    assert found in finding.found
    assert bool(finding.hint) is (verdict is not Verdict.OK)


async def test_phones_by_ipv6_that_are_offered_no_voice_by_it(settings):
    finding = await ipv6_voice(settings(sip=SipSettings(ipv6_host="::1")))
    assert finding.verdict is Verdict.WARNING
    assert "media.ipv6_host" in finding.hint


def sip(server, *, nameserver=None, transport="udp", ipv6=None):
    trunk = TrunkSettings(
        name="carrier", server=server, transport=transport, number="+862112345678"
    )
    nameservers = (nameserver,) if nameserver else ()
    return SipSettings(trunks=(trunk,), nameservers=nameservers, ipv6_host=ipv6)


RECORDS = """
@ 60 NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp
_sip._tcp 60 SRV 10 0 5066 sbc
_sip._udp 60 SRV 10 0 5070 sbc
_sip._udp 60 SRV 20 0 5080 spare
sbc 60 A 192.0.2.1
spare 60 A 192.0.2.2
six 60 AAAA 2001:db8::1
"""


@pytest.mark.parametrize(
    ("server", "transport", "verdict", "found"),
    [
        ("carrier.test", "udp", Verdict.OK, "192.0.2.1:5070 by UDP, 192.0.2.2:5080 by UDP"),
        ("carrier.test", "auto", Verdict.OK, "192.0.2.1:5066 by TCP"),
        ("sbc.carrier.test", "udp", Verdict.OK, "192.0.2.1:5060 by UDP"),
        ("sbc.carrier.test:5090", "tcp", Verdict.OK, "192.0.2.1:5090 by TCP"),
        ("nobody.carrier.test", "auto", Verdict.FAILED, "no NAPTR, SRV, A, AAAA"),
        ("nobody.carrier.test:5060", "udp", Verdict.FAILED, "no A, AAAA"),
        ("six.carrier.test", "udp", Verdict.FAILED, "by IPv6 only"),
    ],
)
async def test_where_a_trunk_is(settings, server, transport, verdict, found):
    async with name_server("carrier.test", RECORDS) as names:
        given = sip(server, nameserver=names.address, transport=transport)
        (finding,) = await lines(settings(sip=given))
    assert (finding.check, finding.verdict) == ("trunk-carrier", verdict)
    assert found in finding.found
    assert bool(finding.hint) is (verdict is not Verdict.OK)


async def test_a_trunk_by_ipv6_is_well_where_the_hub_has_it(settings):
    async with name_server("carrier.test", RECORDS) as names:
        given = sip("six.carrier.test", nameserver=names.address, ipv6="::1")
        (finding,) = await lines(settings(sip=given))
    assert finding.verdict is Verdict.OK


async def test_a_trunk_whose_address_is_of_the_other_version(settings):
    (finding,) = await lines(settings(sip=sip("[2001:db8::1]:5060")))
    assert finding.verdict is Verdict.FAILED
    assert finding.hint == "set sip.ipv6_host"


async def test_name_servers_that_do_not_answer(settings):
    async with name_server("carrier.test", RECORDS) as names:
        names.is_silent = True
        given = sip("carrier.test", nameserver=names.address)
        (finding,) = await lines(settings(sip=given))
    assert finding.verdict is Verdict.FAILED
    assert "sip.nameservers" in finding.hint


async def test_the_doctor_asks_for_each_of_them(settings):
    found = {finding.check for finding in await examine(settings(sip=sip("127.0.0.1:5099")))}
    assert {"media_ipv6", "trunk-carrier"} <= found
