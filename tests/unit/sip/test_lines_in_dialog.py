"""A trunk that asks for credentials inside a dialog: at a re-INVITE, an UPDATE, a BYE; and what it is never given."""

import pytest
from fakes.sip_lines import SDP, SECOND, Exchange, a_trunk, dial
from fakes.waiting import eventually

from commhub.domain.call import Cause
from commhub.ports.media import RtpAddress
from gateways.sip.refreshing import REFRESH

NEW = RtpAddress("127.0.0.1", 31_000)
TIMED = [("Session-Expires", "600;refresher=uac"), ("Allow", "INVITE, ACK, BYE, UPDATE")]
STALE = 'qop="auth", stale=true'


@pytest.fixture
def trunks():
    return (a_trunk(username="hub", password="line-secret"), a_trunk("second", SECOND))


@pytest.fixture
def far(wire):
    return Exchange(wire)


@pytest.fixture
async def talking(wire, far):
    """A call over a line that has asked for nothing so far; its leg id."""
    leg = await dial(wire, via=("first",))
    far.answer(await far.until("INVITE"), 200, headers=TIMED, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    return leg


async def test_the_ack_repeats_the_credentials_of_its_invite(wire, far):
    await dial(wire, via=("first",))
    far.challenge(await far.until("INVITE"))
    invite = await far.until("INVITE", 2)
    far.answer(invite, 200, body=SDP)
    await eventually(lambda: far.is_acknowledged(invite))
    ack = far.ack_of(invite)
    assert ack.get("Proxy-Authorization") == invite.get("Proxy-Authorization") != ""


@pytest.mark.parametrize(
    ("status", "header"), [(407, "Proxy-Authorization"), (401, "Authorization")]
)
async def test_a_refresh_that_is_challenged_goes_out_again_and_refreshes(
    wire, far, talking, status, header
):
    await wire.tick(talking, REFRESH)
    update = await far.until("UPDATE")
    far.challenge(update, status=status)
    again = await far.until("UPDATE", 2)
    assert far.is_right(again, header=header)
    assert again.cseq.sequence == update.cseq.sequence + 1
    assert again.get("Session-Expires") == update.get("Session-Expires")
    far.answer(again, 200, headers=[("Session-Expires", "900;refresher=uac")])

    async def is_refreshed():
        row = (await wire.rows())[talking].state
        return row["session"][0] == 900

    await eventually(is_refreshed)


async def test_a_reinvite_that_is_challenged_goes_out_again_and_its_ack_repeats_what_was_shown(
    wire, far, talking
):
    await wire.gateway.readdress(talking, NEW)
    asked = await far.until("INVITE", 2)
    far.challenge(asked)
    again = await far.until("INVITE", 3)
    assert far.is_right(again)
    assert again.body == asked.body
    assert again.cseq.sequence == asked.cseq.sequence + 1
    far.answer(again, 200, body=SDP)
    await eventually(lambda: far.is_acknowledged(again))
    assert far.ack_of(again).get("Proxy-Authorization") == again.get("Proxy-Authorization")
    assert wire.calls.end_of(talking) is None


async def test_what_follows_is_numbered_after_what_was_repeated(wire, far, talking):
    await wire.gateway.readdress(talking, NEW)
    far.challenge(await far.until("INVITE", 2))
    again = await far.until("INVITE", 3)
    far.answer(again, 200, body=SDP)
    await eventually(lambda: far.is_acknowledged(again))
    await wire.restart()
    await wire.gateway.hang_up(talking, Cause.DESK)
    bye = await far.until("BYE")
    assert bye.cseq.sequence > again.cseq.sequence
    far.challenge(bye, nonce="n2")
    assert far.is_right(await far.until("BYE", 2))


async def test_a_foreign_realm_inside_a_dialog_is_given_nothing(wire, far, talking):
    await wire.tick(talking, REFRESH)
    far.challenge(await far.until("UPDATE"), realm="evil.example")
    await wire.gateway.readdress(talking, NEW)
    far.challenge(await far.until("INVITE", 2), realm="evil.example")
    await eventually(lambda: wire.calls.end_of(talking))
    assert wire.calls.end_of(talking)[0] is Cause.MEDIA_LOST
    far.challenge(await far.until("BYE"), realm="evil.example")
    await eventually(lambda: wire.gateway.legs == 0)
    assert not any(b"Authorization" in data for data, _ in wire.sent)
    assert len(far.different("UPDATE")) == len(far.different("BYE")) == 1


async def test_a_line_that_challenges_a_bye_for_ever_does_not_keep_the_leg(wire, far, talking):
    await wire.gateway.hang_up(talking, Cause.DESK)
    for count in (1, 2, 3):
        far.challenge(await far.until("BYE", count), nonce=f"n{count}", more=STALE)
    await eventually(lambda: wire.gateway.legs == 0)
    assert len(far.different("BYE")) == 3


RELIABLE = [("Require", "100rel"), ("RSeq", "1")]


@pytest.mark.parametrize(
    ("status", "header"), [(407, "Proxy-Authorization"), (401, "Authorization")]
)
async def test_a_prack_that_is_challenged_goes_out_again(wire, far, status, header):
    leg = await dial(wire, via=("first",))
    invite = await far.until("INVITE")
    far.answer(invite, 183, headers=RELIABLE)
    prack = await far.until("PRACK")
    far.challenge(prack, status=status)
    again = await far.until("PRACK", 2)
    assert far.is_right(again, header=header)
    assert again.get("RAck") == prack.get("RAck") == f"1 {invite.cseq.sequence} INVITE"
    assert again.cseq.sequence == prack.cseq.sequence + 1
    far.answer(again, 200)
    far.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    await wire.gateway.hang_up(leg, Cause.DESK)
    bye = await far.until("BYE")
    assert far.is_right(bye, header=header)
    assert bye.cseq.sequence == again.cseq.sequence + 1


async def test_a_prack_shows_at_once_what_the_invite_was_let_through_with(wire, far):
    await dial(wire, via=("first",))
    far.challenge(await far.until("INVITE"))
    far.answer(await far.until("INVITE", 2), 183, headers=RELIABLE)
    assert far.is_right(await far.until("PRACK"))


async def test_a_prack_challenged_after_the_answer_is_numbered_in_the_call(wire, far):
    leg = await dial(wire, via=("first",))
    invite = await far.until("INVITE")
    far.answer(invite, 183, headers=RELIABLE)
    prack = await far.until("PRACK")
    far.answer(invite, 200, headers=TIMED, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    far.challenge(prack)
    again = await far.until("PRACK", 2)
    assert far.is_right(again)
    assert again.cseq.sequence == prack.cseq.sequence + 1


async def test_a_foreign_realm_gets_no_digest_for_a_prack(wire, far):
    leg = await dial(wire, via=("first",))
    invite = await far.until("INVITE")
    far.answer(invite, 183, headers=RELIABLE)
    far.challenge(await far.until("PRACK"), realm="evil.example")
    far.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    assert len(far.different("PRACK")) == 1


async def withdrawn_and_answered_late(wire, far):
    """A call that rang, was hung up, and whose 200 crossed the CANCEL; its INVITE."""
    leg = await dial(wire, via=("first",))
    invite = await far.until("INVITE")
    far.answer(invite, 183, headers=RELIABLE)
    await far.until("PRACK")
    await wire.gateway.hang_up(leg, Cause.DESK)
    await far.until("CANCEL")
    far.answer(invite, 200, body=SDP)
    await eventually(lambda: far.is_acknowledged(invite))
    return invite


async def test_the_bye_to_a_late_answer_goes_out_again_with_credentials(wire, far):
    invite = await withdrawn_and_answered_late(wire, far)
    bye = await far.until("BYE")
    # The PRACK had the number after the INVITE's: a BYE with the same would be out of order (RFC 3261 §12.2.2).
    assert bye.cseq.sequence > (await far.until("PRACK")).cseq.sequence > invite.cseq.sequence
    far.challenge(bye)
    again = await far.until("BYE", 2)
    assert far.is_right(again)
    assert again.cseq.sequence == bye.cseq.sequence + 1
    assert again.recipient.tag == "far"


async def test_the_bye_to_a_late_answer_is_not_signed_for_ever(wire, far):
    await withdrawn_and_answered_late(wire, far)
    for count in (1, 2, 3):
        far.challenge(await far.until("BYE", count), nonce=f"n{count}", more=STALE)
    await eventually(lambda: wire.gateway.legs == 0)
    assert len(far.different("BYE")) == 3


async def test_a_line_that_answers_after_the_next_was_tried_is_shown_its_own_password(wire, far):
    """The leg is on another line by then."""
    await dial(wire)
    invite = await far.until("INVITE")
    second = Exchange(wire, SECOND)
    await second.until("INVITE")
    far.answer(invite, 200, body=SDP)
    far.challenge(await far.until("BYE"))
    assert far.is_right(await far.until("BYE", 2))
