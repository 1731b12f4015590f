"""What the store finds and in which order: pages, filters, sessions that end, phones, devices, accounts."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.clock import ScriptedClock
from fakes.objects import (
    a_call,
    a_leg,
    a_message,
    a_report,
    a_responder,
    a_task,
    a_unit,
    an_incident,
)

from commhub.db import SqlStore
from commhub.domain.account import ApiKey, Session, User
from commhub.domain.call import LegState
from commhub.domain.device import Device, DeviceCommand, DeviceKind
from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.facts import AttentionRaised
from commhub.domain.incident import ENDED_STAGES, Stage
from commhub.domain.people import Endpoint, Role, Scheme
from commhub.domain.report import ReportStage
from commhub.domain.task import TaskStage
from commhub.kit.ids import new_id
from commhub.ports.edge_store import SipAccount, SipBinding, SipDialog, TwilioLeg
from commhub.ports.store import IncidentQuery


async def test_incidents_are_paged_newest_first(sql_store: SqlStore) -> None:
    made = [an_incident(number=str(n)) for n in range(7)]
    async with sql_store.begin() as uow:
        for incident in reversed(made):
            await uow.incidents.add(incident)
    seen: list[str] = []
    before = None
    async with sql_store.read() as uow:
        while page := await uow.incidents.list(IncidentQuery(before=before, limit=3)):
            assert len(page) <= 3
            seen += [incident.number for incident in page]
            before = page[-1].id
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


async def test_open_reports_of_a_category_wait_for_the_rules_or_for_somebody_to_handle_them(
    sql_store: SqlStore,
) -> None:
    incidents = {stage: an_incident(stage=stage) for stage in Stage}
    attached = {
        stage: a_report(stage=ReportStage.ATTACHED, incident_id=incident.id)
        for stage, incident in incidents.items()
    }
    waiting, quarantined = a_report(), a_report(stage=ReportStage.QUARANTINED)
    other = a_report(category="fire")
    async with sql_store.begin() as uow:
        for incident in incidents.values():
            await uow.incidents.add(incident)
        for report in (*attached.values(), waiting, quarantined, other):
            await uow.reports.add(report, "hash")
    async with sql_store.read() as uow:
        found = {report.id for report in await uow.reports.open_of("sos")}
    over = ENDED_STAGES | {Stage.HANDLED, Stage.VERIFIED}
    expected = {report.id for stage, report in attached.items() if stage not in over}
    assert found == expected | {waiting.id}


async def test_incidents_are_filtered_by_stage(sql_store: SqlStore) -> None:
    async with sql_store.begin() as uow:
        for stage in Stage:
            await uow.incidents.add(an_incident(stage=stage))
    async with sql_store.read() as uow:
        opened = await uow.incidents.list(IncidentQuery(open_only=True))
        two = await uow.incidents.list(IncidentQuery(stages={Stage.CLOSED, Stage.HANDLED}))
        both = await uow.incidents.list(
            IncidentQuery(stages={Stage.CLOSED, Stage.HANDLED}, open_only=True)
        )
    assert {incident.stage for incident in opened} == set(Stage) - ENDED_STAGES
    assert [incident.stage for incident in two] == [Stage.CLOSED, Stage.HANDLED]
    assert [incident.stage for incident in both] == [Stage.HANDLED]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0302-00", "number title place"),
        ("SMOKE", "title"),
        ("桥", "place"),
        ("100%", "title"),
        ("0_0", ""),
        ("nothing", ""),
    ],
)
async def test_incidents_are_found_by_their_words(
    sql_store: SqlStore, text: str, found: str
) -> None:
    async with sql_store.begin() as uow:
        await uow.incidents.add(an_incident(grid="number", number="0302-001", title="x"))
        await uow.incidents.add(
            an_incident(grid="title", number="0302-002", title="Smoke, 100% visible")
        )
        await uow.incidents.add(
            an_incident(grid="place", number="0302-003", title="x", place="人民桥")
        )
    async with sql_store.read() as uow:
        hits = await uow.incidents.list(IncidentQuery(text=text))
    assert {incident.grid for incident in hits} == set(found.split())


async def test_reports_and_tasks_of_an_incident_come_oldest_first(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    incident = an_incident()
    reports = [a_report(incident_id=incident.id, received_at=clock.advance(1)) for _ in range(3)]
    tasks = [a_task(incident.id, dispatched_at=clock.advance(1)) for _ in range(3)]
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        for report, task in zip(reversed(reports), reversed(tasks), strict=True):
            await uow.reports.add(report, "h")
            await uow.tasks.add(task)
        assert await uow.reports.of_incident(incident.id) == reports
        assert await uow.tasks.of_incident(incident.id) == tasks


async def test_open_tasks_are_counted_per_responder(sql_store: SqlStore) -> None:
    incident = an_incident()
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        for stage in TaskStage:
            await uow.tasks.add(a_task(incident.id, responder_id="zhang", stage=stage))
        await uow.tasks.add(a_task(incident.id, responder_id="li", stage=TaskStage.HANDLED))
        assert await uow.tasks.open_counts() == {"zhang": 3}


async def test_the_timeline_continues_after_a_place(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    incident = an_incident()
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        for number in range(5):
            uow.record(
                AttentionRaised(at=clock.now(), incident_id=incident.id, code=str(number), text="")
            )
    async with sql_store.read() as uow:
        first = await uow.timeline.of_incident(incident.id, limit=2)
        rest = await uow.timeline.of_incident(incident.id, after=first[-1].seq)
    assert [entry.data["code"] for entry in (*first, *rest)] == ["0", "1", "2", "3", "4"]


async def test_messages_are_paged_and_belong_to_incidents(sql_store: SqlStore) -> None:
    incident = an_incident()
    mine = [a_message(incident_id=incident.id) for _ in range(3)]
    other = a_message()
    async with sql_store.begin() as uow:
        await uow.incidents.add(incident)
        for message in (*mine, other):
            await uow.messages.add(message, [])
    async with sql_store.read() as uow:
        assert await uow.messages.list(None, None, 2) == [other, mine[2]]
        assert await uow.messages.list(None, mine[2].id, 9) == [mine[1], mine[0]]
        assert await uow.messages.list(incident.id, None, 9) == mine[::-1]


async def test_live_calls_and_their_legs(sql_store: SqlStore, clock: ScriptedClock) -> None:
    ended, first, second = a_call(ended_at=clock.now()), a_call(), a_call()
    legs = [a_leg(first.id, created_at=clock.advance(1)) for _ in range(3)]
    async with sql_store.begin() as uow:
        for call in (ended, first, second):
            await uow.calls.add(call)
        for leg in reversed(legs):
            await uow.calls.add_leg(leg)
    async with sql_store.read() as uow:
        assert await uow.calls.list(True, None, 9) == [second, first]
        assert await uow.calls.list(False, first.id, 9) == [ended]
        assert await uow.calls.legs_of(first.id) == legs
        assert await uow.calls.find_leg("nobody") is None


async def test_the_directory_is_sorted(sql_store: SqlStore) -> None:
    async with sql_store.begin() as uow:
        for name in ("u2", "u1"):
            await uow.directory.put_unit(a_unit(id=name))
        for name in ("zhao", "li"):
            await uow.directory.put_responder(a_responder(id=name))
    async with sql_store.read() as uow:
        assert [unit.id for unit in await uow.directory.units()] == ["u1", "u2"]
        assert [responder.id for responder in await uow.directory.responders()] == ["li", "zhao"]


# --- accounts --------------------------------------------------------------------------------------------


def a_user(clock: ScriptedClock, name: str) -> User:
    return User(
        id=new_id(),
        name=name,
        display_name=name.title(),
        password_hash="$argon2id$",
        roles=frozenset({Role.DISPATCHER}),
        created_at=clock.now(),
    )


def a_session(clock: ScriptedClock, user: User, token: str, lasts_s: float) -> Session:
    now = clock.now()
    return Session(
        token_hash=token,
        user_id=user.id,
        created_at=now,
        seen_at=now,
        expires_at=now + timedelta(seconds=lasts_s),
    )


async def test_a_name_belongs_to_one_user(sql_store: SqlStore, clock: ScriptedClock) -> None:
    li = a_user(clock, "li")
    async with sql_store.begin() as uow:
        await uow.accounts.add_user(li)
        await uow.accounts.add_user(a_user(clock, "an"))
        with pytest.raises(ConflictError):
            await uow.accounts.add_user(a_user(clock, "li"))
    async with sql_store.read() as uow:
        assert [user.name for user in await uow.accounts.users()] == ["an", "li"]
        assert await uow.accounts.find_user("li") == li
        assert await uow.accounts.find_user("Li") is None


async def test_a_session_ends_by_the_clock_and_is_swept_away(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    li = a_user(clock, "li")
    short, long = a_session(clock, li, "short", 60), a_session(clock, li, "long", 600)
    async with sql_store.begin() as uow:
        await uow.accounts.add_user(li)
        await uow.accounts.add_session(short)
        await uow.accounts.add_session(long)
        assert await uow.accounts.find_session("short") == short
    clock.advance(60)
    async with sql_store.begin() as uow:
        assert await uow.accounts.find_session("short") is None
        assert await uow.accounts.find_session("long") == long
        # Its token could be given again: the old row is gone once somebody signs in.
        await uow.accounts.add_session(a_session(clock, li, "short", 60))
        assert await uow.accounts.find_session("short") is not None


async def test_sessions_end_one_by_one_and_all_of_a_user(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    li, an = a_user(clock, "li"), a_user(clock, "an")
    async with sql_store.begin() as uow:
        for user in (li, an):
            await uow.accounts.add_user(user)
            for place in range(3):
                await uow.accounts.add_session(
                    a_session(clock, user, f"{user.name}{place}", 600 + place)
                )
        await uow.accounts.delete_session("li0")
        assert await uow.accounts.find_session("li0") is None
        assert await uow.accounts.find_session("li1") is not None
        await uow.accounts.delete_sessions_of(li.id)
        assert await uow.accounts.find_session("li1") is None
        assert await uow.accounts.find_session("an1") is not None
        clock.advance(10)
        seen = a_session(clock, an, "an-new", 600)
        await uow.accounts.add_session(seen)
        await uow.accounts.delete_sessions_of(an.id, seen_before=clock.now())
        assert await uow.accounts.find_session("an1") is None
        assert await uow.accounts.find_session("an-new") == seen


async def test_keys_are_listed_newest_first_and_revoked_ones_are_found(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    keys = [
        ApiKey(
            id=new_id(),
            name=f"k{n}",
            token_hash=f"h{n}",
            roles=frozenset({Role.INTEGRATION}),
            created_at=clock.now(),
            created_by="user:li",
        )
        for n in range(2)
    ]
    revoked = replace(keys[0], revoked_at=clock.now())
    async with sql_store.begin() as uow:
        for key in keys:
            await uow.accounts.add_key(key)
        await uow.accounts.update_key(revoked)
        assert await uow.accounts.keys() == [keys[1], revoked]
        assert await uow.accounts.find_key("h0") == revoked
        assert await uow.accounts.find_key("nobody's") is None


# --- phones and devices ----------------------------------------------------------------------------------


async def test_contacts_are_kept_per_phone_and_replaced_by_their_address(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    def contact(account: str, uri: str, seconds: float) -> SipBinding:
        return SipBinding(
            account=account,
            contact=uri,
            call_id="c",
            cseq=1,
            expires_at=clock.now() + timedelta(seconds=seconds),
            received="127.0.0.1:5062",
            transport="udp",
        )

    desk, mobile = contact("1001", "sip:a", 60), contact("1001", "sip:b", 600)
    other = contact("1002", "sip:a", 60)
    async with sql_store.begin() as uow:
        for name in ("1002", "1001"):
            await uow.sip.put_account(
                SipAccount(name=name, display_name=name, ha1_md5="m", ha1_sha256="s")
            )
        for binding in (contact("1001", "sip:a", 1), desk, mobile, other):
            await uow.sip.put_binding(binding)
    async with sql_store.begin() as uow:
        assert [account.name for account in await uow.sip.accounts()] == ["1001", "1002"]
        assert await uow.sip.bindings_of("1001") == [mobile, desk]
        assert await uow.sip.bindings() == [mobile, desk, other]
        assert await uow.sip.bindings_until(desk.expires_at) == [desk, other]
        await uow.sip.delete_binding("1001", "sip:a")
        await uow.sip.delete_binding("1001", "sip:never")
        assert await uow.sip.bindings() == [mobile, other]


async def test_a_dialog_is_as_it_was_put_or_deleted_last(sql_store: SqlStore) -> None:
    def dialog(leg: str, stage: str) -> SipDialog:
        return SipDialog(leg_id=leg, call_id="c", state={"stage": stage})

    async with sql_store.begin() as uow:
        for one in (dialog("a", "1"), dialog("b", "1"), dialog("a", "2"), dialog("c", "1")):
            await uow.sip.put_dialog(one)
        await uow.sip.delete_dialog("b")
        await uow.sip.delete_dialog("c")
        await uow.sip.put_dialog(dialog("c", "2"))
        assert await uow.sip.dialogs() == [dialog("a", "2"), dialog("c", "2")]
        await uow.sip.delete_dialog("a")
    async with sql_store.read() as uow:
        assert await uow.sip.dialogs() == [dialog("c", "2")]


async def test_a_contact_needs_its_phone(sql_store: SqlStore, clock: ScriptedClock) -> None:
    with pytest.raises(InvalidError):
        async with sql_store.begin() as uow:
            await uow.sip.put_binding(
                SipBinding(
                    account="nobody",
                    contact="sip:a",
                    call_id="c",
                    cseq=1,
                    expires_at=clock.now(),
                    received="",
                    transport="udp",
                )
            )


async def test_devices_their_credentials_and_orders(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    radio = Device(id="r12", kind=DeviceKind.RADIO, name="Radio 12", groups=("g1", "g2"))
    orders = [
        DeviceCommand(id=new_id(), device_id="r12", op="locate", at=clock.now()) for _ in range(3)
    ]
    async with sql_store.begin() as uow:
        await uow.fleet.put(radio)
        await uow.fleet.put(Device(id="b7", kind=DeviceKind.BODYCAM, name="Camera"))
        await uow.fleet.put(replace(radio, online=True))
        await uow.fleet.put_credential("r12", "first")
        await uow.fleet.put_credential("r12", "second")
        await uow.fleet.put_credential("b7", "third")
        await uow.fleet.delete_credential("b7")
        for order in orders:
            await uow.fleet.add_command(order)
        await uow.fleet.update_command(replace(orders[0], state="done", answer="ok"))
    async with sql_store.read() as uow:
        assert [device.id for device in await uow.fleet.list()] == ["b7", "r12"]
        assert await uow.fleet.find("r12") == replace(radio, online=True)
        assert await uow.fleet.find("nobody") is None
        assert await uow.fleet.credentials() == {"r12": "second"}
        assert await uow.fleet.commands_of("r12", 2) == [orders[2], orders[1]]
        found = await uow.fleet.find_command(orders[0].id)
        assert found == replace(orders[0], state="done", answer="ok")


async def test_telephone_legs_are_kept_until_they_are_done_with(sql_store: SqlStore) -> None:
    first = TwilioLeg(leg_id="a", state={"chapter": "placed", "call_sid": None})
    second = TwilioLeg(leg_id="b", state={"chapter": "talking", "call_sid": "CA1"})
    async with sql_store.begin() as uow:
        for leg in (second, first):
            await uow.twilio.put(leg)
        assert await uow.twilio.list() == [first, second]
        await uow.twilio.delete("a")
        await uow.twilio.delete("never")
        assert await uow.twilio.list() == [second]


async def test_legs_are_found_by_their_scheme_and_time(sql_store: SqlStore) -> None:
    clock = ScriptedClock()
    call = a_call()
    legs = [
        a_leg(call_id=call.id, endpoint=Endpoint.parse(text), created_at=clock.advance(60))
        for text in ("tel:+8613800000001", "sip:1001", "tel:110", "radio:tel", "tel:+8613800000002")
    ]
    async with sql_store.begin() as uow:
        await uow.calls.add(call)
        for leg in reversed(legs):
            await uow.calls.add_leg(leg)
    async with sql_store.read() as uow:
        assert await uow.calls.legs_since(Scheme.TEL, legs[1].created_at) == [legs[2], legs[4]]
        assert await uow.calls.legs_since(Scheme.TEL, legs[0].created_at) == [
            legs[i] for i in (0, 2, 4)
        ]
        assert await uow.calls.legs_since(Scheme.DESK, legs[0].created_at) == []


async def test_live_calls_are_found_by_who_placed_them_and_live_legs_by_scheme(
    sql_store: SqlStore, clock: ScriptedClock
) -> None:
    now = clock.now()
    first, second = a_call(created_by="alert:d1"), a_call(created_by="alert:d2")
    person = a_call(created_by="alertx:d1")
    over = a_call(created_by="alert:d1", ended_at=now)
    phone = a_leg(first.id, endpoint=Endpoint(Scheme.SIP, "1001"))
    radio = a_leg(person.id, endpoint=Endpoint(Scheme.RADIO, "r12"))
    gone = a_leg(person.id, endpoint=Endpoint(Scheme.RADIO, "r13"), state=LegState.ENDED)
    left = a_leg(over.id, endpoint=Endpoint(Scheme.RADIO, "r14"))
    async with sql_store.begin() as uow:
        for call in (first, second, person, over):
            await uow.calls.add(call)
        for leg in (phone, radio, gone, left):
            await uow.calls.add_leg(leg)
        # Also in the transaction that writes them.
        assert {leg.id for leg in await uow.calls.live_legs()} == {phone.id, radio.id}
    async with sql_store.read() as uow:
        placed = await uow.calls.live_placed_by("alert")
        assert [call.id for call in placed] == [second.id, first.id]
        assert [call.id for call in await uow.calls.live_placed_by("alert", "d1")] == [first.id]
        assert [leg.id for leg in await uow.calls.live_legs(Scheme.RADIO)] == [radio.id]


async def test_which_calls_are_the_sound_of_a_room(sql_store: SqlStore) -> None:
    plain, sound = a_call(), a_call(room_id="room-1")
    async with sql_store.begin() as uow:
        for call in (plain, sound):
            await uow.calls.add(call)
    async with sql_store.read() as uow:
        asked = [plain.id, sound.id, new_id()]
        assert await uow.calls.rooms_of(asked) == {sound.id: "room-1"}
        assert await uow.calls.rooms_of([]) == {}


async def test_a_row_changed_twice_in_one_unit_is_what_was_said_last(sql_store: SqlStore) -> None:
    """Only columns that differ are written, so a change that is taken back must be, too."""
    call = a_call()
    leg = a_leg(call.id, codec="PCMA")
    async with sql_store.begin() as uow:
        await uow.calls.add(call)
        await uow.calls.add_leg(leg)
    async with sql_store.begin() as uow:
        known = await uow.calls.find_leg(leg.id)
        assert known == leg
        await uow.calls.update_leg(replace(leg, muted=True, codec="G722"))
        await uow.calls.update_leg(replace(leg, muted=False, codec="opus"))
        assert [one.codec for one in await uow.calls.legs_of(call.id)] == ["opus"]
        await uow.calls.update_leg(replace(leg, codec="PCMU"))
        await uow.calls.add_leg(later := a_leg(call.id, created_at=leg.created_at + timedelta(1)))
        # Asked again in the same unit: with what was added and changed since.
        legs = await uow.calls.legs_of(call.id)
        assert [(one.id, one.codec) for one in legs] == [(leg.id, "PCMU"), (later.id, None)]
    async with sql_store.read() as uow:
        assert await uow.calls.find_leg(leg.id) == replace(leg, codec="PCMU")
