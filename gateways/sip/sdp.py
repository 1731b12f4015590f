"""Offer/answer (RFC 3264) for one voice, and a picture beside it: which m-line, which codec, whose keys, and our own
description.

Reading is in `descriptions`, the codecs are in `formats`, the keys of SRTP in `sdes`, pictures in `pictures_sdp`. The writer writes exactly
what the RFC's grammar says. Our own last description is handed in wherever one follows another, so that keys
and m-lines stay what they were; nothing else of a session is kept here.
"""

import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from commhub.kit.values import quick
from commhub.ports.media import AudioFormat, RtpAddress, RtpRemote, SrtpKeys
from commhub.ports.video import PlainRemote
from gateways.sip import formats, pictures_sdp, sdes
from gateways.sip.descriptions import Media, Session, read
from gateways.sip.errors import SdpError
from gateways.sip.sdes import Crypto, SrtpPolicy

_PLAIN = ("RTP/AVP", "RTP/AVPF")
_SECURE = ("RTP/SAVP", "RTP/SAVPF")


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What this hub agrees to. `codecs` are names of `formats.CODECS`, the most wanted first: that order decides
    in our offers and in our answers alike."""

    codecs: tuple[str, ...]
    srtp: SrtpPolicy = SrtpPolicy.OFF
    comfort_noise: bool = False
    rtcp_mux: bool = False


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What both sides will do. `remote` is the far end's as the media engine takes it; `index` is the m-line
    that carries the voice; `body` is our answer, None when theirs was the answer; `picture` is the far end's as the picture
    engine takes it, None without one."""

    remote: RtpRemote
    index: int = 0
    picture: PlainRemote | None = None
    body: bytes | None = field(default=None, repr=False)

    @property
    def held(self) -> bool:
        """The far end wants nothing from us: it has us on hold (RFC 3264 §8.4)."""
        return not self.remote.receives


@quick
@dataclass(frozen=True, slots=True)
class Line:
    """The m-line of an offer that we take: `crypto` is their key line, when it is to be SRTP."""

    index: int
    media: Media
    audio: AudioFormat
    crypto: Crypto | None


def choose(session: Session, terms: Terms) -> Line:
    """The first m-line of an offer we can serve. Raises SdpError (488) with the reason of the last it has."""
    reason = "no common audio format"
    for index, media in enumerate(session.media):
        if media.kind != "audio" or media.port == 0 or media.protocol not in _PLAIN + _SECURE:
            continue
        audio = formats.choose(media, terms.codecs, comfort_noise=terms.comfort_noise)
        if audio is None:
            continue
        keys = () if terms.srtp is SrtpPolicy.OFF else sdes.usable(media.crypto)
        if keys or (media.protocol in _PLAIN and terms.srtp is not SrtpPolicy.REQUIRE):
            _address(media)
            return Line(index, media, audio, keys[0] if keys else None)
        reason = _why_no_keys(media, terms.srtp)
    raise SdpError(reason)


def _why_no_keys(media: Media, policy: SrtpPolicy) -> str:
    if policy is SrtpPolicy.OFF:
        return "this hub does not take SRTP"
    if media.crypto:
        return "no SRTP crypto suite in common"
    return "this hub takes SRTP only, with keys in the description"


def wants_picture(body: bytes, terms: Terms) -> bool:
    """Whether an offer has a picture that could be agreed on."""
    try:
        session = read(body)
        secured = choose(session, terms).crypto is not None
        return pictures_sdp.find(session, terms.srtp, secured=secured) is not None
    except SdpError:
        return False


@quick
@dataclass(frozen=True, slots=True)
class Taken:
    """Their offer as we take it, while nobody knows yet where we receive. `own` is our key line, when it is to be SRTP."""

    session: Session
    line: Line
    remote: RtpRemote
    own: Crypto | None


def take(body: bytes, terms: Terms, before: bytes = b"") -> Taken:
    """What we take of an offer. `before` is our last description. Raises SdpError (400, 488)."""
    session = read(body)
    line = choose(session, terms)
    own = sdes.answered(line.crypto, _own_keys(before)) if line.crypto else None
    keys = sdes.agreed(own, line.crypto) if own and line.crypto else None
    return Taken(session, line, _remote(line.media, line.audio, terms, keys), own)


def answer(
    body: bytes,
    terms: Terms,
    ours: RtpAddress,
    local: "Local",
    before: bytes = b"",
    *,
    picture: RtpAddress | None = None,
) -> Agreement:
    """Take an offer and answer it. Raises SdpError (400, 488)."""
    return answer_taken(take(body, terms, before), terms, ours, local, before, picture=picture)


