"""Offers with a picture: cameras, browsers, screens and encoders that publish (WHIP), and whoever views (WHEP).

One video stream, and beside it one of sound when both share a transport (BUNDLE, RFC 9143). aiortc's parser knows no rid and no
simulcast (RFC 8851, RFC 8853), so these are read here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from bridges.transport.sdp import offers
from bridges.transport.sdp.audio import OfferedSound, read_sound
from commhub.domain.errors import InvalidError
from commhub.ports.video import VideoCodec

_CLOCK_RATE = 90_000
MAX_LAYERS = 3
_NAMES = {
    "h264": VideoCodec.H264,
    "vp8": VideoCodec.VP8,
    "vp9": VideoCodec.VP9,
    "av1": VideoCodec.AV1,
}
_PREFERENCE = list(_NAMES.values())
"""What is asked of a publisher who can do several: H.264 is what phones, walls and recordings have in common."""
_PROFILES = ("42e0", "42c0", "4200", "4d", "64")
"""Of H.264, what most decoders have first."""
_RID = re.compile(r"^a=rid:([0-9A-Za-z_-]{1,32}) send(?: .*)?$")
_SIMULCAST = re.compile(r"^a=simulcast:(?:.* )?send ([^ ]+)")


class Extension(StrEnum):
    """RTP header extensions we know (RFC 8285)."""

    MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
    RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedCodec:
    """One way to encode the picture. `rtx_type` is the payload type of its retransmissions (RFC 4588), `feedback` what the far
    end can take or give of `nack`, `nack pli`, `ccm fir`, `transport-cc` and `goog-remb`."""

    codec: VideoCodec
    payload_type: int
    parameters: Mapping[str, int | str | None]
    rtx_type: int | None
    feedback: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedLayer:
    """One stream of a simulcast, the best one first; what was not said is None. `rtx_ssrc` repairs it."""

    rid: str | None = None
    ssrc: int | None = None
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOffer:
    """What somebody offers. `codecs` are those we can forward: the one chosen first of a publisher, all of a viewer, in
    the order of their wish. `extensions` are of the picture, `sound_extensions` of the sound."""

    session: str
    dtls: RTCDtlsParameters
    codecs: tuple[OfferedCodec, ...]
    layers: tuple[OfferedLayer, ...]
    extensions: Mapping[Extension, int]
    sound: OfferedSound | None
    sound_extensions: Mapping[Extension, int]
    description: sdp.SessionDescription
    media: sdp.MediaDescription
    bundle: tuple[str, ...]

    @property
    def fingerprints(self) -> frozenset[tuple[str, str]]:
        return offers.prints_of(self.dtls)

    @property
    def we_are_server(self) -> bool:
        """RFC 8842 §5.3: we let the far end begin unless it insists on waiting, as FFmpeg does."""
        return self.dtls.role != "server"


def read_publication(text: str) -> PictureOffer:
    """An offer to publish. Raises InvalidError with what is wrong or missing."""
    return _read(text, publishes=True)


def read_viewing(text: str) -> PictureOffer:
    """An offer to view. Raises InvalidError."""
    return _read(text, publishes=False)


def read_taking(text: str) -> PictureOffer:
    """Somebody's answer to an offer of ours: what they take says the same as what a viewer offers. Raises InvalidError."""
    return _read(text, publishes=False, what="answer")


def read_sending(text: str) -> PictureOffer:
    """Somebody's answer to our offer to be sent something: as a publisher's offer, in the form that comes first there. Raises
    InvalidError."""
    return _read(text, publishes=True, what="answer")


def _read(text: str, *, publishes: bool, what: str = "offer") -> PictureOffer:
    description = offers.parse(text)
    lines = dict(zip(map(id, description.media), sdp.grouplines(text)[1], strict=True))
    there = [m for m in description.media if m.port != 0 or "a=bundle-only" in lines[id(m)]]
    wanted = {"sendrecv", "sendonly" if publishes else "recvonly"}
    picture = next(
        (m for m in there if m.kind == "video" and (m.direction or "sendrecv") in wanted), None
    )
    if picture is None:
        way = "sent" if publishes else "received"
        raise InvalidError(f"the {what} has no video stream that is {way}")
    bundle = _bundle_of(description, picture)
    tagged = next((m for m in there if bundle and m.rtp.muxId == bundle[0]), picture)
    offers.require_transport(picture, tagged, what)
    codecs = _codecs(picture)
    if not codecs:
        raise InvalidError(f"the {what}'s video has none of H264, VP8, VP9 and AV1")
    sounding = next((m for m in there if m.kind == "audio" and m.rtp.muxId in bundle), None)
    sound = read_sound(sounding) if sounding is not None and sounding.rtcp_mux else None
    return PictureOffer(
        session=offers.session_of(description),
        dtls=cast("RTCDtlsParameters", tagged.dtls),
        # Of an offer we choose, of an answer they have chosen.
        codecs=_preferred(codecs) if publishes and what == "offer" else codecs,
        layers=_layers(picture, lines[id(picture)]) if publishes else (),
        extensions=_extensions(picture),
        sound=sound,
        sound_extensions=_extensions(sound.media) if sound else {},
        description=description,
        media=picture,
        bundle=bundle,
    )


