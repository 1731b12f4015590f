"""What becomes a prompt and what is refused, with the reason: real files, and files that mean harm."""

import asyncio
import struct
import wave
import zipfile
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from fakes.rtp import tone_samples

from commhub.calls import sounds
from commhub.calls.sounds import RATE, read_sound
from commhub.domain.errors import InvalidError
from simulators.tones import ToneMeter


def encoded(kind: str, codec: str, rate: int, samples: np.ndarray) -> bytes:
    """A sound file of any format; samples are channels × n."""
    layout = "mono" if len(samples) == 1 else "stereo"
    out = BytesIO()
    with av.open(out, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        context = stream.codec_context
        resampler = av.AudioResampler(
            format=context.format, layout=layout, rate=rate, frame_size=context.frame_size
        )
        whole = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout
        )
        whole.sample_rate = rate
        for one in (whole, None):
            for frame in resampler.resample(one):
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def wav(rate: int, channels: int, data: bytes, *, claimed: int | None = None) -> bytes:
    """A WAV file whose header may claim more than there is."""
    size = len(data) if claimed is None else claimed
    return (
        struct.pack("<4sI4s4sIHHIIHH", b"RIFF", (36 + size) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1,
                    channels, rate, (rate * channels * 2) & 0xFFFFFFFF, (channels * 2) & 0xFFFF, 16)
        + struct.pack("<4sI", b"data", size) + data
    )  # fmt: skip


def tone(rate: int, seconds: float, hertz: float = 1000.0) -> np.ndarray:
    # The tone is made for 8 kHz: at another rate its pitch goes with it.
    return tone_samples(hertz * 8000 / rate, round(rate * seconds))


async def made(tmp_path: Path, content: bytes) -> np.ndarray:
    """The prompt's samples."""
    source, target = tmp_path / "source", tmp_path / "prompt.wav"
    source.write_bytes(content)
    sound = await read_sound(source, target)
    with wave.open(str(target)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert sound.seconds == pytest.approx(len(samples) / RATE, abs=0.001)
    return samples


def level(samples: np.ndarray, hertz: float) -> float:
    """Of 16 kHz samples, by a meter for 8 kHz."""
    meter = ToneMeter()
    meter.hear(samples)
    return meter.levels([hertz / 2])[f"{hertz / 2:g}"]


@pytest.mark.parametrize(
    ("kind", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 8000, 1),
        ("wav", "pcm_s16le", 44100, 2),
        ("mp3", "libmp3lame", 44100, 2),
        ("ogg", "libopus", 48000, 1),
        ("webm", "libopus", 48000, 2),
        ("flac", "flac", 96000, 2),
        ("ipod", "aac", 32000, 1),
    ],
)
async def test_any_usual_file_becomes_a_prompt(tmp_path, kind, codec, rate, channels):
    samples = np.tile(tone(rate, 1.5), (channels, 1))
    heard = await made(tmp_path, encoded(kind, codec, rate, samples))
    assert len(heard) / RATE == pytest.approx(1.5, abs=0.1)
    assert level(heard, 1000) > -20
    assert level(heard, 1700) < -42


async def test_what_would_fold_back_is_filtered_out(tmp_path):
    samples = tone(48000, 1, 1000) // 2 + tone(48000, 1, 11000) // 2
    heard = await made(tmp_path, encoded("wav", "pcm_s16le", 48000, samples[None]))
    assert level(heard, 1000) > -20
    assert level(heard, 5000) < -60, "11 kHz folds to 5 kHz"


async def test_a_loud_file_is_brought_down_and_a_soft_one_is_left(tmp_path):
    loud = np.where(np.arange(16000) // 8 % 2, 32767, -32768).astype("<i2").tobytes()
    heard = await made(tmp_path, wav(16000, 1, loud))
    assert 20 * np.log10(np.sqrt(np.mean(heard.astype(float) ** 2)) / 32768) < -15.9
    soft = (tone(16000, 1) // 30).astype("<i2").tobytes()
    assert (await made(tmp_path, wav(16000, 1, soft))).tobytes() == soft


def _picture() -> bytes:
    out = BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    return out.getvalue()


def _archive() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.wav", bytes(50 << 20))
    return out.getvalue()


REFUSED = {
    "text": (b"Dear all, this is no sound.\n" * 100, "no sound"),
    "nothing but zeros": (bytes(10_000), "no sound"),
    "an archive": (_archive(), "no sound"),
    "a picture without sound": (_picture(), "there is no sound in this file"),
    "a header alone": (wav(8000, 1, b""), "no sound"),
    "next to nothing": (wav(8000, 1, bytes(200)), "next to no sound"),
    "a rate nobody has": (wav(3_000_000_000, 1, bytes(4000)), "no sound"),
    "a rate of one": (wav(1, 1, bytes(4000)), "no sound a prompt can be made of"),
    "channels without end": (wav(8000, 65535, bytes(400_000)), "no sound"),
    "six minutes": (wav(4000, 1, bytes(4000 * 2 * 360)), "at most 5 minutes"),
    "a playlist of other files": (b"ffconcat version 1.0\nfile '/etc/hostname'\n", "no sound"),
    "a stream from elsewhere": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "no sound",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_prompt_is_refused_with_the_reason(tmp_path, case):
    content, reason = REFUSED[case]
    with pytest.raises(InvalidError, match=reason):
        await made(tmp_path, content)
    assert not (tmp_path / "prompt.wav").exists()


async def test_a_header_that_promises_gigabytes_is_worth_what_is_there(tmp_path):
    data = tone(8000, 1).astype("<i2").tobytes()
    heard = await made(tmp_path, wav(8000, 1, data, claimed=0xFFFFFF00))
    assert len(heard) / RATE == pytest.approx(1, abs=0.01)


async def test_a_small_file_that_unpacks_to_hours_is_refused_at_the_limit(tmp_path):
    """Two hours of nothing pack into next to nothing; decoding stops after five minutes of it."""
    bomb = encoded("flac", "flac", 8000, np.zeros((1, 7200 * 8000), np.int16))
    assert len(bomb) < 2 * 7200 * 8000 / 80
    with pytest.raises(InvalidError, match="at most 5 minutes"):
        await made(tmp_path, bomb)


@pytest.mark.parametrize("seed", range(4))
async def test_a_mangled_file_is_a_prompt_or_refused_and_nothing_else(tmp_path, seed):
    random = np.random.default_rng(seed)
    kinds = (("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus"), ("ipod", "aac"))
    kind, codec = kinds[seed]
    content = bytearray(encoded(kind, codec, 48000, tone(48000, 1)[None]))
    for at in random.integers(0, len(content), 60):
        content[at] = random.integers(256)
    try:
        heard = await made(tmp_path, bytes(content))
    except InvalidError:
        return
    assert len(heard) < 2 * RATE


async def test_a_reader_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "READ_WITHIN_S", 0.01)
    with pytest.raises(InvalidError, match="too long"):
        await made(tmp_path, wav(8000, 1, bytes(16000)))


async def test_a_reader_that_dies_is_a_refusal(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds.sys, "executable", "/bin/false")
    with pytest.raises(InvalidError, match="cannot be read"):
        await made(tmp_path, wav(8000, 1, bytes(16000)))


async def test_several_files_at_once_are_read_side_by_side(tmp_path):
    data = (tone(16000, 0.5) // 2).astype("<i2").tobytes()
    folders = [tmp_path / str(n) for n in range(3)]
    for folder in folders:
        folder.mkdir()
    heard = await asyncio.gather(*(made(folder, wav(16000, 1, data)) for folder in folders))
    assert {one.tobytes() for one in heard} == {data}
