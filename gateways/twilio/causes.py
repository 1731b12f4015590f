"""Twilio's words for the end of a call to causes a dispatcher can act on."""

from collections.abc import Mapping

from commhub.domain.call import Cause
from gateways.twilio.errors import ApiError, NoAnswerError, TwilioError

FINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})

_CAUSES = {
    "completed": Cause.HUNG_UP,
    "busy": Cause.BUSY,
    "no-answer": Cause.NO_ANSWER,
    "canceled": Cause.CANCELLED,
}
# What the network said when a call «failed» (RFC 3261 §21).
_SIP_CAUSES = {
    403: Cause.NOT_ALLOWED,
    404: Cause.NOT_FOUND,
    410: Cause.NOT_FOUND,
    480: Cause.UNREACHABLE,
    484: Cause.NOT_FOUND,
    486: Cause.BUSY,
    600: Cause.BUSY,
    603: Cause.DECLINED,
    604: Cause.NOT_FOUND,
}
# 21211, 21214, 21217 no valid number; 21215 country not enabled; 21216, 21610 blocked; 13225, 13227 not allowed.
_API_CAUSES = {
    21211: Cause.NOT_FOUND,
    21214: Cause.NOT_FOUND,
    21217: Cause.NOT_FOUND,
    13224: Cause.NOT_FOUND,
    21215: Cause.NOT_ALLOWED,
    21216: Cause.NOT_ALLOWED,
    13225: Cause.NOT_ALLOWED,
    13227: Cause.NOT_ALLOWED,
}


def cause_of_end(status: str, fields: Mapping[str, str]) -> tuple[Cause, str | None]:
    """Why a call with this final status ended, and the network's word for it."""
    if status != "failed":
        return _CAUSES.get(status, Cause.FAILED), None
    code = fields.get("SipResponseCode", "")
    known = int(code) if code.isascii() and code.isdigit() and len(code) == 3 else 0
    return _SIP_CAUSES.get(known, Cause.FAILED), f"Twilio: failed {code[:3]}".strip()


def cause_of_error(error: TwilioError) -> Cause:
    """Why a call was not even begun."""
    if isinstance(error, ApiError):
        return _API_CAUSES.get(error.code, Cause.FAILED)
    if isinstance(error, NoAnswerError) and not error.sent:
        return Cause.UNREACHABLE
    return Cause.FAILED
