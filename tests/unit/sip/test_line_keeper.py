"""A line's state is kept true: registered with the password and before it runs out, asked whether it is there."""

import pytest
from fakes.sip_lines import SECOND, Exchange, a_trunk
from fakes.waiting import eventually

from gateways.sip.trunks.keeper import backoff_s


@pytest.fixture
def trunks():
    return (
        a_trunk(register=True, username="hub", password="line-secret", register_for_s=300),
        a_trunk("second", SECOND, probe_every_s=0.05),
    )


@pytest.fixture
def alarm():
    alarms = []

    async def told(kind, text, call_id=None):
        alarms.append((kind, text))

    told.all = alarms
    return told


@pytest.fixture
def registrar(wire):
    return Exchange(wire)


@pytest.fixture
def line(wire):
    return wire.gateway.lines.find("first")


def granted(seconds):
    return [("Contact", f"<sip:commhub@127.0.0.1>;expires={seconds}")]


async def test_the_hub_registers_with_the_digest_of_its_password(registrar, line):
    asked = await registrar.until("REGISTER")
    assert asked.uri == "sip:first.example"
    assert asked.recipient.uri == asked.sender.uri == "sip:hub@first.example"
    assert asked.get("Expires") == "300"
    assert not asked.get("Authorization")
    registrar.challenge(asked, status=401, more='qop="auth", algorithm=SHA-256')
    again = await registrar.until("REGISTER", 2)
    assert registrar.is_right(again, header="Authorization")
    assert (again.call_id, again.cseq.sequence) == (asked.call_id, asked.cseq.sequence + 1)
    registrar.answer(again, 200, headers=granted(300), contact=False)
    await eventually(lambda: line.registered)
    assert line.is_worth_trying


async def test_it_refreshes_before_the_time_is_over_and_signs_at_once(registrar, line):
    registrar.challenge(await registrar.until("REGISTER"), status=401)
    registrar.answer(await registrar.until("REGISTER", 2), 200, headers=granted(2), contact=False)
    refresh = await registrar.until("REGISTER", 3)
    assert registrar.is_right(refresh, header="Authorization")
    assert "nc=00000002" in refresh.get("Authorization")


async def test_an_interval_that_is_too_brief_is_raised(registrar, line):
    registrar.answer(
        await registrar.until("REGISTER"), 423, headers=[("Min-Expires", "1800")], contact=False
    )
    again = await registrar.until("REGISTER", 2)
    assert again.get("Expires") == "1800"


async def test_a_registrar_that_refuses_is_left_alone_for_a_while_and_the_desk_told(
    registrar, line, alarm
):
    registrar.answer(await registrar.until("REGISTER"), 403, contact=False)
    await eventually(lambda: alarm.all)
    assert alarm.all[0] == (
        "line_not_registered",
        "the line first does not register us: 403 Forbidden",
    )
    assert not line.is_worth_trying
    assert len(registrar.different("REGISTER")) == 1


async def test_a_foreign_realm_gets_no_digest_of_ours(registrar, line):
    registrar.challenge(await registrar.until("REGISTER"), status=401, realm="evil.example")
    await eventually(lambda: line.trouble)
    assert len(registrar.different("REGISTER")) == 1
    assert not registrar.got("REGISTER")[-1].get("Authorization")


@pytest.mark.parametrize("failures", range(1, 30))
def test_each_failure_waits_longer_up_to_ten_minutes(failures):
    most = min(5 * 2 ** (failures - 1), 600)
    waits = [backoff_s(failures, None) for _ in range(50)]
    assert most / 2 <= min(waits) <= max(waits) <= most
    assert backoff_s(failures, 1000) == 1000


async def test_a_line_is_up_while_it_answers_and_down_when_it_does_not(wire, alarm):
    far, line = Exchange(wire, SECOND), wire.gateway.lines.find("second")
    assert line.is_worth_trying
    assert not line.is_up
    far.answer(await far.until("OPTIONS"), 404, contact=False)
    await eventually(lambda: line.is_up)
    far.answer(await far.until("OPTIONS", 2), 503, contact=False)
    await eventually(lambda: line.reachable is False)
    assert ("line_down", "the line second does not answer: 503 Service Unavailable") in alarm.all
    far.answer(await far.until("OPTIONS", 3), 200)
    await eventually(lambda: line.is_up)


async def test_a_line_that_is_never_heard_is_down(wire):
    # Timer F of these tests is 3.2 s.
    line = wire.gateway.lines.find("second")
    await eventually(lambda: line.reachable is False, within_s=8)
