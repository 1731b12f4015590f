"""Busy lamps: SUBSCRIBE and NOTIFY of dialog-info (RFC 4235, RFC 6665), with a watcher played by hand."""

import asyncio
import re
from xml.etree import ElementTree as ET

import pytest
from fakes.sip_phones import SDP
from fakes.waiting import eventually

from commhub.domain.call import Call, Cause, Direction, Leg, LegState
from commhub.domain.people import Endpoint
from gateways.sip.transport import Hop

WATCHER = Hop("192.0.2.20", 5070)
SPACE = "{urn:ietf:params:xml:ns:dialog-info}"


class Watcher:
    """The phone of 1002 that watches 1001."""

    def __init__(self, wire):
        self.wire = wire
        self._seq = 1

    async def subscribe(self, *more, expires=600, target="1001", event="dialog", **change):
        headers = [
            "Contact: <sip:1002@192.0.2.20:5070>",
            f"Event: {event}",
            *([] if expires is None else [f"Expires: {expires}"]),
            *more,
        ]
        # What is asked anew has a Call-ID of its own.
        call = change.pop("call", f"s{self._seq}")
        common = {"to": target, "uri": f"sip:{target}@commhub.test", "call": call, "tag": "w"}
        challenge = await self.wire.ask(
            self.wire.request("SUBSCRIBE", headers=headers, seq=self._seq, **common), WATCHER
        )
        line = self.wire.credentials(challenge, "SUBSCRIBE", user="1002")
        self._seq += 2
        answer = await self.wire.ask(
            self.wire.request("SUBSCRIBE", headers=[*headers, line], seq=self._seq - 1, **common),
            WATCHER,
        )
        self.call, self.target, self.tag = call, target, answer.recipient.tag
        return answer

    async def refresh(self, expires=600, *, seq=None, tag=None):
        self._seq += 1
        text = self.wire.request(
            "SUBSCRIBE",
            seq=seq or self._seq,
            uri="sip:commhub@127.0.0.1",
            to=self.target,
            call=self.call,
            tag="w",
            headers=[
                "Contact: <sip:1002@192.0.2.20:5070>",
                "Event: dialog",
                f"Expires: {expires}",
            ],
        )
        to = f"To: <sip:{self.target}@commhub.test>"
        return await self.wire.ask(text.replace(to, f"{to};tag={tag or self.tag}"), WATCHER)

    def notifies(self):
        return [
            message
            for message, (_, hop) in zip(self.wire.answers(), self.wire.sent, strict=True)
            if getattr(message, "method", "") == "NOTIFY" and hop.host == WATCHER.host
        ]

    async def told(self, count=1):
        """The last NOTIFY once there are so many different ones, answered."""
        await eventually(lambda: len({n.cseq.sequence for n in self.notifies()}) >= count)
        notify = self.notifies()[-1]
        self.answer(notify)
        return notify

    async def told_that(self, state):
        """The NOTIFY that says so; all before it are answered."""
        count = 1
        while state not in (notify := await self.told(count)).body.decode():
            count = len({n.cseq.sequence for n in self.notifies()}) + 1
        return notify

    def answer(self, notify, status=200):
        self.wire.say(bytes(notify.response(status)), WATCHER)


@pytest.fixture
def watcher(wire):
    return Watcher(wire)


def calls_in(notify):
    """(version, [(direction, state)]) of a document."""
    root = ET.fromstring(notify.body)
    assert root.get("state") == "full"
    dialogs = [(d.get("direction"), d.find(f"{SPACE}state").text) for d in root]
    return int(root.get("version")), dialogs


async def test_a_watcher_is_told_at_once_that_nobody_talks(watcher):
    answer = await watcher.subscribe()

    assert (answer.status, answer.get("Expires")) == (200, "600")
    assert answer.get("Contact")
    notify = await watcher.told()
    assert notify.get("Event") == "dialog"
    assert notify.get("Content-Type") == "application/dialog-info+xml"
    assert re.fullmatch("active;expires=[0-9]+", notify.get("Subscription-State"))
    assert ET.fromstring(notify.body).get("entity") == "sip:1001@127.0.0.1"
    assert calls_in(notify) == (0, [])


async def test_a_lamp_goes_from_ringing_to_busy_to_idle(wire, phones, watcher):
    await phones.register(5062)
    await watcher.subscribe()
    assert calls_in(await watcher.told()) == (0, [])

    leg = await phones.call()
    assert calls_in(await watcher.told(2)) == (1, [("recipient", "trying")])
    invite = await phones.until("INVITE")
    phones.answer(invite, 180)
    assert calls_in(await watcher.told(3)) == (2, [("recipient", "early")])
    phones.answer(invite, 200, body=SDP)
    assert calls_in(await watcher.told(4)) == (3, [("recipient", "confirmed")])
    await wire.gateway.hang_up(leg, Cause.DESK)
    assert calls_in(await watcher.told(5)) == (4, [])


async def test_a_phone_that_dials_is_busy_too(wire, watcher):
    await watcher.subscribe()
    await watcher.told()
    headers = ["Contact: <sip:1001@192.0.2.10:5062>", "Content-Type: application/sdp"]
    asking = asyncio.create_task(wire.authorized("INVITE", headers=headers, body=SDP))
    assert calls_in(await watcher.told(2)) == (1, [("initiator", "early")])
    await wire.gateway.answer(wire.calls.offers[0].leg_id)
    await asking
    assert calls_in(await watcher.told(3)) == (2, [("initiator", "confirmed")])


async def test_nothing_in_the_document_opens_the_dialog_to_others(wire, phones, talking, watcher):
    _, invite = talking
    await watcher.subscribe()

    document = (await watcher.told()).body.decode()

    assert calls_in(watcher.notifies()[-1]) == (0, [("recipient", "confirmed")])
    assert invite.call_id not in document
    assert invite.sender.tag not in document


