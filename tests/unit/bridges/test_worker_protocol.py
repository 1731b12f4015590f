"""The messages between control and worker, and the worker's door."""

import asyncio
import json
from pathlib import Path

import pytest
from fakes.waiting import eventually

from bridges import protocol
from bridges.audio.config import AudioConfig
from bridges.audio.events import (
    DtmfReceived,
    FloorMoved,
    LegSilent,
    PlaybackEnded,
    RecordingFailed,
    VoiceHeard,
)
from bridges.client import ClientConfig, MediaClient
from bridges.errors import ProtocolError
from bridges.protocol import ControlAddress
from bridges.worker import MediaWorker, WorkerConfig
from commhub.domain.errors import InvalidError, NotFoundError, UnavailableError
from commhub.kit.clock import SystemClock
from commhub.ports.media import (
    AudioFormat,
    FloorAction,
    LegShape,
    MediaOrder,
    Playback,
    RadioStanding,
    RecordedFile,
    RtpAddress,
    RtpRemote,
)

REMOTE = RtpRemote(
    address=RtpAddress("127.0.0.1", 4000), audio=AudioFormat(encoding="PCMU", payload_type=0)
)
ALL_ARGS = [
    MediaOrder(call_id="c", leg_id="l", near_signalling=False, port=20002),
    MediaOrder(call_id="c", leg_id="l", remote=REMOTE),
    protocol.ConnectArgs("l", REMOTE),
    protocol.JoinGroupArgs("c", "l", "g"),
    protocol.ShapeArgs("l", LegShape(muted=True, hears=("a",), whispers_to=("b",))),
    protocol.WatchArgs("l", True),
    protocol.MoveArgs("l", "c2"),
    protocol.CommandFloorArgs("g1", FloorAction.REVOKE, "radio:r1"),
    protocol.EnrollArgs((RadioStanding(device_id="r1", groups=("g1",), emergency=True),), True),
    protocol.KeyGroupArgs("c", "g", True),
    protocol.RecordArgs("c", False),
    protocol.RecordArgs("c", True, True),
    Playback(id="p", call_id="c", prompt="beep"),
    Playback(id="p", call_id="c", prompt="x1", leg_ids=("l", "m"), loop=True, gain_db=-6),
    protocol.StopPlayingArgs("p"),
    protocol.SendDigitsArgs("l", "12#"),
    protocol.ReleaseArgs("l"),
    protocol.StatusArgs(),
]
ALL_EVENTS = [
    DtmfReceived("l", "#"),
    LegSilent("l", 10.5),
    VoiceHeard("l", True, -22.5),
    VoiceHeard("l", False, -127.0),
    FloorMoved("g", "taken", "radio:r1", ("c1", "c2")),
    FloorMoved("g", "idle", None, ()),
    RecordedFile("c", "2026-03-02/c.wav", 1.5, "ab"),
    RecordedFile("c", "2026-03-02/c.l.wav", 1.5, "ab", "l", 1772438400.25, 16000, 48044),
    RecordingFailed("c", None, "no space left on device"),
    PlaybackEnded("p", "c", "finished"),
]


class Inward:
    """Remembers what control is told."""

    def __init__(self):
        self.told = []
        self.failing = set()

    def _tell(self, what, *args):
        self.told.append((what, *args))
        if what in self.failing:
            raise RuntimeError("control cannot take it")

    async def engine_status(self, status):
        self._tell("engine_status", status)

    async def dtmf_received(self, leg_id, digit):
        self._tell("dtmf_received", leg_id, digit)

    async def leg_silent(self, leg_id, seconds):
        self._tell("leg_silent", leg_id, seconds)

    async def leg_vanished(self, leg_id):
        self._tell("leg_vanished", leg_id)

    async def voice_heard(self, leg_id, level_dbov):
        self._tell("voice_heard", leg_id, level_dbov)

    async def leg_measured(self, meter):
        self._tell("leg_measured", meter)

    async def floor_moved(self, group, event, talker, calls, cause, queue):
        self._tell("floor_moved", group, event, talker, tuple(calls))

    async def recording_stored(self, file):
        self._tell("recording_stored", file)

    async def recording_failed(self, call_id, leg_id, reason):
        self._tell("recording_failed", call_id, leg_id, reason)

    async def playback_ended(self, playback_id, call_id, reason):
        self._tell("playback_ended", playback_id, call_id, reason)

    def count(self, what):
        return sum(1 for one in self.told if one[0] == what)


def over_the_wire(message):
    return protocol.parse(protocol.line(message))


@pytest.mark.parametrize("args", ALL_ARGS, ids=lambda args: type(args).__name__)
def test_requests_survive_the_wire(args):
    assert protocol.read_args(over_the_wire(protocol.request(7, args))) == args


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: type(event).__name__)
def test_events_survive_the_wire(event):
    assert protocol.read_event(over_the_wire(protocol.event(event))) == event


