"""Legs of other codecs: their timestamps, who shares an encoder, and what a new codec takes."""

import itertools
import struct

import numpy as np
import pytest
from fakes.leg_kinds import Ear, FarEnd, G711End, LaneEnd, PluggedEnd
from fakes.rtp import EngineBench, Phone

from bridges.audio.codecs.book import CodecBook
from bridges.audio.codecs.codec import Codec, Encoder, Samples, UndecodableError
from bridges.audio.codecs.g722 import G722
from bridges.audio.codecs.opus import Opus
from bridges.audio.events import PacketOut
from bridges.audio.g711 import Law
from bridges.audio.lanes import SampleTime
from commhub.domain.errors import ConflictError, InvalidError
from commhub.ports.media import AudioFormat, MediaOrder, RtpAddress, RtpRemote

OPUS = AudioFormat(encoding="opus", payload_type=96, clock_rate=48000)


class Counted:
    """A codec that counts how often it encodes."""

    def __init__(self, codec: Codec) -> None:
        self.encoding = codec.encoding
        self.clock_rate = codec.clock_rate
        self.ptimes = codec.ptimes
        self.settings = codec.settings
        self.decoder = codec.decoder
        self._codec = codec
        self.count = 0

    def encoder(self, ptime_ms: int, settings: str) -> Encoder:
        inner = self._codec.encoder(ptime_ms, settings)
        outer = self

        class Counting:
            def encode(self, samples: Samples) -> bytes:
                outer.count += 1
                return inner.encode(samples)

        return Counting()


def run(bench: EngineBench, ends: list[FarEnd], speaking: list[FarEnd], ticks: int) -> None:
    for _ in range(ticks):
        for end in speaking:
            end.speak()
        bench.tick()
        for end in ends:
            end.listen()


@pytest.fixture
def gather():
    """Ends that are closed after the test."""
    made: list[FarEnd] = []

    def add(bench: EngineBench, end: FarEnd, leg: str) -> FarEnd:
        made.append(end)
        end.join(bench, leg, "c")
        return end

    yield add
    for end in made:
        end.close()


@pytest.mark.parametrize(("clock", "step"), [(48000, 3), (8000, 0.5), (16000, 1)])
def test_timestamps_are_unwrapped_before_they_are_scaled(clock, step):
    time = SampleTime(clock)
    frame = clock // 50
    stamps = [(0xFFFF_FFFF - 3 * frame + n * frame) & 0xFFFF_FFFF for n in range(10)]
    times = [time.of(stamp) for stamp in stamps]
    assert {b - a for a, b in itertools.pairwise(times)} <= {320, 321, 319}
    assert times[-1] - times[0] == pytest.approx(9 * frame / step, abs=1)


def test_listeners_of_one_call_share_an_encoder_and_talkers_have_their_own(tmp_path, gather):
    opus = Counted(Opus())
    with EngineBench(tmp_path, max_legs=64, codecs=CodecBook([opus])) as bench:
        talkers = [gather(bench, LaneEnd(500.0 + 400 * n, Opus()), f"t{n}") for n in range(3)]
        listeners = [gather(bench, LaneEnd(3000.0, Opus()), f"l{n}") for n in range(40)]
        everybody = [*talkers, *listeners]
        run(bench, everybody, talkers, 60)
        before = opus.count
        run(bench, everybody, talkers, 50)
        assert opus.count - before == 50 * (3 + 1)
        for listener in listeners:
            assert all(listener.ear.over_floor(500 + 400 * n) >= 20 for n in range(3))
        assert talkers[0].ear.level(500) < -42
        numbers = [struct.unpack_from("!H", end.packets[-1], 2)[0] for end in listeners]
        assert len(set(numbers)) > 1


def test_listeners_of_different_packet_times_do_not_share(tmp_path, gather):
    opus = Counted(Opus())
    with EngineBench(tmp_path, max_legs=64, codecs=CodecBook([opus])) as bench:
        talker = gather(bench, G711End(500.0, Law.PCMU), "t")
        ends = [
            gather(bench, LaneEnd(3000.0, Opus(), ms), f"l{ms}-{n}")
            for ms in (20, 60)
            for n in range(2)
        ]
        run(bench, [talker, *ends], [talker], 60)
        before = opus.count
        run(bench, [talker, *ends], [talker], 60)
        assert opus.count - before == 60 + 20
        assert all(end.ear.over_floor(500) >= 20 for end in ends)


