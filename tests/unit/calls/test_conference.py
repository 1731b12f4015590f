"""The dispatcher's hand in a call: what is committed, what the engine is told, what is on record."""

import pytest
from fakes.calls import FakeDriver, RememberingMedia
from fakes.web import someone

from commhub.calls.control import LegWish
from commhub.calls.media_events import MediaEvents
from commhub.calls.service import CallRequest, CallService
from commhub.domain.call import Cause, Entry, LegState
from commhub.domain.call_facts import FloorCommanded, FloorMoved, LegShaped, LegTransferred
from commhub.domain.device import Device, DeviceKind
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from commhub.domain.people import Endpoint, Scheme
from commhub.ports.edge_store import SipAccount
from commhub.ports.inward import IncomingCall
from commhub.ports.media import PLAIN, EngineStatus, FloorAction, LegMeter, LegShape

DESK = someone()


@pytest.fixture
def driver():
    return FakeDriver()


@pytest.fixture
def media():
    return RememberingMedia()


@pytest.fixture
def calls(store, clock, driver, media):
    service = CallService(store, clock)
    service.connect(media, {Scheme.SIP: driver, Scheme.RADIO: driver})
    return service


@pytest.fixture
def control(calls):
    return calls.control


@pytest.fixture
async def patrol(store):
    """A radio in a talk group."""
    async with store.begin() as uow:
        await uow.fleet.put(
            Device(id="r12", kind=DeviceKind.RADIO, name="r12", groups=("patrol-1",))
        )


async def talking(calls, *endpoints):
    """A call whose legs all talk."""
    state = await calls.place(CallRequest(legs=endpoints), DESK)
    for leg in state.legs:
        await calls.leg_connected(leg.id, "PCMA")
    return state.call, {str(leg.endpoint): leg for leg in state.legs}


async def legs_of(calls, call):
    return {str(leg.endpoint): leg for leg in (await calls.get(call.id)).legs}


@pytest.fixture
def recorded(bus):
    """The facts of a kind that were published so far."""
    with bus.subscribe(1000) as told:
        gathered = []

        def of(kind):
            while not told._queue.empty():
                gathered.append(told._queue.get_nowait())
            return [fact for fact in gathered if isinstance(fact, kind)]

        yield of


async def audit(store):
    async with store.read() as uow:
        return [(row.action, row.outcome, row.detail) for row in await uow.audit.list(None, 100)]


def shapes(media):
    return [order[1:] for order in media.orders if order[0] == "shape"]


def moves(media):
    return [order[1:] for order in media.orders if order[0] == "move"]


# --- one leg -----------------------------------------------------------------------------------------------


async def test_only_a_connected_leg_is_changed_and_only_a_radio_has_a_key(
    calls, control, media, patrol
):
    state = await calls.place(CallRequest(legs=("sip:1001", "radio:r12")), DESK)
    phone, radio = state.legs
    with pytest.raises(ConflictError):
        await control.change_leg(state.call.id, phone.id, LegWish(muted=True), DESK)
    for leg in state.legs:
        await calls.leg_connected(leg.id, "PCMA")
    changed = await control.change_leg(state.call.id, phone.id, LegWish(muted=True), DESK)
    assert changed.muted
    with pytest.raises(InvalidError):
        await control.change_leg(state.call.id, phone.id, LegWish(key=True), DESK)
    await control.change_leg(state.call.id, radio.id, LegWish(key=True), DESK)
    assert media.orders == [
        ("shape", phone.id, LegShape(muted=True)),
        ("key", state.call.id, "patrol-1", True),
    ]


@pytest.mark.parametrize(
    ("wish", "shape"),
    [
        (LegWish(muted=True), LegShape(muted=True)),
        (LegWish(listen_only=True), LegShape(muted=True)),
        (LegWish(held=True), LegShape(muted=True, deaf=True)),
        (LegWish(gain_db=6.0), LegShape(gain_db=6.0)),
        (LegWish(auto_gain=True), LegShape(limit=True)),
    ],
)
async def test_what_the_desk_wishes_is_a_shape_and_is_kept(
    calls, control, media, store, wish, shape
):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    await control.change_leg(call.id, legs["sip:1001"].id, wish, DESK)
    assert shapes(media) == [(legs["sip:1001"].id, shape)]
    kept = (await legs_of(calls, call))["sip:1001"]
    ((name, value),) = wish.change().items()
    assert getattr(kept, name) == value
    assert (await audit(store))[0][0] == "call.shape_leg"


