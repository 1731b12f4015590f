"""Session descriptions (RFC 8866) and offer/answer (RFC 3264) for one G.711 voice with telephone-event.

The reader takes what real phones write (lone line feeds, missing lines, unknown attributes); the writer writes
exactly what the RFC's grammar says. More codecs are more rows of `SUPPORTED`.
"""

import ipaddress
import secrets
from dataclasses import dataclass, field, replace

from commhub.ports.media import AudioFormat, RtpAddress, RtpRemote
from gateways.sip.errors import SdpError

# Encoding name to static payload type (RFC 3551 §6).
SUPPORTED = {"PCMU": 0, "PCMA": 8}
_STATIC = {str(number): name for name, number in SUPPORTED.items()}
TELEPHONE_EVENT = "TELEPHONE-EVENT"
DTMF_PAYLOAD_TYPE = 101
PTIMES_MS = (10, 20, 30, 40, 60)
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_MAX_LINES = 512
_MAX_FORMATS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One m-line. `formats` keep the writer's order; `names` are rtpmap's «NAME/RATE» by payload type."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    host: str = ""
    names: dict[str, str] = field(default_factory=dict)
    direction: str = "sendrecv"
    ptime_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A description as read. `media` in the order of the m-lines, which an answer repeats (RFC 3264 §6)."""

    media: tuple[Media, ...]
    session_id: str = "0"
    version: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What both sides will do. `remote` is the far end's as the media engine takes it; `index` is the m-line
    that carries the voice; `body` is our answer, None when theirs was the answer."""

    remote: RtpRemote
    index: int = 0
    body: bytes | None = None

    @property
    def held(self) -> bool:
        """The far end wants nothing from us: it has us on hold (RFC 3264 §8.4)."""
        return not self.remote.receives


def read(body: bytes) -> Session:
    """Raises SdpError when there is no m-line to make sense of."""
    text = body.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()[:_MAX_LINES]]
    host, direction, session_id, version = "", "sendrecv", "0", "0"
    media: list[Media] = []
    for line in lines:
        kind, equals, value = line.partition("=")
        if not equals:
            continue
        if kind == "m":
            media.append(replace(_read_media(value), host=host, direction=direction))
        elif media:
            media[-1] = _media_line(media[-1], kind, value)
        elif kind == "c":
            host = _read_connection(value)
        elif kind == "a" and value in _DIRECTIONS:
            direction = value
        elif kind == "o" and len(value.split()) >= 3:
            session_id, version = value.split()[1:3]
    if not media:
        raise SdpError("no media description")
    return Session(media=tuple(media), session_id=session_id, version=version)


def _read_media(value: str) -> Media:
    parts = value.split()
    if len(parts) < 4:
        raise SdpError("an m-line has a kind, a port, a protocol and formats")
    kind, port_text, protocol, *formats = parts
    port = port_text.partition("/")[0]
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        raise SdpError(f"«{port_text[:16]}» is no port")
    return Media(
        kind=kind.lower(),
        port=int(port),
        protocol=protocol.upper(),
        formats=tuple(formats[:_MAX_FORMATS]),
    )


def _media_line(media: Media, kind: str, value: str) -> Media:
    if kind == "c":
        return replace(media, host=_read_connection(value))
    if kind != "a":
        return media
    name, _, rest = value.partition(":")
    if name in _DIRECTIONS:
        return replace(media, direction=name)
    if name == "rtpmap":
        payload_type, _, encoding = rest.strip().partition(" ")
        if payload_type in media.formats:
            return replace(media, names={**media.names, payload_type: encoding.strip().upper()})
    elif name == "ptime":
        number = rest.strip().partition(".")[0]
        if number.isascii() and number.isdigit() and len(number) <= 4:
            return replace(media, ptime_ms=int(number))
    return media


def _read_connection(value: str) -> str:
    parts = value.split()
    return parts[2].partition("/")[0] if len(parts) >= 3 else ""


def usable(session: Session, codecs: tuple[str, ...]) -> tuple[int, RtpRemote]:
    """The first m-line we can speak, with its first codec of ours. Raises SdpError (488)."""
    for index, media in enumerate(session.media):
        if media.kind != "audio" or media.port == 0 or media.protocol != "RTP/AVP":
            continue
        if audio := _first_codec(media, codecs):
            return index, _remote(media, audio)
    raise SdpError("no common audio format")


