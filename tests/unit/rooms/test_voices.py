"""Who speaks in a meeting, of those whose far ends tell no levels: whose legs are watched, and what the picture engine and
the desks are told."""

from fakes.rooms import LI

from commhub.calls.service import CallRequest
from commhub.domain.call import Cause
from commhub.domain.room_facts import SpeakerMoved


async def a_caller(town, room, caller="sip:1001", leg_id="in-1"):
    """Somebody dialled in; who they are."""
    await town.dial(room, caller, leg_id)
    await town.calls.leg_connected(leg_id, "PCMA")
    await town.follow()
    people = (await town.file(room)).participants
    return next(one for one in people if one.leg_id == leg_id)


def watched(town):
    return [order[1:] for order in town.media.orders if order[0] == "watch"]


async def test_the_legs_of_a_meeting_are_watched_once_and_those_of_a_plain_call_never(town):
    room = await town.open()
    await a_caller(town, room)
    await a_caller(town, room, "sip:1002", "in-2")
    request = CallRequest(legs=["sip:1003", "sip:1004"])
    state = await town.calls.place(request, LI)
    for leg in state.legs:
        await town.calls.leg_connected(leg.id, "PCMA")
    await town.follow()
    assert watched(town) == [("in-1", True), ("in-2", True)]


async def test_a_phone_that_speaks_is_told_of_under_its_participants_name(town):
    room = await town.open()
    one = await a_caller(town, room)
    await town.calls.rooms.voice_heard("in-1", -20.0)
    await town.calls.rooms.voice_heard("in-1", -21.0)
    await town.calls.rooms.voice_heard("in-1", None)
    assert town.video.told("voice") == [
        (room.id, one.id, -20.0),
        (room.id, one.id, -21.0),
        (room.id, one.id, None),
    ]


async def test_who_has_a_picture_is_told_of_by_its_source(town):
    room = await town.open()
    admission, _ = await town.publish(room, sound=True)
    await town.follow()
    (leg,) = await town.legs(room)
    await town.feature.voices.voice_heard(leg.id, -20.0)
    assert town.video.told("voice") == [(room.id, admission.source_id, -20.0)]


async def test_a_phone_that_hangs_up_has_left_and_one_that_never_spoke_was_never_there(town):
    room = await town.open()
    one = await a_caller(town, room)
    await a_caller(town, room, "sip:1002", "in-2")
    await town.feature.voices.voice_heard("in-1", -20.0)
    for leg_id in ("in-1", "in-2"):
        await town.calls.leg_ended(leg_id, Cause.HUNG_UP, None)
    await town.follow()
    await town.feature.voices.voice_heard("in-1", -20.0)
    assert town.video.told("left") == [(room.id, one.id)]
    assert len(town.video.told("voice")) == 1


async def test_a_media_engine_that_came_back_is_told_again_whom_to_watch(town):
    room = await town.open()
    await a_caller(town, room)
    town.calls.rooms.engine_came()
    await town.follow()
    assert watched(town) == [("in-1", True)] * 2


async def test_without_a_picture_engine_nobody_suffers(town):
    room = await town.open()
    await a_caller(town, room)
    town.video.unavailable = True
    await town.feature.voices.voice_heard("in-1", -20.0)
    town.video.unavailable = False
    await town.feature.voices.voice_heard("in-1", -20.0)
    assert len(town.video.told("voice")) == 1


async def test_the_desks_hear_that_a_phone_without_a_picture_speaks(town):
    room = await town.open()
    one = await a_caller(town, room)
    with town.bus.subscribe() as facts:
        await town.feature.events.speaker_moved(room.id, one.id)
        told = await facts.get()
    assert isinstance(told, SpeakerMoved)
    assert (told.source_id, told.participant_id) == (None, one.id)
    speaker = town.feature.events.speaker_of(room.id)
    assert (speaker.source_id, speaker.participant_id) == (None, one.id)