async def test_what_is_so_already_is_not_told_again(calls, control, media, store):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    for _ in range(2):
        await control.change_leg(call.id, legs["sip:1001"].id, LegWish(muted=True), DESK)
    assert len(shapes(media)) == 1
    assert [row[0] for row in await audit(store)].count("call.shape_leg") == 1


async def test_a_held_leg_hears_the_prompt_until_it_is_taken_back(calls, control, media):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    leg = legs["sip:1001"]
    await control.change_leg(call.id, leg.id, LegWish(held=True), DESK)
    (play,) = [order[1] for order in media.orders if order[0] == "play"]
    assert (play.call_id, play.leg_ids, play.loop, play.prompt) == (
        call.id, (leg.id,), True, "hold",
    )  # fmt: skip
    await control.change_leg(call.id, leg.id, LegWish(held=False), DESK)
    assert media.orders[-2:] == [("shape", leg.id, PLAIN), ("stop_playing", play.id)]


async def test_a_whisper_is_to_legs_of_the_same_call_and_not_to_itself(calls, control, media):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    _, others = await talking(calls, "sip:1003", "sip:1004")
    one, two = legs["sip:1001"], legs["sip:1002"]
    for wrong in (one.id, others["sip:1003"].id, "nobody"):
        with pytest.raises(InvalidError):
            await control.change_leg(call.id, one.id, LegWish(whispers_to=[wrong]), DESK)
    await control.change_leg(call.id, one.id, LegWish(whispers_to=[two.id]), DESK)
    assert shapes(media) == [(one.id, LegShape(whispers_to=(two.id,)))]


async def test_a_whisper_whose_hearer_hung_up_does_not_become_public(calls, control, media):
    call, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    one, two = legs["sip:1001"], legs["sip:1002"]
    await control.change_leg(call.id, one.id, LegWish(whispers_to=[two.id]), DESK)
    await calls.leg_ended(two.id, Cause.HUNG_UP, None)
    assert (await legs_of(calls, call))["sip:1001"].whispers_to == (two.id,)
    assert shapes(media)[-1][1].whispers_to == (two.id,)


async def test_changes_are_on_the_timeline_in_words_of_people(calls, control, recorded):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    await control.change_leg(
        call.id, legs["sip:1001"].id, LegWish(whispers_to=[legs["sip:1002"].id]), DESK
    )
    (fact,) = recorded(LegShaped)
    assert (fact.actor, fact.endpoint, fact.change) == (
        "user:li", "sip:1001", {"whispers_to": ["sip:1002"]},
    )  # fmt: skip


# --- entering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "shape"), [(Entry.LISTEN, LegShape(muted=True)), (Entry.BARGE_IN, PLAIN)]
)
async def test_who_enters_is_shaped_before_it_rings(calls, driver, store, recorded, entry, shape):
    call, _ = await talking(calls, "sip:1001", "sip:1002")
    await calls.add_leg(call.id, "sip:8001", DESK, entry=entry)
    assert driver.placed[-1].shape == shape
    (fact,) = recorded(LegShaped)
    assert fact.change["entry"] == entry
    assert (await audit(store))[0] == ("call.add_leg", "ok", f"sip:8001 {entry}")


async def test_a_whisperer_enters_heard_by_one_alone(calls, driver, media):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    to = legs["sip:1001"].id
    leg = await calls.add_leg(call.id, "sip:8001", DESK, entry=Entry.WHISPER, whispers_to=[to])
    assert driver.placed[-1].shape == LegShape(whispers_to=(to,))
    await calls.leg_connected(leg.id, "PCMA")
    assert shapes(media) == [(leg.id, LegShape(whispers_to=(to,)))]


@pytest.mark.parametrize(
    ("entry", "whispers_to"), [(Entry.WHISPER, []), (Entry.LISTEN, ["x"]), (Entry.WHISPER, ["x"])]
)
async def test_an_entry_that_makes_no_sense_rings_nobody(calls, driver, entry, whispers_to):
    call, _ = await talking(calls, "sip:1001", "sip:1002")
    with pytest.raises(InvalidError):
        await calls.add_leg(call.id, "sip:8001", DESK, entry=entry, whispers_to=whispers_to)
    assert len(driver.placed) == 2


async def test_a_listener_keeps_nobody_on_the_line(calls, driver):
    call, legs = await talking(calls, "sip:1001", "sip:1002")
    ear = await calls.add_leg(call.id, "sip:8001", DESK, entry=Entry.LISTEN)
    await calls.leg_connected(ear.id, "PCMA")
    await calls.leg_ended(legs["sip:1001"].id, Cause.HUNG_UP, None)
    assert not (await calls.get(call.id)).call.is_live
    assert {leg_id for leg_id, _ in driver.hung_up} == {legs["sip:1002"].id, ear.id}


