"""What a codec is to the engine. Samples are 16 kHz, mono, 16 bits; a decoder or encoder is one stream's own."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE = 16000


class UndecodableError(ValueError):
    """The payload is none of this codec's."""


class Decoder(Protocol):
    def decode(self, payload: bytes) -> Samples:
        """As many samples as the payload lasts. Raises UndecodableError; the next payload is fine again."""
        ...


class Encoder(Protocol):
    def encode(self, samples: Samples) -> bytes:
        """The payload of exactly one packet time."""
        ...


class Codec(Protocol):
    """`clock_rate` is that of the RTP timestamps, which need not be the sampling rate; `ptimes` are the packet
    times in ms it can be sent in, of which 20 is always one."""

    @property
    def encoding(self) -> str: ...

    @property
    def clock_rate(self) -> int: ...

    @property
    def ptimes(self) -> tuple[int, ...]: ...

    def settings(self, fmtp: str) -> str:
        """What of the far end's format parameters changes what we send: legs of equal settings share a stream."""
        ...

    def decoder(self) -> Decoder: ...

    def encoder(self, ptime_ms: int, settings: str) -> Encoder: ...