def _bundle_of(
    description: sdp.SessionDescription, picture: sdp.MediaDescription
) -> tuple[str, ...]:
    """The streams that share the picture's transport."""
    mid = picture.rtp.muxId
    groups = (g for g in description.group if g.semantic == "BUNDLE" and mid in g.items)
    return tuple(str(item) for item in next((g.items for g in groups), [])) if mid else ()


# Codecs ----------------------------------------------------------------------------------------------------------


def _codecs(media: sdp.MediaDescription) -> tuple[OfferedCodec, ...]:
    """What we can forward: 8-bit pictures of 4:2:0, whatever their size."""
    repairs = {
        codec.parameters.get("apt"): codec.payloadType
        for codec in offers.codecs_named(media, "rtx")
    }
    return tuple(
        OfferedCodec(
            codec=_NAMES[codec.name.lower()],
            payload_type=codec.payloadType,
            parameters={str(name).strip(): value for name, value in codec.parameters.items()},
            rtx_type=repairs.get(codec.payloadType),
            feedback=frozenset(_feedback(codec)),
        )
        for codec in media.rtp.codecs
        if codec.name.lower() in _NAMES
        and codec.clockRate == _CLOCK_RATE
        and codec.payloadType is not None
        and codec.payloadType in media.fmt
        and str(codec.parameters.get("profile-id", "0")) == "0"
        and str(codec.parameters.get("profile", "0")) == "0"
    )


def _feedback(codec: RTCRtpCodecParameters) -> Iterable[str]:
    for one in codec.rtcpFeedback:
        yield f"{one.type} {one.parameter}" if one.parameter else one.type


def _preferred(codecs: tuple[OfferedCodec, ...]) -> tuple[OfferedCodec, ...]:
    """Our choice first. Of H.264 that in fragments (RFC 6184 §6.3), else 1080p does not fit into packets; then the
    profile most decoders have."""
    return tuple(sorted(codecs, key=rank))


def rank(offered: OfferedCodec) -> tuple[int, int, int]:
    """How much we like this form of a codec; the lowest is the best."""
    place = _PREFERENCE.index(offered.codec)
    if offered.codec is not VideoCodec.H264:
        return place, 0, 0
    is_whole = str(offered.parameters.get("packetization-mode", "0")) != "1"
    profile = str(offered.parameters.get("profile-level-id", "42000a")).lower()
    known = [n for n, one in enumerate(_PROFILES) if profile.startswith(one)]
    return place, int(is_whole), known[0] if known else len(_PROFILES)


# Layers ----------------------------------------------------------------------------------------------------------


def _layers(media: sdp.MediaDescription, lines: list[str]) -> tuple[OfferedLayer, ...]:
    """The streams of the publisher: by rid, by SSRC, or one of which nothing is known before it comes."""
    repaired = {
        int(group.items[0]): int(group.items[1])
        for group in media.ssrc_group
        if group.semantic == "FID" and len(group.items) > 1
    }
    rids = _rids(lines)
    if rids:
        return tuple(OfferedLayer(rid=rid) for rid in rids[:MAX_LAYERS])
    simulcast = next((g.items for g in media.ssrc_group if g.semantic == "SIM"), None)
    # Browsers list the smallest picture first there.
    ssrcs = [int(one) for one in reversed(simulcast)] if simulcast else _first_ssrc(media, repaired)
    return tuple(
        OfferedLayer(ssrc=ssrc, rtx_ssrc=repaired.get(ssrc)) for ssrc in ssrcs[:MAX_LAYERS]
    ) or (OfferedLayer(),)


def _first_ssrc(media: sdp.MediaDescription, repaired: Mapping[int, int]) -> list[int]:
    if repaired:
        return list(repaired)[:1]
    return [media.ssrc[0].ssrc] if media.ssrc else []


def _rids(lines: list[str]) -> list[str]:
    """The rids that are sent, in the order of the simulcast line (RFC 8853 §5.1): of alternatives the first, without those
    that begin paused."""
    declared = [match[1] for line in lines if (match := _RID.match(line.strip()))]
    simulcast = next((match[1] for line in lines if (match := _SIMULCAST.match(line))), None)
    if simulcast is None:
        return declared[:1]
    streams = [stream.split(",")[0].strip() for stream in simulcast.split(";")]
    return [rid for rid in dict.fromkeys(streams) if rid in declared]


def _extensions(media: sdp.MediaDescription) -> dict[Extension, int]:
    known = {one.value: one for one in Extension}
    return {
        known[one.uri]: one.id
        for one in media.rtp.headerExtensions
        if one.uri in known and 1 <= one.id <= 14
    }
