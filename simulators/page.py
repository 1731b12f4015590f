"""The page every simulator has: what it sees now, and a button for each thing it can be told to do."""

import html
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

State = Callable[[], Mapping[str, Any]]
Command = Callable[[dict[str, Any]], Awaitable[Any]]

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:52rem;padding:0 1rem;background:#f6f7f9;color:#1d2733}}
button{{font:inherit;margin:0 .5rem .5rem 0;padding:.4rem .9rem;border:1px solid #b6c0cc;border-radius:6px;background:#fff;cursor:pointer}}
pre{{background:#fff;border:1px solid #dde3ea;border-radius:8px;padding:1rem;overflow:auto}}</style>
<h1>{title}</h1><p>{buttons}</p><pre id="state">…</pre>
<script>const act=c=>fetch('/do/'+c,{{method:'POST',headers:{{'content-type':'application/json'}},body:'{{}}'}}).then(show);
const show=()=>fetch('/state').then(r=>r.json()).then(s=>document.getElementById('state').textContent=JSON.stringify(s,null,2));
show();setInterval(show,1000)</script></html>"""


def create_page(title: str, state: State, commands: Mapping[str, Command]) -> FastAPI:
    """Build the page. A command gets the posted JSON object and answers JSON; ValueError becomes 422."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    buttons = "".join(
        f'<button onclick="act({html.escape(json.dumps(name))})">{html.escape(name)}</button>'
        for name in commands
    )
    page = _PAGE.format(title=html.escape(title), buttons=buttons)

    @app.get("/")
    async def show() -> HTMLResponse:
        return HTMLResponse(page)

    @app.get("/state")
    async def read() -> Mapping[str, Any]:
        return state()

    @app.post("/do/{name}")
    async def do(name: str, request: Request) -> Any:
        if name not in commands:
            raise HTTPException(404, f"no such command; there are {', '.join(commands)}")
        body = await request.body()
        try:
            return await commands[name](json.loads(body) if body else {})
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    return app


async def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve the page until the process is told to stop."""
    await uvicorn.Server(
        uvicorn.Config(app, host=host, port=port, log_level="warning", access_log=False)
    ).serve()
