"""What an offer and an order agree on, in the forwarder's words: layers, payload types, header extensions."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from bridges.transport.sdp.picture import Extension, OfferedCodec, PictureOffer, rank
from bridges.video.codecs import h264
from bridges.video.streams import CodecTypes, Extensions, LayerStream, SourceStreams, ViewStream
from commhub.domain.errors import InvalidError
from commhub.ports.video import Layer, PublishOrder, VideoCodec

_TIMED = (Extension.TRANSPORT_SEQUENCE, Extension.SEND_TIME)
"""By which a path's bandwidth is told, the better one first."""


@dataclass(frozen=True, slots=True)
class Viewing:
    """What a viewer can be sent: one form of each codec it knows, that of the source it came for first."""

    codecs: tuple[OfferedCodec, ...]
    stream: ViewStream
    extensions: frozenset[Extension]


def layers_of(order: PublishOrder, offer: PictureOffer) -> tuple[Layer, ...]:
    """One stream is the layer the order says, simulcast is all of them, the best one first."""
    if len(offer.layers) == 1:
        return (order.layer,)
    return tuple(Layer(place) for place in range(len(offer.layers)))


def streams_of(
    order: PublishOrder, offer: PictureOffer, layers: tuple[Layer, ...]
) -> SourceStreams:
    """What the publisher will send."""
    chosen = offer.codecs[0]
    has_timing = Extension.TRANSPORT_SEQUENCE in offer.extensions
    return SourceStreams(
        codec=chosen.codec,
        types=CodecTypes(payload=chosen.payload_type, rtx=chosen.rtx_type),
        layers=tuple(
            LayerStream(layer=layer, ssrc=one.ssrc, rid=one.rid, rtx_ssrc=one.rtx_ssrc)
            for layer, one in zip(layers, offer.layers, strict=True)
        ),
        extensions=_ids(offer.extensions),
        nack="nack" in chosen.feedback,
        pli="nack pli" in chosen.feedback,
        remb="goog-remb" in chosen.feedback and not has_timing,
        max_kbps=order.max_kbps,
        parameter_sets=h264.aggregate_of(str(chosen.parameters.get("sprop-parameter-sets", "")))
        if chosen.codec is VideoCodec.H264
        else b"",
    )


def viewing_of(offer: PictureOffer, source: OfferedCodec | None) -> Viewing:
    """What the viewer can be sent. Raises InvalidError when the source's codec is not among it."""
    best: dict[VideoCodec, OfferedCodec] = {}
    for one in offer.codecs:
        known = best.get(one.codec)
        if known is None or _fit(one, source) < _fit(known, source):
            best[one.codec] = one
    if source is not None and source.codec not in best:
        raise InvalidError(f"the source is {source.codec}, which the offer has not")
    first = source.codec if source is not None else offer.codecs[0].codec
    codecs = tuple(sorted(best.values(), key=lambda one: one.codec is not first))
    repairs = any(one.rtx_type is not None for one in codecs)
    timed = [one for one in _TIMED if one in offer.extensions][:1] if repairs else []
    stream = ViewStream(
        types={one.codec: CodecTypes(payload=one.payload_type, rtx=one.rtx_type) for one in codecs},
        ssrc=_new_ssrc(),
        rtx_ssrc=_new_ssrc() if repairs else None,
        extensions=_ids({one: offer.extensions[one] for one in timed}),
    )
    return Viewing(codecs, stream, frozenset(timed))


def directions(offer: PictureOffer, *, talks: bool, hears: bool) -> tuple[bool, bool]:
    """Whether the far end talks, and whether it hears: as ordered, as far as it offered."""
    sound = offer.sound
    if sound is None:
        return False, False
    return talks and sound.sends, hears and sound.receives


def _fit(offered: OfferedCodec, source: OfferedCodec | None) -> tuple[bool, tuple[int, int, int]]:
    """How well a form of a codec suits: the source's own profile, else what most decoders have."""
    is_other = source is not None and _profile(offered) != _profile(source)
    return is_other, rank(offered)


def _profile(offered: OfferedCodec) -> tuple[str, str]:
    named = offered.parameters
    level = str(named.get("profile-level-id", "42000a")).lower()
    return level[:2], str(named.get("packetization-mode", "0"))


def _ids(agreed: Mapping[Extension, int]) -> Extensions:
    return Extensions(
        mid=agreed.get(Extension.MID, 0),
        rid=agreed.get(Extension.RID, 0),
        repaired_rid=agreed.get(Extension.REPAIRED_RID, 0),
        abs_send_time=agreed.get(Extension.SEND_TIME, 0),
        transport_cc=agreed.get(Extension.TRANSPORT_SEQUENCE, 0),
    )


def _new_ssrc() -> int:
    return secrets.randbits(31) + 1