@pytest.mark.parametrize("ptime_ms", [10, 20, 60])
@pytest.mark.parametrize("codec", [G722, Opus])
def test_a_listener_who_speaks_now_and_then_hears_no_seam(tmp_path, gather, codec, ptime_ms):
    """It changes from the shared encoder to one of its own and back, three times."""
    with EngineBench(tmp_path, max_legs=16) as bench:
        talker = gather(bench, LaneEnd(440.0, G722()), "talker")
        steady = gather(bench, LaneEnd(2000.0, codec(), ptime_ms), "steady")
        moving = gather(bench, LaneEnd(2500.0, codec(), ptime_ms), "moving")
        ends = [talker, steady, moving]
        run(bench, ends, [talker], 60)
        for _ in range(3):
            run(bench, ends, [talker, moving], 21)
            run(bench, ends, [talker], 60)
        clean, changed = (np.concatenate(end.ear.samples).astype(float) for end in (steady, moving))
        changed = changed[60 * 320 :]
        # One who only listens hears the moving one too; the clean reference is what was before it spoke.
        natural = np.abs(np.diff(clean[20 * 320 : 58 * 320])).max()
        assert np.abs(np.diff(changed)).max() <= 1.3 * natural
        power = np.square(changed[: len(changed) // 320 * 320].reshape(-1, 320)).mean(axis=1)
        assert power.min() > 0.5 * np.median(power)
        assert power.max() < 1.5 * np.median(power)
        assert moving.ear.level(2500) < -42


def test_who_joins_in_the_middle_of_a_packet_takes_nothing_from_the_others(tmp_path, gather):
    with EngineBench(tmp_path, max_legs=16) as bench:
        gather(bench, LaneEnd(3000.0, Opus(), 60), "early")
        talker = gather(bench, G711End(500.0, Law.PCMU), "talker")
        steady = [gather(bench, LaneEnd(3000.0, Opus(), 60), f"steady{n}") for n in range(2)]
        run(bench, [talker, *steady], [talker], 60)
        for n in range(9):
            # The first row of the table again.
            bench.engine.release("early" if n == 0 else f"late{n - 1}")
            bench.tick(), talker.speak()
            late = gather(bench, LaneEnd(3000.0, Opus(), 60), f"late{n}")
            run(bench, [talker, *steady, late], [talker], 9 + n % 3)
        heard = np.concatenate(steady[0].ear.samples)[50 * 320 :].astype(float)
        power = np.square(heard[: len(heard) // 320 * 320].reshape(-1, 320)).mean(axis=1)
        assert power.min() > 0.5 * np.median(power)


class L16:
    """Linear samples in network byte order (RFC 3551 §4.5.11): a whole codec, in one place."""

    encoding = "L16"
    clock_rate = 16000
    ptimes = (20,)

    def settings(self, fmtp):
        return ""

    def decoder(self):
        return self

    def encoder(self, ptime_ms, settings):
        return self

    def decode(self, payload):
        if len(payload) % 2 or not payload:
            raise UndecodableError("half a sample")
        return np.frombuffer(payload, ">i2").astype(np.int16)

    def encode(self, samples):
        return samples.astype(">i2").tobytes()


def test_a_new_codec_is_one_module(tmp_path, gather):
    with EngineBench(tmp_path, max_legs=16, codecs=CodecBook([L16(), Opus()])) as bench:
        ends = [
            gather(bench, LaneEnd(500.0, L16()), "linear"),
            gather(bench, LaneEnd(900.0, Opus()), "opus"),
            gather(bench, G711End(1300.0, Law.PCMA), "phone"),
        ]
        run(bench, ends, ends, 60)
        for own, end in zip((500, 900, 1300), ends, strict=True):
            assert end.ear.level(own) < -42
            assert all(end.ear.over_floor(f) >= 20 for f in (500, 900, 1300) if f != own)


def test_what_a_codec_refuses_is_counted_and_disturbs_nobody(tmp_path, gather):
    with EngineBench(tmp_path, max_legs=16) as bench:
        ends = [
            gather(bench, LaneEnd(500.0, Opus()), "a"),
            gather(bench, LaneEnd(900.0, G722()), "b"),
        ]
        run(bench, ends, ends, 10)
        stream, phone = ends[0].stream, ends[0].phone
        random = np.random.default_rng(3)
        for n in range(200):
            size = int(random.integers(0, 90))
            head = struct.pack("!BBHII", 0x80, 96, n, n * 960, 0x5151)
            phone.send(head + random.bytes(size))
            bench.tick()
        assert bench.counts.undecodable > 0
        stream.sequence, stream.timestamp = 201, 201 * 960
        run(bench, ends, ends, 60)
        assert ends[1].ear.over_floor(500) >= 20
        assert ends[0].ear.over_floor(900) >= 20


def test_a_stereo_stream_is_heard(tmp_path):
    import av

    with EngineBench(tmp_path, max_legs=16) as bench:
        listener = bench.add("listener", Phone(300.0))
        bench.engine.plug(MediaOrder(call_id="c1", leg_id="stereo"), OPUS)
        encoder = av.CodecContext.create("libopus", "w")
        encoder.sample_rate, encoder.layout, encoder.format = 48000, "stereo", "s16"
        at = np.arange(960)
        for n in range(60):
            tone = (8000 * np.sin(2 * np.pi * 700 * (at + 960 * n) / 48000)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(
                np.repeat(tone, 2)[None], format="s16", layout="stereo"
            )
            frame.sample_rate = 48000
            for packet in encoder.encode(frame):
                head = struct.pack("!BBHII", 0x80, 96, n, n * 960, 7)
                bench.packets.put("stereo", head + bytes(packet))
            bench.tick()
            listener.listen()
        assert listener.levels(700)[0] >= 20


def test_a_leg_without_a_socket_is_heard_hears_and_goes(tmp_path):
    with EngineBench(tmp_path, max_legs=16) as bench:
        ends = [PluggedEnd(500.0, Opus()), PluggedEnd(900.0, G722())]
        for n, end in enumerate(ends):
            end.join(bench, f"leg{n}", "c")
        run(bench, ends, ends, 60)
        assert ends[0].ear.over_floor(900) >= 20
        assert ends[1].ear.over_floor(500) >= 20
        packets = [out.packet for out in bench.told(PacketOut) if out.leg_id == "leg0"]
        heads = [struct.unpack_from("!BBHII", packet) for packet in packets]
        assert [head[1] >> 7 for head in heads] == [1] + [0] * 59
        assert {(b[3] - a[3]) & 0xFFFFFFFF for a, b in itertools.pairwise(heads)} == {960}
        bench.engine.release("leg1")
        before = bench.counts.strangers
        ends[1].speak()
        bench.tick()
        assert bench.counts.strangers == before + 1


def test_a_leg_without_a_socket_may_speak_g711_too(tmp_path):
    pcmu = AudioFormat(encoding="PCMU", payload_type=0)
    with EngineBench(tmp_path, max_legs=16) as bench:
        phone = bench.add("phone", Phone(700.0))
        bench.engine.plug(MediaOrder(call_id="c1", leg_id="plug"), pcmu)
        bench.run(60)
        ear = Ear()
        from bridges.audio.g711 import decode

        for out in bench.told(PacketOut):
            ear.take(decode(out.packet[12:], Law.PCMU), 8000)
        assert ear.over_floor(700) >= 20
        assert phone.lacks(700)


def test_a_leg_has_a_socket_or_none_but_does_not_change(tmp_path):
    with EngineBench(tmp_path, max_legs=16) as bench:
        bench.add("phone", Phone(700.0))
        with pytest.raises(ConflictError):
            bench.engine.plug(MediaOrder(call_id="c1", leg_id="phone"), OPUS)
        with pytest.raises(InvalidError):
            bench.engine.plug(
                MediaOrder(call_id="c1", leg_id="x"),
                AudioFormat(encoding="SPEEX", payload_type=97, clock_rate=16000),
            )
        assert bench.engine.leg_count == 1


def test_a_leg_may_change_its_codec_in_the_middle_of_a_call(tmp_path, gather):
    with EngineBench(tmp_path, max_legs=16) as bench:
        changing = gather(bench, LaneEnd(500.0, Opus()), "changing")
        other = gather(bench, G711End(900.0, Law.PCMA), "other")
        run(bench, [changing, other], [changing, other], 60)
        again = LaneEnd(500.0, G722())
        again.phone.socket.close()
        again.phone.socket, again.phone.goal = changing.phone.socket, changing.phone.goal
        here = RtpAddress(again.phone.host, again.phone.port)
        bench.engine.connect("changing", RtpRemote(address=here, audio=again.stream.audio))
        other.ear.meter.clear()
        run(bench, [again, other], [again, other], 60)
        assert other.ear.over_floor(500) >= 20
        assert again.ear.over_floor(900) >= 20
        assert again.ear.level(500) < -42
