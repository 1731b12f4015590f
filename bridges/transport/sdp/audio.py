"""The sound of an offer: one Opus stream, with telephone-event where it is offered."""

from dataclasses import dataclass
from typing import cast

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from bridges.transport.sdp import answers, offers
from bridges.transport.sdp.answers import LocalSide
from commhub.domain.errors import InvalidError

_OPUS_RATE = 48000
_DTMF_RATES = (48000, 8000)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedSound:
    """One Opus stream. `sends`/`receives` are the far end's direction."""

    opus_type: int
    opus_fmtp: str
    dtmf_type: int | None
    sends: bool
    receives: bool
    media: sdp.MediaDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioOffer:
    """One audio stream somebody offers. `session` names the far end's session (RFC 8866 §5.2): an offer of the
    same one is a restart, of another a new beginning. `sends`/`receives` are the far end's direction."""

    session: str
    dtls: RTCDtlsParameters
    sound: OfferedSound
    description: sdp.SessionDescription

    @property
    def opus_type(self) -> int:
        return self.sound.opus_type

    @property
    def opus_fmtp(self) -> str:
        return self.sound.opus_fmtp

    @property
    def dtmf_type(self) -> int | None:
        return self.sound.dtmf_type

    @property
    def sends(self) -> bool:
        return self.sound.sends

    @property
    def receives(self) -> bool:
        return self.sound.receives

    @property
    def fingerprints(self) -> frozenset[tuple[str, str]]:
        return offers.prints_of(self.dtls)

    @property
    def we_are_server(self) -> bool:
        """RFC 8842 §5.3: we let the far end begin unless it insists on waiting."""
        return self.dtls.role != "server"


def read_audio_offer(text: str) -> AudioOffer:
    """The first audio stream of an offer. Raises InvalidError with what is wrong or missing."""
    description = offers.parse(text)
    media = next((m for m in description.media if m.kind == "audio" and m.port != 0), None)
    if media is None:
        raise InvalidError("the offer has no audio stream")
    offers.require_transport(media)
    sound = read_sound(media)
    if sound is None:
        raise InvalidError("the offer has no Opus, the only codec of a browser's leg (RFC 7874 §3)")
    return AudioOffer(
        session=offers.session_of(description),
        dtls=cast("RTCDtlsParameters", media.dtls),
        sound=sound,
        description=description,
    )


def read_sound(media: sdp.MediaDescription) -> OfferedSound | None:
    """What an audio stream offers; None without Opus."""
    opus = _at_rate(media, "opus", (_OPUS_RATE,))
    if opus is None or opus.payloadType is None:
        return None
    dtmf = _at_rate(media, "telephone-event", _DTMF_RATES)
    direction = media.direction or "sendrecv"
    return OfferedSound(
        opus_type=opus.payloadType,
        opus_fmtp=sdp.parameters_to_sdp(opus.parameters),
        dtmf_type=dtmf.payloadType if dtmf else None,
        sends=direction in {"sendrecv", "sendonly"},
        receives=direction in {"sendrecv", "recvonly"},
        media=media,
    )


def write_audio_answer(offer: AudioOffer, local: LocalSide) -> str:
    """Our answer: the audio stream, everything else declined."""
    ours = offer.sound.media
    mid = ours.rtp.muxId
    bundled = any(g.semantic == "BUNDLE" and mid in g.items for g in offer.description.group)
    answer = answers.new_answer(local, [mid] if bundled else [])
    answer.media = [
        answer_sound(offer.sound, local) if media is ours else answers.declined(media, local)
        for media in offer.description.media
    ]
    return str(answer)


def answer_sound(sound: OfferedSound, local: LocalSide) -> sdp.MediaDescription:
    """The stream with Opus, and telephone-event, as we take it."""
    wanted = (sound.opus_type, sound.dtmf_type)
    codecs = [
        _agreed(codec, sound.opus_type)
        for codec in sound.media.rtp.codecs
        if codec.payloadType in wanted
    ]
    return answers.taken(sound.media, codecs, local, sends=local.sends, receives=local.receives)


def _at_rate(
    media: sdp.MediaDescription, name: str, rates: tuple[int, ...]
) -> RTCRtpCodecParameters | None:
    """The offered codec of that name, at the first of `rates` that is offered."""
    named = offers.codecs_named(media, name)
    return next((c for rate in rates for c in named if c.clockRate == rate), None)


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
