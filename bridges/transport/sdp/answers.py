"""What every answer says of us: ICE-lite, one host candidate, our certificate."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceCandidate, RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpParameters

from bridges.transport.stun import Address, Credentials

HOST_PRIORITY = 2130706431
"""RFC 8445 §5.1.2.1 for the only candidate we have: type preference 126, local preference 65535, component 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSide:
    """What our answer says of us. `sends`/`receives` are our direction of sound."""

    credentials: Credentials
    fingerprints: list[RTCDtlsFingerprint]
    address: Address
    is_server: bool
    sends: bool
    receives: bool


def new_answer(local: LocalSide, mids: Sequence[str]) -> sdp.SessionDescription:
    """An answer without streams yet; `mids` are those that share one transport."""
    answer = sdp.SessionDescription()
    answer.origin = f"- {secrets.randbits(62)} 1 IN IP4 {local.address[0]}"
    answer.msid_semantic = [sdp.GroupDescription("WMS", ["*"])]
    if mids:
        answer.group = [sdp.GroupDescription("BUNDLE", list(mids))]
    return answer


def taken(
    offered: sdp.MediaDescription,
    codecs: list[RTCRtpCodecParameters],
    local: LocalSide,
    *,
    sends: bool,
    receives: bool,
) -> sdp.MediaDescription:
    """A stream we take, with these codecs, and our direction."""
    types = [codec.payloadType for codec in codecs]
    media = sdp.MediaDescription(offered.kind, local.address[1], offered.profile, types)
    media.host = local.address[0]
    media.rtcp_port, media.rtcp_host, media.rtcp_mux = 9, "0.0.0.0", True  # noqa: S104 - RFC 8829 §5.3.1 says so
    media.rtp = RTCRtpParameters(muxId=offered.rtp.muxId)
    media.rtp.codecs = codecs
    media.direction = _direction(sends=sends, receives=receives)
    if sends:
        media.msid = f"commhub {offered.kind}"
    media.ice = _ice(local)
    media.ice_candidates = [
        RTCIceCandidate(
            component=1,
            foundation="1",
            ip=local.address[0],
            port=local.address[1],
            priority=HOST_PRIORITY,
            protocol="udp",
            type="host",
        )
    ]
    media.ice_candidates_complete = True
    media.dtls = _dtls(local)
    return media


def declined(media: sdp.MediaDescription, local: LocalSide) -> sdp.MediaDescription:
    """A stream we do not take (RFC 3264 §6)."""
    refused = sdp.MediaDescription(media.kind, 0, media.profile, media.fmt[:1])
    refused.host = "0.0.0.0"  # noqa: S104 - an address of nobody
    refused.rtp = RTCRtpParameters(muxId=media.rtp.muxId)
    refused.rtp.codecs = [c for c in media.rtp.codecs if c.payloadType in media.fmt[:1]]
    refused.direction = "inactive"
    # Nobody needs these of a stream that is not there, but aiortc's client looks for them.
    refused.ice, refused.dtls = _ice(local), _dtls(local)
    refused.rtcp_port, refused.rtcp_mux = 9, True
    return refused


def _dtls(local: LocalSide) -> RTCDtlsParameters:
    return RTCDtlsParameters(
        fingerprints=[f for f in local.fingerprints if f.algorithm == "sha-256"],
        role="server" if local.is_server else "client",
    )


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
