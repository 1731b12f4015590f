"""What a push offers, and what of it the far end took: codecs as the source sends them, in payload types of our own."""

from collections.abc import Mapping
from dataclasses import replace

from bridges.transport.sdp import OfferedCodec, PushAnswer
from bridges.transport.sdp.pushed import EXTENSIONS
from bridges.video.agreements import viewing_of
from bridges.video.streams import ViewStream
from commhub.domain.errors import InvalidError
from commhub.ports.video import VideoCodec

_FIRST_TYPE = 96
_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"})
_PASSED_ON = (
    "profile-level-id",
    "packetization-mode",
    "level-asymmetry-allowed",
    "sprop-parameter-sets",
    "profile-id",
    "profile",
    "level-idx",
    "tier",
)
"""Of a source's format, what says how it is encoded; the rest was between it and us."""
_COMMON: Mapping[VideoCodec, Mapping[str, int | str | None]] = {
    VideoCodec.H264: {
        "level-asymmetry-allowed": 1,
        "packetization-mode": 1,
        "profile-level-id": "42e01f",
    },
    VideoCodec.VP8: {},
    VideoCodec.VP9: {"profile-id": 0},
    VideoCodec.AV1: {},
}
"""For a source that is anybody's, or yet to come."""
_HIGHEST_TYPE = 127
_PROFILES = ("42e034", "4d0034", "640034")
"""Of H.264, what we take: all that decoders know, at the highest level, because we decode nothing."""


def offered_codecs(source: OfferedCodec | None) -> tuple[OfferedCodec, ...]:
    """What the source sends as it sends it; of a source nobody knows yet everything we forward."""
    if source is None:
        return tuple(_as_ours(n, codec, known) for n, (codec, known) in enumerate(_COMMON.items()))
    named = {str(name).lower(): value for name, value in source.parameters.items()}
    passed = {name: named[name] for name in _PASSED_ON if named.get(name) not in (None, "")}
    return (_as_ours(0, source.codec, passed),)


def takeable_codecs() -> tuple[OfferedCodec, ...]:
    """Everything we forward, in each profile of H.264, so that the far end names the one it sends."""
    known: list[tuple[VideoCodec, Mapping[str, int | str | None]]] = []
    for codec, parameters in _COMMON.items():
        if codec is VideoCodec.H264:
            known += [(codec, {**parameters, "profile-level-id": one}) for one in _PROFILES]
        else:
            known.append((codec, parameters))
    return tuple(_as_ours(n, codec, parameters) for n, (codec, parameters) in enumerate(known))


def agreed_stream(
    answer: PushAnswer, source: OfferedCodec | None, offered: tuple[OfferedCodec, ...]
) -> ViewStream:
    """What the far end is sent, in SSRCs that are still to be said. Raises InvalidError when the source is not among it."""
    ours = {one.codec for one in offered}
    codecs = tuple(
        one
        for one in answer.taken.codecs
        if one.codec in ours and max(one.payload_type, one.rtx_type or 0) <= _HIGHEST_TYPE
    )
    if not codecs:
        raise InvalidError("the answer takes none of the codecs that were offered")
    if source is not None and source.codec not in {one.codec for one in codecs}:
        raise InvalidError(f"the source is {source.codec}, which the answer does not take")
    extensions = {
        one: number for one, number in answer.taken.extensions.items() if one in EXTENSIONS
    }
    taken = replace(answer.taken, codecs=codecs, extensions=extensions)
    return viewing_of(taken, source).stream


def _as_ours(
    place: int, codec: VideoCodec, parameters: Mapping[str, int | str | None]
) -> OfferedCodec:
    number = _FIRST_TYPE + 2 * place
    return OfferedCodec(
        codec=codec,
        payload_type=number,
        parameters=parameters,
        rtx_type=number + 1,
        feedback=_FEEDBACK,
    )
