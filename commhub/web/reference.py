"""`/openapi.json`, and `/docs`: the same contract as one plain page.

The usual viewers load their scripts from elsewhere, which an office network does not reach and our own
content policy forbids; this page needs no script at all.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, JSONResponse

from commhub.http.auth import public

_STYLE = """
body{font:15px/1.6 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color:#1c2733}
h2{margin-top:2em;border-bottom:1px solid #ccd}
details{border:1px solid #dde;border-radius:6px;margin:.5em 0;padding:.4em .8em}
summary{cursor:pointer}code,pre{font:13px/1.5 ui-monospace,monospace}
pre{background:#f4f6fa;padding:.6em;overflow:auto;border-radius:4px}
b{display:inline-block;min-width:4.5em;color:#0b5cad}
@media(prefers-color-scheme:dark){body{background:#10161d;color:#d6dee8}pre{background:#1a232e}
h2,details{border-color:#2c3947}b{color:#6db3f2}a{color:#6db3f2}}
"""

Json = Mapping[str, Any]


def build_reference_router(app: FastAPI) -> APIRouter:
    """The routes; the document is made when first asked for, as all routes are there by then."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    @public("the contract holds no data; clients are made from it")
    async def contract() -> JSONResponse:
        return JSONResponse(app.openapi())

    @router.get("/docs")
    @public("the contract holds no data; whoever writes a client reads it first")
    async def reference() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()))

    return router


def render(document: Json) -> str:
    """The OpenAPI document as an HTML page."""
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>Sign in with <code>POST /api/v1/accounts/session</code>, or send "
        "<code>Authorization: Bearer KEY</code>. Errors are problem details (RFC 9457). "
        'The machine-readable form is <a href="/openapi.json">/openapi.json</a>.</p>'
        f"{''.join(_operations(document))}<h2>Models</h2>{''.join(_models(document))}</body></html>"
    )


def _operations(document: Json) -> Iterator[str]:
    heading = None
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            if tag != heading:
                heading = tag
                yield f"<h2>{escape(tag)}</h2>"
            yield _operation(path, method, operation)


def _operation(path: str, method: str, operation: Json) -> str:
    # The first sentence tells them apart in the list; the whole text is inside.
    text = operation.get("description", "")
    first = text.split("\n", 1)[0]
    parameters = "".join(
        f"<li><code>{escape(p['name'])}</code> ({escape(p['in'])}) {escape(p.get('description', ''))}</li>"
        for p in operation.get("parameters", ())
    )
    body = operation.get("requestBody")
    answers = "".join(
        f"<li><code>{escape(status)}</code> {escape(answer['description'])} {_schemas(answer)}</li>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code> "
        f"{escape(first)}</summary><p>{escape(text)}</p>"
        + (f"<ul>{parameters}</ul>" if parameters else "")
        + (f"<p>Body: {_schemas(body)}</p>" if body else "")
        + f"<p>Answers:</p><ul>{answers}</ul></details>"
    )


def _schemas(holder: Json) -> str:
    """Name the models of a body or an answer, linked to their place on the page."""
    return ", ".join(
        _schema_name(content.get("schema", {})) for content in holder.get("content", {}).values()
    )


def _schema_name(schema: Json) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if "items" in schema:
        return f"list of {_schema_name(schema['items'])}"
    return escape(str(schema.get("title", schema.get("type", ""))))


def _models(document: Json) -> Iterator[str]:
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        text = json.dumps(schema, ensure_ascii=False, indent=2)
        yield (
            f'<details id="{escape(name)}"><summary>{escape(name)}</summary>'
            f"<pre>{escape(text)}</pre></details>"
        )
