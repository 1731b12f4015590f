"""What is refused before any route sees it: bodies that are too large, and addresses with a NUL. Pure ASGI.

A body is refused by its Content-Length at once, and one without (chunked) when its bytes pass the limit, so
no request makes the hub hold more than the limit in memory. What the sender is still sending is read and
thrown away for a moment before the answer: a socket closed over unread bytes is reset, and then the sender
loses the answer that says why (RFC 9112 9.6).
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commhub.http.metrics import REFUSED_BODIES
from commhub.http.problems import problem

MAX_BODY = 1024 * 1024
LINGER_BYTES = 16 * 1024 * 1024
LINGER_SECONDS = 2.0


class RequestLimits:
    """`max_body` is in bytes."""

    def __init__(self, app: ASGIApp, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # No text we keep holds NUL, and PostgreSQL fails at one in a parameter.
        if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
            await problem(400, "malformed", "an address may not contain NUL")(scope, receive, send)
            return
        length = next((v for k, v in scope["headers"] if k == b"content-length"), b"")
        if length.isdigit() and int(length) > self._max_body:
            REFUSED_BODIES.inc()
            if not any(k == b"expect" for k, _ in scope["headers"]):
                await _drain(receive)
            # The body may not have been read to its end, so the connection cannot carry another request.
            refusal = problem(413, "too-large", self._sentence, headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        read = 0

        async def count() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_body:
                REFUSED_BODIES.inc()
                if message.get("more_body"):
                    await _drain(receive)
                raise HTTPException(413, self._sentence, headers={"Connection": "close"})
            return message

        await self._app(scope, count, send)

    @property
    def _sentence(self) -> str:
        return f"the body is larger than the {self._max_body} bytes that are taken here"


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