def test_errors_survive_the_wire():
    message = over_the_wire(protocol.refusal(7, NotFoundError("no such leg")))
    error = protocol.read_error(message)
    assert isinstance(error, NotFoundError)
    assert str(error) == "no such leg"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b"\xff\xfe", b"7", pytest.param(b"[" * 100_000, id="deep")]
)
def test_a_line_that_is_no_message_is_a_protocol_error(text):
    with pytest.raises(ProtocolError):
        protocol.parse(text)


@pytest.mark.parametrize(
    "message",
    [
        {"op": "explode"},
        {"op": ["shape"]},
        {"op": "shape"},
        {"op": "shape", "args": {"leg_id": "l"}},
        {"op": "connect", "args": {"leg_id": "l", "remote": {"address": "here"}}},
    ],
    ids=json.dumps,
)
def test_a_request_that_does_not_fit_is_invalid(message):
    with pytest.raises(InvalidError):
        protocol.read_args(message)


def test_a_field_of_a_newer_side_is_passed_over():
    message = {"op": "release", "args": {"leg_id": "l", "softly": True}}
    assert protocol.read_args(message) == protocol.ReleaseArgs("l")


def test_an_event_of_a_newer_worker_is_passed_over():
    assert protocol.read_event({"event": "leg_sang", "args": {}}) is None


@pytest.mark.parametrize("text", ["", "unix:", "tcp:host", "tcp:host:99999", "http://x", "tcp::7"])
def test_an_address_that_is_none_is_invalid(text):
    with pytest.raises(InvalidError):
        ControlAddress.parse(text)


def test_addresses_are_read():
    assert ControlAddress.parse("unix:/run/w.sock").path == "/run/w.sock"
    assert str(ControlAddress.parse("tcp:[::1]:70")) == "tcp:[::1]:70"


# The door: a worker with its engine, in this process ---------------------------------------------------------


def worker_config(folder: Path, control: str = "tcp:127.0.0.1:0", secret: str | None = None):
    audio = AudioConfig(recordings=folder / "recordings", port_min=25000, port_max=25099)
    return WorkerConfig(name="w0", control=control, audio=audio, secret=secret)


@pytest.fixture
async def worker(tmp_path):
    async with MediaWorker(worker_config(tmp_path)) as running:
        yield running


async def dial(worker, hello):
    """Speak to the worker by hand: its hello, and its answer to ours."""
    address = worker.address
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(hello if isinstance(hello, bytes) else protocol.line(hello))
    return json.loads(await reader.readline()), json.loads(await reader.readline()), reader, writer


def client_of(worker, inward, **rest):
    config = ClientConfig(address=str(worker.address), first_delay_s=0.01, **rest)
    return MediaClient(config, inward, SystemClock())


async def test_the_worker_says_who_it_is_and_welcomes_its_version(worker):
    hello, answer, _, writer = await dial(worker, {"hello": {"protocol": protocol.PROTOCOL}})
    assert hello == {
        "hello": {"protocol": protocol.PROTOCOL, "worker": "w0", "boot_id": worker.boot_id}
    }
    assert answer == {"welcome": {}}
    writer.close()


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ({"hello": {"protocol": 99}}, "worker protocol 99"),
        ({"hello": {}}, "worker protocol null"),
        ({"op": "status", "id": 1}, "first line"),
    ],
)
async def test_another_version_is_refused_with_the_reason(worker, hello, reason):
    _, answer, reader, writer = await dial(worker, hello)
    assert reason in answer["refused"]["reason"]
    assert await reader.read() == b""
    writer.close()


async def test_a_wrong_secret_is_refused(tmp_path):
    config = worker_config(tmp_path, secret="right")
    async with MediaWorker(config) as worker:
        _, answer, _, writer = await dial(
            worker, {"hello": {"protocol": protocol.PROTOCOL, "secret": "wrong"}}
        )
        assert answer == {"refused": {"reason": "wrong secret"}}
        writer.close()
        inward = Inward()
        async with client_of(worker, inward, secret="right"):
            await eventually(lambda: inward.count("engine_status"))


async def test_beyond_this_machine_a_secret_is_needed(tmp_path):
    with pytest.raises(InvalidError, match="secret"):
        async with MediaWorker(worker_config(tmp_path, "tcp:0.0.0.0:0")):
            pass


async def test_the_socket_is_this_users_alone(tmp_path):
    path = tmp_path / "deep" / "w.sock"
    async with MediaWorker(worker_config(tmp_path, f"unix:{path}")):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_refused_request_has_its_reason_and_the_connection_lives_on(worker):
    _, _, reader, writer = await dial(worker, {"hello": {"protocol": protocol.PROTOCOL}})
    writer.write(protocol.line({"id": 1, "op": "explode"}))
    writer.write(
        protocol.line({"id": 2, "op": "shape", "args": {"leg_id": "x", "shape": {"muted": True}}})
    )
    writer.write(protocol.line({"id": 3, "op": "status"}))
    answers = {}
    for _ in range(3):
        message = json.loads(await reader.readline())
        answers[message["id"]] = message
    assert answers[1]["error"]["code"] == "invalid"
    assert answers[2]["error"]["code"] == "not-found"
    assert answers[3]["ok"]["boot_id"] == worker.boot_id
    writer.close()


