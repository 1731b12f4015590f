"""A desk as the console keeps it: a snapshot, then deltas in order, and every event once."""

import json
from typing import Any


class FakeDesk:
    """Applies the frames of the live socket; a gap is an error here, where the console would resync."""

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.seq = 0
        self.state: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.frames: list[str] = []

    def take(self, text: str) -> None:
        frame = json.loads(text)
        self.frames.append(frame["op"])
        if frame["op"] == "snapshot":
            self.epoch, self.seq, self.state = frame["epoch"], frame["seq"], frame["state"]
            return
        assert frame["op"] == "delta"
        assert (frame["epoch"], frame["from"]) == (self.epoch, self.seq), "a gap"
        self.seq = frame["to"]
        for op in frame["ops"]:
            match op:
                case {"put": collection, "id": key, "value": value}:
                    self.state[collection][key] = value
                case {"del": collection, "id": key}:
                    # What came and went between two frames was never here.
                    self.state[collection].pop(key, None)
                case {"event": _, "value": _}:
                    self.events.append(op)
                case _:
                    raise AssertionError(f"no op: {op}")