async def test_a_forced_release_is_on_the_audit(calls, driver, store):
    call, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    await calls.hang_up(call.id, legs["sip:1002"].id, DESK)
    assert driver.hung_up == [(legs["sip:1002"].id, Cause.DESK)]
    assert (await audit(store))[0] == ("call.release_leg", "ok", "sip:1002")


# --- moving and merging ------------------------------------------------------------------------------------


async def test_a_moved_leg_is_in_the_other_call_and_nobody_is_rung(
    calls, control, driver, media, recorded
):
    here, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    there, _ = await talking(calls, "sip:2001", "sip:2002")
    rung = len(driver.placed)
    leg = legs["sip:1001"]
    moved = await control.move_leg(here.id, leg.id, there.id, DESK)
    assert (moved.id, moved.call_id, moved.state) == (leg.id, there.id, LegState.CONNECTED)
    assert moves(media) == [(leg.id, there.id)]
    assert len(driver.placed) == rung
    assert driver.hung_up == []
    assert "sip:1001" not in await legs_of(calls, here)
    assert {fact.call_id for fact in recorded(LegTransferred)} == {here.id, there.id}
    await calls.leg_ended(leg.id, Cause.HUNG_UP, None)
    assert (await legs_of(calls, there))["sip:1001"].state is LegState.ENDED


async def test_who_is_left_alone_by_a_move_waits_for_the_desk(calls, control):
    here, legs = await talking(calls, "sip:1001", "sip:1002")
    there, _ = await talking(calls, "sip:2001", "sip:2002")
    await control.move_leg(here.id, legs["sip:1001"].id, there.id, DESK)
    assert (await calls.get(here.id)).call.is_live
    await control.move_leg(here.id, legs["sip:1002"].id, there.id, DESK)
    assert not (await calls.get(here.id)).call.is_live
    assert len(await legs_of(calls, there)) == 4


async def test_a_move_keeps_mute_and_gain_and_ends_what_was_about_the_old_call(
    calls, control, media
):
    here, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    there, _ = await talking(calls, "sip:2001", "sip:2002")
    leg = legs["sip:1001"]
    wish = LegWish(
        muted=True, gain_db=3.0, held=True, listen_only=True, whispers_to=[legs["sip:1002"].id]
    )
    await control.change_leg(here.id, leg.id, wish, DESK)
    media.orders.clear()
    moved = await control.move_leg(here.id, leg.id, there.id, DESK)
    assert (moved.muted, moved.gain_db) == (True, 3.0)
    assert (moved.held, moved.listen_only, moved.whispers_to) == (False, False, ())
    assert media.orders == [
        ("move", leg.id, there.id),
        ("shape", leg.id, LegShape(muted=True, gain_db=3.0)),
        ("stop_playing", f"hold-{leg.id}"),
    ]


async def test_a_move_that_makes_no_sense_is_refused_and_changes_nothing(calls, control, media):
    here, legs = await talking(calls, "sip:1001", "sip:1002")
    there, _ = await talking(calls, "sip:1001", "sip:2002")
    over, _ = await talking(calls, "sip:3001")
    await calls.end(over.id, DESK)
    leg = legs["sip:1001"]
    with pytest.raises(InvalidError):
        await control.move_leg(here.id, leg.id, here.id, DESK)
    with pytest.raises(ConflictError):
        await control.move_leg(here.id, leg.id, there.id, DESK)
    with pytest.raises(ConflictError):
        await control.move_leg(here.id, leg.id, over.id, DESK)
    with pytest.raises(NotFoundError):
        await control.move_leg(here.id, leg.id, "nowhere", DESK)
    with pytest.raises(NotFoundError):
        await control.move_leg(there.id, leg.id, here.id, DESK)
    assert moves(media) == []
    assert (await legs_of(calls, here))["sip:1001"].call_id == here.id


async def test_who_rang_in_is_answered_when_moved_to_who_talks(calls, control, driver, store):
    async with store.begin() as uow:
        for name in ("1002", "1003"):
            await uow.sip.put_account(
                SipAccount(name=name, display_name=name, ha1_md5="", ha1_sha256="")
            )
    caller = IncomingCall(leg_id="leg-in", caller=Endpoint(Scheme.SIP, "1001"), called="1002")
    ringing = await calls.call_offered(caller)
    desk, _ = await talking(calls, "sip:8001", "sip:8002")
    await control.move_leg(ringing.call_id, "leg-in", desk.id, DESK)
    assert driver.answered == ["leg-in"]


