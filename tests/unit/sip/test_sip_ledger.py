"""Pages that are written with a step of the core, and pages that may wait a moment."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from fakes.waiting import eventually

from commhub.domain.call import Cause, LegState
from gateways.sip.ledger import Chapter, Ledger, Page


def page(leg, chapter=Chapter.TALKING):
    return Page(leg_id=leg, call_id="c1", chapter=chapter)


async def chapters(store):
    async with store.read() as uow:
        return {row.leg_id: row.state["chapter"] for row in await uow.sip.dialogs()}


class Counting:
    """A store that counts its write transactions, and fails as often as told."""

    def __init__(self, store):
        self._store = store
        self.begun = 0
        self.failures = 0
        self.gate = None

    @asynccontextmanager
    async def begin(self):
        self.begun += 1
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        async with self._store.begin() as uow:
            yield uow
            if self.gate is not None:
                await self.gate.wait()

    def read(self):
        return self._store.read()


@pytest.fixture
def counting(store):
    return Counting(store)


@pytest.fixture
def ledger(counting):
    return Ledger(counting)


async def test_what_may_wait_is_written_in_one_transaction(ledger, counting, store):
    await ledger.put(page("gone"))
    begun = counting.begun
    for number in range(20):
        ledger.put_later(page(f"l{number}"))
    ledger.delete_later("gone")
    await ledger.flush()
    assert counting.begun == begun + 1
    assert set(await chapters(store)) == {f"l{number}" for number in range(20)}


async def test_a_page_that_ends_while_it_waits_is_never_written(ledger, counting, store):
    await ledger.put(page("l1", Chapter.ANSWERED))
    ledger.put_later(page("l1"))
    async with store.begin() as uow:
        also = await ledger.deleting("l1")
        await also(uow)
    begun = counting.begun
    await ledger.flush()
    assert counting.begun == begun
    assert await chapters(store) == {}


async def test_an_older_page_never_takes_the_place_of_a_newer_one(ledger, counting, store):
    counting.gate = asyncio.Event()
    ledger.put_later(page("l1", Chapter.ANSWERED))
    flushing = asyncio.create_task(ledger.flush())
    await eventually(lambda: counting.begun == 1)
    newer = asyncio.create_task(ledger.putting(page("l1")))
    await asyncio.sleep(0)
    assert not newer.done()
    counting.gate.set()
    await flushing
    async with store.begin() as uow:
        await (await newer)(uow)
    assert await chapters(store) == {"l1": "talking"}


async def test_what_could_not_be_written_waits_on(ledger, counting, store):
    ledger.put_later(page("l1"))
    ledger.put_later(page("l2", Chapter.ANSWERED))
    counting.failures = 1
    with pytest.raises(ConnectionError):
        await ledger.flush()
    ledger.put_later(page("l2"))
    await ledger.flush()
    assert await chapters(store) == {"l1": "talking", "l2": "talking"}


async def test_a_step_that_fails_leaves_no_page(wire, phones):
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")

    async def refuses(*_, **__):
        raise ConnectionError("the database is away")

    wire.calls.leg_connected = refuses
    phones.answer(invite, 200, body="v=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 4000 RTP/AVP 8\r\n")
    for _ in range(50):
        await asyncio.sleep(0)
    assert phones.got("ACK") == []
    assert (await wire.rows())[leg].state["chapter"] == "placed"


async def test_an_answer_that_was_acknowledged_unseen_is_sent_again_after_a_restart(wire):
    """The row of an acknowledged answer waits a moment. A process that dies in it costs the phone one repetition."""
    answering = asyncio.create_task(
        wire.authorized(
            "INVITE",
            headers=["Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp"],
            body="v=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 4000 RTP/AVP 8\r\n",
        )
    )
    (leg,) = await eventually(lambda: [e[1] for e in wire.calls.told("offered")])
    await eventually(lambda: wire.gateway._legs[leg].call_id)
    await wire.gateway.answer(leg)
    answer = await answering
    assert (await wire.rows())[leg].state["chapter"] == "answered"
    # A kill: what waits is lost.
    wire.gateway._core.ledger._waiting.clear()
    wire.transfers.states[leg] = (LegState.CONNECTED, None)
    sent = len(wire.sent)
    await wire.restart()
    again = await eventually(lambda: [a for a in wire.answers(sent) if a.cseq.method == "INVITE"])
    assert again[0].get("To") == answer.get("To")
    ack = wire.request("ACK", seq=2, headers=[])
    wire.say(ack.replace("To: <sip:1001@commhub.test>", f"To: {answer.get('To')}"))
    await eventually(lambda: _is(wire, leg, "talking"))
    assert wire.calls.end_of(leg) is None


async def _is(wire, leg, chapter):
    return (await wire.rows())[leg].state["chapter"] == chapter


async def test_who_is_hung_up_by_the_core_is_off_the_record_soon(wire, phones, talking):
    leg, _ = talking
    await wire.gateway.hang_up(leg, Cause.DESK)
    phones.answer(await phones.until("BYE"), 200)
    await eventually(wire.no_rows)
