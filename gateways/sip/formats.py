"""The audio formats this hub speaks over RTP, and how one of them is chosen and written (RFC 3264 §6.1).

Another codec is another row of `CODECS`, once the audio engine mixes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from commhub.ports.media import AudioFormat
from gateways.sip.descriptions import Media

PTIMES_MS = (10, 20, 30, 40, 60)
"""The packet lengths the audio engine sends."""
USUAL_PTIME_MS = 20
TELEPHONE_EVENT = "TELEPHONE-EVENT"
COMFORT_NOISE = 13
"""RFC 3389's static payload type; its clock is 8 kHz, so it goes with codecs of that clock only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """`payload_type` is the static one, or the one our offers give it; `clock_rate` is RTP's, which for G.722 is
    half the sampling rate (RFC 3551 §4.5.2) and for Opus 48 kHz whatever is coded (RFC 7587 §4.1)."""

    name: str
    payload_type: int
    clock_rate: int = 8000
    channels: int = 1
    fmtp: str = ""

    @property
    def rtpmap(self) -> str:
        channels = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.name}/{self.clock_rate}{channels}"


CODECS = {
    codec.name: codec
    for codec in (
        Codec(name="PCMA", payload_type=8),
        Codec(name="PCMU", payload_type=0),
        Codec(name="G722", payload_type=9),
        Codec(
            name="opus",
            payload_type=96,
            clock_rate=48000,
            channels=2,
            # The mix is mono at 16 kHz at most: more would only cost the far end (RFC 7587 §6.1).
            fmtp="maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0;useinbandfec=1",
        ),
    )
}
_STATIC = {str(codec.payload_type): codec.rtpmap for codec in CODECS.values() if not codec.fmtp}
_DTMF_TYPES = {8000: 101, 48000: 102}
"""Payload types of telephone-event in our offers, by clock rate."""


def choose(
    media: Media, codecs: Sequence[str], *, comfort_noise: bool = False
) -> AudioFormat | None:
    """The first of `codecs`, in their order, that the m-line has; None when it has none."""
    listed = _Listed(
        media.formats,
        tuple(media.names.items()),
        tuple(media.fmtp.items()),
        media.ptime_ms,
        media.maxptime_ms,
    )
    return _choose(listed, tuple(codecs), comfort_noise)


class _Listed(NamedTuple):
    """What an m-line says of its formats: the phones of a town say the same few things."""

    formats: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    fmtp: tuple[tuple[str, str], ...]
    ptime_ms: int | None
    maxptime_ms: int | None


@lru_cache(maxsize=256)
def _choose(
    listed: _Listed,
    codecs: tuple[str, ...],
    comfort_noise: bool,
) -> AudioFormat | None:
    media = Media(
        kind="audio",
        port=0,
        protocol="",
        formats=listed.formats,
        names=dict(listed.names),
        fmtp=dict(listed.fmtp),
        ptime_ms=listed.ptime_ms,
        maxptime_ms=listed.maxptime_ms,
    )
    for codec in (CODECS[name] for name in codecs):
        for payload_type in media.formats:
            if _is_payload_type(payload_type) and _speaks(media, payload_type, codec):
                dtmf = _dtmf(media, codec.clock_rate)
                clock = None if dtmf is None else _clock_of(media, str(dtmf))
                return AudioFormat(
                    encoding=codec.name,
                    payload_type=int(payload_type),
                    clock_rate=codec.clock_rate,
                    ptime_ms=_ptime(media),
                    dtmf_payload_type=dtmf,
                    dtmf_clock_rate=None if clock in {0, codec.clock_rate} else clock,
                    comfort_noise=comfort_noise and _has_comfort_noise(media, codec),
                    fmtp=media.fmtp.get(payload_type, ""),
                )
    return None


def first_of(media: Media, codecs: Sequence[str]) -> tuple[str, ...]:
    """The one of `codecs` the m-line has first, as a sequence of at most one."""
    for payload_type in media.formats:
        for name in codecs:
            if _is_payload_type(payload_type) and _speaks(media, payload_type, CODECS[name]):
                return (name,)
    return ()


def _speaks(media: Media, payload_type: str, codec: Codec) -> bool:
    encoding = media.names.get(payload_type)
    if encoding is None:
        return _STATIC.get(payload_type) == codec.rtpmap
    name, _, rest = encoding.partition("/")
    rate, _, channels = rest.partition("/")
    if name != codec.name.upper() or channels not in ("", str(codec.channels)):
        return False
    # Phones that write G722/16000 mean the same codec; the static type leaves no doubt.
    return rate in ("", str(codec.clock_rate)) or payload_type == str(codec.payload_type)


def _dtmf(media: Media, clock_rate: int) -> int | None:
    """telephone-event at the voice's own clock (RFC 4733 §2.1), else the only one the phone has."""
    events = {
        _clock_of(media, payload_type): int(payload_type)
        for payload_type in reversed(media.formats)
        if media.names.get(payload_type, "").startswith(TELEPHONE_EVENT)
        and _is_payload_type(payload_type)
    }
    return events.get(clock_rate, events.get(8000))


