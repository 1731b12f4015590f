"""The duty number: who waits, who answers, what happens when nobody does, and who is called back."""

from datetime import timedelta

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.clock import START
from fakes.objects import an_incident

from commhub.calls.duty import DutyDesk
from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import Cause, Entry, LegState
from commhub.domain.duty import DutyLine, DutyLines, DutyState, Overflow
from commhub.domain.errors import ConflictError, UnavailableError
from commhub.domain.geo import Point, Position
from commhub.domain.people import Endpoint, Responder, Role, Scheme, Unit
from commhub.domain.recording import Always, RecordingRule
from commhub.domain.report import Report
from commhub.ports.inward import IncomingAccepted, IncomingCall, IncomingRefused, ReportReceipt

LI = Principal(id="u1", name="li", kind="user", roles=frozenset({Role.DISPATCHER}))
CHEN = Principal(id="u2", name="chen", kind="user", roles=frozenset({Role.DISPATCHER}))
LEADER = Endpoint.parse("sip:1002")
LINE = DutyLine(
    name="值班电话",
    numbers=("8000", "+862155550110"),
    overflow=(
        Overflow(after_s=20, to=LEADER),
        Overflow(after_s=45, to=Endpoint.parse("radio:patrol-1")),
    ),
)
PLACE = Point(31.23, 121.47)


class Reports:
    """Takes reports as rows; `decide` gives each an incident, as the rules would."""

    def __init__(self, store):
        self._store = store
        self.taken = {}
        self.unavailable = False

    async def submit(self, new):
        if self.unavailable:
            raise UnavailableError("the store is busy")
        if new.idempotency_key not in self.taken:
            report = Report(
                id=f"r{len(self.taken)}",
                source=new.source,
                idempotency_key=new.idempotency_key,
                category=new.category,
                text=new.text,
                reporter=new.reporter,
                point=new.point,
                received_at=START,
            )
            async with self._store.begin() as uow:
                await uow.reports.add(report, "hash")
            self.taken[new.idempotency_key] = report
        return ReportReceipt(report_id=self.taken[new.idempotency_key].id)

    async def decide(self):
        async with self._store.begin() as uow:
            for report in self.taken.values():
                incident = an_incident(category=report.category)
                await uow.incidents.add(incident)
                known = await uow.reports.get(report.id)
                await uow.reports.update(
                    Report(
                        **{
                            name: getattr(known, name)
                            for name in Report.__slots__
                            if name != "incident_id"
                        },
                        incident_id=incident.id,
                    )
                )
        return incident.id


@pytest.fixture
def driver():
    return FakeDriver()


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
def calls(store, clock, driver, media):
    service = CallService(store, clock, lines=DutyLines([LINE]))
    service.connect(media, dict.fromkeys((Scheme.SIP, Scheme.RADIO, Scheme.DESK), driver))
    return service


@pytest.fixture
def reports(store):
    return Reports(store)


@pytest.fixture
def duty(store, clock, calls, reports):
    return DutyDesk(store, clock, calls, reports, DutyLines([LINE]))


async def rings(calls, leg_id="in-1", caller="sip:1001", called="8000"):
    verdict = await calls.call_offered(
        IncomingCall(leg_id=leg_id, caller=Endpoint.parse(caller), called=called)
    )
    assert isinstance(verdict, IncomingAccepted)
    return verdict.call_id


async def row(store, call_id):
    async with store.read() as uow:
        return await uow.duty.find(call_id)


async def timeline(store, incident_id):
    async with store.read() as uow:
        return [entry.kind for entry in await uow.timeline.of_incident(incident_id)]


@pytest.mark.parametrize("number", LINE.numbers)
async def test_whoever_dials_the_line_waits_and_rings_nobody_in_particular(
    calls, store, driver, number
):
    call_id = await rings(calls, called=number)
    waiting = await row(store, call_id)
    assert (waiting.state, waiting.line, waiting.dialled) == (
        DutyState.WAITING,
        "值班电话",
        number,
    )
    assert driver.placed == []
    assert (await calls.get(call_id)).call.is_live


async def test_a_desk_that_answers_has_the_caller(calls, duty, store, driver, clock):
    call_id = await rings(calls)
    clock.advance(7)
    leg = await duty.answer(call_id, "desk:me", LI)
    assert driver.answered == []
    await calls.leg_connected(leg.id, "opus")
    assert driver.answered == ["in-1"]
    taken = await row(store, call_id)
    assert (taken.state, taken.taken_by) == (DutyState.TAKEN, "desk:li")
    assert taken.waited_s(clock.now()) == 7.0


