"""Legs at the gateway, where a real phone would be too polite: forks, lost engines, strange answers."""

import asyncio
from dataclasses import replace

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Cause, LegState
from commhub.domain.people import Endpoint
from commhub.ports.edge_store import SipDialog
from commhub.ports.telephony import LegOrder
from gateways.sip.ledger import Chapter, Page
from gateways.sip.transport import Hop


async def test_the_first_of_several_phones_wins_and_the_others_stop_ringing(wire, phones):
    await phones.register(5062, 5064)
    leg = await phones.call()
    first, second = await phones.until("INVITE", 5062), await phones.until("INVITE", 5064)
    phones.answer(first, 180, 5062)
    phones.answer(second, 180, 5064)
    phones.answer(second, 200, 5064, body=SDP)

    await phones.until("ACK", 5064)
    await phones.until("CANCEL", 5062)
    phones.answer(first, 487, 5062)
    await phones.until("ACK", 5062)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert wire.calls.states(leg) == ["ringing", "connected"]


async def test_a_second_phone_that_answers_too_is_hung_up(wire, phones):
    await phones.register(5062, 5064)
    leg = await phones.call()
    first, second = await phones.until("INVITE", 5062), await phones.until("INVITE", 5064)
    phones.answer(first, 180, 5062)
    phones.answer(second, 200, 5064, body=SDP)
    await phones.until("CANCEL", 5062)
    phones.answer(first, 200, 5062, body=SDP)

    await phones.until("ACK", 5062)
    await phones.until("BYE", 5062)
    assert not wire.calls.end_of(leg)


async def test_of_several_refusals_the_persons_counts(wire, phones):
    await phones.register(5062, 5064)
    leg = await phones.call()
    phones.answer(await phones.until("INVITE", 5062), 486, 5062)
    phones.answer(await phones.until("INVITE", 5064), 480, 5064)

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.BUSY


async def test_a_603_speaks_for_all_phones(wire, phones):
    await phones.register(5062, 5064)
    leg = await phones.call()
    phones.answer(await phones.until("INVITE", 5062), 180, 5062)
    phones.answer(await phones.until("INVITE", 5064), 603, 5064)

    await phones.until("CANCEL", 5062)
    assert wire.calls.end_of(leg) == (Cause.DECLINED, "603 Decline")


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (404, Cause.NOT_FOUND),
        (480, Cause.UNREACHABLE),
        (408, Cause.NO_ANSWER),
        (488, Cause.NO_COMMON_CODEC),
        (403, Cause.NOT_ALLOWED),
        (500, Cause.FAILED),
    ],
)
async def test_a_refusal_has_its_cause(wire, phones, status, cause):
    await phones.register(5062)
    leg = await phones.call()
    phones.answer(await phones.until("INVITE"), status)

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is cause
    assert wire.calls.end_of(leg)[1].startswith(str(status))


async def test_a_phone_that_says_nothing_is_no_answer(wire, phones):
    await phones.register(5062)
    leg = await phones.call()

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.NO_ANSWER


