"""What is refused before any route sees it: bodies that are too large, and addresses with a NUL. Pure ASGI.

A body is refused by its Content-Length at once, and one without (chunked) when its bytes pass the limit, so
no request makes the hub hold more than the limit in memory. What the sender is still sending is read and
thrown away for a moment before the answer: a socket closed over unread bytes is reset, and then the sender
loses the answer that says why (RFC 9112 9.6).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commhub.http.metrics import REFUSED_BODIES
from commhub.http.problems import problem

MAX_BODY = 1024 * 1024
LINGER_BYTES = 16 * 1024 * 1024
LINGER_SECONDS = 2.0

_LIMIT = "__commhub_body_limit__"

EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])


def takes_files(limit: int) -> Callable[[EndpointT], EndpointT]:
    """Mark an endpoint whose body is a file of up to `limit` bytes. Its path has no parameters."""

    def mark(endpoint: EndpointT) -> EndpointT:
        setattr(endpoint, _LIMIT, limit)
        return endpoint

    return mark


def larger_bodies(routers: Iterable[APIRouter], prefix: str) -> Mapping[str, int]:
    """The paths of the endpoints that take files, and their limits."""
    return {
        prefix + route.path: limit
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        and (limit := getattr(route.endpoint, _LIMIT, None)) is not None
    }


class RequestLimits:
    """`max_body` is in bytes; `larger` has the paths whose bodies may be larger (files), and how large."""

    def __init__(
        self,
        app: ASGIApp,
        max_body: int = MAX_BODY,
        larger: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # No text we keep holds NUL, and PostgreSQL fails at one in a parameter.
        if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
            await problem(400, "malformed", "an address may not contain NUL")(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._max_body)
        length = next((v for k, v in scope["headers"] if k == b"content-length"), b"")
        if length.isdigit() and int(length) > limit:
            REFUSED_BODIES.inc()
            if not any(k == b"expect" for k, _ in scope["headers"]):
                await _drain(receive)
            # The body may not have been read to its end, so the connection cannot carry another request.
            refusal = problem(413, "too-large", _sentence(limit), headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        read = 0

        async def count() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                REFUSED_BODIES.inc()
                if message.get("more_body"):
                    await _drain(receive)
                raise HTTPException(413, _sentence(limit), headers={"Connection": "close"})
            return message

        await self._app(scope, count, send)


def _sentence(limit: int) -> str:
    return f"the body is larger than the {limit} bytes that are taken here"


async def _drain(receive: Receive) -> None:
    """Read what is still coming and keep none of it, for `LINGER_SECONDS` and `LINGER_BYTES` at most."""
    read = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while read < LINGER_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except TimeoutError:
        return
