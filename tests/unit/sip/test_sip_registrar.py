"""REGISTER at the gateway: bindings, expiry, order (RFC 3261 §10)."""

from dataclasses import replace

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause
from gateways.sip.transport import Hop


def contact(port=5062, expires=None):
    tail = "" if expires is None else f";expires={expires}"
    return f"Contact: <sip:1001@192.0.2.10:{port}>{tail}"


def uri(port=5062):
    return f"sip:1001@192.0.2.10:{port}"


async def test_a_phone_is_bound_to_where_its_register_came_from(wire):
    nat = Hop("203.0.113.9", 40001)

    answer = await wire.authorized("REGISTER", headers=[contact(), "Expires: 120"], source=nat)

    assert answer.status == 200
    assert answer.get("Contact") == f"<{uri()}>;expires=120"
    assert "received=203.0.113.9" in answer.get("Via")
    assert "rport=40001" in answer.get("Via")
    assert wire.sent[-1][1] == nat
    (binding,) = (await wire.bindings()).values()
    assert (binding.received, binding.transport) == ("203.0.113.9:40001", "UDP")


async def test_several_contacts_of_one_account_live_side_by_side(wire):
    await wire.authorized("REGISTER", headers=[contact(5062)])
    answer = await wire.authorized("REGISTER", headers=[contact(5064)], call="c2")

    assert len(answer.headers.getlist("Contact")) == 2
    assert set(await wire.bindings()) == {uri(5062), uri(5064)}
    assert wire.presence.seen == [("1001", True, None)]


async def test_one_contact_is_removed_by_expires_zero(wire):
    await wire.authorized("REGISTER", headers=[contact(5062), contact(5064)])
    await wire.authorized("REGISTER", headers=[contact(5062, expires=0)], seq=5)

    assert set(await wire.bindings()) == {uri(5064)}
    assert wire.presence.is_online("1001")


async def test_a_star_removes_them_all_and_the_phone_is_offline(wire):
    await wire.authorized("REGISTER", headers=[contact(5062), contact(5064)])
    answer = await wire.authorized("REGISTER", headers=["Contact: *", "Expires: 0"], seq=5)

    assert answer.status == 200
    assert await wire.bindings() == {}
    assert not wire.presence.is_online("1001")


async def test_a_star_without_expires_zero_is_refused_and_removes_nothing(wire):
    await wire.authorized("REGISTER", headers=[contact()])
    answer = await wire.authorized("REGISTER", headers=["Contact: *"], seq=5)

    assert answer.status == 400
    assert len(await wire.bindings()) == 1


async def test_a_register_overtaken_by_a_later_one_changes_nothing(wire):
    await wire.authorized("REGISTER", headers=[contact(expires=300)], seq=10)
    answer = await wire.authorized("REGISTER", headers=[contact(expires=0)], seq=3)

    assert answer.status == 500
    assert len(await wire.bindings()) == 1


async def test_too_brief_an_interval_is_told_the_minimum(wire):
    answer = await wire.authorized("REGISTER", headers=[contact(expires=5)])

    assert answer.status == 423
    assert answer.get("Min-Expires") == "60"
    assert await wire.bindings() == {}


async def test_too_long_an_interval_is_cut(wire):
    answer = await wire.authorized("REGISTER", headers=[contact(expires=999999)])

    assert answer.get("Contact").endswith(";expires=3600")


async def test_nobody_registers_for_somebody_else(wire):
    answer = await wire.authorized("REGISTER", headers=[contact()], to="1002")

    assert answer.status == 403
    assert await wire.bindings("1002") == {}


async def test_a_query_without_contact_lists_and_changes_nothing(wire):
    await wire.authorized("REGISTER", headers=[contact()])
    answer = await wire.authorized("REGISTER", seq=5)

    assert answer.status == 200
    assert answer.get("Contact").startswith(f"<{uri()}>")


