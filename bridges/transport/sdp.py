"""Offers read and answers written (RFC 3264, RFC 8829), through aiortc's SDP classes.

aiortc's parser asserts where a peer is wrong, so whatever it raises becomes one refusal with a sentence. What is
offered beside the one audio stream is declined by port 0 (RFC 3264 §6), never ignored.
"""

import secrets
from dataclasses import dataclass
from typing import cast

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceCandidate, RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpParameters

from bridges.transport.stun import Address, Credentials
from commhub.domain.errors import InvalidError

MAX_LENGTH = 64 << 10
_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
_DIGESTS = frozenset({"sha-256", "sha-384", "sha-512"})
_PROFILES = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"})
_HOST_PRIORITY = 2130706431
"""RFC 8445 §5.1.2.1 for the only candidate we have: type preference 126, local preference 65535, component 1."""
_DTMF_RATES = (48000, 8000)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioOffer:
    """One audio stream somebody offers. `session` names the far end's session (RFC 8866 §5.2): an offer of the
    same one is a restart, of another a new beginning. `sends`/`receives` are the far end's direction."""

    session: str
    dtls: RTCDtlsParameters
    opus_type: int
    opus_fmtp: str
    dtmf_type: int | None
    sends: bool
    receives: bool
    description: sdp.SessionDescription
    media: sdp.MediaDescription

    @property
    def fingerprints(self) -> frozenset[tuple[str, str]]:
        return frozenset((f.algorithm.lower(), f.value.upper()) for f in self.dtls.fingerprints)

    @property
    def we_are_server(self) -> bool:
        """RFC 8842 §5.3: we let the far end begin unless it insists on waiting."""
        return self.dtls.role != "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSide:
    """What our answer says of us."""

    credentials: Credentials
    fingerprints: list[RTCDtlsFingerprint]
    address: Address
    is_server: bool
    sends: bool
    receives: bool


def read_audio_offer(text: str) -> AudioOffer:
    """The first audio stream of an offer. Raises InvalidError with what is wrong or missing."""
    if len(text) > MAX_LENGTH:
        raise InvalidError(f"an offer has at most {MAX_LENGTH // 1024} KiB")
    try:
        description = sdp.SessionDescription.parse(text)
    except _PARSER_ERRORS as error:
        raise InvalidError("this is no session description (RFC 8866)") from error
    media = next((m for m in description.media if m.kind == "audio" and m.port != 0), None)
    if media is None:
        raise InvalidError("the offer has no audio stream")
    _require_transport(media)
    opus = _codec(media, "opus", (48000,))
    if opus is None or opus.payloadType is None:
        raise InvalidError("the offer has no Opus, the only codec of a browser's leg (RFC 7874 §3)")
    dtmf = _codec(media, "telephone-event", _DTMF_RATES)
    direction = media.direction or "sendrecv"
    return AudioOffer(
        session=_session_of(description),
        dtls=cast("RTCDtlsParameters", media.dtls),
        opus_type=opus.payloadType,
        opus_fmtp=sdp.parameters_to_sdp(opus.parameters),
        dtmf_type=dtmf.payloadType if dtmf else None,
        sends=direction in {"sendrecv", "sendonly"},
        receives=direction in {"sendrecv", "recvonly"},
        description=description,
        media=media,
    )


def write_audio_answer(offer: AudioOffer, local: LocalSide) -> str:
    """Our answer: the audio stream, everything else declined."""
    answer = sdp.SessionDescription()
    answer.origin = f"- {secrets.randbits(62)} 1 IN IP4 {local.address[0]}"
    answer.msid_semantic = [sdp.GroupDescription("WMS", ["*"])]
    answer.media = [
        _accepted(offer, local) if media is offer.media else _declined(media, local)
        for media in offer.description.media
    ]
    mid = offer.media.rtp.muxId
    if any(g.semantic == "BUNDLE" and mid in g.items for g in offer.description.group):
        answer.group = [sdp.GroupDescription("BUNDLE", [mid])]
    return str(answer)