def _first_codec(media: Media, codecs: tuple[str, ...]) -> AudioFormat | None:
    dtmf = next((p for p in media.formats if _name(media, p) == TELEPHONE_EVENT), None)
    for payload_type in media.formats:
        name = _name(media, payload_type)
        if name in codecs and _is_payload_type(payload_type):
            return AudioFormat(
                encoding=name,
                payload_type=int(payload_type),
                ptime_ms=media.ptime_ms if media.ptime_ms in PTIMES_MS else 20,
                dtmf_payload_type=int(dtmf) if dtmf and _is_payload_type(dtmf) else None,
            )
    return None


def _name(media: Media, payload_type: str) -> str:
    """The encoding name when the clock is 8 kHz, else nothing."""
    encoding = media.names.get(payload_type)
    if encoding is None:
        return _STATIC.get(payload_type, "")
    name, _, rate = encoding.partition("/")
    return name if rate.partition("/")[0] in ("8000", "") else ""


def _is_payload_type(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128


def _remote(media: Media, audio: AudioFormat) -> RtpRemote:
    try:
        address = ipaddress.ip_address(media.host)
    except ValueError as error:
        raise SdpError("the connection address is no IP address") from error
    # RFC 2543's hold: an address of zeros means «send me nothing» (RFC 3264 §8.4).
    listens = not address.is_unspecified
    return RtpRemote(
        address=RtpAddress(str(address), media.port),
        audio=audio,
        sends=media.direction in ("sendrecv", "sendonly"),
        receives=listens and media.direction in ("sendrecv", "recvonly"),
    )


def answer(body: bytes, codecs: tuple[str, ...], ours: RtpAddress, local: "Local") -> Agreement:
    """Answer their offer: one codec, their payload types, the mirrored direction, other m-lines refused
    with port 0. Raises SdpError (488)."""
    session = read(body)
    index, remote = usable(session, codecs)
    sections = [
        _section(remote.audio, ours, _MIRROR[(remote.sends, remote.receives)])
        if position == index
        else f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}\r\n"
        for position, media in enumerate(session.media)
    ]
    return Agreement(remote=remote, index=index, body=local.write(ours, "".join(sections)))


def accept(body: bytes, codecs: tuple[str, ...]) -> Agreement:
    """Read their answer to our offer. Raises SdpError when they took nothing we offered."""
    index, remote = usable(read(body), codecs)
    return Agreement(remote=remote, index=index)


def offer(codecs: tuple[str, ...], ours: RtpAddress, local: "Local") -> bytes:
    """Our offer: every codec of ours in our order, and telephone-event."""
    formats = [SUPPORTED[name] for name in codecs]
    numbers = " ".join(str(number) for number in [*formats, DTMF_PAYLOAD_TYPE])
    maps = "".join(f"a=rtpmap:{SUPPORTED[name]} {name}/8000\r\n" for name in codecs)
    section = (
        f"m=audio {ours.port} RTP/AVP {numbers}\r\n{maps}{_dtmf(DTMF_PAYLOAD_TYPE)}"
        "a=ptime:20\r\na=sendrecv\r\n"
    )
    return local.write(ours, section)


# By what the far end (sends, receives): our direction in the answer (RFC 3264 §6.1).
_MIRROR = {
    (True, True): "sendrecv",
    (True, False): "recvonly",
    (False, True): "sendonly",
    (False, False): "inactive",
}


def _section(audio: AudioFormat, ours: RtpAddress, direction: str) -> str:
    dtmf = audio.dtmf_payload_type
    formats = f"{audio.payload_type}" + ("" if dtmf is None else f" {dtmf}")
    return (
        f"m=audio {ours.port} RTP/AVP {formats}\r\n"
        f"a=rtpmap:{audio.payload_type} {audio.encoding}/{audio.clock_rate}\r\n"
        + ("" if dtmf is None else _dtmf(dtmf))
        + f"a=ptime:20\r\na={direction}\r\n"
    )


def _dtmf(payload_type: int) -> str:
    return f"a=rtpmap:{payload_type} telephone-event/8000\r\na=fmtp:{payload_type} 0-15\r\n"


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
        family = "IP6" if ":" in ours.host else "IP4"
        return (
            f"v=0\r\no=commhub {self.session_id} {self.version} IN {family} {ours.host}\r\n"
            f"s=commhub\r\nc=IN {family} {ours.host}\r\nt=0 0\r\n{sections}"
        ).encode()


def connection_host(body: bytes) -> str:
    """The address their voice line names, for comparison with the signalling source; empty when unreadable."""
    try:
        session = read(body)
    except SdpError:
        return ""
    return next((m.host for m in session.media if m.kind == "audio"), "")
