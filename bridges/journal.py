"""What made a worker's calls what they are: the orders a successor must be given, each once.

Kept twice. The worker writes its own down (`journal_file`), so that the process after it has its legs back before
control has noticed anything; control's pool remembers each worker's in memory, to carry a call to another worker
and to tell what the old one could not get back.

A later order about the same thing takes the place of the earlier one, and a leg's release takes all of its own with
it: a journal is as long as its calls are wide, never as they are old.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridges import protocol
from bridges.protocol import Args, EngineArgs
from commhub.kit.values import replace
from commhub.ports.media import MediaOrder, Playback, RadioStanding

KeptArgs = EngineArgs | protocol.AnswerArgs
Opening = MediaOrder | protocol.JoinGroupArgs | protocol.AnswerArgs
"""The orders that make a leg. A browser's says only that it was there: without its keys nobody can carry the order
out again, and the browser has to offer anew."""

KEPT: frozenset[type[Args]] = frozenset(
    {
        MediaOrder,
        protocol.ConnectArgs,
        protocol.AnswerArgs,
        protocol.JoinGroupArgs,
        protocol.ShapeArgs,
        protocol.WatchArgs,
        protocol.MoveArgs,
        protocol.EnrollArgs,
        protocol.KeyGroupArgs,
        protocol.RecordArgs,
        Playback,
        protocol.StopPlayingArgs,
        protocol.ReleaseArgs,
    }
)
"""Orders that change what a successor must be told. Given twice they do no harm, so they are given again when a
worker was lost before it answered."""
PASSING: frozenset[type[Args]] = frozenset(
    {
        protocol.CommandFloorArgs,
        protocol.SendDigitsArgs,
        protocol.StatusArgs,
        protocol.LoadArgs,
        protocol.JournalArgs,
    }
)
"""Orders of the moment: what they did is gone with the worker."""


@dataclass(slots=True)
class _Leg:
    opening: Opening
    settings: dict[type[KeptArgs], KeptArgs] = field(default_factory=dict)


@dataclass(slots=True)
class _Call:
    legs: dict[str, _Leg] = field(default_factory=dict)
    settings: dict[tuple[str, ...], KeptArgs] = field(default_factory=dict)


class Journal:
    """The kept orders of one worker, by call and leg."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._call_of: dict[str, str] = {}
        self._radios: dict[str, RadioStanding] = {}
        self._all_radios = False

    def keep(self, args: Args, result: object = None) -> Args | None:
        """Take in an order that was carried out. Returns it as it is kept, None for one that leaves nothing
        behind. `result` is its answer: the port a leg was given is what its successor asks for."""
        match args:
            case MediaOrder():
                args = self._keep_place(args, result)
            case protocol.JoinGroupArgs(leg_id=leg_id):
                self._open(leg_id, args)
            case protocol.AnswerArgs(order):
                args = protocol.AnswerArgs(order, "")
                self._open(order.leg_id, args)
            case (
                protocol.ConnectArgs(leg_id=leg_id)
                | protocol.ShapeArgs(leg_id=leg_id)
                | protocol.WatchArgs(leg_id=leg_id)
            ):
                self._set_leg(leg_id, args)
            case protocol.MoveArgs(leg_id, call_id):
                self._move(leg_id, call_id)
            case protocol.ReleaseArgs(leg_id):
                self._forget_leg(leg_id)
            case _:
                return args if self._keep_wider(args) else None
        return args

    def _keep_wider(self, args: Args) -> bool:
        """An order about more than one leg; whether it was one to keep."""
        match args:
            case protocol.EnrollArgs():
                self._enroll(args)
            case protocol.KeyGroupArgs(call_id, group, down):
                self._set_call(call_id, ("key", group), args if down else None)
            case protocol.RecordArgs(call_id, on):
                self._set_call(call_id, ("record",), args if on else None)
            case Playback(id=playback_id, call_id=call_id, loop=True):
                self._set_call(call_id, ("play", playback_id), args)
            case protocol.StopPlayingArgs(playback_id):
                self._stop_playing(playback_id)
            case _:
                return False
        return True

    def orders(self, call_id: str | None = None) -> Iterator[KeptArgs]:
        """The orders of one call, or all there are, in an order in which they can be carried out."""
        if call_id is None and (self._radios or self._all_radios):
            yield protocol.EnrollArgs(tuple(self._radios.values()), self._all_radios)
        pages = self._calls.items() if call_id is None else [(call_id, self._calls.get(call_id))]
        for _, page in pages:
            if page is None:
                continue
            for leg in page.legs.values():
                yield leg.opening
                yield from leg.settings.values()
            yield from page.settings.values()

    def orders_of_leg(self, leg_id: str) -> Iterator[KeptArgs]:
        page = self._calls.get(self._call_of.get(leg_id, ""))
        if page is not None:
            yield page.legs[leg_id].opening
            yield from page.legs[leg_id].settings.values()

    def settings_of(self, call_id: str) -> tuple[KeptArgs, ...]:
        """The orders about the call as a whole."""
        page = self._calls.get(call_id)
        return tuple(page.settings.values()) if page else ()

    def forget_call(self, call_id: str) -> None:
        """As if every leg of it had been released and its recording stopped."""
        page = self._calls.pop(call_id, None)
        for leg_id in page.legs if page else ():
            del self._call_of[leg_id]

    @property
    def calls(self) -> tuple[str, ...]:
        return tuple(self._calls)

    def has(self, call_id: str) -> bool:
        return call_id in self._calls

    @property
    def legs(self) -> Mapping[str, str]:
        """The call of each leg."""
        return self._call_of

    def legs_of(self, call_id: str) -> tuple[str, ...]:
        page = self._calls.get(call_id)
        return tuple(page.legs) if page else ()

    def opening_of(self, leg_id: str) -> Opening | None:
        page = self._calls.get(self._call_of.get(leg_id, ""))
        return page.legs[leg_id].opening if page else None

    def _keep_place(self, order: MediaOrder, result: object) -> MediaOrder:
        """A place and its far end are kept apart: a later order takes the place of the one or of the other."""
        order = _with_port(order, result)
        if order.remote is None:
            self._open(order.leg_id, order)
        else:
            self._open(order.leg_id, replace(order, remote=None))
            self._set_leg(order.leg_id, protocol.ConnectArgs(order.leg_id, order.remote))
        return order

    def _open(self, leg_id: str, opening: Opening) -> None:
        known, call_id = self._calls.get(self._call_of.get(leg_id, "")), call_of(opening)
        if known is not None and call_id == self._call_of[leg_id]:
            known.legs[leg_id].opening = opening
            return
        self._forget_leg(leg_id)
        self._call_of[leg_id] = call_id
        self._calls.setdefault(call_id, _Call()).legs[leg_id] = _Leg(opening)

    def _move(self, leg_id: str, call_id: str) -> None:
        page = self._calls.get(self._call_of.get(leg_id, ""))
        if page is None or self._call_of[leg_id] == call_id:
            return
        leg = page.legs[leg_id]
        leg.opening = _in_call(leg.opening, call_id)
        self._forget_leg(leg_id)
        self._call_of[leg_id] = call_id
        self._calls.setdefault(call_id, _Call()).legs[leg_id] = leg

    def _enroll(self, args: protocol.EnrollArgs) -> None:
        if args.whole:
            self._radios.clear()
            self._all_radios = True
        self._radios.update((radio.device_id, radio) for radio in args.radios)

    def _stop_playing(self, playback_id: str) -> None:
        for call_id, page in list(self._calls.items()):
            if ("play", playback_id) in page.settings:
                self._set_call(call_id, ("play", playback_id), None)

    def _set_leg(self, leg_id: str, args: KeptArgs) -> None:
        page = self._calls.get(self._call_of.get(leg_id, ""))
        if page is not None:
            page.legs[leg_id].settings[type(args)] = args

    def _set_call(self, call_id: str, key: tuple[str, ...], args: KeptArgs | None) -> None:
        page = self._calls.setdefault(call_id, _Call())
        page.settings.pop(key, None)
        if args is not None:
            page.settings[key] = args
        if not page.legs and not page.settings:
            del self._calls[call_id]

    def _forget_leg(self, leg_id: str) -> None:
        call_id = self._call_of.pop(leg_id, None)
        if call_id is None:
            return
        page = self._calls[call_id]
        del page.legs[leg_id]
        # As the engine has it: the last leg's end is the end of the call's recording.
        if not page.legs:
            del self._calls[call_id]


def call_of(opening: Opening) -> str:
    """The call that the order makes a leg of."""
    return opening.order.call_id if isinstance(opening, protocol.AnswerArgs) else opening.call_id


def _in_call(opening: Opening, call_id: str) -> Opening:
    if isinstance(opening, protocol.AnswerArgs):
        return protocol.AnswerArgs(replace(opening.order, call_id=call_id), opening.offer)
    return replace(opening, call_id=call_id)


def _with_port(order: MediaOrder, result: object) -> MediaOrder:
    port: Any = result.get("port") if isinstance(result, Mapping) else None
    return replace(order, port=port) if isinstance(port, int) else order
