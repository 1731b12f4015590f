"""Our answers to offers with a picture.

Chromium begins at 960×540 and stays there without `x-google-start-bitrate` and feedback every half second, so the first is said
here and the second is agreed here; others pass over what they do not know.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aiortc import sdp
from aiortc.rtcrtpparameters import (
    RTCRtcpFeedback,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
)

from bridges.transport.sdp import answers
from bridges.transport.sdp.answers import LocalSide
from bridges.transport.sdp.audio import answer_sound
from bridges.transport.sdp.picture import Extension, OfferedCodec, PictureOffer
from commhub.ports.video import VideoCodec

_START_KBPS = 4000
_HIGHEST_LEVEL = "34"
"""H.264's level 5.2 as profile-level-id writes it."""
_FEEDBACK = ("nack", "nack pli", "ccm fir")
_OF_SOUND = (Extension.MID, Extension.AUDIO_LEVEL, Extension.TRANSPORT_SEQUENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationAnswer:
    """We take the offer's first codec. `max_kbps` is what its layers may be together; `starts_high` asks for the whole
    picture at once, which is wanted of a main stream."""

    max_kbps: int
    starts_high: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewingAnswer:
    """We send with `ssrc`, and what was lost again with `rtx_ssrc` if there is one, in any of `codecs`. `extensions` are
    those that our packets will have."""

    codecs: tuple[OfferedCodec, ...]
    ssrc: int
    rtx_ssrc: int | None
    extensions: frozenset[Extension] = frozenset()


def write_answer(
    offer: PictureOffer, local: LocalSide, how: PublicationAnswer | ViewingAnswer
) -> str:
    """Our answer: the picture, its sound in the direction `local` says, everything else declined. Sound that nobody wants is
    inactive, because not every client's bundle survives it when its first stream is declined."""
    sounding = offer.sound.media if offer.sound else None
    ours = [m for m in offer.description.media if m is offer.media or m is sounding]
    mids = [m.rtp.muxId for m in ours if m.rtp.muxId in offer.bundle]
    answer = answers.new_answer(local, mids)
    head, streams = str(answer), []
    for media in offer.description.media:
        if media is offer.media and isinstance(how, PublicationAnswer):
            streams.append(_taken_picture(offer, local, how))
        elif media is offer.media and isinstance(how, ViewingAnswer):
            streams.append(_sent_picture(offer, local, how))
        elif offer.sound is not None and media is sounding:
            sound = answer_sound(offer.sound, local)
            sound.rtp.headerExtensions = _agreed(offer.sound_extensions, _OF_SOUND)
            streams.append(str(sound))
        else:
            streams.append(str(answers.declined(media, local)))
    # aiortc says ice-lite only when it writes the streams itself.
    return head.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1) + "".join(streams)


# A publisher -----------------------------------------------------------------------------------------------------


def _taken_picture(offer: PictureOffer, local: LocalSide, how: PublicationAnswer) -> str:
    chosen = offer.codecs[0]
    media = answers.taken(
        offer.media, _with_repair(_asked(chosen, how)), local, sends=False, receives=True
    )
    timed = Extension.TRANSPORT_SEQUENCE
    if timed not in offer.extensions:
        timed = Extension.SEND_TIME
    wanted = (Extension.MID, Extension.RID, Extension.REPAIRED_RID, timed)
    media.rtp.headerExtensions = _agreed(offer.extensions, wanted)
    lines = [f"b=AS:{how.max_kbps}"]
    rids = [layer.rid for layer in offer.layers if layer.rid is not None]
    more = [f"a=rid:{rid} recv" for rid in rids]
    if len(rids) > 1:
        more.append(f"a=simulcast:recv {';'.join(rids)}")
    return _with_lines(str(media), lines, more)


def _asked(chosen: OfferedCodec, how: PublicationAnswer) -> OfferedCodec:
    """The codec as we want it sent."""
    parameters = dict(chosen.parameters)
    profile = str(parameters.get("profile-level-id", ""))
    if chosen.codec is VideoCodec.H264 and str(parameters.get("level-asymmetry-allowed")) == "1":
        # RFC 6184 §8.2.2: then our level says what we can receive, and we decode nothing.
        parameters["profile-level-id"] = profile[:4] + _HIGHEST_LEVEL if profile else profile
    if how.starts_high:
        parameters["x-google-start-bitrate"] = min(_START_KBPS, how.max_kbps)
    parameters["x-google-max-bitrate"] = how.max_kbps
    offered = chosen.feedback
    bandwidth = "transport-cc" if "transport-cc" in offered else "goog-remb"
    kept = {one for one in (*_FEEDBACK, bandwidth) if one in offered}
    return replace(
        chosen,
        parameters={name: value for name, value in parameters.items() if name},
        feedback=frozenset(kept),
    )


# A viewer --------------------------------------------------------------------------------------------------------


def _sent_picture(offer: PictureOffer, local: LocalSide, how: ViewingAnswer) -> str:
    timed = Extension.TRANSPORT_SEQUENCE in how.extensions
    kept = frozenset((*_FEEDBACK, "transport-cc" if timed else "goog-remb"))
    codecs = [
        codec
        for one in how.codecs
        for codec in _with_repair(replace(one, feedback=kept & one.feedback))
    ]
    media = answers.taken(offer.media, codecs, local, sends=True, receives=False)
    media.rtp.headerExtensions = _agreed(offer.extensions, how.extensions)
    ssrcs = [how.ssrc] if how.rtx_ssrc is None else [how.ssrc, how.rtx_ssrc]
    media.ssrc = [sdp.SsrcDescription(ssrc=ssrc, cname="commhub") for ssrc in ssrcs]
    if len(ssrcs) > 1:
        media.ssrc_group = [sdp.GroupDescription("FID", list(ssrcs))]
    return str(media)


# Both ------------------------------------------------------------------------------------------------------------


def _with_repair(chosen: OfferedCodec) -> list[RTCRtpCodecParameters]:
    """The codec as aiortc writes it, and its retransmissions."""
    feedback = [RTCRtcpFeedback(*one.split(" ", 1)) for one in sorted(chosen.feedback)]
    written = [
        RTCRtpCodecParameters(
            mimeType=f"video/{chosen.codec}",
            clockRate=90_000,
            payloadType=chosen.payload_type,
            rtcpFeedback=feedback,
            parameters=dict(chosen.parameters),
        )
    ]
    if chosen.rtx_type is not None:
        written.append(
            RTCRtpCodecParameters(
                mimeType="video/rtx",
                clockRate=90_000,
                payloadType=chosen.rtx_type,
                parameters={"apt": chosen.payload_type},
            )
        )
    return written


def _agreed(
    offered: Mapping[Extension, int], wanted: Iterable[Extension]
) -> list[RTCRtpHeaderExtensionParameters]:
    wanted = frozenset(wanted)
    return [
        RTCRtpHeaderExtensionParameters(id=number, uri=str(one))
        for one, number in offered.items()
        if one in wanted
    ]


def _with_lines(text: str, bandwidth: list[str], attributes: list[str]) -> str:
    """aiortc's stream with lines it cannot write: `b=` stands behind `c=` (RFC 8866 §5), attributes at the end."""
    first, connection, *rest = text.removesuffix("\r\n").split("\r\n")
    return "\r\n".join([first, connection, *bandwidth, *rest, *attributes]) + "\r\n"
