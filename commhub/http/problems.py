"""Errors as RFC 9457 problem details: one form for refusals, bad bodies, unknown routes and our own faults.

`type` is `urn:commhub:problem:CODE` and never changes; `code` repeats CODE for programs that switch on it. What
a DomainError carries in `details` becomes members of the answer. A fault of ours is logged once with an id
that the answer carries too, and nothing else of it leaves the hub.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from commhub.domain.errors import (
    ConflictError,
    DomainError,
    IllegalMoveError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    RequirementError,
    UnavailableError,
)
from commhub.http.metrics import FAULTS
from commhub.kit.ids import new_id

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
URN = "urn:commhub:problem:"
RETRY_AFTER_S = 5


class UnauthenticatedError(DomainError):
    """Nobody we know. Answers 401."""

    code = "unauthenticated"


class CrossSiteError(DomainError):
    """A browser sent its cookie on behalf of a page that is not ours. Answers 403."""

    code = "cross-site"


class TooManyError(DomainError):
    """Too often; `retry_after_s` in the details says when to come back. Answers 429."""

    code = "too-many-requests"


STATUS: Mapping[type[DomainError], int] = {
    NotFoundError: 404,
    IllegalMoveError: 409,
    RequirementError: 422,
    NotAllowedError: 403,
    ConflictError: 409,
    InvalidError: 422,
    UnavailableError: 503,
    UnauthenticatedError: 401,
    CrossSiteError: 403,
    TooManyError: 429,
    DomainError: 400,
}

_HTTP_CODES = {
    400: "malformed",
    401: "unauthenticated",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    503: "unavailable",
}


class Problem(BaseModel):
    """A problem document (RFC 9457 §3.1), with `code` and whatever members the kind of problem adds."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:commhub:problem:not-found"])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["not-found"])


# What OpenAPI says of every route's refusals.
RESPONSE: dict[str, Any] = {
    "description": "A refusal, as problem details (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Build the answer. `members` cannot replace the standard ones."""
    document: dict[str, object] = {
        **(jsonable_encoder(members) if members else {}),
        "type": URN + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return JSONResponse(
        document, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def of_domain_error(error: DomainError) -> JSONResponse:
    """The answer to a refusal of the core."""
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    headers = {}
    if status in {429, 503}:
        seconds = error.details.get("retry_after_s", RETRY_AFTER_S)
        headers["Retry-After"] = str(math.ceil(float(str(seconds))))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(status, error.code, str(error), members=error.details, headers=headers)


def of_bad_request(errors: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """The answer to a body or parameters of the wrong form: 422 with one line per fault.

    What was sent is not repeated: it may be a password.
    """
    lines = [
        {
            "where": str(error["loc"][0]),
            "pointer": "/" + "/".join(str(part) for part in error["loc"][1:]),
            "detail": str(error["msg"]).removeprefix("Value error, "),
        }
        for error in errors
    ]
    first = lines[0]
    detail = f"{first['where']} {first['pointer']}: {first['detail']}"
    if len(lines) > 1:
        detail += f" (and {len(lines) - 1} more)"
    return problem(422, InvalidError.code, detail, members={"errors": lines})


def of_http_exception(error: HTTPException) -> Response:
    """The answer to what the framework refuses: no such route, no such method, too large."""
    phrase = HTTPStatus(error.status_code).phrase
    if error.status_code in {204, 304}:
        return Response(status_code=error.status_code, headers=error.headers)
    return problem(
        error.status_code,
        _HTTP_CODES.get(error.status_code, phrase.lower().replace(" ", "-")),
        error.detail if error.detail != phrase else f"{phrase.capitalize()}.",
        headers=error.headers,
    )


async def _answer(connection: HTTPConnection, response: Response) -> Response | None:
    """Give the answer to an HTTP request, or refuse a WebSocket handshake with it."""
    if not isinstance(connection, WebSocket):
        return response
    if "websocket.http.response" in connection.scope.get("extensions", {}):
        await connection.send_denial_response(response)
    else:
        await connection.close(1008)
    return None


async def _on_domain_error(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, DomainError)  # noqa: S101 - the registration below promises it
    return await _answer(connection, of_domain_error(error))


async def _on_bad_request(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)  # noqa: S101 - as above
    return await _answer(connection, of_bad_request(error.errors()))


async def _on_http_exception(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    return await _answer(connection, of_http_exception(error))


def install(app: FastAPI) -> None:
    """Make every refusal of `app` a problem document."""
    handlers: dict[type[Exception], Any] = {
        DomainError: _on_domain_error,
        RequestValidationError: _on_bad_request,
        WebSocketRequestValidationError: _on_bad_request,
        HTTPException: _on_http_exception,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


class FaultsToProblems:
    """Our own faults: logged once with an id, answered 500 with that id. Pure ASGI, outermost.

    An answer that has begun cannot be changed: the fault goes on to the server, which drops the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            error_id = new_id()
            FAULTS.inc()
            log.exception(
                "request_failed", error_id=error_id, method=scope["method"], path=scope["path"]
            )
            if begun:
                raise
            response = problem(
                500,
                "internal",
                "The hub failed at this request; the operator finds why under error_id in the log.",
                members={"error_id": error_id},
            )
            await response(scope, receive, send)
