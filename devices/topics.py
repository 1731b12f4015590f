"""The topic tree under `ch/v1/{tenant}/`: the only place that puts topics together or takes them apart.

Ids come from the network on the way in and from people on the way out; both are held to `is_safe_id`, so that no
id can widen a subscription (`+`, `#`), reach another branch (`/`) or be no legal topic at all (NUL).
"""

from dataclasses import dataclass

from commhub.domain.device import is_safe_id
from devices.errors import WireError

DEVICE_VERBS = frozenset({"birth", "death", "tele", "sos", "rsp", "floor", "rtc"})
SENSOR_VERBS = frozenset({"alarm", "reading"})


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """`d/{device}/up/{verb}`; `group` only with the verb `ptt`."""

    device: str
    verb: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class SensorTopic:
    """`s/{sensor}/up/{verb}`."""

    sensor: str
    verb: str


UpTopic = DeviceTopic | SensorTopic


def _checked(kind: str, text: str) -> str:
    if not is_safe_id(text):
        raise WireError("unsafe_id", f"a {kind} id that cannot stand in a topic")
    return text


class Topics:
    """Topics of one tenant. Every method that takes an id raises WireError («unsafe_id») for an unsafe one."""

    def __init__(self, tenant: str) -> None:
        self.prefix = f"ch/v1/{_checked('tenant', tenant)}/"

    def up(self, device: str, verb: str) -> str:
        """What a device says: birth, death, tele, sos, rsp, floor, rtc."""
        return f"{self.prefix}d/{_checked('device', device)}/up/{verb}"

    def down(self, device: str, verb: str) -> str:
        """What a device is told: cmd, floor, rtc."""
        return f"{self.prefix}d/{_checked('device', device)}/dn/{verb}"

    def speech_up(self, device: str, group: str) -> str:
        """Voice frames of a device for a group."""
        return f"{self.prefix}d/{_checked('device', device)}/up/ptt/{_checked('group', group)}"

    def speech(self, group: str) -> str:
        """Voice frames a group hears."""
        return f"{self.prefix}g/{_checked('group', group)}/ptt"

    def floor(self, group: str) -> str:
        """Who has the floor, retained."""
        return f"{self.prefix}g/{_checked('group', group)}/floor"

    def sensor_up(self, sensor: str, verb: str) -> str:
        """What a sensor says: alarm, reading."""
        return f"{self.prefix}s/{_checked('sensor', sensor)}/up/{verb}"

    def every(self, pattern: str) -> str:
        """A subscription or ACL pattern below the prefix, for example `d/+/up/sos`."""
        return self.prefix + pattern

    def parse(self, topic: str) -> UpTopic:
        """Read a topic that came up. Raises WireError («topic», «unsafe_id»)."""
        if not topic.startswith(self.prefix):
            raise WireError("topic", "a topic of another tenant or version")
        match topic[len(self.prefix) :].split("/"):
            case ["d", device, "up", verb] if verb in DEVICE_VERBS:
                return DeviceTopic(_checked("device", device), verb)
            case ["d", device, "up", "ptt", group]:
                return DeviceTopic(_checked("device", device), "ptt", _checked("group", group))
            case ["s", sensor, "up", verb] if verb in SENSOR_VERBS:
                return SensorTopic(_checked("sensor", sensor), verb)
        raise WireError("topic", "no topic of this protocol")
