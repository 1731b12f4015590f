"""Codecs by name. An instance, so that a test or a deployment can have others."""

from collections.abc import Iterable

from bridges.audio.codecs.codec import Codec
from bridges.audio.codecs.g722 import G722
from bridges.audio.codecs.opus import Opus
from commhub.domain.errors import InvalidError


class CodecBook:
    """The codecs an engine can mix beside G.711."""

    def __init__(self, codecs: Iterable[Codec]) -> None:
        self._codecs = {codec.encoding.upper(): codec for codec in codecs}

    def find(self, encoding: str, clock_rate: int) -> Codec:
        """By RTP encoding name, whatever its case, and clock. Raises InvalidError."""
        codec = self._codecs.get(encoding.upper())
        if codec is None or codec.clock_rate != clock_rate:
            raise InvalidError(f"this worker cannot mix {encoding}/{clock_rate}")
        return codec


def usual_codecs() -> CodecBook:
    return CodecBook([G722(), Opus()])
