"""Offers read and answers written (RFC 3264, RFC 8829), through aiortc's SDP classes.

`offers` is what every offer must have and how a bad one is refused, `answers` what every answer says of us, `audio` one leg's
sound, `picture` what cameras, screens, encoders and viewers offer, `pictured` our answer to them, `pushed` what we offer ourselves. What is offered beside
the streams we take is declined by port 0 (RFC 3264 §6), never ignored.
"""

from bridges.transport.sdp.answers import LocalSide
from bridges.transport.sdp.audio import AudioOffer, read_audio_offer, write_audio_answer
from bridges.transport.sdp.picture import (
    Extension,
    OfferedCodec,
    OfferedLayer,
    PictureOffer,
    read_publication,
    read_viewing,
)
from bridges.transport.sdp.pictured import PublicationAnswer, ViewingAnswer, write_answer
from bridges.transport.sdp.pushed import (
    PushAnswer,
    PushOffer,
    read_push_answer,
    read_watch_answer,
    write_push,
    write_watch,
)

__all__ = [
    "AudioOffer",
    "Extension",
    "LocalSide",
    "OfferedCodec",
    "OfferedLayer",
    "PictureOffer",
    "PublicationAnswer",
    "PushAnswer",
    "PushOffer",
    "ViewingAnswer",
    "read_audio_offer",
    "read_publication",
    "read_push_answer",
    "read_viewing",
    "read_watch_answer",
    "write_answer",
    "write_audio_answer",
    "write_push",
    "write_watch",
]
