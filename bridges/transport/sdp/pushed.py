"""Our offer to send a picture, or to be sent one, and what is answered: WHIP (RFC 9725) from the encoder's side, WHEP from the viewer's.

One video stream in one direction, all candidates at once, a certificate of ours, and either role in DTLS; the far end may be
ICE-lite or not. Written line by line, because it answers nobody: aiortc's classes would have to be filled with what is said here.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import cast

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceCandidate, RTCIceParameters

from bridges.transport.checking import CANDIDATES_LIMIT, RemoteIce
from bridges.transport.sdp.answers import HOST_PRIORITY
from bridges.transport.sdp.picture import (
    Extension,
    OfferedCodec,
    PictureOffer,
    read_sending,
    read_taking,
)
from bridges.transport.stun import Address, Credentials
from commhub.domain.errors import InvalidError

MID = "0"
EXTENSIONS = {Extension.SEND_TIME: 2, Extension.TRANSPORT_SEQUENCE: 3}
"""By which the far end can tell how its path is; it takes one of them or none."""
_UFRAG = re.compile(r"[0-9A-Za-z+/]{4,256}")
_PASSWORD = re.compile(r"[0-9A-Za-z+/]{22,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOffer:
    """What we offer: `codecs` each with its repair, the one of the source first; sent with `ssrc`, again with `rtx_ssrc`. Of what we
    only want to be sent there are neither, nor a `name`."""

    credentials: Credentials
    fingerprints: Sequence[RTCDtlsFingerprint]
    address: Address
    codecs: Sequence[OfferedCodec]
    ssrc: int = 0
    rtx_ssrc: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAnswer:
    """What the far end takes, in the words of a viewer's offer (or sends, in those of a publisher's); how it is reached, and by whom DTLS begins."""

    taken: PictureOffer
    ice: RemoteIce

    @property
    def dtls(self) -> RTCDtlsParameters:
        return self.taken.dtls

    @property
    def we_are_server(self) -> bool:
        """RFC 8842 §5.3: `active` is the client."""
        return self.taken.we_are_server


def write_push(offer: PushOffer) -> str:
    """The offer's text."""
    return _written(
        offer,
        "sendonly",
        [
            f"a=msid:commhub {offer.name}",
            f"a=ssrc-group:FID {offer.ssrc} {offer.rtx_ssrc}",
            *(f"a=ssrc:{ssrc} cname:commhub" for ssrc in (offer.ssrc, offer.rtx_ssrc)),
        ],
    )


def write_watch(offer: PushOffer) -> str:
    """Our offer to be sent a picture: WHEP from the viewer's side."""
    return _written(offer, "recvonly", [])


def _written(offer: PushOffer, direction: str, streams: Sequence[str]) -> str:
    """An offer of one video stream; `streams` are the lines about what is sent in it."""
    host, port = offer.address
    types = [str(one) for codec in offer.codecs for one in (codec.payload_type, codec.rtx_type)]
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 {host}",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {MID}",
        "a=msid-semantic:WMS *",
        "a=ice-options:ice2",
        f"m=video {port} UDP/TLS/RTP/SAVPF {' '.join(types)}",
        f"c=IN IP4 {host}",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{MID}",
        f"a={direction}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{offer.credentials.ufrag}",
        f"a=ice-pwd:{offer.credentials.password}",
        *(
            f"a=fingerprint:{one.algorithm} {one.value}"
            for one in offer.fingerprints
            if one.algorithm == "sha-256"
        ),
        "a=setup:actpass",
        *(f"a=extmap:{number} {one}" for one, number in EXTENSIONS.items()),
        *(line for codec in offer.codecs for line in _codec_lines(codec)),
        *streams,
        f"a=candidate:1 1 udp {HOST_PRIORITY} {host} {port} typ host",
        "a=end-of-candidates",
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _codec_lines(codec: OfferedCodec) -> list[str]:
    number, repair = codec.payload_type, codec.rtx_type
    lines = [f"a=rtpmap:{number} {codec.codec}/90000"]
    if codec.parameters:
        lines.append(f"a=fmtp:{number} {sdp.parameters_to_sdp(dict(codec.parameters))}")
    lines += [f"a=rtcp-fb:{number} {one}" for one in sorted(codec.feedback)]
    return [*lines, f"a=rtpmap:{repair} rtx/90000", f"a=fmtp:{repair} apt={number}"]


def read_push_answer(text: str) -> PushAnswer:
    """Raises InvalidError with what is wrong or missing."""
    taken = read_taking(text)
    return PushAnswer(taken=taken, ice=_remote_ice(taken))


def read_watch_answer(text: str) -> PushAnswer:
    """What the far end sends, in the words of a publisher's offer. Raises InvalidError."""
    sent = read_sending(text)
    return PushAnswer(taken=sent, ice=_remote_ice(sent))


def _remote_ice(taken: PictureOffer) -> RemoteIce:
    """How whoever answered is reached. Raises InvalidError."""
    if taken.dtls.role not in {"client", "server"}:
        raise InvalidError("the answer's a=setup is neither active nor passive (RFC 8842 §5.3)")
    # An answer without was refused as it was read.
    ice = cast("RTCIceParameters", taken.media.ice)
    ufrag, password = str(ice.usernameFragment), str(ice.password)
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise InvalidError("the answer's a=ice-ufrag or a=ice-pwd is none (RFC 8839 §5.4)")
    candidates = _addresses(taken.media.ice_candidates)
    if not candidates and ice.iceLite:
        raise InvalidError("the answer has no candidate of IPv4 and UDP to ask for a path")
    return RemoteIce(ufrag=ufrag, password=password, candidates=candidates)


def _addresses(candidates: Sequence[RTCIceCandidate]) -> tuple[Address, ...]:
    """Where a path may be, the best first; what is not UDP of IPv4, or names no host, is passed over."""
    wanted = [one for one in candidates if one.component == 1 and one.protocol.lower() == "udp"]
    known = [
        (one.ip, one.port)
        for one in sorted(wanted, key=lambda one: -one.priority)
        if 0 < one.port < 1 << 16 and _is_host(one.ip)
    ]
    return tuple(dict.fromkeys(known))[:CANDIDATES_LIMIT]


def _is_host(text: str) -> bool:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or address.is_reserved)
