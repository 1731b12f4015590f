"""The application: feature routes under /api/v1, edges at the root, health, the contract, the console.

It knows no feature: wiring hands it routers and the few things it asks. Order matters only once: the console
answers what no route wanted, so that a wrong method on a route stays a 405.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI

from commhub.http.app import new_app
from commhub.http.auth import Principals
from commhub.http.limits import larger_bodies
from commhub.kit.clock import Clock, SystemClock
from commhub.web.access import AccessLog
from commhub.web.console import Console
from commhub.web.headers import SecurityHeaders
from commhub.web.health import Readiness, build_health_router
from commhub.web.reference import build_reference_router

API = "/api/v1"


class Lifespan(Protocol):
    """What runs while the application does, in FastAPI's own form."""

    def __call__(self, app: FastAPI, /) -> AbstractAsyncContextManager[Any]: ...


def create_app(
    *,
    routers: Sequence[APIRouter],
    principals: Principals,
    readiness: Readiness,
    static_dir: Path | None,
    version: str,
    edge_routers: Sequence[APIRouter] = (),
    clock: Clock | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Build the application.

    `routers` carry their feature's prefix (`/incidents`) and get `/api/v1` here; `edge_routers` are protocols
    whose addresses are given by others (`/wecom/callback`) and stay at the root. `static_dir` holds the built
    console (None: none). All routes of both are authenticated unless marked `public`.
    """
    app = new_app(
        principals=principals,
        clock=clock or SystemClock(),
        title="commhub",
        version=version,
        larger_bodies=larger_bodies(routers, API),
        lifespan=lifespan,
    )
    for router in routers:
        app.include_router(router, prefix=API)
    for router in edge_routers:
        app.include_router(router)
    app.include_router(build_health_router(readiness, version))
    app.include_router(build_reference_router(app))
    app.router.default = Console(static_dir)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(AccessLog)
    return app