def answer_taken(
    taken: Taken,
    terms: Terms,
    ours: RtpAddress,
    local: "Local",
    before: bytes = b"",
    *,
    picture: RtpAddress | None = None,
) -> Agreement:
    """Answer their offer: one codec, their payload types, the mirrored direction, other m-lines refused with
    port 0. `before` is our last description, `picture` where their picture is received, if at all."""
    session, line, remote, own = taken.session, taken.line, taken.remote, taken.own
    numbers, attributes = formats.write_answer(line.audio, line.media)
    attributes += "a=rtcp-mux\r\n" if remote.rtcp_mux else ""
    attributes += own.line if own else ""
    direction = _MIRROR[(remote.sends, remote.receives)]
    section = (
        f"m=audio {ours.port} {line.media.protocol} {numbers}\r\n{attributes}a={direction}\r\n"
    )
    sections = {line.index: section}
    seen = pictures_sdp.find(session, terms.srtp, secured=remote.srtp is not None)
    shown = None
    if seen is not None and picture is not None and _is_reached_as(seen.media, picture):
        shown, section = _shown(seen, terms, picture, before)
        sections[seen.index] = _at(picture, ours, section)
    body = local.write(ours, _in_place(session.media, sections))
    return Agreement(remote=remote, index=line.index, picture=shown, body=body)


def _shown(
    seen: pictures_sdp.PictureLine, terms: Terms, ours: RtpAddress, before: bytes
) -> tuple[PlainRemote, str]:
    """Their picture as it is taken, and our m=video."""
    own = keys = None
    if seen.crypto is not None:
        own = sdes.answered(seen.crypto, _pictured(before).keys)
        keys = sdes.agreed(own, seen.crypto)
    muxed = terms.rtcp_mux
    shown = pictures_sdp.remote_of(seen.media, seen.video, muxed=muxed, keys=keys)
    direction = _MIRROR[(shown.sends, shown.receives)]
    return shown, pictures_sdp.answered(seen, ours, direction, own, muxed=muxed)


def _pictured(before: bytes) -> pictures_sdp.Before:
    return pictures_sdp.before(read(before) if before else None)


def _at(picture: RtpAddress, voice: RtpAddress, section: str) -> str:
    """An m=video with its address, where it is not the voice's: they may be on different machines."""
    if picture.host == voice.host:
        return section
    line, _, rest = section.partition("\r\n")
    return f"{line}\r\n{_connection(picture)}{rest}"


def _is_reached_as(media: Media, ours: RtpAddress) -> bool:
    """Whether their address is of the IP version of ours."""
    return (":" in media.host) == (":" in ours.host)


def accept(body: bytes, terms: Terms, offered: bytes) -> Agreement:
    """Read their answer to our offer. Of several codecs the first is used (RFC 3264 §7). Raises SdpError when
    they took nothing we offered."""
    described, session = read(offered), read(body)
    index, ours = _live(described)
    if index >= len(session.media):
        raise SdpError("the answer lacks our m-line")
    media = session.media[index]
    if media.kind != "audio" or media.port == 0:
        raise SdpError("the answer refuses our voice")
    if (media.protocol in _SECURE) != (ours.protocol in _SECURE):
        raise SdpError("the answer changes the transport")
    codecs = formats.first_of(media, terms.codecs)
    audio = formats.choose(media, codecs, comfort_noise=terms.comfort_noise)
    if audio is None:
        raise SdpError("no common audio format")
    keys = _keys_of_answer(ours, media)
    picture = pictures_sdp.between(described, session, secured=keys is not None)
    remote = _remote(media, audio, terms, keys)
    return Agreement(remote=remote, index=index, picture=picture)


def _keys_of_answer(ours: Media, theirs: Media) -> SrtpKeys | None:
    if not ours.crypto or (theirs.protocol in _PLAIN and not theirs.crypto):
        return None
    keys = sdes.match(sdes.usable(ours.crypto), sdes.usable(theirs.crypto))
    if keys is None:
        raise SdpError("the answer takes none of our SRTP keys")
    return keys


def offer(
    terms: Terms,
    ours: RtpAddress,
    local: "Local",
    before: bytes = b"",
    *,
    picture: RtpAddress | None = None,
) -> bytes:
    """Our offer: every codec of ours in our order, telephone-event, and keys where the policy or the running
    session (`before`, our last description) has them; a picture when it is received at `picture`, with keys of its own where the
    voice has any. Its other m-lines stay refused (RFC 3264 §8)."""
    media = read(before).media if before else ()
    index, last = _live(read(before)) if before else (0, None)
    secure = terms.srtp is SrtpPolicy.REQUIRE or (last is not None and last.protocol in _SECURE)
    has_keys = terms.srtp.offers or (last is not None and bool(last.crypto))
    numbers, attributes = formats.write_offer(terms.codecs, comfort_noise=terms.comfort_noise)
    attributes += "a=rtcp-mux\r\n" if terms.rtcp_mux else ""
    if has_keys:
        attributes += "".join(crypto.line for crypto in sdes.offered(_own_keys(before)))
    protocol = _SECURE[0] if secure else _PLAIN[0]
    taken = {
        index: f"m=audio {ours.port} {protocol} {numbers}\r\n{attributes}a=sendrecv\r\n",
    }
    if picture is not None:
        seen = (n for n, one in enumerate(media) if one.kind == "video")
        place = next(seen, max(len(media), 1))
        last_one = _pictured(before)
        keys = sdes.offered(last_one.keys) if has_keys or last_one.keys else ()
        shown = pictures_sdp.offered(
            picture, keys, muxed=terms.rtcp_mux, secure=secure or last_one.is_secure
        )
        taken[place] = _at(picture, ours, shown)
    return local.write(ours, _in_place(media, taken))


