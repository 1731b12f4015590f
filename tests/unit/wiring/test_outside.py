"""The one driver of telephone numbers: the rules choose the line, guard it, and let emergencies through."""

from zoneinfo import ZoneInfo

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.desk import RecordingCalls, RecordingReports
from fakes.objects import an_incident

from commhub.calls.service import CallRequest, CallService
from commhub.domain.account import Principal
from commhub.domain.call import Cause
from commhub.domain.errors import UnavailableError
from commhub.domain.facts import LineAlarm
from commhub.domain.people import Endpoint, Scheme
from commhub.kit.ids import new_id
from commhub.ports.inward import IncomingCall, IncomingRefused
from commhub.ports.telephony import LegOrder
from commhub.wiring.line_alarms import DeskAlarm
from commhub.wiring.outside import Outside
from gateways.sip import hash_account
from gateways.sip.trunks.config import Caps, EmergencyPolicy, NumberingConfig, NumberRule
from gateways.sip.trunks.numbers import NumberPlan
from gateways.sip.trunks.toll import Alarms, TollGuard

RULES = (
    NumberRule(prefix="+86", via=("a", "twilio")),
    NumberRule(prefix="+1", via=("twilio",)),
    NumberRule(prefix="+852", via=("a",), hairpin=True),
)


class Lines:
    """The SIP gateway as far as the driver knows it."""

    lines = ()

    def __init__(self):
        self.is_broken = False
        self.dialled = []
        self.hung_up = []
        self.readdressed = []

    def carries(self, leg_id):
        return False

    async def dial(self, order, route, otherwise=None):
        if self.is_broken:
            raise UnavailableError("the store is away")
        self.dialled.append((order, route, otherwise))

    async def answer(self, leg_id):
        pass

    async def hang_up(self, leg_id, cause):
        self.hung_up.append(leg_id)

    async def readdress(self, leg_id, address):
        self.readdressed.append(leg_id)


class NoStore:
    def begin(self):
        raise UnavailableError("the database is away")


class Town:
    """The driver with all that stands around it."""

    def __init__(self, store, clock, *, rules=RULES, emergency=("a",), twilio=True, **caps):
        plan = NumberPlan(
            NumberingConfig(
                rules=rules, emergency=EmergencyPolicy(via=emergency), outside_prefix="9",
                dialled_prefixes={"0": "+86", "00852": "+852"},
            )
        )  # fmt: skip
        self.reports = RecordingReports()
        alarm = Alarms(DeskAlarm(store, clock, self.reports), clock)
        self.sip, self.twilio, self.told = Lines(), FakeDriver(), RecordingCalls()
        self.outside = Outside(
            plan,
            TollGuard(Caps(**caps), plan, store, clock, ZoneInfo("Asia/Shanghai"), alarm),
            alarm,
            self.told,
            store,
            self.sip,
            self.twilio if twilio else None,
        )

    async def place(self, number, placed_by="user:li", leg_id=None):
        order = LegOrder(
            call_id=new_id(),
            leg_id=leg_id or new_id(),
            endpoint=Endpoint(Scheme.TEL, number),
            placed_by=placed_by,
        )
        await self.outside.place(order)
        return order

    def end_of(self, order):
        return self.told.end_of(order.leg_id)


@pytest.fixture
def alarms(bus):
    """What the desk was told of lines, by the bus."""
    with bus.subscribe() as facts:

        def told():
            found = []
            while not facts._queue.empty():
                found.append(facts._queue.get_nowait())
            return [fact.alarm for fact in found if isinstance(fact, LineAlarm)]

        yield told


def test_a_hub_that_calls_no_numbers_says_so_before_anybody_rings_but_for_emergencies(store, clock):
    number, emergency = Endpoint.parse("tel:+8613800000000"), Endpoint.parse("tel:119")
    alone = Town(store, clock, rules=(), emergency=(), twilio=False)
    assert "no line of this hub calls numbers outside" in alone.outside.why_not(number)
    assert alone.outside.why_not(emergency) is None
    for town in (Town(store, clock, twilio=False), Town(store, clock, rules=())):
        assert town.outside.why_not(number) is None


async def test_the_rule_chooses_the_line(store, clock):
    town = Town(store, clock)
    await town.place("+8613800000000")
    await town.place("+14155550100")
    ((_, route, otherwise),) = town.sip.dialled
    assert (route.number, route.via) == ("+8613800000000", ("a", "twilio"))
    assert otherwise is not None
    (over_twilio,) = town.twilio.placed
    assert over_twilio.endpoint.name == "+14155550100"


