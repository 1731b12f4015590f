"""An application around a router, and a client of it, with people who need no database to be known."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI

from commhub.domain.account import Principal
from commhub.domain.people import Role
from commhub.http.app import new_app
from commhub.http.limits import larger_bodies
from commhub.kit.clock import Clock, SystemClock


def someone(*roles: Role, name: str = "li", kind: str = "user") -> Principal:
    """A principal with these roles (a dispatcher when none is named)."""
    chosen = frozenset(roles or (Role.DISPATCHER,))
    return Principal(id=f"id-{name}", name=name, kind=kind, roles=chosen, display_name=name)


class FakePrincipals:
    """Knows the given cookies and keys."""

    def __init__(
        self,
        *,
        sessions: Mapping[str, Principal] | None = None,
        keys: Mapping[str, Principal] | None = None,
    ) -> None:
        self.sessions = dict(sessions or {})
        self.keys = dict(keys or {})

    async def of_session(self, token: str, *, active: bool = True) -> Principal | None:
        return self.sessions.get(token)

    async def of_key(self, key: str) -> Principal | None:
        return self.keys.get(key)


def app_of(
    *routers: APIRouter,
    keys: Mapping[str, Principal] | None = None,
    sessions: Mapping[str, Principal] | None = None,
    clock: Clock | None = None,
) -> FastAPI:
    """The hub's manners around these routers alone, under /api/v1.

    By default the key `desk` is a dispatcher, `viewer` a viewer, `admin` has every role.
    """
    known = {
        "desk": someone(),
        "viewer": someone(Role.VIEWER, name="wang"),
        "admin": someone(*Role, name="chen"),
    }
    app = new_app(
        principals=FakePrincipals(keys={**known, **(keys or {})}, sessions=sessions),
        clock=clock or SystemClock(),
        larger_bodies=larger_bodies(routers, "/api/v1"),
    )
    for router in routers:
        app.include_router(router, prefix="/api/v1")
    return app


def client_of(
    app: FastAPI, *, key: str | None = "desk", headers: Iterable[tuple[str, str]] = ()
) -> httpx.AsyncClient:
    """A client with that key (None: nobody). Use it with `async with`; paths are relative to /api/v1/."""
    sent = dict(headers)
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://hub.test/api/v1/", headers=sent
    )


async def knock(app: FastAPI, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    """Try to open a WebSocket and leave at once: (101, {}) when it was accepted, else the refusal."""
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"hub.test")]
        + [
            (name.lower().replace("_", "-").encode(), value.encode())
            for name, value in headers.items()
        ],
        "client": ("127.0.0.1", 40000),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    heard = iter([{"type": "websocket.connect"}])
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(heard, {"type": "websocket.disconnect", "code": 1001})

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await app(scope, receive, send)
    match said[0]["type"]:
        case "websocket.accept":
            return 101, {}
        case "websocket.close":
            return 403, {}
        case _:
            body = b"".join(part.get("body", b"") for part in said[1:])
            return said[0]["status"], json.loads(body)