def _require_transport(media: sdp.MediaDescription) -> None:
    missing = [
        what
        for what, is_there in (
            ("UDP/TLS/RTP/SAVPF", media.profile in _PROFILES),
            ("a=rtcp-mux", media.rtcp_mux),
            (
                "a=ice-ufrag and a=ice-pwd",
                media.ice and media.ice.usernameFragment and media.ice.password,
            ),
            ("a=setup", media.dtls is not None),
            (
                "a=fingerprint of SHA-256 or better",
                media.dtls
                and any(f.algorithm.lower() in _DIGESTS for f in media.dtls.fingerprints),
            ),
        )
        if not is_there
    ]
    if missing:
        raise InvalidError(f"the offer's audio lacks {', '.join(missing)}")


def _codec(
    media: sdp.MediaDescription, name: str, rates: tuple[int, ...]
) -> RTCRtpCodecParameters | None:
    """The offered codec of that name, at the first of `rates` that is offered."""
    named = [c for c in media.rtp.codecs if c.name.lower() == name and c.payloadType in media.fmt]
    return next((c for rate in rates for c in named if c.clockRate == rate), None)


def _session_of(description: sdp.SessionDescription) -> str:
    """User name and session id, without the version, which grows with each new offer."""
    return " ".join((description.origin or "").split()[:2])


def _accepted(offer: AudioOffer, local: LocalSide) -> sdp.MediaDescription:
    codecs = [
        c for c in offer.media.rtp.codecs if c.payloadType in (offer.opus_type, offer.dtmf_type)
    ]
    types = [c.payloadType for c in codecs]
    media = sdp.MediaDescription("audio", local.address[1], offer.media.profile, types)
    media.host = local.address[0]
    media.rtcp_port, media.rtcp_host, media.rtcp_mux = 9, "0.0.0.0", True  # noqa: S104 - RFC 8829 §5.3.1 says so
    media.rtp = RTCRtpParameters(muxId=offer.media.rtp.muxId)
    media.rtp.codecs = [_agreed(codec, offer.opus_type) for codec in codecs]
    media.direction = _direction(sends=local.sends, receives=local.receives)
    if local.sends:
        media.msid = "commhub audio"
    media.ice = _ice(local)
    media.ice_candidates = [
        RTCIceCandidate(
            component=1,
            foundation="1",
            ip=local.address[0],
            port=local.address[1],
            priority=_HOST_PRIORITY,
            protocol="udp",
            type="host",
        )
    ]
    media.ice_candidates_complete = True
    media.dtls = RTCDtlsParameters(
        fingerprints=[f for f in local.fingerprints if f.algorithm == "sha-256"],
        role="server" if local.is_server else "client",
    )
    return media


def _agreed(codec: RTCRtpCodecParameters, opus_type: int) -> RTCRtpCodecParameters:
    """RFC 7587 §6.1: mono, in-band repair, and nothing above 8 kHz of sound, which is what a call mixes."""
    parameters: dict[str, int | str | None] = {"0-15": None}
    if codec.payloadType == opus_type:
        parameters = {
            "minptime": 10,
            "useinbandfec": 1,
            "stereo": 0,
            "maxplaybackrate": 16000,
            "sprop-maxcapturerate": "16000",
        }
    return RTCRtpCodecParameters(
        mimeType=codec.mimeType,
        clockRate=codec.clockRate,
        channels=codec.channels,
        payloadType=codec.payloadType,
        parameters=parameters,
    )


def _declined(media: sdp.MediaDescription, local: LocalSide) -> sdp.MediaDescription:
    refused = sdp.MediaDescription(media.kind, 0, media.profile, media.fmt[:1])
    refused.host = "0.0.0.0"  # noqa: S104 - an address of nobody
    refused.rtp = RTCRtpParameters(muxId=media.rtp.muxId)
    refused.rtp.codecs = [c for c in media.rtp.codecs if c.payloadType in media.fmt[:1]]
    refused.direction = "inactive"
    refused.ice = _ice(local)
    return refused


def _ice(local: LocalSide) -> RTCIceParameters:
    return RTCIceParameters(
        iceLite=True,
        usernameFragment=local.credentials.ufrag,
        password=local.credentials.password,
    )


def _direction(*, sends: bool, receives: bool) -> str:
    return {
        (True, True): "sendrecv",
        (True, False): "sendonly",
        (False, True): "recvonly",
        (False, False): "inactive",
    }[sends, receives]
