"""Which legs make a call, and the small numbers by which the arrays know calls."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class CallState:
    """`index` is the call's number in the leg table. `legs` are all its legs, radio groups too.
    `recording` it as a whole, and with `per_leg` each leg too."""

    call_id: str
    index: int
    legs: set[str] = field(default_factory=set)
    recording: bool = False
    per_leg: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.legs and not self.recording


class CallBook:
    """Calls by id. Indices are given again after a call ended, so they stay small."""

    def __init__(self) -> None:
        self._calls: dict[str, CallState] = {}
        self._free: list[int] = []
        self._next = 0

    def take_index(self) -> int:
        """A number for a call, or for a radio group's voice on the air."""
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def give_index(self, index: int) -> None:
        self._free.append(index)

    def find(self, call_id: str) -> CallState | None:
        return self._calls.get(call_id)

    def open(self, call_id: str) -> CallState:
        """The call, made when it is new."""
        call = self._calls.get(call_id)
        if call is None:
            call = self._calls[call_id] = CallState(call_id, self.take_index())
        return call

    def close_if_empty(self, call: CallState) -> None:
        if call.is_empty and self._calls.pop(call.call_id, None) is not None:
            self.give_index(call.index)

    def recorded(self) -> list[CallState]:
        return [call for call in self._calls.values() if call.recording]
