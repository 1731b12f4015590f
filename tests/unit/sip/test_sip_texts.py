"""Texts from phones (MESSAGE, RFC 3428): each is a report, told accepted after its commit, slowed down when too many."""

import pytest

from commhub.domain.errors import ConflictError, UnavailableError
from commhub.domain.report import Source


def text(wire, body, *more, kind="text/plain", seq=1):
    headers = [f"Content-Type: {kind}", *more]
    return wire.request("MESSAGE", seq=seq, headers=headers, body=body, to="110", call="m1")


async def send_text(wire, body, kind="text/plain", seq=1):
    """The answer to an authenticated text."""
    challenge = await wire.ask(text(wire, body, kind=kind, seq=seq))
    assert challenge.status == 407
    signed = wire.credentials(challenge, "MESSAGE")
    return await wire.ask(text(wire, body, signed, kind=kind, seq=seq + 1))


async def test_a_text_from_a_phone_is_a_report(wire):
    answer = await send_text(wire, "gas smell in block 7")

    assert answer.status == 202
    (report,) = wire.reports.submitted
    assert (report.source, report.text) == (Source.SIP, "gas smell in block 7")
    assert report.reporter == "sip:1001"
    assert "m1" in report.idempotency_key


async def test_nobody_reports_without_a_password(wire):
    challenge = await wire.ask(text(wire, "x"))
    wrong = wire.credentials(challenge, "MESSAGE", password="guessed")

    assert (await wire.ask(text(wire, "x", wrong, seq=2))).status == 407
    assert wire.reports.submitted == []


@pytest.mark.parametrize(
    ("failure", "status"),
    [(UnavailableError("the store is away"), 503), (ConflictError("another content"), 400)],
)
async def test_a_text_that_was_not_committed_is_not_accepted(wire, failure, status):
    wire.reports.failure = failure

    assert (await send_text(wire, "fire")).status == status


@pytest.mark.parametrize(
    ("body", "kind", "status"), [("<b>x</b>", "text/html", 415), ("\x07 \x00", "text/plain", 400)]
)
async def test_what_is_no_text_is_no_report(wire, body, kind, status):
    assert (await send_text(wire, body, kind)).status == status
    assert wire.reports.submitted == []


async def test_a_phone_that_sends_too_many_texts_is_slowed_down(wire, clock):
    many = [(await send_text(wire, f"text {n}", seq=2 * n + 1)).status for n in range(7)]
    assert many == [202] * 5 + [480] * 2

    clock.advance(10)
    assert (await send_text(wire, "again", seq=90)).status == 202
