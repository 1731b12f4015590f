"""What every offer must have. aiortc's parser asserts where a peer is wrong, so whatever it raises becomes one refusal with a
sentence."""

import re

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from commhub.domain.errors import InvalidError

MAX_LENGTH = 64 << 10
MAX_STREAMS = 8
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
_DIGESTS = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Bytes of each."""
_OCTET = re.compile(r"[0-9A-Fa-f]{2}")
_PROFILES = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"})


def parse(text: str) -> sdp.SessionDescription:
    """An offer, or an answer, as aiortc reads it. Raises InvalidError."""
    if len(text) > MAX_LENGTH:
        raise InvalidError(f"an offer or answer has at most {MAX_LENGTH // 1024} KiB")
    try:
        description = sdp.SessionDescription.parse(text)
    except _PARSER_ERRORS as error:
        raise InvalidError("this is no session description (RFC 8866)") from error
    if len(description.media) > MAX_STREAMS:
        raise InvalidError(f"an offer or answer has at most {MAX_STREAMS} streams")
    return description


def require_transport(
    media: sdp.MediaDescription,
    tagged: sdp.MediaDescription | None = None,
    what: str = "offer",
) -> None:
    """Raises InvalidError with what the stream lacks, of an offer, or what else it is. `tagged` is the first one of its bundle, which speaks for all of it
    (RFC 9143 §7.1.3: a bundle-only stream has no transport attributes)."""
    transport = tagged or media
    missing = [
        what
        for what, is_there in (
            ("UDP/TLS/RTP/SAVPF", media.profile in _PROFILES),
            ("a=rtcp-mux", media.rtcp_mux),
            (
                "a=ice-ufrag and a=ice-pwd",
                transport.ice and transport.ice.usernameFragment and transport.ice.password,
            ),
            ("a=setup", transport.dtls is not None),
            (
                "a=fingerprint of SHA-256 or better",
                transport.dtls and any(map(_can_be_checked, transport.dtls.fingerprints)),
            ),
        )
        if not is_there
    ]
    if missing:
        raise InvalidError(f"the {what}'s {media.kind} lacks {', '.join(missing)}")


def _can_be_checked(fingerprint: RTCDtlsFingerprint) -> bool:
    """Whether it is one of RFC 8122 §5, as long as its digest: another one no certificate can have."""
    octets = _DIGESTS.get(fingerprint.algorithm.lower())
    parts = fingerprint.value.split(":")
    return len(parts) == octets and all(_OCTET.fullmatch(one) for one in parts)


def codecs_named(media: sdp.MediaDescription, name: str) -> list[RTCRtpCodecParameters]:
    """The offered codecs of that name, in the offer's order."""
    return [c for c in media.rtp.codecs if c.name.lower() == name and c.payloadType in media.fmt]


def session_of(description: sdp.SessionDescription) -> str:
    """User name and session id, without the version, which grows with each new offer."""
    return " ".join((description.origin or "").split()[:2])


def prints_of(dtls: RTCDtlsParameters) -> frozenset[tuple[str, str]]:
    """The fingerprints, to be compared."""
    return frozenset((f.algorithm.lower(), f.value.upper()) for f in dtls.fingerprints)
