"""What an edge keeps of its leg is one commit with the step of the core, or is not there at all."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia

from commhub.calls.service import CallService
from commhub.domain.call import Cause
from commhub.domain.errors import ConflictError
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.edge_store import SipAccount, SipDialog
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused


@pytest.fixture
def calls(store, clock):
    service = CallService(store, clock)
    service.connect(RememberingMedia(), dict.fromkeys(Scheme, FakeDriver()))
    return service


@pytest.fixture(autouse=True)
async def account(store):
    async with store.begin() as uow:
        await uow.sip.put_account(
            SipAccount(name="1002", display_name="1002", ha1_md5="", ha1_sha256="")
        )


def incoming(called="1002", **more):
    return IncomingCall(leg_id="in-1", caller=Endpoint.parse("sip:1001"), called=called, **more)


def writing(stage, leg="in-1"):
    async def also(uow):
        await uow.sip.put_dialog(SipDialog(leg_id=leg, call_id="", state={"stage": stage}))

    return also


async def failing(_):
    raise ConnectionError("the database is away")


async def on_record(store):
    async with store.read() as uow:
        return {row.leg_id: row.state["stage"] for row in await uow.sip.dialogs()}


async def test_a_call_that_is_accepted_has_the_row_of_its_edge(calls, store):
    assert isinstance(
        await calls.call_offered(incoming(), also=writing("offered")), IncomingAccepted
    )
    assert await on_record(store) == {"in-1": "offered"}
    await calls.call_offered(incoming(), also=writing("again"))
    assert await on_record(store) == {"in-1": "again"}


async def test_a_call_that_is_refused_leaves_no_row(calls, store):
    refused = await calls.call_offered(incoming("nobody"), also=writing("offered"))
    assert isinstance(refused, IncomingRefused)
    assert await on_record(store) == {}


async def test_a_row_that_cannot_be_written_takes_the_step_with_it(calls, store):
    with pytest.raises(ConnectionError):
        await calls.call_offered(incoming(), also=failing)
    async with store.read() as uow:
        assert await uow.calls.find_leg("in-1") is None


async def test_a_leg_that_is_called_new_and_is_not_changes_nothing(calls, store):
    offered = await calls.call_offered(incoming(is_new=True), also=writing("offered"))
    with pytest.raises(ConflictError):
        await calls.call_offered(incoming(is_new=True), also=writing("again"))
    assert await on_record(store) == {"in-1": "offered"}
    async with store.read() as uow:
        assert [call.id for call in await uow.calls.live_here()] == [offered.call_id]
    assert await calls.call_offered(incoming(), also=writing("again")) == offered


async def test_a_step_that_changes_nothing_writes_the_row_all_the_same(calls, store):
    await calls.call_offered(incoming(), also=writing("offered"))
    await calls.leg_ended("in-1", Cause.HUNG_UP, None, also=writing("ended"))
    await calls.leg_ended("in-1", Cause.HUNG_UP, None, also=writing("ended twice"))
    assert await on_record(store) == {"in-1": "ended twice"}
    await calls.leg_connected("unknown", "PCMA", also=writing("connected", "unknown"))
    assert (await on_record(store))["unknown"] == "connected"
