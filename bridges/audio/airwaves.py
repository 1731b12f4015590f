"""The air of a radio group: frames of whatever codec its talker has to 16 kHz samples, and a call's voice to frames of
the one codec the group is spoken to in.

A radio group is a wide leg, always: radios of one group may have different codecs, and a call must not change its
band with every talker. Frames from radio to radio pass untouched (`groups`); only calls hear through here.
"""

from dataclasses import dataclass

import numpy as np

from bridges.audio.bands import TICK_MS
from bridges.audio.codecs.book import CodecBook
from bridges.audio.codecs.codec import Decoder, Encoder, Samples, UndecodableError
from bridges.audio.config import RadioCodec
from bridges.audio.g711 import RATE, Law, decode, encode
from bridges.audio.lanes import SampleTime
from bridges.audio.resample import Downsampler, Upsampler
from commhub.ports.voice import VoiceFrame

_LAWS = {"PCMU": Law.PCMU, "PCMA": Law.PCMA}
_LONGEST_MS = 120
_OPUS_CLOCK = 48_000
_OPUS_MS = 60
_ONE = np.zeros(1, np.int64)


class AirDecoder:
    """One talk after another, each with a decoder of its own."""

    def __init__(self, codecs: CodecBook) -> None:
        self._codecs = codecs
        self._codec = ""
        self.begin_talk()

    def begin_talk(self) -> None:
        """Somebody else speaks: nothing of the last voice is carried on."""
        self._codec = ""

    def hear(self, frame: VoiceFrame) -> tuple[int, Samples]:
        """The frame's samples and the time of the first, in samples. Raises UndecodableError."""
        if frame.codec != self._codec:
            self._begin(frame.codec)
        if self._law is not None:
            if not 0 < len(frame.payload) <= _LONGEST_MS * RATE // 1000:
                raise UndecodableError("no speech frame is that long")
            narrow = decode(frame.payload, self._law)
            return self._time.of(frame.timestamp), self._up.up(_ONE, narrow[None])[0]
        if self._decoder is None:
            raise UndecodableError(f"nothing decodes {frame.codec} here")
        return self._time.of(frame.timestamp), self._decoder.decode(frame.payload)

    def _begin(self, codec: str) -> None:
        self._codec = codec
        self._law = _LAWS.get(codec)
        self._up = Upsampler(1)
        self._decoder: Decoder | None = None
        if codec == "OPUS":
            self._decoder = self._codecs.find(codec, _OPUS_CLOCK).decoder()
        self._time = SampleTime(_OPUS_CLOCK if self._law is None else RATE)


class AirEncoder:
    """A call's voice, once for the whole group."""

    def __init__(self, codecs: CodecBook, codec: RadioCodec) -> None:
        self._codecs = codecs
        self._codec = codec
        self._talk_id: int | None = None
        self._sequence = 0
        self._gathered: list[Samples] = []
        self._down = Downsampler(1)
        self._encoder: Encoder | None = None

    def speak(self, talk_id: int, samples: Samples) -> VoiceFrame | None:
        """Take the next 20 ms of a talk; the frame, when one is whole."""
        if talk_id != self._talk_id:
            self._begin(talk_id)
        if self._encoder is None:
            narrow = self._down.down(_ONE, samples[None])[0]
            return self._frame(TICK_MS, RATE, encode(narrow, Law.PCMA))
        self._gathered.append(samples)
        if len(self._gathered) * TICK_MS < _OPUS_MS:
            return None
        payload = self._encoder.encode(np.concatenate(self._gathered))
        self._gathered = []
        return self._frame(_OPUS_MS, _OPUS_CLOCK, payload)

    def _begin(self, talk_id: int) -> None:
        self._talk_id = talk_id
        self._sequence = 0
        self._gathered = []
        self._down.forget(0)
        if self._codec is RadioCodec.OPUS:
            opus = self._codecs.find("OPUS", _OPUS_CLOCK)
            self._encoder = opus.encoder(_OPUS_MS, opus.settings(""))

    def _frame(self, duration_ms: int, clock: int, payload: bytes) -> VoiceFrame:
        sequence, self._sequence = self._sequence, self._sequence + 1
        return VoiceFrame(
            codec=self._codec.value,
            duration_ms=duration_ms,
            talk_id=self._talk_id or 0,
            sequence=sequence,
            timestamp=(sequence * duration_ms * clock // 1000) & 0xFFFFFFFF,
            payload=payload,
        )


@dataclass(slots=True, eq=False)
class Air:
    """What is on a group's air: a row of the leg table in a call of its own, and both directions' codecs."""

    row: int
    call: int
    ear: AirDecoder
    mouth: AirEncoder