async def test_what_is_not_listed_ends_at_once_in_words(store, clock):
    town = Town(store, clock)
    order = await town.place("+4930123456")
    assert town.end_of(order) == (Cause.NOT_ALLOWED, "no rule of sip.numbers allows this number")
    assert town.sip.dialled == []
    assert town.twilio.placed == []


async def test_caps_hold_for_every_line_alike(store, clock):
    town = Town(store, clock, calls_per_minute=2)
    await town.place("+8613800000000")
    await town.place("+14155550100")
    refused = await town.place("+14155550100")
    assert town.end_of(refused)[0] is Cause.NOT_ALLOWED
    assert len(town.twilio.placed) == 1


async def test_the_same_order_twice_is_judged_once(store, clock):
    town = Town(store, clock, calls_per_minute=1)
    leg_id = new_id()
    await town.place("+8613800000000", leg_id=leg_id)
    order = await town.place("+8613800000000", leg_id=leg_id)
    assert town.end_of(order) is None


async def test_an_emergency_goes_out_whatever_the_caps_and_the_desk_is_told(store, clock, alarms):
    town = Town(store, clock, calls_per_minute=1, calls_per_minute_per_caller=1)
    await town.place("+8613800000000")
    for _ in range(5):
        await town.place("110")
    assert [route.number for _, route, _ in town.sip.dialled[1:]] == ["110"] * 5
    assert all(route.emergency for _, route, _ in town.sip.dialled[1:])
    assert town.twilio.placed == []
    assert alarms() == ["emergency_call"] * 5


async def test_an_emergency_without_a_line_is_an_alarm_too(store, clock, alarms):
    town = Town(store, clock, emergency=())
    order = await town.place("120")
    cause, why = town.end_of(order)
    assert cause is Cause.NOT_ALLOWED
    assert "take another telephone" in why
    assert "emergency_failed" in alarms()


async def test_every_emergency_that_is_lost_is_an_alarm(store, clock, alarms):
    """However many there are within a minute: each is somebody else in need."""
    town = Town(store, clock, emergency=())
    for number in ("110", "119", "120"):
        await town.place(number)
    assert alarms().count("emergency_failed") == 3


async def test_an_emergency_whose_order_never_left_is_an_alarm(store, clock, alarms):
    town = Town(store, clock)
    town.sip.is_broken = True
    with pytest.raises(UnavailableError):
        await town.place("119")
    assert alarms() == ["emergency_failed"]
    with pytest.raises(UnavailableError):
        await town.place("+8613800000000")
    assert alarms() == []


async def test_an_alarm_reaches_the_desks_when_the_store_is_away(bus, clock):
    with bus.subscribe() as facts:
        await DeskAlarm(NoStore(), clock, None, bus.publish)("emergency_failed", "119", "c1")
        fact = facts._queue.get_nowait()
    assert (fact.alarm, fact.text, fact.call_id) == ("emergency_failed", "119", "c1")


async def test_an_alarm_that_cannot_be_told_keeps_nobody_from_calling(store, clock):
    town = Town(store, clock)
    town.outside._alarm = DeskAlarm(NoStore(), clock)
    await town.place("119")
    assert len(town.sip.dialled) == 1


async def test_without_rules_twilio_decides_alone(store, clock):
    town = Town(store, clock, rules=())
    await town.place("+4930123456")
    assert len(town.twilio.placed) == 1
    await town.place("110")
    assert len(town.twilio.placed) == 1
    assert len(town.sip.dialled) == 1


async def test_a_hang_up_reaches_whoever_has_the_leg(store, clock):
    town = Town(store, clock)
    await town.outside.hang_up("x", Cause.DESK)
    assert town.sip.hung_up == ["x"]
    assert town.twilio.hung_up == [("x", Cause.DESK)]


async def test_a_call_that_was_hung_up_meanwhile_is_not_taken_on_by_twilio(store, clock):
    town = Town(store, clock)
    order = await town.place("+8613800000000")
    await town.sip.dialled[0][2](order)
    assert town.twilio.placed == []


# --- what phones dial ----------------------------------------------------------------------------------------