async def test_of_two_desks_that_answer_at_once_one_is_told_who_was_first(calls, duty):
    call_id = await rings(calls)
    await duty.answer(call_id, "desk:me", LI)
    with pytest.raises(ConflictError) as refused:
        await duty.answer(call_id, "desk:me", CHEN)
    assert refused.value.details == {"taken_by": "desk:li"}


async def test_an_answer_that_fails_leaves_the_caller_to_the_next_desk(calls, duty, store):
    call_id = await rings(calls)
    leg = await duty.answer(call_id, "sip:1003", LI)
    await calls.leg_ended(leg.id, Cause.BUSY, "486 Busy Here")
    assert (await row(store, call_id)).state is DutyState.WAITING
    leg = await duty.answer(call_id, "desk:me", CHEN)
    await calls.leg_connected(leg.id, "opus")
    assert (await row(store, call_id)).taken_by == "desk:chen"


async def test_who_only_listens_has_not_answered(calls, store, driver):
    call_id = await rings(calls)
    leg = await calls.add_leg(call_id, "desk:me", LI, entry=Entry.LISTEN)
    await calls.leg_connected(leg.id, "opus")
    assert (await row(store, call_id)).state is DutyState.WAITING
    assert driver.answered == []


async def test_unanswered_the_leader_rings_beside_the_desks_and_then_the_radio(
    calls, duty, store, driver, clock
):
    call_id = await rings(calls)
    assert 0 < await duty.follow() <= 20
    assert driver.placed == []
    clock.advance(20)
    await duty.follow()
    await duty.follow()
    assert [str(order.endpoint) for order in driver.placed] == ["sip:1002"]
    clock.advance(25)
    await duty.follow()
    assert [str(order.endpoint) for order in driver.placed] == ["sip:1002", "radio:patrol-1"]
    assert (await row(store, call_id)).state is DutyState.WAITING


async def test_when_the_leader_answers_the_desks_stop_and_the_other_way_round(
    calls, duty, store, driver, clock
):
    call_id = await rings(calls)
    clock.advance(20)
    await duty.follow()
    (order,) = driver.placed
    leg = await duty.answer(call_id, "desk:me", LI)
    await calls.leg_connected(leg.id, "opus")
    assert (order.leg_id, Cause.CANCELLED) in driver.hung_up
    legs = {one.id: one.state for one in (await calls.get(call_id)).legs}
    assert legs[order.leg_id] is LegState.ENDED


async def test_a_caller_on_a_groups_air_waits_until_somebody_there_speaks(
    calls, duty, store, driver, clock
):
    call_id = await rings(calls)
    clock.advance(45)
    await duty.follow()
    await duty.follow()
    radio = next(one for one in driver.placed if one.endpoint.scheme is Scheme.RADIO)
    await calls.leg_connected(radio.leg_id, "opus")
    assert driver.answered == ["in-1"]
    assert (await row(store, call_id)).state is DutyState.WAITING
    events = MediaEvents(calls, store, clock)
    await events.floor_moved("patrol-1", "taken", f"call:{call_id}", [call_id])
    assert (await row(store, call_id)).state is DutyState.WAITING
    await events.floor_moved("patrol-1", "taken", "radio:r12", [call_id])
    taken = await row(store, call_id)
    assert (taken.state, taken.taken_by) == (DutyState.TAKEN, "radio:r12")


async def test_an_overflow_that_is_busy_does_not_end_the_waiting(calls, duty, driver, clock):
    call_id = await rings(calls)
    clock.advance(20)
    await duty.follow()
    await calls.leg_ended(driver.placed[0].leg_id, Cause.BUSY, None)
    assert (await calls.get(call_id)).call.is_live


async def test_a_leader_who_calls_the_line_is_not_called_by_it(calls, duty, store, driver, clock):
    call_id = await rings(calls, caller=str(LEADER))
    clock.advance(20)
    await duty.follow()
    assert (driver.placed, (await row(store, call_id)).step) == ([], 1)


