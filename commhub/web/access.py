"""One structured line and two metrics a request. Quiet: what went well is a debug line.

Neither the query nor the body is written: names and numbers of people are in them. Pure ASGI.
"""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commhub.web.metrics import REQUESTS, SECONDS

log = structlog.get_logger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessLog:
    """Outermost, so that it sees the status that really left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            _note(scope, status, time.perf_counter() - started)


def _note(scope: Scope, status: int, seconds: float) -> None:
    # The matched route's template; a path nobody has could be any text, so it gets no label of its own.
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)
    fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
    if status < 400:
        log.debug("http_request", **fields)
    else:
        log.info("http_request", **fields)