@pytest.mark.parametrize("garbage", [b"nonsense\n", b"\x00\xff\n", b"[]\n"])
async def test_garbage_closes_that_connection_only(worker, garbage):
    _, _, reader, writer = await dial(worker, {"hello": {"protocol": protocol.PROTOCOL}})
    writer.write(garbage)
    assert await reader.read() == b""
    writer.close()
    _, answer, _, writer = await dial(worker, {"hello": {"protocol": protocol.PROTOCOL}})
    assert answer == {"welcome": {}}
    writer.close()


async def test_the_client_is_the_engine(worker):
    inward = Inward()
    async with client_of(worker, inward) as media:
        address = await media.reserve(MediaOrder(call_id="c", leg_id="l"))
        await media.connect("l", REMOTE)
        await media.join_group("c", "r", "g1")
        await media.shape("l", LegShape(muted=True))
        await media.key_group("c", "g1", True)
        await media.key_group("c", "g1", False)
        await media.record("c", False)
        status = await media.status()
        assert {leg.leg_id for leg in status.legs} == {"l", "r"}
        assert address == RtpAddress("127.0.0.1", 25000)
        with pytest.raises(NotFoundError):
            await media.shape("nobody", LegShape(muted=True))
        await media.release("l")
        await media.release("l")
    assert inward.told[0][0] == "engine_status"
    assert ("floor_moved", "g1", "taken", "call:c", ("c",)) in inward.told


async def test_events_come_in_order_and_to_the_newest_control(worker):
    first, second = Inward(), Inward()
    async with client_of(worker, first) as one:
        await one.join_group("c", "r", "g1")
        await one.key_group("c", "g1", True)
        await eventually(lambda: first.count("floor_moved") == 1)
        async with client_of(worker, second) as two:
            await two.key_group("c", "g1", False)
            await two.key_group("c", "g1", True)
            await eventually(lambda: second.count("floor_moved") == 2)
            assert [one[2] for one in second.told[1:]] == ["idle", "taken"]
        await one.key_group("c", "g1", False)
        await eventually(lambda: first.count("floor_moved") == 2)


async def test_an_event_that_control_cannot_take_does_not_stop_the_next(worker):
    inward = Inward()
    inward.failing = {"engine_status", "floor_moved"}
    async with client_of(worker, inward) as media:
        await media.join_group("c", "r", "g1")
        await media.key_group("c", "g1", True)
        await media.key_group("c", "g1", False)
        await eventually(lambda: inward.count("floor_moved") == 2)


async def test_without_a_worker_orders_are_unavailable(tmp_path):
    config = ClientConfig(address=f"unix:{tmp_path}/none.sock", request_timeout_s=0.05)
    async with MediaClient(config, Inward(), SystemClock()) as media:
        with pytest.raises(UnavailableError):
            await media.release("l")
        assert not media.is_connected


async def test_a_worker_that_comes_later_is_found_and_one_that_goes_is_missed(tmp_path):
    address = f"unix:{tmp_path}/w.sock"
    inward = Inward()
    config = ClientConfig(address=address, first_delay_s=0.01, max_delay_s=0.05)
    async with MediaClient(config, inward, SystemClock()) as media:
        boots = []
        for _ in range(2):
            async with MediaWorker(worker_config(tmp_path, address)) as worker:
                await eventually(lambda: media.is_connected)
                await media.reserve(MediaOrder(call_id="c", leg_id="l"))
                boots.append(worker.boot_id)
            await eventually(lambda: not media.is_connected)
    told = [one[1] for one in inward.told if one[0] == "engine_status"]
    assert [status.boot_id for status in told] == boots
    assert all(status.legs == () or list(status.legs) == [] for status in told)


async def test_a_recording_is_told_again_until_control_has_taken_it(tmp_path):
    part = tmp_path / "recordings" / "2026-03-02" / "call-1~080000.000000.wav.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(44 + 320))
    async with MediaWorker(worker_config(tmp_path)) as worker:
        refusing, taking, later = Inward(), Inward(), Inward()
        refusing.failing = {"recording_stored"}
        for inward in (refusing, taking):
            async with client_of(worker, inward):
                await eventually(lambda inward=inward: inward.count("recording_stored"))
        note = part.with_name("call-1~080000.000000.wav.json")
        await eventually(lambda: not note.exists())
        async with client_of(worker, later) as media:
            await media.status()
            assert later.count("recording_stored") == 0
    what, file = taking.told[-1]
    assert (what, file.call_id) == ("recording_stored", "call-1")
    assert file.path == "2026-03-02/call-1~080000.000000.wav"
    assert file.seconds == pytest.approx(0.02)
    assert file.sha256