async def test_who_gives_up_is_missed_and_nobody_rings_for_them_any_more(
    calls, duty, store, driver, clock
):
    call_id = await rings(calls)
    clock.advance(20)
    await duty.follow()
    await calls.leg_ended("in-1", Cause.CANCELLED, None)
    missed = await row(store, call_id)
    assert (missed.state, missed.waited_s(clock.now())) == (DutyState.MISSED, 20.0)
    assert [leg_id for leg_id, _ in driver.hung_up] == [driver.placed[0].leg_id]
    assert not (await calls.get(call_id)).call.is_live


async def test_a_caller_whom_the_desk_sends_away_is_not_missed(calls, store):
    call_id = await rings(calls)
    await calls.hang_up(call_id, "in-1", LI)
    gone = await row(store, call_id)
    assert (gone.state, gone.settled_by) == (DutyState.CLOSED, "user:li")


async def test_a_talk_that_ended_is_history(calls, duty, store):
    call_id = await rings(calls)
    leg = await duty.answer(call_id, "desk:me", LI)
    await calls.leg_connected(leg.id, "opus")
    await calls.leg_connected("in-1", "PCMA")
    await calls.leg_ended("in-1", Cause.HUNG_UP, None)
    assert (await row(store, call_id)).state is DutyState.CLOSED


async def test_a_caller_taken_into_another_call_does_not_wait_any_more(calls, store):
    call_id = await rings(calls)
    other = await calls.place(CallRequest(legs=["sip:1003"]), LI)
    await calls.leg_connected(other.legs[0].id, "PCMA")
    await calls.control.move_leg(call_id, "in-1", other.call.id, LI)
    taken = await row(store, call_id)
    assert (taken.state, taken.taken_by) == (DutyState.CLOSED, "user:li")


# --- called back -----------------------------------------------------------------------------------------


async def missed(calls):
    call_id = await rings(calls)
    await calls.leg_ended("in-1", Cause.CANCELLED, None)
    return call_id


async def test_a_missed_caller_who_is_reached_is_settled(calls, duty, store):
    call_id = await missed(calls)
    state = await duty.call_back(call_id, "desk:me", LI)
    assert [str(leg.endpoint) for leg in state.legs] == ["desk:li", "sip:1001"]
    for leg in state.legs:
        assert (await row(store, call_id)).state is DutyState.MISSED
        await calls.leg_connected(leg.id, "PCMA")
    settled = await row(store, call_id)
    assert (settled.state, settled.settled_by) == (DutyState.CLOSED, "user:li")


async def test_a_missed_caller_who_does_not_answer_stays_missed_and_is_called_once_at_a_time(
    calls, duty, store
):
    call_id = await missed(calls)
    first = await duty.call_back(call_id, "desk:me", LI)
    with pytest.raises(ConflictError):
        await duty.call_back(call_id, "desk:me", CHEN)
    await calls.end(first.call.id, LI)
    assert (await row(store, call_id)).state is DutyState.MISSED
    await duty.call_back(call_id, "desk:me", CHEN)


async def test_a_missed_call_is_dismissed_by_hand_once(calls, duty, store):
    call_id = await missed(calls)
    await duty.dismiss(call_id, LI)
    await duty.dismiss(call_id, CHEN)
    assert (await row(store, call_id)).settled_by == "user:li"
    with pytest.raises(ConflictError):
        await duty.call_back(call_id, "desk:me", LI)


async def test_a_call_that_goes_on_is_not_dismissed(calls, duty):
    with pytest.raises(ConflictError):
        await duty.dismiss(await rings(calls), LI)


# --- the report and its incident -------------------------------------------------------------------------


async def settle_somebody(store):
    async with store.begin() as uow:
        await uow.directory.put_unit(Unit(id="u", name="巡防队", team="patrol"))
        await uow.directory.put_responder(
            Responder(
                id="zhang",
                name="张伟",
                unit_id="u",
                endpoints=(Endpoint.parse("sip:1001"),),
                position=Position(PLACE, START),
            )
        )


async def test_the_call_is_a_report_of_who_calls_from_where_they_were_last(
    calls, duty, reports, store
):
    await settle_somebody(store)
    call_id = await rings(calls)
    await duty.follow()
    (report,) = reports.taken.values()
    assert (report.source, report.category, report.reporter) == ("sip", "duty_call", "sip:1001")
    assert (report.text, report.point) == ("值班电话：张伟（1001）来电", PLACE)
    waiting = await row(store, call_id)
    assert (waiting.caller_name, waiting.responder_id) == ("张伟", "zhang")