async def test_an_answer_without_a_common_codec_is_acknowledged_and_hung_up(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    body = SDP.replace("RTP/AVP 8", "RTP/AVP 18").replace("8 PCMA", "18 G729")
    phones.answer(await phones.until("INVITE"), 200, body=body)

    await phones.until("ACK")
    await phones.until("BYE")
    assert wire.calls.end_of(leg)[0] is Cause.NO_COMMON_CODEC


async def test_without_a_media_worker_nobody_is_rung(wire, phones):
    await phones.register(5062)
    wire.gateway._core.media.unavailable = True
    leg = await phones.call()

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.FAILED
    assert phones.got("INVITE") == []


async def test_a_media_worker_lost_at_the_answer_hangs_up_the_phone(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    wire.gateway._core.media.unavailable = True
    phones.answer(invite, 200, body=SDP)

    await phones.until("BYE")
    assert wire.calls.end_of(leg)[0] is Cause.FAILED


async def test_a_200_that_comes_again_is_acknowledged_again(phones, talking):
    _, invite = talking
    acks = len(phones.got("ACK"))
    phones.answer(invite, 200, body=SDP)

    await phones.until("ACK", count=acks + 1)


async def test_a_core_that_cannot_commit_is_told_again(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    wire.calls.failures = 1
    phones.answer(invite, 180)

    await eventually(lambda: wire.calls.told("ringing", leg))


async def test_a_bye_that_comes_again_acts_once(wire, phones, talking):
    leg, invite = talking
    bye = phones.ask("BYE", invite, 1)
    first = await wire.ask(bye)
    again = await wire.ask(bye)

    assert first.status == again.status == 200
    assert len(wire.calls.told("ended", leg)) == 1
    later = await wire.ask(phones.ask("BYE", invite, 2))
    assert later.status == 481


async def test_a_request_from_the_past_is_refused_inside_a_dialog(wire, phones, talking):
    leg, invite = talking
    held = SDP + "a=sendonly\r\n"
    assert (await wire.ask(phones.ask("INVITE", invite, 7, body=held))).status == 200
    assert (await wire.ask(phones.ask("OPTIONS", invite, 7))).status == 500
    assert (await wire.ask(phones.ask("BYE", invite, 3))).status == 500
    assert not wire.calls.end_of(leg)


async def test_a_reinvite_we_cannot_speak_changes_nothing(wire, phones, talking):
    leg, invite = talking
    before = wire.gateway._core.media.connected[leg]
    body = SDP.replace("RTP/AVP 8", "RTP/AVP 18")
    answer = await wire.ask(phones.ask("INVITE", invite, 1, body=body))

    assert answer.status == 488
    assert wire.gateway._core.media.connected[leg] == before


async def test_an_empty_reinvite_gets_our_offer_and_its_ack_is_the_answer(wire, phones, talking):
    leg, invite = talking
    answer = await wire.ask(phones.ask("INVITE", invite, 1))
    assert b"m=audio" in answer.body

    wire.say(phones.ask("ACK", invite, 1, body=SDP.replace("4000", "4444")))
    media = wire.gateway._core.media
    await eventually(lambda: media.connected[leg].address.port == 4444)


async def test_byes_that_cross_end_both_sides(wire, phones, talking):
    leg, invite = talking
    await wire.gateway.hang_up(leg, Cause.DESK)
    await phones.until("BYE")

    assert (await wire.ask(phones.ask("BYE", invite, 1))).status == 200
    await eventually(lambda: wire.gateway.legs == 0)
    await eventually(wire.no_rows)
    # Whoever has the leg hung up has ended it first.
    assert wire.calls.told("ended", leg) == []


async def test_a_phone_behind_a_nat_gets_its_bye_where_it_speaks_from(wire, phones):
    nat = Hop("203.0.113.5", 41000)
    await wire.authorized("REGISTER", headers=["Contact: <sip:1001@10.0.0.4:5060>"], source=nat)
    leg = await phones.call()
    invite = await phones.until("INVITE", nat.port)
    assert invite.uri == "sip:1001@10.0.0.4:5060"
    headers = [("Contact", "<sip:1001@10.0.0.4:5060>"), ("Content-Type", "application/sdp")]
    response = invite.response(200, to_tag="far", headers=headers, body=SDP.encode())
    wire.say(bytes(response), nat)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert not wire.gateway._core.media.reserved[leg].near_signalling

    await wire.gateway.hang_up(leg, Cause.DESK)
    await phones.until("BYE", nat.port)


async def test_a_response_to_somebody_elses_via_is_dropped(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    stolen = bytes(invite.response(486, to_tag="x")).replace(b"127.0.0.1", b"192.0.2.99")

    await wire.silence(stolen)
    assert not wire.calls.end_of(leg)


async def test_a_slow_store_delays_only_the_leg_that_waits(wire, phones, talking):
    slow, invite = talking
    gate = asyncio.Event()
    ended = wire.calls.leg_ended

    async def wait(leg_id, cause, detail, *, also):
        if leg_id == slow:
            await gate.wait()
        await ended(leg_id, cause, detail, also=also)

    wire.calls.leg_ended = wait
    wire.say(phones.ask("BYE", invite, 1))
    other = await phones.call()
    phones.answer(await phones.until("INVITE", count=2), 486)

    await eventually(lambda: wire.calls.end_of(other))
    assert not wire.calls.end_of(slow)
    gate.set()
    await eventually(lambda: wire.calls.end_of(slow))


async def test_stopping_leaves_calls_alone_unless_told_otherwise(wire, phones, talking):
    leg, _ = talking
    sent = len(wire.sent)
    await wire.gateway.__aexit__(None, None, None)

    assert len(wire.sent) == sent
    assert not wire.calls.end_of(leg)
    async with wire.store.read() as uow:
        assert [row.leg_id for row in await uow.sip.dialogs()] == [leg]


async def test_stopping_hangs_up_when_told(wire, phones, talking):
    leg, _ = talking
    gateway = wire.gateway
    gateway._config = replace(gateway._config, hang_up_on_stop=True)
    stopping = asyncio.create_task(gateway.__aexit__(None, None, None))
    phones.answer(await phones.until("BYE"), 200)
    await stopping

    assert wire.calls.end_of(leg)[0] is Cause.CALL_ENDED


async def test_a_full_gateway_refuses_calls_with_503(wire):
    wire.gateway._config = replace(wire.gateway._config, max_legs=0)
    answer = await wire.authorized("INVITE", headers=["Contact: <sip:a@192.0.2.10>"])

    assert answer.status == 503
    assert answer.get("Retry-After")


async def test_an_unacknowledged_200_of_ours_ends_the_leg(wire, phones):
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp"]
    asking = asyncio.create_task(wire.authorized("INVITE", headers=headers, body=SDP))
    await eventually(lambda: wire.calls.offers)
    leg = wire.calls.offers[0].leg_id
    await wire.gateway.answer(leg)
    assert (await asking).status == 200

    await eventually(lambda: wire.calls.end_of(leg))
    assert wire.calls.end_of(leg)[0] is Cause.FAILED
    assert phones.got("BYE")


# --- restarts ------------------------------------------------------------------------------------------------


@pytest.fixture
async def offered(wire):
    """(leg id, the caller's waiting task) of a call that rings at the desk."""
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp"]
    asking = asyncio.create_task(wire.authorized("INVITE", headers=headers, body=SDP))
    await eventually(lambda: wire.calls.offers)
    yield wire.calls.offers[0].leg_id, asking
    asking.cancel()


async def test_a_caller_that_heard_ringing_is_answered_after_a_restart(wire, offered):
    leg, asking = offered
    await eventually(lambda: wire.gateway.legs == 1)
    await wire.restart()
    await eventually(lambda: len(wire.calls.offers) == 2)
    assert wire.calls.offers[1].leg_id == leg
    assert not asking.done()

    await wire.gateway.answer(leg)
    assert (await asking).status == 200
    await eventually(lambda: wire.calls.told("connected", leg))


async def test_a_caller_whom_the_core_has_given_up_meanwhile_is_told_after_a_restart(wire, offered):
    _, asking = offered
    wire.calls.refuse_with = Cause.NO_ANSWER
    await wire.restart()

    assert (await asking).status == 480
    await eventually(lambda: wire.gateway.legs == 0)
    await eventually(wire.no_rows)


async def test_a_caller_of_an_older_hub_is_told_480_after_a_restart(wire, offered):
    leg, asking = offered
    await eventually(wire.rows)
    (row,) = (await wire.rows()).values()
    async with wire.store.begin() as uow:
        await uow.sip.put_dialog(replace(row, state={**row.state, "wish": None}))
    await wire.restart()

    assert (await asking).status == 480
    await eventually(lambda: wire.gateway.legs == 0)
    assert wire.calls.end_of(leg)[0] is Cause.FAILED


async def test_a_phone_that_rang_before_a_restart_answers_after_it(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE", 5062)
    phones.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    await wire.restart()

    phones.answer(invite, 200, body=SDP)
    await phones.until("ACK", 5062)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert not phones.got("CANCEL")


async def test_a_phone_that_rings_is_cancelled_by_the_desk_after_a_restart(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE", 5062)
    phones.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    await wire.restart()

    await wire.gateway.hang_up(leg, Cause.DESK)
    phones.answer(await phones.until("CANCEL", 5062), 200, contact=False)
    phones.answer(invite, 487)
    await eventually(lambda: wire.gateway.legs == 0)
    await eventually(wire.no_rows)


async def test_a_phone_whose_leg_the_core_ended_meanwhile_stops_ringing_after_a_restart(
    wire, phones
):
    await phones.register(5062)
    leg = await phones.call()
    await phones.until("INVITE", 5062)
    phones.answer(phones.got("INVITE", 5062)[0], 180)
    await eventually(lambda: wire.calls.told("ringing", leg))
    wire.transfers.states[leg] = (LegState.ENDED, Cause.CALL_ENDED)
    await wire.restart()

    await phones.until("CANCEL", 5062)


async def test_an_answer_without_its_ack_is_given_again_after_a_restart(wire, phones, offered):
    leg, asking = offered
    await wire.gateway.answer(leg)
    first = await asking
    await eventually(lambda: wire.calls.told("connected", leg))
    await wire.restart()
    sent = len(wire.sent)

    def again():
        found = [a for a in wire.answers(sent) if getattr(a, "status", 0) == 200]
        return found[0] if found else None

    repeated = await eventually(again)
    assert bytes(repeated) == bytes(first)
    assert len(wire.calls.told("connected", leg)) == 1


async def test_a_bye_under_way_goes_again_after_a_restart(wire, phones, talking):
    leg, _ = talking
    wire.transfers.states[leg] = (LegState.ENDED, Cause.DESK)
    await wire.gateway.hang_up(leg, Cause.DESK)
    await phones.until("BYE")
    await wire.restart()
    byes = len(phones.got("BYE"))

    bye = await phones.until("BYE", count=byes + 1)
    phones.answer(bye, 481)
    await eventually(lambda: wire.gateway.legs == 0)
    await eventually(wire.no_rows)
    assert len(wire.calls.told("ended", leg)) == 0


async def test_an_order_that_never_left_is_taken_again_after_a_restart(wire, phones):
    await phones.register(5062)
    page = Page(leg_id="l1", call_id="c1", chapter=Chapter.PLACED)
    async with wire.store.begin() as uow:
        await uow.sip.put_dialog(page.to_row())
    await wire.restart()
    assert await wire.rows() == {}
    assert wire.calls.end_of("l1") is None
    # The core has it as requested, and orders it again.
    await wire.gateway.place(
        LegOrder(call_id="c1", leg_id="l1", endpoint=Endpoint.parse("sip:1001"))
    )
    await phones.until("INVITE")


async def test_a_stored_dialog_nobody_understands_ends_its_leg(wire):
    async with wire.store.begin() as uow:
        await uow.sip.put_dialog(SipDialog(leg_id="l1", call_id="c1", state={"chapter": "?"}))
    await wire.restart()

    assert wire.calls.end_of("l1")[0] is Cause.FAILED
    assert await wire.rows() == {}
