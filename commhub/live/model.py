"""What every desk shows, as JSON text, with the numbered log of its changes. Pure: no clock, no store.

One model serves all desks: an object is rendered once, a change is written once, and a desk is only a place in the
log. The log is bounded; whoever is behind its beginning, or comes from another epoch, gets the whole state.
An epoch ends when the model may have missed something. Who may not see everything looks through a lens: the same places in
the log, with less in them.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

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
    SHARES = "shares"
    PEERINGS = "peerings"


# What no row holds, so that a new epoch begins with the last that was heard.
HEARD_ONLY = (Collection.SERVICES, Collection.FLOORS)


@dataclass(frozen=True, slots=True)
class About:
    """The room an event is of, and the source in it that it names, if any."""

    room_id: str
    source_id: str | None = None


class Lens(Protocol):
    """What somebody is shown who may not see everything."""

    def shown(self, collection: Collection, key: str, value: str) -> str | None:
        """The JSON text they get of an object; None: nothing."""

    def told(self, about: About) -> bool:
        """Whether they hear an event."""


@dataclass(frozen=True, slots=True)
class Op:
    """One line of the log. `key` names the object it sets (None: an event, which nothing replaces, perhaps `about` a room)."""

    seq: int
    text: str
    key: tuple[Collection, str] | None = None
    about: About | None = None


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
        self._append(_put(collection, key, value), (collection, key))

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

    def event(self, name: str, value: str, about: About | None = None) -> None:
        """Tell every desk once of something that happened."""
        OPS.labels("event").inc()
        self._append(f'{{"event":"{name}","value":{value}}}', None, about)

    def snapshot(self, lens: Lens | None = None) -> Frame:
        """The whole state."""
        SNAPSHOTS.inc()
        if lens is not None:
            return self._whole(lens)
        whole = self._snapshot
        if whole is None or (whole.epoch, whole.to) != (self.epoch, self.seq):
            whole = self._snapshot = self._whole()
        return whole

    def _whole(self, lens: Lens | None = None) -> Frame:
        collections = ",".join(
            f'"{collection}":{{{",".join(_members(collection, objects, lens))}}}'
            for collection, objects in self._state.items()
        )
        hub = f',"hub":{self.hub}' if self.hub is not None else ""
        text = (
            f'{{"op":"snapshot","epoch":"{self.epoch}","seq":{self.seq},'
            f'"state":{{{collections}}}{hub}}}'
        )
        return Frame(text, self.epoch, self.seq)

    def since(self, epoch: str | None, seq: int, lens: Lens | None = None) -> Frame | None:
        """What changed after `seq` of `epoch`; None when the log does not reach back to it.

        Of several changes of one object only the last is told; every event is.
        """
        if not self.can_resume(epoch, seq):
            return None
        if lens is not None:
            seen = (self._seen(op, lens) for op in self._lasting(seq))
            return self._delta_of(seq, [text for text in seen if text is not None])
        if self._delta is None or self._delta[:3] != (self.epoch, seq, self.seq):
            frame = self._delta_of(seq, [op.text for op in self._lasting(seq)])
            self._delta = (self.epoch, seq, self.seq, frame)
        return self._delta[3]

    def _delta_of(self, seq: int, ops: Iterable[str]) -> Frame:
        text = (
            f'{{"op":"delta","epoch":"{self.epoch}","from":{seq},"to":{self.seq},'
            f'"ops":[{",".join(ops)}]}}'
        )
        return Frame(text, self.epoch, self.seq)

    def _lasting(self, seq: int) -> list[Op]:
        """What was written after `seq`, without what was replaced since."""
        news = self._news(seq)
        final = {op.key: op.seq for op in news if op.key is not None}
        return [op for op in news if op.key is None or final[op.key] == op.seq]

    def _seen(self, op: Op, lens: Lens) -> str | None:
        if op.key is None:
            return op.text if op.about is None or lens.told(op.about) else None
        collection, key = op.key
        # It is the last of its object, so what it wrote is what is there.
        value = self._state[collection].get(key)
        if value is None:
            return op.text
        seen = lens.shown(collection, key, value)
        return None if seen is None else _put(collection, key, seen)

    def can_resume(self, epoch: str | None, seq: int) -> bool:
        """Whether the log still has all that followed `seq` of `epoch`."""
        return epoch == self.epoch and self.seq - len(self._log) <= seq <= self.seq

    def _append(
        self, text: str, key: tuple[Collection, str] | None, about: About | None = None
    ) -> None:
        self.seq += 1
        self._log.append(Op(self.seq, text, key, about))
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


def _put(collection: Collection, key: str, value: str) -> str:
    return f'{{"put":"{collection}","id":{json.dumps(key)},"value":{value}}}'


def _members(
    collection: Collection, objects: Mapping[str, str], lens: Lens | None
) -> Iterator[str]:
    for key, value in objects.items():
        seen = value if lens is None else lens.shown(collection, key, value)
        if seen is not None:
            yield f"{json.dumps(key)}:{seen}"
