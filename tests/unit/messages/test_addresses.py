"""Which channel carries a text to an address, and in which order a responder is told."""

import pytest
from fakes.objects import a_responder

from commhub.domain.errors import InvalidError
from commhub.domain.people import Endpoint
from commhub.messages.addresses import channel_for, channels_to, for_texts

PHONE = Endpoint.parse("sip:1001")


def test_a_text_is_shown_where_it_can_be_and_rung_where_not() -> None:
    assert channel_for(PHONE, {"sip", "sip_text", "wecom"}) == "sip_text"
    assert channel_for(PHONE, {"sip", "wecom"}) == "sip"
    assert channel_for(Endpoint.parse("tel:+8613800000000"), {"tel", "sms"}) == "sms"


def test_an_address_that_no_channel_in_service_reaches_is_refused() -> None:
    with pytest.raises(InvalidError, match="no channel"):
        channel_for(PHONE, {"wecom"})


def test_a_text_to_a_responder_rings_last() -> None:
    wang = a_responder(endpoints=(PHONE, Endpoint.parse("wecom:wang")))
    in_service = {"sip", "sip_text", "wecom"}
    ways = channels_to(wang, for_texts(in_service), in_service)
    assert [channel for channel, _ in ways] == ["sip_text", "wecom", "sip"]


def test_a_card_goes_the_ways_the_rules_want_in_their_order() -> None:
    wang = a_responder(endpoints=(PHONE,))
    ways = channels_to(wang, ("wecom", "sip", "sip_text"), {"sip", "sip_text"})
    assert [channel for channel, _ in ways] == ["sip", "sip_text"]
