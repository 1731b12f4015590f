"""Transfers with SIPp as all phones and the real calls behind the edge, over UDP, TCP and TLS: the legs there are afterwards,
the timeline, and what each phone was told."""

import pytest
from fakes.sipp_phones import phone, registered
from fakes.waiting import eventually
from fakes.web import someone

from commhub.domain.call import Cause, LegState
from commhub.domain.call_facts import LegMoved, LegTransferred

each = pytest.mark.parametrize("over", ["udp", "tcp", "tls"])

DESK = someone()
TRANSFERRED = (LegState.ENDED, Cause.TRANSFERRED)
LEFT = (LegState.ENDED, Cause.HUNG_UP)
TALKS = (LegState.CONNECTED, None)


async def until(hub, call, **expected):
    async def there():
        legs = await hub.legs(call)
        return all(legs.get(f"{name[1:]}") == state for name, state in expected.items())

    try:
        await eventually(there)
    except AssertionError:
        raise AssertionError(f"the legs are {await hub.legs(call)}") from None


async def dialog_of(hub, leg):
    """A leg's dialog as its phone names it in Replaces."""
    state = {row.leg_id: row.state for row in await hub.edge.rows()}[leg]["dialog"]
    return f"{state['call_id']};to-tag={state['local_tag']};from-tag={state['remote_tag']}"


def quoted(text):
    return text.replace(";", "%3B").replace("=", "%3D").replace("@", "%40")


@each
async def test_a_blind_transfer_adds_the_number_and_the_phone_leaves(hub, over):
    async with (
        registered(hub.edge, over=over, scenario="answer", user="1002") as other,
        registered(hub.edge, over=over, scenario="answer_slowly", user="1003") as third,
        registered(hub.edge, over=over, scenario="refer_blind", keys=[("target", "1003")]) as peer,
    ):
        call, _ = await hub.place("1002", "1001")
        await peer.finish()
        await until(hub, call, _1001=LEFT, _1002=TALKS, _1003=TALKS)
        facts = [(f.endpoint, f.state, f.actor) for f in hub.timeline(LegMoved)]
        assert ("sip:1003", "requested", "phone:1001") in facts
        assert ("sip:1003", "connected", "leg:sip:1003") in facts

        await hub.calls.end(call, DESK)
        await other.finish()
        await third.finish()


@each
async def test_a_blind_transfer_to_nobody_leaves_the_call_as_it_was(hub, over):
    async with (
        registered(hub.edge, over=over, scenario="answer", user="1002") as other,
        registered(
            hub.edge, over=over, scenario="refer_blind_refused", keys=[("target", "1004")]
        ) as peer,
    ):
        call, _ = await hub.place("1002", "1001")
        await peer.finish()
        # The phone hung up by itself in the end, which leaves nobody to talk with.
        await until(
            hub,
            call,
            _1001=LEFT,
            _1002=(LegState.ENDED, Cause.CALL_ENDED),
            _1004=(LegState.ENDED, Cause.UNREACHABLE),
        )
        await other.finish()


@each
async def test_an_attended_transfer_joins_the_two_calls_of_a_phone(hub, over):
    async with (
        registered(hub.edge, over=over, scenario="answer", user="1002") as first,
        registered(hub.edge, over=over, scenario="answer", user="1003") as second,
        registered(hub.edge, over=over, scenario="answer") as consulting,
    ):
        consultation, legs = await hub.place("1003", "1001")
        await until(hub, consultation, _1001=TALKS, _1003=TALKS)
        names = await dialog_of(hub, legs["1001"])
        keys = [("replaces", quoted(names)), ("target", "1003")]
        async with phone(
            hub.edge, over=over, scenario="refer_attended", to="1002", keys=keys
        ) as peer:
            await peer.finish()
        await consulting.finish()
        await until(hub, consultation, _1001=TRANSFERRED, _1002=TALKS, _1003=TALKS)
        assert await hub.live() == {consultation: {"1002", "1003"}}

        moved = hub.timeline(LegTransferred)
        assert {fact.endpoint for fact in moved} == {"sip:1002"}
        assert {fact.to_call for fact in moved} == {consultation}
        await hub.calls.end(consultation, DESK)
        await first.finish()
        await second.finish()


@each
async def test_a_phone_takes_over_a_call_from_another(hub, over):
    async with (
        registered(hub.edge, over=over, scenario="answer", user="1002") as other,
        registered(hub.edge, over=over, scenario="answer") as replaced,
    ):
        call, legs = await hub.place("1002", "1001")
        await until(hub, call, _1001=TALKS, _1002=TALKS)
        names = await dialog_of(hub, legs["1001"])
        async with phone(
            hub.edge, "call_replaces", over=over, user="1003", keys=[("replaces", names)]
        ) as taking:
            await replaced.finish()
            await until(hub, call, _1001=TRANSFERRED, _1002=TALKS, _1003=TALKS)
            await hub.calls.end(call, DESK)
            await taking.finish()
        await other.finish()


@each
async def test_a_phone_picks_up_what_rings_at_another(hub, over):
    async with (
        registered(hub.edge, over=over, scenario="answer", user="1002") as other,
        registered(hub.edge, over=over, scenario="ring_until_cancelled") as ringing,
    ):
        call, legs = await hub.place("1002", "1001")
        await until(hub, call, _1001=(LegState.RINGING, None), _1002=TALKS)
        gateway = hub.edge.gateway
        (key,) = [k for k, leg in gateway._routes.items() if leg.id == legs["1001"]]
        names = f"{key[0]};to-tag={key[1]};from-tag={key[2]};early-only"
        async with phone(
            hub.edge, "call_replaces", over=over, user="1003", keys=[("replaces", names)]
        ) as taking:
            await ringing.finish()
            await until(hub, call, _1001=TRANSFERRED, _1002=TALKS, _1003=TALKS)
            await hub.calls.end(call, DESK)
            await taking.finish()
        await other.finish()


@each
async def test_a_dialog_that_is_not_there_is_not_replaced(hub, over):
    keys = [("replaces", "nobody@nowhere;to-tag=1;from-tag=2")]
    async with phone(hub.edge, over=over, scenario="call_replaces_nothing", keys=keys) as peer:
        await peer.finish()

    assert await hub.live() == {}
