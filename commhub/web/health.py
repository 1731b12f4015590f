"""Whether the process lives, whether it can work, and its figures."""

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from pydantic import BaseModel

from commhub.http.auth import authenticate, public

Readiness = Callable[[], Awaitable[Mapping[str, str]]]
"""The parts the hub needs, each up, degraded or down."""

DOWN = "down"


class Alive(BaseModel):
    status: str
    version: str


class Ready(BaseModel):
    """`ready` while no part is down; `parts` say which."""

    ready: bool
    parts: Mapping[str, str]


def build_health_router(readiness: Readiness, version: str) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    @public("supervisors and load balancers have no account; it says nothing but the version")
    async def is_alive() -> Alive:
        """The process answers. Restart it when this fails."""
        return Alive(status="alive", version=version)

    @router.get("/readyz")
    @public("load balancers have no account; it names parts, never addresses or people")
    async def is_ready(response: Response) -> Ready:
        """Every needed part is there: 200; one is down: 503. Send no requests while this fails."""
        parts = await readiness()
        ready = DOWN not in parts.values()
        response.status_code = 200 if ready else 503
        return Ready(ready=ready, parts=parts)

    @router.get("/metrics", response_class=Response)
    @public(
        "a collector on this machine reads it freely; any other needs a key, which is asked here"
    )
    async def metrics(request: Request) -> Response:
        """Figures for Prometheus: without a key from this machine only, as they show how busy the town is. `name[]`,
        once or several times, asks for these alone: all of them cost as much as a call does."""
        if not _is_local(request):
            await authenticate(request)
        names = request.query_params.getlist("name[]")
        shown = REGISTRY.restricted_registry(names) if names else REGISTRY
        return Response(generate_latest(shown), media_type=CONTENT_TYPE_LATEST)

    return router


def _is_local(request: Request) -> bool:
    """From this machine itself, and not handed on by a proxy that runs on it."""
    if request.client is None or {"forwarded", "x-forwarded-for"} & set(request.headers):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
