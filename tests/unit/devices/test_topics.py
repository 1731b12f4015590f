"""Topics: put together and taken apart in one place, safe ids only."""

import pytest

from devices.errors import WireError
from devices.topics import DeviceTopic, SensorTopic, Topics

TOPICS = Topics("default")
UNSAFE = ["", "a/b", "+", "#", "a+", "a#", "a\x00", "a b", "ä", "x" * 65, "-a", ".a", "$SYS", "a:b"]


def test_what_is_built_is_read_back() -> None:
    for verb in ("birth", "death", "tele", "sos", "rsp", "floor", "rtc"):
        assert TOPICS.parse(TOPICS.up("b7", verb)) == DeviceTopic("b7", verb)
    assert TOPICS.parse(TOPICS.speech_up("r12", "patrol-1")) == DeviceTopic(
        "r12", "ptt", "patrol-1"
    )
    assert TOPICS.parse(TOPICS.sensor_up("s1", "alarm")) == SensorTopic("s1", "alarm")


def test_the_tree_is_the_published_one() -> None:
    assert TOPICS.up("b7", "sos") == "ch/v1/default/d/b7/up/sos"
    assert TOPICS.down("b7", "cmd") == "ch/v1/default/d/b7/dn/cmd"
    assert TOPICS.speech("patrol-1") == "ch/v1/default/g/patrol-1/ptt"
    assert TOPICS.floor("patrol-1") == "ch/v1/default/g/patrol-1/floor"


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_ids_are_refused_in_both_directions(name: str) -> None:
    with pytest.raises(WireError):
        TOPICS.down(name, "cmd")
    with pytest.raises(WireError):
        TOPICS.speech(name)
    with pytest.raises(WireError):
        TOPICS.parse(f"ch/v1/default/d/{name}/up/sos")
    with pytest.raises(WireError):
        Topics(name)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "ch/v1/other/d/b7/up/sos",
        "ch/v2/default/d/b7/up/sos",
        "ch/v1/default/d/b7/up/selfdestruct",
        "ch/v1/default/d/b7/dn/cmd",
        "ch/v1/default/d/b7/up/ptt",
        "ch/v1/default/d/b7/up/ptt/a/b",
        "ch/v1/default/g/a/ptt",
        "ch/v1/default/s/s1/up/boom",
    ],
)
def test_topics_of_nobody_are_refused(topic: str) -> None:
    with pytest.raises(WireError):
        TOPICS.parse(topic)