async def test_merging_moves_everybody_and_ends_the_emptied_call(calls, control, media, driver):
    here, legs = await talking(calls, "sip:1001", "sip:1002")
    there, others = await talking(calls, "sip:2001", "sip:1002")
    await control.merge(here.id, there.id, DESK)
    assert not (await calls.get(here.id)).call.is_live
    assert set(await legs_of(calls, there)) == {"sip:1001", "sip:1002", "sip:2001"}
    assert moves(media) == [(legs["sip:1001"].id, there.id)]
    # Who was in both stays where the call goes on.
    assert driver.hung_up == [(legs["sip:1002"].id, Cause.DESK)]
    assert (await legs_of(calls, there))["sip:1002"].id == others["sip:1002"].id


async def test_an_engine_that_could_not_be_told_of_a_move_is_told_when_it_comes_back(
    calls, control, media, store, clock
):
    here, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    there, _ = await talking(calls, "sip:2001", "sip:2002")
    leg = legs["sip:1001"]
    works, media.move = media.move, away
    with pytest.raises(UnavailableError):
        await control.move_leg(here.id, leg.id, there.id, DESK)
    assert "sip:1001" in await legs_of(calls, there)
    media.move = works
    await calls.resume()
    meters = [
        meter(one.id, here.id if one.id == leg.id else one.call_id)
        for call in (here, there)
        for one in (await calls.get(call.id)).legs
    ]
    await MediaEvents(calls, store, clock).engine_status(
        EngineStatus(worker="w", boot_id="b", legs=meters)
    )
    assert moves(media) == [(leg.id, there.id)]


async def away(*_):
    raise UnavailableError("no worker is there")


def meter(leg_id, call_id):
    return LegMeter(
        leg_id=leg_id,
        call_id=call_id,
        received=0,
        sent=0,
        lost=0,
        level_dbov=-127.0,
        silent_s=0.0,
    )


async def test_shapes_and_holds_are_told_again_to_an_engine_that_comes_back(
    calls, control, media, store, clock
):
    call, legs = await talking(calls, "sip:1001", "sip:1002", "sip:1003")
    for name, wish in {"sip:1001": LegWish(held=True), "sip:1002": LegWish(gain_db=-3.0)}.items():
        await control.change_leg(call.id, legs[name].id, wish, DESK)
    media.orders.clear()
    await calls.resume()
    status = EngineStatus(
        worker="w", boot_id="new", legs=[meter(leg.id, call.id) for leg in legs.values()]
    )
    await MediaEvents(calls, store, clock).engine_status(status)
    assert shapes(media) == [
        (legs["sip:1001"].id, LegShape(muted=True, deaf=True)),
        (legs["sip:1002"].id, LegShape(gain_db=-3.0)),
    ]
    assert [order[0] for order in media.orders].count("play") == 1


# --- floors ------------------------------------------------------------------------------------------------


async def test_a_floor_taken_away_is_on_the_audit_and_on_the_calls_timeline(
    calls, control, media, store, recorded, patrol
):
    call, _ = await talking(calls, "sip:1001", "radio:r12")
    await control.command_floor("patrol-1", FloorAction.REVOKE, "radio:r12", DESK)
    assert media.orders[-1] == ("command_floor", "patrol-1", FloorAction.REVOKE, "radio:r12")
    (fact,) = recorded(FloorCommanded)
    assert (fact.call_id, fact.action, fact.participant, fact.actor) == (
        call.id, "revoke", "radio:r12", "user:li",
    )  # fmt: skip
    assert (await audit(store))[0] == ("floor.revoke", "ok", "radio:r12")


async def test_a_floor_command_the_engine_refuses_is_on_the_audit_as_refused(control, media, store):
    media.command_floor = away
    with pytest.raises(UnavailableError):
        await control.command_floor("g1", FloorAction.REVOKE, None, DESK)
    assert (await audit(store))[0][1] == "unavailable"
    with pytest.raises(InvalidError):
        await control.command_floor("g1", FloorAction.GRANT, None, DESK)


async def test_who_waits_for_the_floor_is_told_to_the_desk_and_to_no_timeline(
    calls, store, clock, recorded
):
    call, _ = await talking(calls, "sip:1001")
    events = MediaEvents(calls, store, clock)
    await events.floor_moved("g1", "revoked", "radio:r1", [call.id], "talk_limit", ())
    await events.floor_moved("g1", "queue", "radio:r2", [call.id], None, ("radio:r3",))
    revoked, queue = recorded(FloorMoved)
    assert (revoked.call_id, revoked.cause) == (call.id, "talk_limit")
    assert (queue.call_id, queue.incident_id, queue.queue) == (None, None, ("radio:r3",))
