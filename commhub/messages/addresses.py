"""Which channel reaches which kind of address."""

from collections.abc import Collection, Iterable, Sequence

from commhub.domain.errors import InvalidError
from commhub.domain.people import Endpoint, Responder, Scheme

SCHEME_OF = {
    "wecom": Scheme.WECOM,
    "sms": Scheme.TEL,
    "sip": Scheme.SIP,
    "sip_text": Scheme.SIP,
    "tel": Scheme.TEL,
    "ptt": Scheme.RADIO,
    "radio": Scheme.RADIO,
}

_RINGING = frozenset({"sip", "tel"})
"""They ring a telephone and ask for a key; what a text says they cannot show."""


def for_texts(in_service: Collection[str]) -> list[str]:
    """The channels in the order in which a text tries them: who is shown it first, who is rung last."""
    return sorted(in_service, key=lambda channel: (channel in _RINGING, channel))


def channels_to(
    responder: Responder, wanted: Sequence[str], in_service: Collection[str]
) -> list[tuple[str, Endpoint]]:
    """The wanted channels in service that reach the responder, in the wanted order; when none of them does,
    all in service that do: somebody who can be reached at all is told."""
    return _reaching(responder, [c for c in wanted if c in in_service]) or _reaching(
        responder, sorted(in_service)
    )


def _reaching(responder: Responder, channels: Iterable[str]) -> list[tuple[str, Endpoint]]:
    found = ((channel, _endpoint(responder, channel)) for channel in dict.fromkeys(channels))
    return [(channel, endpoint) for channel, endpoint in found if endpoint is not None]


def _endpoint(responder: Responder, channel: str) -> Endpoint | None:
    scheme = SCHEME_OF.get(channel)
    return responder.endpoint(scheme) if scheme else None


def channel_for(endpoint: Endpoint, in_service: Collection[str]) -> str:
    """The channel in service that carries a text to the address. Raises InvalidError."""
    for channel in for_texts(in_service):
        if SCHEME_OF.get(channel) == endpoint.scheme:
            return channel
    raise InvalidError(f"no channel in service reaches {endpoint}", endpoint=str(endpoint))


def same_address(one: str, other: str, channel: str) -> bool:
    """Whether two addresses of a channel are one. WeCom gives user ids back in lower case (D/90236)."""
    one, other = (_bare(text, channel) for text in (one, other))
    return one.casefold() == other.casefold() if channel == "wecom" else one == other


def _bare(text: str, channel: str) -> str:
    scheme = SCHEME_OF.get(channel)
    return text.removeprefix(f"{scheme}:") if scheme else text
