"""Rooms as the settings have them."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from commhub.domain.recording import Retention
from commhub.settings import Settings
from commhub.wiring.rooms import room_config


def test_rooms_are_told_what_the_settings_say(tmp_path):
    settings = Settings(
        data_dir=tmp_path,
        http={"public_url": "https://hub.example/"},
        rooms={"prefix": "9", "invitation_hours": 2, "camera_idle_s": 60},
        recordings={"keep_days": {"incident": 365}},
    )
    config = room_config(settings)
    assert (config.prefix, config.public_url) == ("9", "https://hub.example")
    assert (config.invitation_for, config.idle_for) == (timedelta(hours=2), timedelta(seconds=60))
    assert config.keep[Retention.INCIDENT] == 365
    assert config.folder == tmp_path.resolve() / "recordings"


@pytest.mark.parametrize("prefix", ["", "+86", "12345", "a"])
def test_a_prefix_is_what_a_keypad_has(prefix):
    with pytest.raises(ValidationError):
        Settings(rooms={"prefix": prefix})
