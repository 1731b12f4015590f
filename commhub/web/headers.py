"""Security headers on every answer. Pure ASGI.

The policy lets the bundled console work and nothing else load: everything comes from the hub itself, because
an office network has no other place to load from and no other place is trusted. Styles may be inline: the
chart and map libraries of the console write them into what they draw. Scripts may not.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DIRECTIVES = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
CONTENT_SECURITY_POLICY = "; ".join(f"{name} {value}" for name, value in _DIRECTIVES.items())

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The desk's own microphone, camera and position; nobody embedded in it gets them.
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(self)",
}


class SecurityHeaders:
    """A header that a route set itself is left alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    # What the hub knows about people stays out of every cache.
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, add if scope["type"] == "http" else send)
