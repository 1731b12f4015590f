"""Offer/answer (RFC 3264) for one picture: the m=video of a description, H.264 by RFC 6184, and our own section.

Nothing here raises: a picture that cannot be agreed on is refused with port 0, and the voice beside it goes on. Keys are agreed on
as for the voice (`sdes`); beside a voice that is secured no picture goes in the clear.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from commhub.ports.media import RtpAddress, SrtpKeys
from commhub.ports.video import PlainRemote, VideoCodec, VideoFormat
from gateways.sip import sdes
from gateways.sip.descriptions import Media, Session
from gateways.sip.sdes import Crypto, SrtpPolicy

MAX_KBPS = 4_000
_MOST_KBPS = 20_000
_FEWEST_KBPS = 64
_PLAIN = ("RTP/AVP", "RTP/AVPF")
_SECURE = ("RTP/SAVP", "RTP/SAVPF")
_FEEDBACK = ("nack", "nack pli", "ccm fir")
_PROFILES = ("42e0", "4200", "4d", "64")
"""The most wanted first: what browsers send is constrained baseline."""
_OFFERED = ((97, 1), (98, 0))
"""Payload types of our offers with their packetization-mode."""
_OFFERED_PROFILE = "42e028"
"""Constrained baseline, level 4.0: 1080p30."""
_LEAST_WANTED = "slides"


@dataclass(frozen=True, slots=True)
class PictureLine:
    """The m-line of their description that we take; `crypto` is their key line, when it is to be SRTP."""

    index: int
    media: Media
    video: VideoFormat
    crypto: Crypto | None = None


def find(session: Session, policy: SrtpPolicy, *, secured: bool) -> PictureLine | None:
    """The picture of their offer that we can serve: the main one where there are slides too (RFC 4796). `secured`: the voice
    beside it is."""
    lines = [
        line
        for index, media in enumerate(session.media)
        if (line := _line(index, media, policy, secured=secured)) is not None
    ]
    return min(lines, key=lambda line: line.media.content == _LEAST_WANTED, default=None)


def _line(index: int, media: Media, policy: SrtpPolicy, *, secured: bool) -> PictureLine | None:
    video = _format_of(media)
    keys = () if policy is SrtpPolicy.OFF else sdes.usable(media.crypto)
    may_be_plain = media.protocol in _PLAIN and policy is not SrtpPolicy.REQUIRE and not secured
    if video is None or not (keys or may_be_plain):
        return None
    return PictureLine(index, media, video, keys[0] if keys else None)


def between(ours: Session, theirs: Session, *, secured: bool) -> PlainRemote | None:
    """What both descriptions agree to: their m-line at the place of ours, by its first usable format that is also in ours;
    an answer to us may have numbers of its own, and then its first counts. `secured`: the voice beside it is."""
    index = own_index(ours)
    if index is None or index >= len(theirs.media):
        return None
    own, media = ours.media[index], theirs.media[index]
    video = _format_of(media, among=own.formats)
    keys = _keys_between(own, media)
    must = secured or own.protocol in _SECURE or media.protocol in _SECURE
    if video is None or (keys is None and must):
        return None
    return remote_of(media, video, muxed=own.rtcp_mux, keys=keys)


def _keys_between(ours: Media, theirs: Media) -> SrtpKeys | None:
    """Whoever answered has one line left, with tag and suite of one that was offered (RFC 4568 §5.1.3)."""
    own, their = sdes.usable(ours.crypto), sdes.usable(theirs.crypto)
    return next(
        (
            sdes.agreed(one, other)
            for one in own
            for other in their
            if 1 in (len(own), len(their)) and (one.tag, one.suite) == (other.tag, other.suite)
        ),
        None,
    )


def own_index(ours: Session) -> int | None:
    """Where our description has a picture."""
    return next(
        (n for n, media in enumerate(ours.media) if media.kind == "video" and media.port), None
    )


def own_address(ours: Session) -> RtpAddress | None:
    """Where our description wants the picture; None without one."""
    index = own_index(ours)
    return None if index is None else RtpAddress(ours.media[index].host, ours.media[index].port)


def remote_of(
    media: Media, video: VideoFormat, *, muxed: bool, keys: SrtpKeys | None = None
) -> PlainRemote:
    """The far end as the picture engine takes it."""
    # RFC 2543's hold: an address of zeros means «send me nothing».
    listens = not ipaddress.ip_address(media.host).is_unspecified
    muxed = muxed and media.rtcp_mux
    return PlainRemote(
        address=RtpAddress(media.host, media.port),
        video=video,
        sends=media.direction in ("sendrecv", "sendonly"),
        receives=listens and media.direction in ("sendrecv", "recvonly"),
        rtcp=None if muxed else _rtcp(media),
        rtcp_mux=muxed,
        srtp=keys,
    )


@dataclass(frozen=True, slots=True)
class Before:
    """Our last picture: its keys stay (RFC 4568 §7.1.4), and what was nothing but SRTP is so again."""

    keys: tuple[Crypto, ...] = ()
    is_secure: bool = False


def before(session: Session | None) -> Before:
    """What our last description had."""
    index = None if session is None else own_index(session)
    if session is None or index is None:
        return Before()
    media = session.media[index]
    return Before(sdes.usable(media.crypto), media.protocol in _SECURE)


def answered(
    line: PictureLine, ours: RtpAddress, direction: str, own: Crypto | None, *, muxed: bool
) -> str:
    """Our m=video in an answer: their payload type, profile and mode (RFC 6184 §8.2.2); `own` is our key line."""
    video = line.video
    fmtp = f"a=fmtp:{video.payload_type} {_mirrored(video)}\r\n"
    wanted = [word for word in _FEEDBACK if _has_feedback(line.media, video.payload_type, word)]
    lines = "".join(f"a=rtcp-fb:{video.payload_type} {word}\r\n" for word in wanted)
    more = "a=rtcp-mux\r\n" if muxed and line.media.rtcp_mux else ""
    more += own.line if own else ""
    return (
        f"m=video {ours.port} {line.media.protocol} {video.payload_type}\r\n{_bandwidth()}"
        f"a=rtpmap:{video.payload_type} H264/90000\r\n{fmtp}{lines}{more}a={direction}\r\n"
    )


def offered(
    ours: RtpAddress, keys: Sequence[Crypto] = (), *, muxed: bool, secure: bool = False
) -> str:
    """Our m=video in an offer, with our keys, if any; `secure`: nothing but SRTP."""
    protocol = (_SECURE if secure else _PLAIN)[0]
    numbers = " ".join(str(number) for number, _ in _OFFERED)
    formats = "".join(
        f"a=rtpmap:{number} H264/90000\r\n"
        f"a=fmtp:{number} profile-level-id={_OFFERED_PROFILE};packetization-mode={mode};level-asymmetry-allowed=1\r\n"
        for number, mode in _OFFERED
    )
    lines = "".join(f"a=rtcp-fb:* {word}\r\n" for word in _FEEDBACK)
    more = "a=rtcp-mux\r\n" if muxed else ""
    more += "".join(crypto.line for crypto in keys)
    return f"m=video {ours.port} {protocol} {numbers}\r\n{_bandwidth()}{formats}{lines}{more}a=sendrecv\r\n"


def _bandwidth() -> str:
    return f"b=AS:{MAX_KBPS}\r\nb=TIAS:{MAX_KBPS * 1000}\r\n"


def _format_of(media: Media, *, among: Sequence[str] | None = None) -> VideoFormat | None:
    """The H.264 of an m-line that suits best, or the first whose number is `among` those; None when the line is of no use."""
    if media.kind != "video" or not media.port or media.protocol not in _PLAIN + _SECURE:
        return None
    try:
        ipaddress.ip_address(media.host)
    except ValueError:
        return None
    found = [
        _read(media, int(number))
        for number in media.formats
        if media.names.get(number, "").startswith("H264/90000") and number.isdecimal()
    ]
    usable = [one for one in found if one.packetization_mode in (0, 1) and one.payload_type < 128]
    if among is not None:
        known = [one for one in usable if str(one.payload_type) in among]
        return next(iter(known or usable), None)
    return min(usable, key=_rank, default=None)


def _read(media: Media, number: int) -> VideoFormat:
    fmtp = media.fmtp.get(str(number), "")
    mode = parameters(fmtp).get("packetization-mode", "0")
    return VideoFormat(
        codec=VideoCodec.H264,
        payload_type=number,
        fmtp=fmtp,
        packetization_mode=int(mode) if mode in ("0", "1", "2") else 2,
        max_kbps=min(max(media.kbps or MAX_KBPS, _FEWEST_KBPS), _MOST_KBPS),
        nack=_has_feedback(media, number, "nack"),
        pli=_has_feedback(media, number, "nack pli"),
        fir=_has_feedback(media, number, "ccm fir"),
    )


def _rank(video: VideoFormat) -> tuple[bool, int]:
    profile = parameters(video.fmtp).get("profile-level-id", "42000a").lower()
    place = next((n for n, known in enumerate(_PROFILES) if profile.startswith(known)), 99)
    return video.packetization_mode != 1, place


def _mirrored(video: VideoFormat) -> str:
    named = parameters(video.fmtp)
    profile = named.get("profile-level-id", "42000a")
    parts = [f"profile-level-id={profile}", f"packetization-mode={video.packetization_mode}"]
    if named.get("level-asymmetry-allowed") == "1":
        parts.append("level-asymmetry-allowed=1")
    return ";".join(parts)


def parameters(fmtp: str) -> dict[str, str]:
    """Format parameters by name, in lower case."""
    pairs = (part.strip().partition("=") for part in fmtp.split(";"))
    return {name.lower(): value.strip() for name, _, value in pairs if name}


def _has_feedback(media: Media, number: int, word: str) -> bool:
    return any(kind in ("*", str(number)) and said == word for kind, said in media.feedback)


def _rtcp(media: Media) -> RtpAddress | None:
    """Where they want reports, on the host of their picture only (RFC 3605)."""
    if media.rtcp is None:
        return None
    host, port = media.rtcp
    if host not in ("", media.host) or port == media.port + 1:
        return None
    return RtpAddress(media.host, port)
