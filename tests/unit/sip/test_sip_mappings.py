"""Phones behind a NAT that gives them another port in the middle of a call."""

from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.mappings import Mappings
from gateways.sip.transport import Hop

NAT, AFTER = Hop("198.51.100.7", 40_001), Hop("198.51.100.7", 50_002)
CONTACT = "sip:1001@10.0.0.5:5060"


async def register(wire, source, seq=1):
    answer = await wire.authorized(
        "REGISTER", headers=[f"Contact: <{CONTACT}>"], call="r", source=source, seq=seq
    )
    assert answer.status == 200


async def test_a_bye_goes_where_the_nat_shows_the_phone_since_its_last_register(wire, phones):
    await register(wire, NAT)
    leg = await phones.call()
    invite = await phones.until("INVITE", NAT.port)
    headers = [("Contact", f"<{CONTACT}>"), ("Content-Type", "application/sdp")]
    wire.say(bytes(invite.response(200, to_tag="t", headers=headers, body=SDP.encode())), NAT)
    await eventually(lambda: wire.calls.told("connected", leg))

    await register(wire, AFTER, seq=3)
    await wire.gateway.hang_up(leg, Cause.DESK)
    await phones.until("BYE", AFTER.port)


def test_two_phones_behind_one_nat_are_never_each_other():
    mappings = Mappings()
    mappings.learn("1001", "sip:1001@10.0.0.5:5060", Hop(NAT.host, 1))
    mappings.learn("1001", "sip:1001@10.0.0.6:5060", Hop(NAT.host, 2))
    mappings.learn("1002", "sip:1002@10.0.0.5:5060", Hop(NAT.host, 3))
    assert mappings.current(NAT, "1001", CONTACT).port == 1
    assert mappings.current(NAT, "1001", "sip:other@10.0.0.6:5060").port == 2
    assert mappings.current(NAT, "1002", CONTACT).port == 3
    assert mappings.current(NAT, "1003", CONTACT) == NAT


def test_a_phone_that_no_nat_hides_is_where_it_says():
    mappings = Mappings()
    mappings.learn("1001", "sip:1001@198.51.100.7:5060", Hop(NAT.host, 1))
    mappings.learn("1001", CONTACT, Hop(NAT.host, 2, "TCP"))
    mappings.learn("1001", "tel:+8610", Hop(NAT.host, 3))
    assert mappings.current(NAT, "1001", "sip:1001@198.51.100.7:5060") == NAT
    assert mappings.current(NAT, "1001", CONTACT) == NAT
    assert mappings.current(Hop("203.0.113.1", 9), "1001", CONTACT).port == 9