async def test_the_call_is_on_the_timeline_of_its_incident(calls, duty, reports, store):
    call_id = await rings(calls)
    leg = await duty.answer(call_id, "desk:me", LI)
    await calls.leg_connected(leg.id, "opus")
    await duty.follow()
    incident = await reports.decide()
    await duty.follow()
    await duty.follow()
    assert (await calls.get(call_id)).call.incident_id == incident
    assert (await timeline(store, incident)) == [
        "call_started",
        "duty_call_received",
        "duty_call_taken",
    ]


async def test_a_call_missed_before_its_incident_was_known_says_so_there(
    calls, duty, reports, store
):
    await missed(calls)
    await duty.follow()
    incident = await reports.decide()
    await duty.follow()
    assert (await timeline(store, incident))[-2:] == ["duty_call_missed", "call_ended"]


async def test_a_call_that_is_over_before_its_report_was_decided_on_belongs_to_the_incident(
    calls, duty, reports, store
):
    call_id = await rings(calls)
    leg = await duty.answer(call_id, "desk:me", LI)
    await calls.leg_connected(leg.id, "opus")
    await calls.leg_ended("in-1", Cause.HUNG_UP, None)
    assert (await row(store, call_id)).state is DutyState.CLOSED
    await duty.follow()
    incident = await reports.decide()
    await duty.follow()
    assert (await calls.get(call_id)).call.incident_id == incident
    assert (await row(store, call_id)).incident_id == incident
    told = ["call_started", "duty_call_received", "duty_call_taken", "call_ended"]
    assert await timeline(store, incident) == told
    await duty.follow()
    assert await timeline(store, incident) == told


async def test_a_report_that_cannot_be_taken_now_keeps_nobody_waiting(
    calls, duty, reports, driver, clock
):
    reports.unavailable = True
    await rings(calls)
    clock.advance(20)
    await duty.follow()
    assert [str(order.endpoint) for order in driver.placed] == ["sip:1002"]
    reports.unavailable = False
    await duty.follow()
    assert len(reports.taken) == 1


async def test_where_calls_of_incidents_are_recorded_the_caller_is_from_that_moment(
    store, clock, driver, media, reports
):
    rule = RecordingRule(always=Always.INCIDENTS)
    calls = CallService(store, clock, recording=rule, lines=DutyLines([LINE]))
    calls.connect(media, dict.fromkeys((Scheme.SIP, Scheme.DESK), driver))
    duty = DutyDesk(store, clock, calls, reports, DutyLines([LINE]))
    call_id = await rings(calls)
    leg = await duty.answer(call_id, "desk:me", LI)
    await calls.leg_connected(leg.id, "opus")
    assert ("record", call_id, True, False) not in media.orders
    await duty.follow()
    await reports.decide()
    await duty.follow()
    assert ("record", call_id, True, False) in media.orders


async def test_a_new_process_goes_on_where_the_last_one_was_killed(
    store, clock, calls, duty, driver, reports
):
    call_id = await rings(calls)
    clock.advance(20)
    await duty.follow()
    again = DutyDesk(store, clock, calls, reports, DutyLines([LINE]))
    await again.follow()
    assert len(driver.placed) == 1
    clock.advance(timedelta(seconds=25).total_seconds())
    await again.follow()
    assert len(driver.placed) == 2
    assert (await row(store, call_id)).step == 2
    assert len(reports.taken) == 1


async def test_an_answer_committed_but_never_ordered_is_ordered_after_the_restart(
    calls, duty, driver
):
    call_id = await rings(calls)
    leg = await duty.answer(call_id, "desk:me", LI)
    driver.answer = None  # the process dies between commit and order
    with pytest.raises(TypeError):
        await calls.leg_connected(leg.id, "opus")
    del driver.answer
    await calls.resume()
    assert driver.answered == ["in-1"]


async def test_a_caller_whose_leg_ended_meanwhile_is_refused_when_offered_again(calls):
    await rings(calls)
    await calls.leg_ended("in-1", Cause.CANCELLED, None)
    again = IncomingCall(leg_id="in-1", caller=Endpoint.parse("sip:1001"), called="8000")
    assert await calls.call_offered(again) == IncomingRefused(cause=Cause.CANCELLED)