async def test_an_expired_phone_is_removed_and_seen_offline(wire):
    await wire.authorized("REGISTER", headers=[contact(expires=60)])
    wire.clock.advance(61)

    await wire.gateway._registrar.sweep()

    assert await wire.bindings() == {}
    assert wire.presence.seen[-1] == ("1001", False, None)


async def test_a_contact_that_names_no_sip_place_is_refused(wire):
    answer = await wire.authorized("REGISTER", headers=["Contact: <tel:+8613800000000>"])

    assert answer.status == 400


async def test_a_retransmitted_register_is_answered_from_memory(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    line = wire.credentials(challenge, "REGISTER")
    request = wire.request("REGISTER", seq=2, headers=[contact(), line])
    first = await wire.ask(request)
    again = await wire.ask(request)

    assert bytes(first) == bytes(again)


async def test_too_many_contacts_are_refused(wire):
    many = [contact(5100 + n) for n in range(11)]

    assert (await wire.authorized("REGISTER", headers=many)).status == 403
    assert await wire.bindings() == {}


async def test_a_core_that_fails_once_is_told_again(wire):
    async def fail_once(account, online, agent):
        wire.presence.seen.append((account, online, agent))
        if len(wire.presence.seen) == 1:
            raise ConnectionError("away")

    wire.presence.phone_seen = fail_once
    answer = await wire.authorized("REGISTER", headers=[contact()])

    assert answer.status == 200
    await eventually(lambda: len(wire.presence.seen) == 2)


# --- preference, proxies, flows --------------------------------------------------------------------------------

PHONE_ID = "urn:uuid:00000000-0000-1000-8000-aabbccddeeff"


def flow(port=5062, number=1, instance=PHONE_ID):
    return f'Contact: <sip:1001@192.0.2.10:{port}>;+sip.instance="<{instance}>";reg-id={number}'


async def test_a_preference_is_kept_and_told_again(wire):
    answer = await wire.authorized("REGISTER", headers=[contact(5062) + ";q=0.25", contact(5064)])

    assert [binding.q for binding in (await wire.bindings()).values()] == [0.25, 1.0]
    told = sorted(answer.headers.getlist("Contact"))
    assert told[0].endswith(";expires=600;q=0.25")
    assert told[1].endswith(";expires=600")


@pytest.mark.parametrize("q", ["2", "-1", "0.1234", "x", "1.5.1", ""])
async def test_a_preference_that_is_none_counts_for_nothing(wire, q):
    await wire.authorized("REGISTER", headers=[contact() + f";q={q}"])

    assert [binding.q for binding in (await wire.bindings()).values()] == [1.0]


async def test_the_proxies_before_a_phone_are_kept_and_told_again(wire):
    path = "Path: <sip:edge.example.net;lr>, <sip:core.example.net;lr;ob>"
    answer = await wire.authorized("REGISTER", headers=[contact(), path, "Supported: path"])

    assert answer.get("Path") == "<sip:edge.example.net;lr>, <sip:core.example.net;lr;ob>"
    assert "path" in answer.tokens("Supported")
    (binding,) = (await wire.bindings()).values()
    assert binding.path == ("<sip:edge.example.net;lr>", "<sip:core.example.net;lr;ob>")


@pytest.mark.parametrize("path", ["<tel:+86110>", "<http://x>", "nonsense", '"open'])
async def test_a_path_that_names_no_proxy_is_refused(wire, path):
    answer = await wire.authorized("REGISTER", headers=[contact(), f"Path: {path}"])

    assert answer.status == 400
    assert await wire.bindings() == {}


async def test_a_phone_that_comes_back_with_another_port_takes_the_place_of_its_old_flow(wire):
    supported = "Supported: outbound, path"
    first = await wire.authorized("REGISTER", headers=[flow(5062), supported])
    await wire.authorized("REGISTER", headers=[flow(5999), supported], call="c2")

    assert first.get("Require") == "outbound"
    assert f'+sip.instance="<{PHONE_ID}>";reg-id=1' in first.get("Contact")
    (binding,) = (await wire.bindings()).values()
    assert (binding.contact, binding.instance, binding.reg_id) == (uri(5999), PHONE_ID, 1)


async def test_two_flows_of_one_phone_are_kept_and_it_is_rung_once(wire):
    supported = "Supported: outbound"
    await wire.authorized("REGISTER", headers=[flow(5062, 1), supported])
    await wire.authorized("REGISTER", headers=[flow(5064, 2), supported], call="c2")

    assert len(await wire.bindings()) == 2
    _, reached = await wire.gateway._registrar.reach("1001")
    assert len(reached) == 1


async def test_a_flow_number_without_an_instance_is_an_ordinary_contact(wire):
    answer = await wire.authorized(
        "REGISTER", headers=[contact() + ";reg-id=1", "Supported: outbound"]
    )

    assert answer.get("Require") == ""
    assert [b.reg_id for b in (await wire.bindings()).values()] == [None]


async def test_a_flow_through_a_proxy_that_keeps_none_is_refused(wire):
    proxied = ["Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKinner", flow(), "Supported: outbound"]
    refused = await wire.authorized("REGISTER", headers=proxied)
    kept = await wire.authorized(
        "REGISTER", headers=[*proxied, "Path: <sip:flow@proxy.example.net;lr;ob>"], seq=5
    )

    assert refused.status == 439
    assert kept.status == 200


@pytest.mark.parametrize("number", ["0", "x", "99999999999"])
async def test_flows_are_numbered_from_one(wire, number):
    answer = await wire.authorized("REGISTER", headers=[flow(number=number), "Supported: outbound"])

    assert answer.status == 400


# --- whom a call reaches -----------------------------------------------------------------------------------


async def register_at(wire, port, *extra, suffix=""):
    """One phone of 1001 at a port of its own."""
    source = Hop("192.0.2.10", port)
    headers = [contact(port) + suffix, *extra]
    answer = await wire.authorized("REGISTER", headers=headers, call=f"r{port}", source=source)
    assert answer.status == 200


async def test_phones_of_a_lower_preference_ring_when_those_before_them_refuse(wire, phones):
    await register_at(wire, 5062)
    await register_at(wire, 5064, suffix=";q=0.5")
    await phones.call()
    first = await phones.until("INVITE", 5062)
    assert phones.got("INVITE", 5064) == []

    phones.answer(first, 486)

    second = await phones.until("INVITE", 5064)
    phones.answer(second, 200, 5064, body=SDP)
    await eventually(lambda: wire.calls.told("connected"))


async def test_a_decline_speaks_for_the_phones_of_lower_preference_too(wire, phones):
    await register_at(wire, 5062)
    await register_at(wire, 5064, suffix=";q=0.5")
    leg = await phones.call()

    phones.answer(await phones.until("INVITE", 5062), 603)

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.DECLINED
    assert phones.got("INVITE", 5064) == []


async def test_phones_of_a_lower_preference_join_in_when_nobody_answers(wire, phones):
    wire.gateway._core.config = replace(wire.gateway._core.config, next_choice_after_s=0.1)
    await register_at(wire, 5062)
    await register_at(wire, 5064, suffix=";q=0.5")
    await phones.call()

    phones.answer(await phones.until("INVITE", 5062), 180)
    second = await phones.until("INVITE", 5064)
    phones.answer(second, 200, 5064, body=SDP)

    cancelled = await phones.until("CANCEL", 5062)
    assert cancelled.call_id != second.call_id

    async def talks():
        page = next(iter((await wire.rows()).values()))
        return page.state["chapter"] == "talking"

    await eventually(talks)


async def test_a_phone_behind_proxies_is_called_through_them(wire, phones):
    path = "Path: <sip:198.51.100.5:5080;lr>,<sip:198.51.100.6;lr>"
    await register_at(wire, 5062, path)
    await phones.call()

    invite = await phones.until("INVITE")

    assert invite.uri == uri(5062)
    assert invite.headers.getlist("Route") == [
        "<sip:198.51.100.5:5080;lr>",
        "<sip:198.51.100.6;lr>",
    ]
    assert wire.sent[-1][1] == Hop("198.51.100.5", 5080)
