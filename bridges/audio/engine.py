"""The engine: what control orders, and the tick. One thread owns all of it, so nothing here locks.

Time is an argument. A test calls `tick(now)` as often as it likes; `thread.EngineThread` calls it every 20 ms.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bridges.audio.addresses import Addresses
from bridges.audio.bands import TICK_MS, WIDE
from bridges.audio.calls import CallBook
from bridges.audio.codecs.book import CodecBook, usual_codecs
from bridges.audio.codings import Codings
from bridges.audio.config import AudioConfig
from bridges.audio.counts import Counts
from bridges.audio.digits import Digits
from bridges.audio.events import LegMeasured, Output
from bridges.audio.g711 import DECODE_BOTH, RATE
from bridges.audio.groups import RadioGroups
from bridges.audio.hush import Hush
from bridges.audio.inbox import PacketInbox, RadioInbox
from bridges.audio.lanes import Lanes
from bridges.audio.legs import NONE, LegTable, Rows
from bridges.audio.membership import Membership
from bridges.audio.meters import Meters
from bridges.audio.mixdown import Mixdown, Parts
from bridges.audio.outbox import Outbox
from bridges.audio.prompts import Prompts
from bridges.audio.quality import Quality
from bridges.audio.receiver import Receiver
from bridges.audio.recorder import Recorder
from bridges.audio.reports import Reports
from bridges.audio.resample import Downsampler, Upsampler
from bridges.audio.rings import Rings, Units
from bridges.audio.shaping import Shapes, check
from bridges.audio.snapshot import Snapshot
from bridges.audio.sockets import key_of
from bridges.audio.sounds import SoundLibrary
from bridges.audio.speakers import Streams
from bridges.audio.speech import SpeechWatch
from bridges.audio.taps import RecordTaps
from bridges.audio.vault import Vault
from bridges.transport.pairs import UdpPair
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.ports.media import (
    AudioFormat,
    FloorAction,
    LegShape,
    MediaOrder,
    Playback,
    RadioStanding,
    RtpAddress,
    RtpRemote,
)

TICK_S = TICK_MS / 1000
_TICKS_PER_SECOND = round(1 / TICK_S)


class AudioEngine:
    """The audio of one worker. Every method belongs to the engine's thread; `inbox` is filled from others.

    Orders are idempotent per leg id and raise `commhub.domain.errors` as `ports.media.MediaEngine` says.
    """

    def __init__(
        self,
        config: AudioConfig,
        inbox: RadioInbox,
        recorder: Recorder,
        counts: Counts,
        first_talk_id: int,
        *,
        packets: PacketInbox | None = None,
        codecs: CodecBook | None = None,
        sounds: SoundLibrary | None = None,
    ) -> None:
        codecs = codecs or usual_codecs()
        self._packets = packets or PacketInbox(counts)
        self.counts = counts
        self._tick = 0
        self._now = 0.0
        self._out: list[Output] = []
        self._addresses = Addresses(config)
        self._calls = CallBook()
        self._legs = LegTable(config.max_legs)
        self._rings = Rings(config.max_legs, config.depth, counts)
        linear_rings = Rings(
            config.max_legs, config.depth, counts, frame=WIDE.frame, dtype=np.int16
        )
        self._coded = Quality(self._legs, self._rings, counts, RATE, self._decode)
        self._linear = Quality(
            self._legs, linear_rings, counts, WIDE.rate, lambda _, samples: samples
        )
        self._shapes = Shapes(config.max_legs)
        self._taps = RecordTaps(recorder, self._calls, self._legs)
        self._prompts = Prompts(sounds or SoundLibrary(config.prompts), self._legs)
        self._members = Membership(self._calls, self._legs, recorder, self._prompts)
        self._up, self._down = Upsampler(config.max_legs), Downsampler(config.max_legs)
        self._digits = Digits(self._legs)
        self._vault = Vault(self._legs, counts)
        shared = self._addresses.shared
        self._reports = Reports(self._legs, self._vault, counts, shared)
        self._meters = Meters(
            self._legs, self._reports, self._coded, self._linear, config.silent_after_s
        )
        lanes, streams = Lanes(config.max_legs), Streams()
        self._codings = Codings(
            self._legs, codecs, self._rings, linear_rings, lanes, streams
        )  # fmt: skip
        fd = shared.rtp.fileno()
        self._receiver = Receiver(
            self._legs, self._coded, self._linear, lanes, self._vault, self._reports, counts, fd
        )  # fmt: skip
        self._inbox = inbox
        self._groups = RadioGroups(
            config, self._legs, self._calls, linear_rings, counts, first_talk_id, codecs
        )  # fmt: skip
        self._speech = SpeechWatch(self._legs, self._groups)
        outbox = Outbox(self._legs, self._vault, counts, fd)
        self._hush = Hush(self._legs, outbox)
        self._mixdown = Mixdown(
            Parts(
                legs=self._legs,
                counts=counts,
                coded=self._coded,
                linear=self._linear,
                up=self._up,
                down=self._down,
                shapes=self._shapes,
                groups=self._groups,
                speech=self._speech,
                prompts=self._prompts,
                taps=self._taps,
                digits=self._digits,
                lanes=lanes,
                streams=streams,
                vault=self._vault,
                outbox=outbox,
                hush=self._hush,
                shared_fd=fd,
            )
        )

    @property
    def leg_count(self) -> int:
        return len(self._members)

    def close(self) -> None:
        self._prompts.close()
        self._addresses.close()

    # Orders --------------------------------------------------------------------------------------------------

    def reserve(self, order: MediaOrder) -> RtpAddress:
        known = self._members.find(order.leg_id)
        if known is not None:
            if known.call_id != order.call_id or self._groups.find_leg(order.leg_id):
                raise ConflictError("this leg is another call's or a group's", leg=order.leg_id)
            return self._addresses.of(order.leg_id)
        self._seat(order, self._addresses.open(order))
        return self._addresses.of(order.leg_id)

    def _seat(self, order: MediaOrder, pair: UdpPair | None) -> int:
        """A row in the table for a new leg, and its place in the call. A pair that finds none is closed."""
        try:
            check(order.shape)
            call = self._members.open(order.call_id)
        except BaseException:
            if pair is not None:
                pair.close()
            raise
        try:
            row = self._legs.add(order.leg_id, call.index, self._tick)
        except BaseException:
            if pair is not None:
                pair.close()
            self._calls.close_if_empty(call)
            raise
        self._shapes.begin(order.leg_id, row, order.shape)
        self._legs.near[row] = order.near_signalling
        if pair is not None:
            self._addresses.keep(order.leg_id, pair)
            self._legs.own_fd[row] = pair.rtp.fileno()
        self._rings.reset(row)
        self._up.forget(row)
        self._down.forget(row)
        self._members.enter(order.leg_id, call)
        return row

    def connect(self, leg_id: str, remote: RtpRemote) -> None:
        legs = self._legs
        row = legs.row_of(leg_id)
        coding = self._codings.find(remote.audio)
        pair = self._addresses.own(leg_id)
        key, reachable = key_of(self._legs.hosts, pair, remote.address)
        self._vault.agree(row, remote.srtp)
        self._codings.give(row, coding, remote.audio)
        if reachable and key != legs.expected[row]:
            self._receiver.sources.expect(row, key)
            legs.goal[row] = key
        reports_to = NONE if remote.rtcp is None else key_of(self._legs.hosts, pair, remote.rtcp)[0]
        self._reports.expect(row, pair, reports_to, remote.rtcp_mux, self._tick)
        self._turn(row, sends=remote.sends, receives=remote.receives and reachable)

    def plug(
        self, order: MediaOrder, audio: AudioFormat, *, sends: bool = True, receives: bool = True
    ) -> None:
        """Make or change a leg without a socket: its packets come by the `PacketInbox` and leave as `PacketOut`.
        `sends`/`receives` are the far end's direction."""
        coding = self._codings.find(audio)
        known = self._members.find(order.leg_id)
        if known is None:
            row = self._seat(order, None)
            self._legs.plugged[row] = True
        elif known.call_id != order.call_id or self._groups.find_leg(order.leg_id):
            raise ConflictError("this leg is another call's or a group's", leg=order.leg_id)
        row = self._legs.row_of(order.leg_id)
        if not self._legs.plugged[row]:
            raise ConflictError("this leg has a socket", leg=order.leg_id)
        self._codings.give(row, coding, audio)
        self._reports.expect(row, None, NONE, True, self._tick)
        self._turn(row, sends=sends, receives=receives)

    def send_digits(self, leg_id: str, digits: str) -> None:
        if self._groups.find_leg(leg_id) is not None:
            raise InvalidError("a radio group has no keys", leg=leg_id)
        self._digits.send(self._legs.row_of(leg_id), digits)

    def _turn(self, row: int, *, sends: bool, receives: bool) -> None:
        """Set the far end's direction."""
        legs = self._legs
        legs.marker[row] |= receives and not legs.receives[row]
        if sends and not legs.sends[row]:
            legs.heard_at[row] = self._tick
            legs.silence_told[row] = False
        legs.sends[row], legs.receives[row] = sends, receives
        legs.connected[row] = True
        legs.changed = True

    def join_group(self, call_id: str, leg_id: str, group: str) -> None:
        known = self._groups.find_leg(leg_id)
        if known is not None:
            if known[0].name != group or known[1].call.call_id != call_id:
                raise ConflictError("this leg is another group's", leg=leg_id)
            return
        if self._members.find(leg_id) is not None:
            raise ConflictError("this leg is no radio group", leg=leg_id)
        call = self._members.open(call_id)
        try:
            self._groups.join(call, leg_id, group, self._tick, self._out)
        except BaseException:
            self._calls.close_if_empty(call)
            raise
        self._members.enter(leg_id, call)

    def shape(self, leg_id: str, shape: LegShape) -> None:
        if self._groups.find_leg(leg_id) is None:
            self._legs.row_of(leg_id)
        if self._shapes.put(leg_id, shape):
            self._groups.shape(leg_id, shape)
            self._legs.changed = True

    def watch(self, leg_id: str, on: bool) -> None:
        if not on:
            self._speech.forget(leg_id)
            return
        if self._groups.find_leg(leg_id) is None:
            self._legs.row_of(leg_id)
        self._speech.watch(leg_id)

    def move(self, leg_id: str, call_id: str) -> None:
        before = self._members.find(leg_id)
        if before is None:
            raise NotFoundError("the media engine has no such leg", leg=leg_id)
        if before.call_id == call_id:
            return
        after = self._members.open(call_id)
        if self._groups.find_leg(leg_id) is not None:
            self._groups.move(leg_id, after, self._now, self._tick, self._out)
        else:
            self._legs.call[self._legs.row_of(leg_id)] = after.index
        self._legs.changed = True
        self._members.leave(leg_id, before, self._out)
        self._members.enter(leg_id, after)

    def command_floor(self, group: str, action: FloorAction, participant: str | None) -> None:
        self._groups.command(group, action, participant, self._now, self._out)

    def enroll(self, radios: Sequence[RadioStanding], whole: bool) -> None:
        self._groups.enroll(radios, whole, self._now, self._out)

    def key_group(self, call_id: str, group: str, down: bool) -> None:
        self._groups.key(call_id, group, down, self._now, self._out)

    def record(self, call_id: str, on: bool, per_leg: bool = False) -> None:
        self._members.record(call_id, on, per_leg, self._out)

    def play(self, playback: Playback) -> None:
        call = self._calls.find(playback.call_id)
        if call is None:
            raise NotFoundError("the media engine has no such call", call=playback.call_id)
        self._prompts.play(playback, call, self._out)

    def stop_playing(self, playback_id: str) -> None:
        self._prompts.stop(playback_id, self._out)

    def release(self, leg_id: str) -> None:
        call = self._members.take_out(leg_id)
        if call is None:
            return
        if self._groups.find_leg(leg_id) is not None:
            self._groups.leave(leg_id, self._now, self._out)
        else:
            row = self._legs.row_of(leg_id)
            if self._legs.received[row]:
                last = self._meters.measure({leg_id: (row, call.call_id)}, self._tick)
                self._out += map(LegMeasured, last.meters())
            self._receiver.sources.forget(row)
            self._digits.forget(row)
            self._reports.forget(row)
            self._hush.clear(row)
            self._reports.jitter.begin(row)
            self._codings.forget(row)
            self._vault.forget(row)
            self._legs.remove(leg_id)
            self._addresses.forget(leg_id)
        self._shapes.forget(leg_id)
        self._speech.forget(leg_id)
        self._prompts.leg_gone(leg_id, self._out)
        self._members.leave(leg_id, call, self._out)

    def snapshot(self) -> Snapshot:
        table = {
            leg: (row, call.call_id)
            for leg, row in self._legs.rows().items()
            if (call := self._members.find(leg)) is not None
        }
        measured = self._meters.measure(table, self._tick)
        return replace(measured, radio=tuple(self._groups.meters()))

    # The tick ------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Output]:
        """Do the work of one 20 ms step at the monotonic time `now`; returns what there is to tell."""
        self._tick += 1
        self._now = now
        self.counts.ticks += 1
        tick, out = self._tick, self._out
        self._receiver.receive(tick, now, out)
        self._reports.receive(tick, now)
        for leg_id, packet in self._packets.take():
            self._take_plugged(leg_id, packet)
        for item in self._inbox.take():
            self._groups.take_in(item, now, tick, out)
        self._mixdown.run(tick, now, out)
        self._reports.send(tick, now, out)
        if tick % _TICKS_PER_SECOND == 0:
            self._meters.watch_silence(tick, out)
        self._out = []
        return out

    def skip(self, ticks: int) -> None:
        """Time passed without ticks: timestamps and playout go on as if they had been."""
        self._tick += ticks
        self.counts.missed_ticks += ticks

    def _decode(self, rows: Rows, units: Units) -> NDArray[np.int16]:
        """What coded rows say in their rings."""
        return DECODE_BOTH[self._legs.law[rows][:, None], units]

    def _take_plugged(self, leg_id: str, packet: bytes) -> None:
        row = self._legs.find(leg_id)
        if row is None or not self._legs.plugged[row] or not self._legs.connected[row]:
            self.counts.received += 1
            self.counts.strangers += 1
            return
        self._receiver.take_plugged(row, packet, self._tick, self._out)