def voice_address(local_sdp: bytes) -> RtpAddress:
    """Where a description of ours wants their voice. Raises SdpError for what is none of ours."""
    _, media = _live(read(local_sdp))
    return RtpAddress(media.host, media.port)


def picture_address(local_sdp: bytes) -> RtpAddress | None:
    """Where our last description wants their picture; None when it has none."""
    return pictures_sdp.own_address(read(local_sdp)) if local_sdp else None


def agreed_picture(local_sdp: bytes, remote_sdp: bytes) -> PlainRemote | None:
    """What the last descriptions of both sides say of the picture."""
    try:
        ours, theirs = read(local_sdp), read(remote_sdp)
        index, own = _live(ours)
        # With keys on both sides the voice is secured: they were offered, and taken.
        secured = bool(own.crypto) and index < len(theirs.media) and theirs.media[index].crypto
        return pictures_sdp.between(ours, theirs, secured=bool(secured))
    except SdpError:
        return None


def _live(session: Session) -> tuple[int, Media]:
    """The m-line of a description of ours that carries the voice."""
    for index, media in enumerate(session.media):
        if media.port and media.kind == "audio":
            return index, media
    raise SdpError("a description of ours without a voice")


def _own_keys(before: bytes) -> tuple[Crypto, ...]:
    return sdes.usable(_live(read(before))[1].crypto) if before else ()


def _in_place(media: Sequence[Media], taken: Mapping[int, str]) -> str:
    """Our sections by their places; every other m-line refused with port 0 (RFC 3264 §6)."""
    return "".join(
        taken.get(position) or _refused(media[position])
        for position in range(max(len(media), max(taken) + 1))
    )


def _refused(media: Media) -> str:
    return f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}\r\n"


_LONGEST_ADDRESS = 64
_known_address = lru_cache(maxsize=1024)(ipaddress.ip_address)


def _address(media: Media) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        known = len(media.host) <= _LONGEST_ADDRESS
        return (_known_address if known else ipaddress.ip_address)(media.host)
    except ValueError as error:
        raise SdpError("the connection address is no IP address") from error


def _remote(media: Media, audio: AudioFormat, terms: Terms, keys: SrtpKeys | None) -> RtpRemote:
    address = _address(media)
    # RFC 2543's hold: an address of zeros means «send me nothing» (RFC 3264 §8.4).
    listens = not address.is_unspecified
    muxed = media.rtcp_mux and terms.rtcp_mux
    return RtpRemote(
        address=RtpAddress(str(address), media.port),
        audio=audio,
        sends=media.direction in ("sendrecv", "sendonly"),
        receives=listens and media.direction in ("sendrecv", "recvonly"),
        rtcp=None if muxed else _rtcp(media),
        rtcp_mux=muxed,
        srtp=keys,
    )


def _rtcp(media: Media) -> RtpAddress | None:
    """Where they want reports, when it is not the usual place (RFC 3605). Only on the host of their voice: a
    description must not make us send to somebody else."""
    if media.rtcp is None:
        return None
    host, port = media.rtcp
    if host not in ("", media.host) or port == media.port + 1:
        return None
    return RtpAddress(str(_address(media)), port)


# By what the far end (sends, receives): our direction in the answer (RFC 3264 §6.1).
_MIRROR = {
    (True, True): "sendrecv",
    (True, False): "recvonly",
    (False, True): "sendonly",
    (False, False): "inactive",
}


@quick
@dataclass(frozen=True, slots=True)
class Local:
    """Our side of a session: the o-line keeps its id, and its version grows with every description we send
    (RFC 3264 §8)."""

    session_id: int
    version: int = 1

    @classmethod
    def new(cls) -> "Local":
        return cls(secrets.randbits(62))

    def next(self) -> "Local":
        return replace(self, version=self.version + 1)

    def write(self, ours: RtpAddress, sections: str) -> bytes:
        connection = _connection(ours)
        return (
            f"v=0\r\no=commhub {self.session_id} {self.version} {connection[2:]}"
            f"s=commhub\r\n{connection}t=0 0\r\n{sections}"
        ).encode()


def _connection(address: RtpAddress) -> str:
    """The c-line."""
    return f"c=IN {'IP6' if ':' in address.host else 'IP4'} {address.host}\r\n"


def connection_host(body: bytes) -> str:
    """The address their voice line names, for comparison with the signalling source; empty when unreadable."""
    try:
        session = read(body)
    except SdpError:
        return ""
    return next((m.host for m in session.media if m.kind == "audio"), "")
