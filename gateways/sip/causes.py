"""SIP statuses to causes a dispatcher can act on, and back."""

from commhub.domain.call import Cause
from gateways.sip.message import Response, clean_text
from gateways.sip.reasons import REASONS

_CAUSES = {
    401: Cause.NOT_ALLOWED,
    403: Cause.NOT_ALLOWED,
    404: Cause.NOT_FOUND,
    407: Cause.NOT_ALLOWED,
    408: Cause.NO_ANSWER,
    410: Cause.NOT_FOUND,
    415: Cause.NO_COMMON_CODEC,
    480: Cause.UNREACHABLE,
    484: Cause.NOT_FOUND,
    486: Cause.BUSY,
    487: Cause.NO_ANSWER,
    488: Cause.NO_COMMON_CODEC,
    600: Cause.BUSY,
    603: Cause.DECLINED,
    604: Cause.NOT_FOUND,
    606: Cause.NO_COMMON_CODEC,
}

_STATUSES = {
    Cause.BUSY: 486,
    Cause.DECLINED: 603,
    Cause.DESK: 603,
    Cause.NOT_ALLOWED: 403,
    Cause.NOT_FOUND: 404,
    Cause.NO_COMMON_CODEC: 488,
    Cause.FAILED: 500,
}

# Of several phones of one account, the answer of the person counts more than that of the network.
_WEIGHT = (
    Cause.DECLINED,
    Cause.BUSY,
    Cause.NO_ANSWER,
    Cause.NO_COMMON_CODEC,
    Cause.NOT_ALLOWED,
    Cause.UNREACHABLE,
    Cause.NOT_FOUND,
    Cause.FAILED,
)


def cause_of(status: int) -> Cause:
    """Why an outbound leg failed, from the final status of its INVITE."""
    return _CAUSES.get(status, Cause.FAILED)


def detail_of(response: Response) -> str:
    """The status and the peer's phrase, fit for a screen."""
    return f"{response.status} {clean_text(response.reason)}".strip()


def status_of(cause: Cause) -> int:
    """What an inbound caller is told when the core refuses or ends its unanswered call."""
    return _STATUSES.get(cause, 480)


def phrase_of(status: int) -> str:
    """The RFC's words for a status."""
    return REASONS.get(status, "Unknown")


def weight_of(cause: Cause) -> int:
    """Smaller is more telling."""
    return _WEIGHT.index(cause) if cause in _WEIGHT else len(_WEIGHT)
