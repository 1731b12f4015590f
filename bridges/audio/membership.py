"""Which leg is in which call, whatever kind of leg it is, and what follows for a call that nobody is in any more."""

from bridges.audio.calls import CallBook, CallState
from bridges.audio.events import Output
from bridges.audio.legs import LegTable
from bridges.audio.prompts import Prompts
from bridges.audio.recorder import Recorder
from commhub.domain.device import is_safe_id
from commhub.domain.errors import InvalidError


class Membership:
    """A call is there while it has legs or is recorded. `out` is where a step puts what there is to tell."""

    def __init__(
        self, calls: CallBook, legs: LegTable, recorder: Recorder, prompts: Prompts
    ) -> None:
        self._calls = calls
        self._legs = legs
        self._recorder = recorder
        self._prompts = prompts
        self._call_of_leg: dict[str, CallState] = {}

    def __len__(self) -> int:
        return len(self._call_of_leg)

    def find(self, leg_id: str) -> CallState | None:
        """The call a leg is in."""
        return self._call_of_leg.get(leg_id)

    def open(self, call_id: str) -> CallState:
        """The call, made when it is new. Raises InvalidError for an id no file may have."""
        if not is_safe_id(call_id):
            raise InvalidError("a call's id is letters, digits, dot, dash and underscore")
        return self._calls.open(call_id)

    def enter(self, leg_id: str, call: CallState) -> None:
        call.legs.add(leg_id)
        self._call_of_leg[leg_id] = call

    def take_out(self, leg_id: str) -> CallState | None:
        """The leg is over; `leave` follows when nothing of it is left."""
        return self._call_of_leg.pop(leg_id, None)

    def leave(self, leg_id: str, call: CallState, out: list[Output]) -> None:
        """The leg is no longer in this call: what is recorded of it, or of a call it was the last in, ends."""
        call.legs.discard(leg_id)
        if not call.legs:
            self._stop_recording(call)
        elif call.per_leg:
            self._recorder.stop(call.call_id, leg_id)
        self._close_if_empty(call, out)

    def record(self, call_id: str, on: bool, per_leg: bool, out: list[Output]) -> None:
        """Record the call from now on, and with `per_leg` each of its legs, or no longer."""
        if on:
            call = self.open(call_id)
            for leg_id in call.legs if call.per_leg and not per_leg else ():
                self._recorder.stop(call_id, leg_id)
            call.recording, call.per_leg = True, per_leg
            self._legs.changed = True
            return
        known = self._calls.find(call_id)
        if known is not None and known.recording:
            self._stop_recording(known)
            self._close_if_empty(known, out)

    def _stop_recording(self, call: CallState) -> None:
        if call.recording:
            call.recording = call.per_leg = False
            self._legs.changed = True
            self._recorder.stop(call.call_id)

    def _close_if_empty(self, call: CallState, out: list[Output]) -> None:
        self._calls.close_if_empty(call)
        if self._calls.find(call.call_id) is None:
            self._prompts.call_gone(call.call_id, out)
