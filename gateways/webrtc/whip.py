"""What WHIP (RFC 9725) and WHEP have of HTTP, whether the resource is a leg or a room's session."""

import re
from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import Response

from commhub.domain.errors import InvalidError
from commhub.http.problems import problem
from gateways.webrtc.metrics import OFFERS

MAX_BODY = 64 * 1024
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
# RFC 9725 §4.2: pages of other origins may offer, with a token; a cookie never comes along with a wildcard.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Expose-Headers": "Location, ETag, Link, Accept-Post, Accept-Patch",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
OPTIONS = {**CORS, "Accept-Post": SDP, "Accept-Patch": FRAGMENT}
_RESTART = re.compile(r"^a=ice-(ufrag|pwd):", re.MULTILINE)


def bearer_of(request: Request) -> str:
    """The token of `Authorization: Bearer`; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def read_offer(request: Request, protocol: str) -> str | Response:
    """The offer's text, or the refusal. Raises InvalidError for what is no UTF-8."""
    if _media_type(request) != SDP:
        OFFERS.labels(protocol, "unsupported").inc()
        return problem(415, "unsupported-media-type", f"an offer is {SDP}", headers=OPTIONS)
    text = await _read_bounded(request)
    if text is None:
        OFFERS.labels(protocol, "too_large").inc()
        return problem(413, "too-large", f"an offer has at most {MAX_BODY // 1024} KiB")
    return text


def answer_created(
    answer: str, location: str, session: str, more: Mapping[str, str] | None = None
) -> Response:
    """201 with our answer (RFC 9725 §4.2)."""
    return Response(
        answer,
        status_code=201,
        media_type=SDP,
        headers={
            **CORS,
            **(more or {}),
            "Location": location,
            "ETag": f'"{session}"',
            "Accept-Patch": FRAGMENT,
            "Cache-Control": "no-store",
        },
    )


async def take_fragment(request: Request, session: str, *, is_present: bool) -> Response:
    """Candidates that trickle in (RFC 9725 §4.3.2): taken, and not needed by an ICE-lite side. Raises InvalidError for a
    restart of ICE, which is an offer here, because an offer also says what the browser can do now."""
    if _media_type(request) != FRAGMENT:
        return problem(415, "unsupported-media-type", f"send {FRAGMENT}", headers=OPTIONS)
    match = request.headers.get("if-match")
    if match is None:
        return problem(428, "precondition-required", "If-Match with the session's ETag is missing")
    if not is_present or match not in ("*", f'"{session}"'):
        return problem(412, "precondition-failed", "another ICE session has taken its place")
    text = await _read_bounded(request)
    if text is None:
        return problem(413, "too-large", f"a fragment has at most {MAX_BODY // 1024} KiB")
    if match == "*" and _RESTART.search(text):
        raise InvalidError("to restart ICE, send a new offer by POST to the same address")
    return Response(status_code=204, headers=CORS)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_bounded(request: Request) -> str | None:
    """The body as text; None when it is too long. Raises InvalidError for what is no UTF-8."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    try:
        return bytes(body).decode()
    except UnicodeDecodeError as error:
        raise InvalidError("the body is no UTF-8 text") from error