@pytest.fixture
async def hub(store, clock):
    """The real calls feature over the driver; account 1001, and one that is called like an emergency number."""
    town = Town(store, clock)
    town.calls = CallService(store, clock)
    town.phones = FakeDriver()
    town.calls.connect(RememberingMedia(), {Scheme.SIP: town.phones, Scheme.TEL: town.outside})
    async with store.begin() as uow:
        for name in ("1001", "1002", "110", "913800000000"):
            await uow.sip.put_account(hash_account(name, "r", "p"))
    return town


async def dial(hub, called, caller="sip:1001"):
    return await hub.calls.call_offered(
        IncomingCall(leg_id=new_id(), caller=Endpoint.parse(caller), called=called)
    )


async def test_a_phone_calls_outside_behind_the_prefix(hub):
    await dial(hub, "9013800000000")
    ((order, route, _),) = hub.sip.dialled
    assert route.number == "+8613800000000"
    assert order.placed_by == "phone:1001"


async def test_an_extension_of_ours_comes_first(hub):
    await dial(hub, "913800000000")
    assert hub.sip.dialled == []
    assert [str(order.endpoint) for order in hub.phones.placed] == ["sip:913800000000"]


async def test_an_emergency_number_comes_before_any_extension(hub):
    await dial(hub, "110")
    assert hub.phones.placed == []
    assert hub.sip.dialled[0][1].emergency


async def test_who_came_in_over_a_line_does_not_go_out_over_one(hub):
    assert isinstance(await dial(hub, "9013800000000", "tel:+14155550100"), IncomingRefused)
    assert isinstance(await dial(hub, "119", "tel:+14155550100"), IncomingRefused)
    assert hub.sip.dialled == []


async def test_a_rule_may_let_a_caller_from_outside_out_again(hub):
    await dial(hub, "+85212345678", "tel:+14155550100")
    assert [route.number for _, route, _ in hub.sip.dialled] == ["+85212345678"]


async def test_a_caller_from_outside_is_not_transferred_outside(hub, store):
    outcome = await dial(hub, "1002", "tel:+14155550100")
    phone = hub.phones.placed[0].leg_id
    await hub.calls.leg_connected(phone, "PCMA")
    async with store.read() as uow:
        legs = await uow.calls.legs_of(outcome.call_id)
    await hub.calls.leg_connected(next(leg.id for leg in legs if leg.id != phone), "PCMA")
    assert await hub.calls.transfers.refer(phone, new_id(), "9013800000000") is Cause.NOT_FOUND
    assert hub.sip.dialled == []
    assert await hub.calls.transfers.refer(phone, new_id(), "90085212345678") is None
    assert [route.number for _, route, _ in hub.sip.dialled] == ["+85212345678"]


async def test_an_emergency_lost_from_a_phone_is_a_report_and_the_phone_is_let_go(hub, alarms):
    hub.sip.is_broken = True
    outcome = await dial(hub, "119")
    assert "emergency_failed" in alarms()
    (report,) = hub.reports.submitted
    assert (report.reporter, report.level) == ("sip:1001", 1)
    assert report.extra["call_id"] == outcome.call_id
    assert "the store is away" in report.extra["reason"]
    async with hub.outside._store.read() as uow:
        assert "line.emergency_failed" in [one.action for one in await uow.audit.list(None, 10)]
    assert [leg for leg, _ in hub.phones.hung_up] == [
        leg.id for leg in (await hub.calls.get(outcome.call_id)).legs if leg.endpoint.name == "1001"
    ]


async def test_an_emergency_lost_in_an_incident_is_on_its_timeline_and_no_second_one(hub, store):
    hub.sip.is_broken = True
    incident = an_incident()
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    person = Principal(id="1", name="li", kind="user", roles=frozenset())
    await hub.calls.place(CallRequest(legs=("tel:119",), incident_id=incident.id), person)
    async with store.read() as uow:
        kinds = [entry.kind for entry in await uow.timeline.of_incident(incident.id)]
    assert "line_alarm" in kinds
    assert hub.reports.submitted == []


async def test_an_emergency_call_of_an_incident_is_on_its_timeline(hub, store):
    incident = an_incident()
    async with store.begin() as uow:
        await uow.incidents.add(incident)
    person = Principal(id="1", name="li", kind="user", roles=frozenset())
    await hub.calls.place(CallRequest(legs=("tel:119",), incident_id=incident.id), person)
    async with store.read() as uow:
        kinds = [entry.kind for entry in await uow.timeline.of_incident(incident.id)]
        audit = [entry.action for entry in await uow.audit.list(None, 10)]
    assert "line_alarm" in kinds
    assert "line.emergency_call" in audit
