"""Several hubs of one town on one database: phones and calls are seen by all, and each minds what it carries itself."""

from fakes.objects import a_call

from commhub.ports.edge_store import SipDialog


async def test_after_a_restart_a_hub_takes_up_its_own_dialogs_and_calls_alone(open_here):
    here, there = await open_here(hub="hub-a"), await open_here(hub="hub-b")
    call = a_call()
    async with here.begin() as uow:
        await uow.sip.put_dialog(SipDialog(leg_id="leg-a", call_id="c", state={}))
        await uow.calls.add(call)
    async with there.begin() as uow:
        await uow.sip.put_dialog(SipDialog(leg_id="leg-b", call_id="c", state={}))

    async with here.read() as uow:
        assert [row.leg_id for row in await uow.sip.dialogs()] == ["leg-a"]
        assert [one.id for one in await uow.calls.live_here()] == [call.id]
    async with there.read() as uow:
        assert [row.leg_id for row in await uow.sip.dialogs()] == ["leg-b"]
        assert await uow.calls.live_here() == []
        assert [one.id for one in await uow.calls.list(True, None, 10)] == [call.id]
