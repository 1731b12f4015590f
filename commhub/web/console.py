"""The browser console: built files, and index.html for the addresses of its own router.

It is the application's last resort, not a mount: a mount at the root would answer a wrong method on a route.
Built files carry a hash of their content in the name and are kept for a year; index.html, which names
them, is asked for every time.
"""

from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

HASHED = "assets/"
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

# Addresses of programs: a wrong one is a plain 404, never a page.
_NOT_PAGES = ("api/", "whip/", "whep/", "wecom/", "twilio/")

NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>commhub</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40em;margin:15vh auto;padding:0 1em;color:#223}
code{background:#eef;padding:.1em .4em;border-radius:3px}</style></head><body>
<h1>The console is not built</h1>
<p>The hub is running: its API answers under <code>/api/v1</code>, and <a href="/docs">/docs</a> describes it.</p>
<p>Build the console with <code>make console</code> in the source tree (a wheel brings it along), then reload.</p>
<h1 lang="zh-CN">控制台尚未构建</h1>
<p lang="zh-CN">中枢已在运行。请在源码目录执行 <code>make console</code>,然后刷新本页。</p>
</body></html>
"""


class Console:
    """An ASGI application; `static_dir` is what the console's build wrote (None or empty: not built)."""

    def __init__(self, static_dir: Path | None) -> None:
        self._index = static_dir / "index.html" if static_dir else None
        self._files = StaticFiles(directory=static_dir, check_dir=False) if static_dir else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        response = await self._answer(scope, Request(scope))
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, request: Request) -> Response:
        path = scope["path"].lstrip("/")
        if path.startswith(_NOT_PAGES):
            raise HTTPException(404)
        if request.method not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        if self._files is None or self._index is None or not self._index.is_file():
            if path:
                raise HTTPException(404)
            return HTMLResponse(NOT_BUILT, status_code=503)
        try:
            response = await self._files.get_response(path or "index.html", scope)
        except HTTPException as error:
            if error.status_code != 404 or not _wants_page(path, request):
                raise
            response = await self._files.get_response("index.html", scope)
            path = ""
        response.headers["Cache-Control"] = FOR_EVER if path.startswith(HASHED) else ASK_AGAIN
        return response


def _wants_page(path: str, request: Request) -> bool:
    """A browser going to an address of the console's router; a missing picture is not one."""
    is_page = not PurePosixPath(path).suffix
    return is_page and "text/html" in request.headers.get("accept", "")
