"""Tickets: ours, for their purpose, in their time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.twilio.errors import ForgeryError
from gateways.twilio.tickets import Ticket, TicketOffice

OFFICE = TicketOffice("the-token")
TICKET = Ticket("stream", "leg-1", "CA1", 3, 1_000)


def refusal(text, purpose="stream", now=900.0, office=OFFICE):
    with pytest.raises(ForgeryError) as caught:
        office.read(text, purpose, now)
    return caught.value.reason


def test_a_ticket_is_read_as_it_was_written_by_a_process_that_knows_only_the_token():
    assert TicketOffice("the-token").read(OFFICE.write(TICKET), "stream", 900.0) == TICKET


def test_a_ticket_of_another_account_is_forged():
    assert refusal(TicketOffice("another").write(TICKET)) == "ticket_forged"


def test_a_ticket_serves_one_purpose():
    assert refusal(OFFICE.write(replace(TICKET, purpose="resume"))) == "ticket_for_another_purpose"


def test_a_ticket_is_good_until_its_time():
    text = OFFICE.write(TICKET)
    assert OFFICE.read(text, "stream", 1_000.0) == TICKET
    assert refusal(text, now=1_001.0) == "ticket_expired"


@given(st.text(max_size=300))
def test_nothing_but_a_ticket_is_a_ticket(text):
    assert refusal(text) == "ticket_forged"


@given(st.data())
def test_a_ticket_changed_anywhere_is_forged(data):
    text = OFFICE.write(TICKET)
    at = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.sampled_from("ABCDEFabcdef012345-_").filter(lambda c: c != text[at]))
    assert refusal(text[:at] + other + text[at + 1 :]) == "ticket_forged"