def _clock_of(media: Media, payload_type: str) -> int:
    rate = media.names[payload_type].split("/")[1:2]
    return next((clock for clock in _DTMF_TYPES if rate == [str(clock)]), 0)


def _has_comfort_noise(media: Media, codec: Codec) -> bool:
    number = str(COMFORT_NOISE)
    meant = media.names.get(number, "CN/8000").startswith("CN/8000")
    return number in media.formats and meant and codec.clock_rate == 8000


def _ptime(media: Media) -> int:
    wanted = media.ptime_ms if media.ptime_ms in PTIMES_MS else USUAL_PTIME_MS
    if media.maxptime_ms is None or wanted <= media.maxptime_ms:
        return wanted
    return max((p for p in PTIMES_MS if p <= media.maxptime_ms), default=min(PTIMES_MS))


def _is_payload_type(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128


def write_answer(audio: AudioFormat, media: Media) -> tuple[str, str]:
    """The formats of our m-line and their attribute lines, for the one format of `media` both sides use; its
    numbers keep the meaning the offer gave them (RFC 3264 §6.1)."""
    codec, number = CODECS[audio.encoding], audio.payload_type
    numbers, lines = [number], _codec_lines(codec, number)
    if audio.dtmf_payload_type is not None:
        numbers.append(audio.dtmf_payload_type)
        lines += _dtmf_lines(
            audio.dtmf_payload_type, _clock_of(media, str(audio.dtmf_payload_type))
        )
    if audio.comfort_noise:
        numbers.append(COMFORT_NOISE)
        lines += _comfort_noise_line()
    return " ".join(map(str, numbers)), lines + _ptime_lines(audio.ptime_ms)


@lru_cache(maxsize=64)
def write_offer(codecs: tuple[str, ...], *, comfort_noise: bool) -> tuple[str, str]:
    """The formats of our m-line and their attribute lines: every codec in our order, and telephone-event at
    each of their clocks."""
    chosen = [CODECS[name] for name in codecs]
    clocks = sorted({codec.clock_rate for codec in chosen})
    numbers = [codec.payload_type for codec in chosen]
    numbers += [_DTMF_TYPES[clock] for clock in clocks]
    lines = "".join(_codec_lines(codec, codec.payload_type) for codec in chosen)
    lines += "".join(_dtmf_lines(_DTMF_TYPES[clock], clock) for clock in clocks)
    if comfort_noise and 8000 in clocks:
        numbers.append(COMFORT_NOISE)
        lines += _comfort_noise_line()
    return " ".join(map(str, numbers)), lines + _ptime_lines(USUAL_PTIME_MS)


def _codec_lines(codec: Codec, number: int) -> str:
    fmtp = f"a=fmtp:{number} {codec.fmtp}\r\n" if codec.fmtp else ""
    return f"a=rtpmap:{number} {codec.rtpmap}\r\n{fmtp}"


def _dtmf_lines(number: int, clock_rate: int) -> str:
    return f"a=rtpmap:{number} telephone-event/{clock_rate}\r\na=fmtp:{number} 0-15\r\n"


def _comfort_noise_line() -> str:
    return f"a=rtpmap:{COMFORT_NOISE} CN/8000\r\n"


def _ptime_lines(ptime_ms: int) -> str:
    return f"a=ptime:{ptime_ms}\r\na=maxptime:{PTIMES_MS[-1]}\r\n"