async def test_changes_while_a_notify_is_under_way_are_told_once(wire, phones, watcher):
    await phones.register(5062)
    await watcher.subscribe()
    await eventually(watcher.notifies)
    first = watcher.notifies()[0]

    await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 180)
    await eventually(lambda: wire.calls.told("ringing"))
    assert {n.cseq.sequence for n in watcher.notifies()} == {first.cseq.sequence}

    watcher.answer(first)
    assert calls_in(await watcher.told(2)) == (1, [("recipient", "early")])


async def test_a_refresh_lengthens_and_tells_again(wire, watcher):
    await watcher.subscribe(expires=60)
    await watcher.told()
    wire.clock.advance(50)

    answer = await watcher.refresh(120)
    await watcher.told(2)
    wire.clock.advance(60)
    await wire.gateway._watchers.sweep()

    assert (answer.status, answer.get("Expires")) == (200, "120")
    assert len(wire.gateway._watchers) == 1


async def test_an_old_refresh_is_refused(watcher):
    await watcher.subscribe()

    assert (await watcher.refresh(seq=1)).status == 500


async def test_a_subscription_ends_with_its_time(wire, watcher):
    await watcher.subscribe(expires=60)
    await watcher.told()
    wire.clock.advance(61)

    await wire.gateway._watchers.sweep()

    notify = await watcher.told(2)
    assert notify.get("Subscription-State") == "terminated;reason=timeout"
    await eventually(lambda: len(wire.gateway._watchers) == 0)
    await eventually(lambda: rows_gone(wire))


async def rows_gone(wire):
    async with wire.store.read() as uow:
        return not await uow.sip.subscriptions()


async def test_zero_seconds_end_it(wire, watcher):
    await watcher.subscribe()
    await watcher.told()

    answer = await watcher.refresh(0)

    assert answer.get("Expires") == "0"
    assert (await watcher.told(2)).get("Subscription-State") == "terminated;reason=timeout"
    assert (await watcher.refresh()).status == 481


async def test_whoever_asks_for_zero_seconds_is_told_once(wire, watcher):
    await watcher.subscribe(expires=0)

    notify = await watcher.told()

    assert notify.get("Subscription-State") == "terminated;reason=timeout"
    await eventually(lambda: len(wire.gateway._watchers) == 0)
    assert await rows_gone(wire)


@pytest.mark.parametrize("status", [481, 404, 489])
async def test_a_watcher_that_knows_nothing_of_it_is_forgotten(wire, watcher, status):
    await watcher.subscribe()
    await eventually(watcher.notifies)

    watcher.answer(watcher.notifies()[-1], status)

    await eventually(lambda: len(wire.gateway._watchers) == 0)


async def test_a_watcher_that_does_not_answer_is_forgotten(wire, watcher):
    await watcher.subscribe()

    await eventually(lambda: len(wire.gateway._watchers) == 0, within_s=15)
    await eventually(lambda: rows_gone(wire))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"event": "presence"}, 489),
        ({"event": ""}, 489),
        ({"target": "7777"}, 404),
        ({"expires": 5}, 423),
        ({"expires": "soon"}, 400),
    ],
)
async def test_what_cannot_be_watched_is_refused(watcher, change, status):
    answer = await watcher.subscribe(**change)

    assert answer.status == status
    if status == 489:
        assert answer.get("Allow-Events") == "dialog"


async def test_a_watcher_that_reads_no_dialog_info_is_refused(watcher):
    assert (await watcher.subscribe("Accept: application/pidf+xml")).status == 406


async def test_too_long_a_time_is_cut_and_none_is_an_hour(watcher):
    assert (await watcher.subscribe(expires=99999)).get("Expires") == "3600"
    assert (await watcher.subscribe(expires=None)).get("Expires") == "3600"


async def test_strangers_watch_nobody(wire):
    request = wire.request("SUBSCRIBE", headers=["Event: dialog"])

    assert (await wire.ask(request)).status == 401


async def test_one_phone_cannot_watch_without_end(wire, watcher):
    object.__setattr__(wire.gateway._config, "max_watches_each", 2)
    statuses = [(await watcher.subscribe(call=f"w{n}")).status for n in range(3)]

    assert statuses == [200, 200, 503]


async def test_after_a_restart_watchers_are_told_how_things_are_now(wire, phones, watcher):
    await phones.register(5062)
    await watcher.subscribe()
    before = calls_in(await watcher.told())
    leg = await phones.call()
    invite = await phones.until("INVITE")
    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    last = await watcher.told_that("confirmed")
    await on_record(wire, leg)

    since = len(wire.sent)
    await wire.restart()

    await eventually(
        lambda: any("confirmed" in n.body.decode() for n in fresh(watcher, wire, since))
    )
    notify = fresh(watcher, wire, since)[0]
    assert notify.cseq.sequence > last.cseq.sequence
    assert calls_in(notify)[0] > calls_in(last)[0] > before[0]
    watcher.answer(notify)
    assert (await watcher.refresh()).status == 200


def fresh(watcher, wire, since):
    known = len([m for m in wire.answers()[:since] if getattr(m, "method", "") == "NOTIFY"])
    return watcher.notifies()[known:]


async def on_record(wire, leg_id):
    """The core's row of a leg that talks."""
    async with wire.store.begin() as uow:
        call = Call(id="c", created_at=wire.clock.now(), created_by="desk")
        await uow.calls.add(call)
        await uow.calls.add_leg(
            Leg(
                id=leg_id,
                call_id="c",
                endpoint=Endpoint.parse("sip:1001"),
                created_at=wire.clock.now(),
                direction=Direction.OUTBOUND,
                state=LegState.CONNECTED,
            )
        )
