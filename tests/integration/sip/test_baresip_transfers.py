"""baresip hands a call on with its own transfer command, and is told by NOTIFY how it went."""

from fakes.baresip import baresip
from fakes.sipp_phones import PASSWORD, registered
from fakes.waiting import eventually
from fakes.web import someone

from commhub.domain.call import TALKING, Cause, LegState


async def test_baresip_transfers_a_call_and_leaves_it(hub):
    async with (
        registered(hub.edge, "answer", user="1002") as other,
        registered(hub.edge, "answer_slowly", user="1003") as third,
        baresip("1001", PASSWORD, hub.edge.port) as phone,
    ):
        await phone.until_registered()
        call, _ = await hub.place("1002", "1001")
        await phone.until("CALL_ESTABLISHED")
        await phone.command("transfer", f"sip:1003@127.0.0.1:{hub.edge.port}")

        async def handed_on():
            return await hub.live() == {call: {"1002", "1003"}}

        await eventually(handed_on, within_s=8)
        legs = await hub.legs(call)
        assert legs["1001"] == (LegState.ENDED, Cause.HUNG_UP)
        assert legs["1003"][0] in TALKING
        await hub.calls.end(call, someone())
        await other.finish()
        await third.finish()
