"""Whose picture a meeting shows, on scripted microphones."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.video.speaker import Speakers, SpeakersOfRooms


def talk(
    speakers: Speakers, now: float, seconds: float, **levels: float
) -> tuple[float, list[str | None]]:
    """A packet each 20 ms of each microphone, a look each 100 ms; returns the time and who was shown, change by change."""
    shown = [speakers.shown]
    for step in range(round(seconds / 0.02)):
        for source_id, level in levels.items():
            speakers.heard(source_id, level, now)
        if step % 5 == 0 and speakers.decide(now):
            shown.append(speakers.shown)
        now += 0.02
    return now, shown[1:]


def test_the_first_who_speaks_is_shown_within_half_a_second():
    speakers = Speakers()
    assert talk(speakers, 10.0, 0.5, ann=-25, bob=-90)[1] == ["ann"]


def test_nobody_is_shown_while_nobody_spoke():
    speakers = Speakers()
    talk(speakers, 10.0, 30, ann=-70, bob=-127)
    assert speakers.shown is None


def test_another_speaker_takes_over_within_two_seconds():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 5, ann=-25, bob=-90)
    assert talk(speakers, now, 2, ann=-90, bob=-25)[1] == ["bob"]


def test_a_cough_or_a_door_changes_nothing():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 5, ann=-25, bob=-90)
    for _ in range(10):
        now, changes = talk(speakers, now, 0.2, ann=-25, bob=-5)
        assert changes == []
        now, changes = talk(speakers, now, 1.5, ann=-25, bob=-90)
        assert changes == []


def test_a_pause_changes_nothing():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 5, ann=-25, bob=-90)
    talk(speakers, now, 60, ann=-90, bob=-90)
    assert speakers.shown == "ann"


def test_two_who_speak_at_once_do_not_make_the_picture_jump():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 3, ann=-25, bob=-90)
    assert talk(speakers, now, 60, ann=-25, bob=-22)[1] == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=30))
def test_whatever_is_said_no_picture_stays_less_than_two_seconds(turns):
    speakers = Speakers()
    now, changed = 10.0, []
    for who, steps in turns:
        for step in range(steps * 5):
            speakers.heard(who, -20, now)
            if step % 5 == 0 and speakers.decide(now):
                changed.append(now)
            now += 0.02
    assert all(later - earlier >= 2.0 for earlier, later in itertools.pairwise(changed))


def test_the_spotlight_is_over_everybody_until_it_goes():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 3, ann=-25)
    assert speakers.spotlight("bob")
    now, changes = talk(speakers, now, 5, cid=-10)
    assert (changes, speakers.shown) == ([], "bob")
    assert speakers.spotlight(None)
    assert speakers.shown == "cid"
    assert not speakers.spotlight(None)


def test_who_leaves_is_shown_no_more():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 3, ann=-25)
    assert speakers.gone("ann")
    assert speakers.shown is None
    assert talk(speakers, now, 1, bob=-25)[1] == ["bob"]
    speakers.spotlight("cid")
    assert speakers.gone("cid")
    assert speakers.shown == "bob"
    assert not speakers.gone("nobody")


def test_a_microphone_that_floods_us_gets_no_further_than_others():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 3, ann=-25)
    for _ in range(50_000):
        speakers.heard("bob", -10, now)
        now += 1e-6
    speakers.decide(now)
    assert speakers.shown == "ann"
    assert speakers.level("bob") == -10
    assert speakers.level("cid") == -127


def test_a_room_remembers_a_bounded_number_of_microphones():
    speakers = Speakers()
    for i in range(2_000):
        speakers.heard(f"s{i}", -10, 1.0)
        speakers.told(f"t{i}", -10, 1.0)
    assert len(speakers._voices) == 512


def look(speakers, now, seconds, **told):
    """Who was shown, change by change, while it is told once a second that these speak."""
    changes = []
    for step in range(round(seconds / 0.2)):
        for source_id, level in told.items() if step % 5 == 0 else ():
            speakers.told(source_id, level, now)
        if speakers.decide(now):
            changes.append(speakers.shown)
        now += 0.2
    return now, changes


def test_a_phone_of_which_it_is_told_that_it_speaks_is_the_speaker_at_once_and_stays():
    speakers = Speakers()
    now, changes = look(speakers, 10.0, 5, phone=-22)
    assert changes == ["phone"]
    assert speakers.level("phone") == -22
    speakers.told("phone", None, now)
    assert look(speakers, now, 50) == (pytest.approx(now + 50), [])
    assert (speakers.shown, speakers.level("phone")) == ("phone", -127)


def test_a_phone_and_a_browser_take_the_picture_from_one_another():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 5, ann=-25)
    now, changes = look(speakers, now, 4, phone=-25)
    assert changes == ["phone"]
    speakers.told("phone", None, now)
    assert talk(speakers, now, 2, ann=-25)[1] == ["ann"]


def test_what_was_told_holds_for_three_seconds_without_being_told_again():
    speakers = Speakers()
    now, _ = talk(speakers, 10.0, 5, ann=-25)
    speakers.told("phone", -50, now)
    now, changes = talk(speakers, now, 3.5, ann=-20)
    assert changes == []
    now, changes = talk(speakers, now, 5, ann=-90)
    assert (changes, speakers.shown) == ([], "ann")


def test_a_microphone_with_levels_of_its_own_needs_nobody_to_tell():
    speakers = Speakers()
    now = 10.0
    for _ in range(5):
        speakers.told("ann", -10, now)
        now, changes = talk(speakers, now, 1, ann=-90)
        assert changes == []
    assert speakers.level("ann") == -90


def test_who_was_told_of_and_left_without_a_word_is_forgotten():
    rooms = SpeakersOfRooms()
    rooms.told("north", "phone", -20, 10.0)
    assert rooms.decide(10.4) == ["north"]
    assert rooms.decide(60.0) == []
    assert rooms.shown("north") == "phone"
    assert rooms.decide(75.0) == []
    assert rooms.shown("north") is None
    rooms.told("south", "phone", None, 80.0)
    assert rooms.shown("south") is None


def test_rooms_do_not_hear_one_another_and_are_forgotten_when_all_have_left():
    rooms = SpeakersOfRooms()
    for moment in range(60):
        rooms.heard("north", "ann", -20, moment * 0.02)
        rooms.heard("south", "bob", -90, moment * 0.02)

    assert rooms.decide(1.2) == ["north"]
    assert (rooms.shown("north"), rooms.shown("south")) == ("ann", None)
    assert rooms.level("south", "bob") == -90
    assert not rooms.gone("south", "bob")
    assert rooms.gone("north", "ann")
    assert rooms.decide(9.0) == []
    assert rooms.shown("north") is None


def test_a_spotlight_waits_for_who_is_not_there_and_lifting_an_unknown_one_changes_nothing():
    rooms = SpeakersOfRooms()

    assert not rooms.spotlight("north", None)
    assert rooms.spotlight("north", "ann")
    assert not rooms.gone("north", "bob")
    assert rooms.shown("north") == "ann"
