"""Voice between the audio engine and the radios of a group, inside the worker process.

Both sides live on the worker's event loop except `frame_received`, which may be called from the network
thread: the sink copies into its queue and returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class VoiceFrame:
    """One codec frame with its 16-byte header's fields. `codec` is an RTP encoding name (PCMA, OPUS).

    `timestamp` counts samples at the codec's RTP clock; `sequence` restarts with every `talk_id`.
    """

    codec: str
    duration_ms: int
    talk_id: int
    sequence: int
    timestamp: int
    payload: bytes


class VoiceSink(Protocol):
    """What the engine takes from the field."""

    def frame_received(self, device_id: str, group: str, frame: VoiceFrame) -> None:
        """A device spoke. Frames of whoever lacks the floor are counted and dropped."""
        ...

    def floor_received(self, device_id: str, message: Mapping[str, object]) -> None:
        """A floor message from a device: {"op": "request"|"release", "group": …, "priority"?: …}."""
        ...

    def device_left(self, device_id: str) -> None:
        """The device's last will: whatever floor it had is free."""
        ...


class VoiceLink(Protocol):
    """What the engine sends to the field. Never blocks; a full queue drops the oldest voice, counted."""

    def send_frame(self, group: str, frame: VoiceFrame) -> None:
        """Publish once to the group; the broker fans out."""
        ...

    def send_floor(self, device_id: str, message: Mapping[str, object]) -> None:
        """A floor answer to one device: granted, denied, queued, revoked (TS 24.380 words)."""
        ...

    def publish_floor(self, group: str, message: Mapping[str, object]) -> None:
        """The group's state, retained for late entry: {"state": "taken"|"idle", "talker": …, "until": …}."""
        ...
