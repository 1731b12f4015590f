"""What every desk shows, as JSON text, with the numbered log of its changes. Pure: no clock, no store.

One model serves all desks: an object is rendered once, a change is written once, and a desk is only a place in the
log. The log is bounded; whoever is behind its beginning, or comes from another epoch, gets the whole state.
An epoch ends when the model may have missed something.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from commhub.kit.ids import new_id
from commhub.live.metrics import OPS, SNAPSHOTS


class Collection(StrEnum):
    """The parts of the state; the values are the names on the wire."""

    INCIDENTS = "incidents"
    CALLS = "calls"
    DUTY = "duty"
    FLEET = "fleet"
    PHONES = "phones"
    SERVICES = "services"
    FLOORS = "floors"
    ROOMS = "rooms"


# What no row holds, so that a new epoch begins with the last that was heard.
HEARD_ONLY = (Collection.SERVICES, Collection.FLOORS)


@dataclass(frozen=True, slots=True)
class Op:
    """One line of the log. `key` names the object it sets (None: an event, which nothing replaces)."""

    seq: int
    text: str
    key: tuple[Collection, str] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What is sent, and the place in the log the desk has after it."""

    text: str
    epoch: str
    to: int


def _empty() -> dict[Collection, dict[str, str]]:
    return {collection: {} for collection in Collection}


@dataclass(slots=True)
class Model:
    """`size` bounds the log, in changes. `hub` says whose state it is, as JSON text."""

    size: int = 8192
    hub: str | None = None
    epoch: str = ""
    seq: int = 0
    _state: dict[Collection, dict[str, str]] = field(default_factory=_empty)
    _log: deque[Op] = field(default_factory=deque)
    # Nearly all desks are at the same place, so what was made for one is kept for the next.
    _delta: tuple[str, int, int, Frame] | None = None
    _snapshot: Frame | None = None

    def begin(self, state: Mapping[Collection, Mapping[str, str]]) -> None:
        """Start a new epoch from the whole state; what is only heard of is kept where `state` does not name it."""
        heard = {one: {**self._state[one], **state.get(one, {})} for one in HEARD_ONLY}
        self._state = {
            **_empty(),
            **{one: dict(objects) for one, objects in state.items()},
            **heard,
        }
        self.epoch = new_id()
        self.seq = 0
        self._log.clear()

    def put(self, collection: Collection, key: str, value: str) -> None:
        """Set an object to its JSON text. The text it has already is no change."""
        if self._state[collection].get(key) == value:
            return
        self._state[collection][key] = value
        OPS.labels("put").inc()
        self._append(
            f'{{"put":"{collection}","id":{json.dumps(key)},"value":{value}}}', (collection, key)
        )

    def delete(self, collection: Collection, key: str) -> None:
        """Take an object away; one that is not there is no change."""
        if self._state[collection].pop(key, None) is None:
            return
        OPS.labels("del").inc()
        self._append(f'{{"del":"{collection}","id":{json.dumps(key)}}}', (collection, key))

    def replace(self, collection: Collection, objects: Mapping[str, str]) -> None:
        """Make the collection exactly this, by as few changes as that takes."""
        for key in self._state[collection].keys() - objects.keys():
            self.delete(collection, key)
        for key, value in objects.items():
            self.put(collection, key, value)

    def event(self, name: str, value: str) -> None:
        """Tell every desk once of something that happened."""
        OPS.labels("event").inc()
        self._append(f'{{"event":"{name}","value":{value}}}', None)

    def snapshot(self) -> Frame:
        """The whole state."""
        SNAPSHOTS.inc()
        whole = self._snapshot
        if whole is None or (whole.epoch, whole.to) != (self.epoch, self.seq):
            whole = self._snapshot = self._whole()
        return whole

    def _whole(self) -> Frame:
        collections = ",".join(
            f'"{collection}":{{{",".join(_member(key, value) for key, value in objects.items())}}}'
            for collection, objects in self._state.items()
        )
        hub = f',"hub":{self.hub}' if self.hub is not None else ""
        text = (
            f'{{"op":"snapshot","epoch":"{self.epoch}","seq":{self.seq},'
            f'"state":{{{collections}}}{hub}}}'
        )
        return Frame(text, self.epoch, self.seq)

    def since(self, epoch: str | None, seq: int) -> Frame | None:
        """What changed after `seq` of `epoch`; None when the log does not reach back to it.

        Of several changes of one object only the last is told; every event is.
        """
        if not self.can_resume(epoch, seq):
            return None
        if self._delta is not None and self._delta[:3] == (self.epoch, seq, self.seq):
            return self._delta[3]
        news = list(self._news(seq))
        final = {op.key: op.seq for op in news if op.key is not None}
        ops = ",".join(op.text for op in news if op.key is None or final[op.key] == op.seq)
        text = f'{{"op":"delta","epoch":"{self.epoch}","from":{seq},"to":{self.seq},"ops":[{ops}]}}'
        frame = Frame(text, self.epoch, self.seq)
        self._delta = (self.epoch, seq, self.seq, frame)
        return frame

    def can_resume(self, epoch: str | None, seq: int) -> bool:
        """Whether the log still has all that followed `seq` of `epoch`."""
        return epoch == self.epoch and self.seq - len(self._log) <= seq <= self.seq

    def _append(self, text: str, key: tuple[Collection, str] | None) -> None:
        self.seq += 1
        self._log.append(Op(self.seq, text, key))
        if len(self._log) > self.size:
            self._log.popleft()

    def _news(self, seq: int) -> list[Op]:
        count = self.seq - seq
        if count == 0:
            return []
        # From the end: a desk is usually a few changes behind a long log.
        news = [self._log[-back] for back in range(1, count + 1)]
        news.reverse()
        return news


def _member(key: str, value: str) -> str:
    return f"{json.dumps(key)}:{value}"
