"""Radio groups in the mix: the voice on each group's air, and the calls that joined it.

A call is a floor participant: its phones speak as one, keyed by their voice (`vox`) or by the dispatcher. On the
air is at most one voice, a radio's or a call's, and every other call in the group hears it. A radio's voice also
goes on to the other groups of its call, which patches them together; a call's voice is not passed on, so that
patches cannot run in circles.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bridges.audio.airwaves import Air, AirDecoder, AirEncoder
from bridges.audio.bands import WIDE
from bridges.audio.calls import CallBook, CallState
from bridges.audio.codecs.book import CodecBook
from bridges.audio.codecs.codec import UndecodableError
from bridges.audio.config import AudioConfig
from bridges.audio.counts import Counts
from bridges.audio.events import FrameOut, Output
from bridges.audio.floors import RADIO, Floors, Group, Member
from bridges.audio.inbox import DeviceLeft, FloorIn, FrameIn, RadioIn
from bridges.audio.legs import LegTable
from bridges.audio.mixer import QUIETEST_DBOV, Totals, clip, levels_dbov
from bridges.audio.plan import Plan
from bridges.audio.rings import Rings
from bridges.audio.shaping import GroupVoice, Shaper, amplified, reaches
from bridges.audio.vox import Vox
from commhub.domain.errors import NotFoundError
from commhub.domain.floor import Priority
from commhub.ports.media import FloorAction, LegMeter, LegShape, RadioStanding
from commhub.ports.voice import VoiceFrame

_NOTHING: Totals = np.zeros(WIDE.frame, np.int32)

Joined = list[tuple[Group, Member]]


class RadioGroups:
    """All groups of a worker. Lives in the engine's thread; `out` lists collect what it has to tell."""

    def __init__(
        self,
        config: AudioConfig,
        legs: LegTable,
        calls: CallBook,
        rings: Rings,
        counts: Counts,
        first_talk_id: int,
        codecs: CodecBook,
    ) -> None:
        self._config = config
        self._codecs = codecs
        self._legs = legs
        self._calls = calls
        self._rings = rings
        self._counts = counts
        self._floors = Floors(config, counts, first_talk_id)
        self._leg_groups: dict[str, tuple[Group, Member]] = {}
        self._of_call: dict[int, Joined] = {}

    def find_leg(self, leg_id: str) -> tuple[Group, Member] | None:
        return self._leg_groups.get(leg_id)

    def meters(self) -> Iterator[LegMeter]:
        """Frames instead of packets; a radio owes nobody any, so nothing is lost and nobody silent."""
        for leg_id, (_, member) in self._leg_groups.items():
            yield LegMeter(
                leg_id=leg_id,
                call_id=member.call.call_id,
                received=member.received,
                sent=member.sent,
                lost=0,
                level_dbov=round(member.level, 1),
                silent_s=0.0,
            )

    def calls(self) -> Iterator[int]:
        """The indices of the calls that are in a group."""
        return iter(self._of_call)

    def join(self, call: CallState, leg_id: str, name: str, tick: int, out: list[Output]) -> None:
        """Make the group a leg of the call. Raises InvalidError, UnavailableError."""
        group = self._floors.open(name, out)
        if group.air is None:
            group.air = self._open_air(name, tick)
        member = group.members.get(call.call_id)
        if member is None:
            member = group.members[call.call_id] = Member(call, Vox(self._config.vox))
            self._of_call.setdefault(call.index, []).append((group, member))
        member.legs.add(leg_id)
        self._leg_groups[leg_id] = (group, member)
        self._legs.changed = True

    def leave(self, leg_id: str, now: float, out: list[Output]) -> None:
        """Take the leg's call out of its group, unless another leg of it is there too."""
        group, member = self._leg_groups.pop(leg_id)
        self._part(group, member, leg_id, now, out)

    def move(self, leg_id: str, call: CallState, now: float, tick: int, out: list[Output]) -> None:
        """Make the leg's group a leg of another call instead; what is on its air goes on."""
        group, before = self._leg_groups[leg_id]
        shape = before.shape
        self.join(call, leg_id, group.name, tick, out)
        self.shape(leg_id, shape)
        self._part(group, before, leg_id, now, out)

    def _part(
        self, group: Group, member: Member, leg_id: str, now: float, out: list[Output]
    ) -> None:
        member.legs.discard(leg_id)
        if member.legs:
            return
        self._floors.give_back(group, member.participant, now, out)
        del group.members[member.call.call_id]
        rest = [one for one in self._of_call.pop(member.call.index) if one[0] is not group]
        if rest:
            self._of_call[member.call.index] = rest
        if not group.members and group.air is not None:
            self._legs.remove(_air_id(group.name))
            self._calls.give_index(group.air.call)
            group.air = None

    def key(self, call_id: str, name: str, down: bool, now: float, out: list[Output]) -> None:
        """The dispatcher's key. Raises NotFoundError for a group that is no leg of the call."""
        group = self._floors.groups.get(name)
        member = group.members.get(call_id) if group else None
        if group is None or member is None:
            raise NotFoundError("this group is no leg of the call", group=name)
        member.key_down = down
        member.told_to_stop &= not down
        if down:
            self._ask(group, member, Priority.DISPATCHER, now, out)
        else:
            self._floors.give_back(group, member.participant, now, out)

    def shape(self, leg_id: str, shape: LegShape) -> None:
        """How a group leg takes part; any other leg is passed over. Legs by which one call is in one group twice
        share the last shape."""
        found = self._leg_groups.get(leg_id)
        if found is not None:
            found[1].shape = shape

    def command(
        self, name: str, action: FloorAction, participant: str | None, now: float, out: list[Output]
    ) -> None:
        """The desk's own hand on a floor. Raises NotFoundError, NotAllowedError, InvalidError."""
        self._floors.command(name, action, participant, now, out)

    def enroll(
        self, radios: Sequence[RadioStanding], whole: bool, now: float, out: list[Output]
    ) -> None:
        """Which devices may ask for which floors."""
        self._floors.enroll(radios, whole, now, out)

    def level_of(self, leg_id: str) -> float:
        """How loud the group is in the leg's call now, in dBov; −127 for a leg that is no group's, or muted."""
        found = self._leg_groups.get(leg_id)
        if found is None or found[1].said is None:
            return QUIETEST_DBOV
        return found[1].level

    def said(self) -> Iterator[GroupVoice]:
        """What groups say to their calls in this tick, for whoever hears less or more than the call."""
        for index, joined in self._of_call.items():
            for _, member in joined:
                if member.said is not None:
                    yield GroupVoice(index, frozenset(member.legs), member.said, member.shape)

    def take_in(self, item: RadioIn, now: float, tick: int, out: list[Output]) -> None:
        """What came from the field: a frame, a floor message or a death."""
        match item:
            case FrameIn():
                self._frame(item, now, tick, out)
            case FloorIn(device_id, message):
                self._floors.device_message(device_id, message, now, out)
            case DeviceLeft(device_id):
                self._floors.device_left(device_id, now, out)

    def mix(
        self,
        plan: Plan,
        totals: Totals,
        now: float,
        out: list[Output],
        shaper: Shaper | None = None,
    ) -> None:
        """Let time pass, let calls key and talk, and add to their totals what is on the air."""
        self._floors.advance(now, out)
        joined = [one for ones in self._of_call.values() for one in ones]
        if not joined:
            return
        air = {group: _on_air(group, plan, totals) for group, _ in joined}
        spoken = np.stack([self._spoken(one, plan, totals, air, shaper) for one in joined])
        for (group, member), level in zip(joined, levels_dbov(spoken).tolist(), strict=True):
            member.vox.hear(level, now)
            self._key_by_voice(group, member, now, out)
        for (group, member), line in zip(joined, spoken, strict=True):
            if group.floor.talker == member.participant:
                self._talk(group, member, line, out)
        _hear(joined, spoken, air, plan, totals)

    def _open_air(self, name: str, tick: int) -> Air:
        index = self._calls.take_index()
        row = self._legs.add(_air_id(name), index, tick)
        self._legs.linear[row] = True
        self._legs.radio[row] = True
        self._legs.changed = True
        self._rings.reset(row, depth=self._config.radio_depth)
        mouth = AirEncoder(self._codecs, self._config.radio_codec)
        return Air(row, index, AirDecoder(self._codecs), mouth)

    def _frame(self, item: FrameIn, now: float, tick: int, out: list[Output]) -> None:
        group, frame = self._floors.groups.get(item.group), item.frame
        self._counts.radio_received += 1
        talks = group is not None and group.floor.talker == RADIO + item.device_id
        if group is None or not talks or group.talk_id != frame.talk_id:
            self._counts.radio_dropped += 1
            return
        group.heard_at = now
        self._counts.radio_sent += 1
        out.append(FrameOut(group.name, frame))
        for member in group.members.values():
            member.received += 1
        if group.air is not None:
            if group.playing != frame.talk_id:
                group.playing = frame.talk_id
                self._rings.begin_anew(group.air.row)
                group.air.ear.begin_talk()
            self._play(group.air, frame, tick)

    def _play(self, air: Air, frame: VoiceFrame, tick: int) -> None:
        try:
            begins, samples = air.ear.hear(frame)
        except UndecodableError:
            self._counts.radio_undecodable += 1
            return
        self._rings.put(air.row, begins, samples, tick)

    def _spoken(
        self,
        one: tuple[Group, Member],
        plan: Plan,
        totals: Totals,
        air: dict[Group, Totals],
        shaper: Shaper | None,
    ) -> Totals:
        """What the call says to the group: its phones, and the radios of its other groups."""
        group, member = one
        if member.shape.deaf:
            return _NOTHING
        place = plan.place_of_call.get(member.call.index)
        said = _NOTHING if place is None else totals[place]
        if shaper is not None and place is not None:
            said = shaper.spoken_to(frozenset(member.legs), member.shape, place, said)
        for other, theirs in self._of_call[member.call.index]:
            if other is not group and reaches(theirs.shape, theirs.legs, member.shape, member.legs):
                said = said + amplified(air[other], theirs.shape)
        return said

    def _key_by_voice(self, group: Group, member: Member, now: float, out: list[Output]) -> None:
        if group.floor.talker == member.participant:
            if not member.key_down and not member.vox.is_open:
                self._floors.give_back(group, member.participant, now, out)
        elif member.told_to_stop:
            member.told_to_stop = member.vox.is_open
        elif now >= member.ask_at and (member.key_down or member.vox.is_open):
            priority = Priority.DISPATCHER if member.key_down else Priority.VOX
            self._ask(group, member, priority, now, out)

    def _ask(
        self, group: Group, member: Member, priority: Priority, now: float, out: list[Output]
    ) -> None:
        member.ask_at = now + self._config.vox.ask_every_s
        self._floors.ask(group, member.participant, priority, now, out)

    def _talk(self, group: Group, member: Member, line: Totals, out: list[Output]) -> None:
        if group.air is None:
            return
        frame = group.air.mouth.speak(group.talk_id, clip(line))
        if frame is None:
            return
        member.sent += 1
        self._counts.radio_sent += 1
        out.append(FrameOut(group.name, frame))


def _air_id(group: str) -> str:
    """A leg id that no control gives: the row of the group's air."""
    return f"air/{group}"


def _on_air(group: Group, plan: Plan, totals: Totals) -> Totals:
    place = plan.place_of_call.get(group.air.call) if group.air else None
    return _NOTHING if place is None else totals[place].copy()


def _hear(
    joined: Joined, spoken: Totals, air: dict[Group, Totals], plan: Plan, totals: Totals
) -> None:
    """Add each group's air to the calls in it, and a talking call's voice to the other calls."""
    talking = {
        group: (member, line)
        for (group, member), line in zip(joined, spoken, strict=True)
        if group.floor.talker == member.participant
    }
    for group, member in joined:
        talker, line = talking.get(group, (member, _NOTHING))
        heard = air[group] if talker is member else air[group] + line
        member.level = float(levels_dbov(heard)[0])
        place = plan.place_of_call.get(member.call.index)
        member.said = None if member.shape.muted else amplified(heard, member.shape)
        if place is not None and member.said is not None and not member.shape.whispers_to:
            totals[place] += member.said
