"""The application as a stranger, a collector and a browser find it."""

import importlib.util
import inspect
import pkgutil
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from fakes.web import FakePrincipals, knock, someone
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.routing import iter_route_contexts

import commhub
import rules.routes
from commhub.accounts.routes import build_router as build_accounts_router
from commhub.http.auth import CurrentPrincipal, public, public_reason
from commhub.kit.clock import SystemClock
from commhub.web.app import create_app
from commhub.web.console import FOR_EVER

PAGE = "<!doctype html><title>desk</title>"


def _feature() -> APIRouter:
    router = APIRouter(prefix="/things", tags=["things"])

    @router.get("/{thing_id}")
    async def read(thing_id: str, principal: CurrentPrincipal) -> dict[str, str]:
        """Read a thing.

        <script>alert(1)</script>
        """
        return {"id": thing_id, "by": principal.name}

    @router.post("")
    async def make() -> dict[str, str]:
        return {}

    @router.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    return router


def _edge() -> APIRouter:
    router = APIRouter(prefix="/edge")

    @router.post("/callback")
    @public("the sender signs what it sends; the handler checks it")
    async def callback() -> dict[str, str]:
        return {"answer": "success"}

    return router


@pytest.fixture
def static_dir(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "assets" / "desk-1a2b3c.js").write_text("export {}")
    (tmp_path / "icon.svg").write_text("<svg/>")
    return tmp_path


def _app(
    static_dir: Path | None,
    parts: dict[str, str] | None = None,
    routers: Sequence[APIRouter] | None = None,
) -> FastAPI:
    async def readiness() -> dict[str, str]:
        return parts if parts is not None else {"store": "up"}

    return create_app(
        routers=routers or [_feature(), build_accounts_router(None, None, None)],
        edge_routers=[] if routers else [_edge()],
        principals=FakePrincipals(keys={"k": someone()}, sessions={"tok": someone()}),
        readiness=readiness,
        static_dir=static_dir,
        version="1.2.3",
        clock=SystemClock(),
    )


def _client(app: FastAPI, host: str = "127.0.0.1", key: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(host, 40000)),
        base_url="http://hub.test",
        headers={"Authorization": f"Bearer {key}"} if key else {},
    )


OWN_OPEN_PATHS = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"}


def _feature_modules() -> list[ModuleType]:
    """The routes.py of the rules and of every feature, found in the tree so that a new one cannot be forgotten."""
    names = [info.name for info in pkgutil.iter_modules(commhub.__path__) if info.ispkg]
    found = [name for name in names if importlib.util.find_spec(f"commhub.{name}.routes")]
    assert len(found) >= 8
    return [rules.routes, *(importlib.import_module(f"commhub.{name}.routes") for name in found)]


class _Nothing:
    """A feature, or its parts, that is not there."""

    def __getattr__(self, name: str) -> None:
        return None


def _built(module: ModuleType) -> APIRouter:
    """The feature's router around nothing: a stranger must be refused before anything is used."""
    parameters = inspect.signature(module.build_router).parameters.values()
    return module.build_router(*(_Nothing() for _ in parameters))


def _routes(app: FastAPI) -> Iterator[tuple[str, set[str], object]]:
    for route in iter_route_contexts(app.routes):
        assert route.path is not None
        yield route.path, set(route.methods or {"WEBSOCKET"}), route.endpoint


def _open_paths(app: FastAPI) -> set[str]:
    return {path for path, _, endpoint in _routes(app) if public_reason(endpoint)}


async def _refusals(app: FastAPI) -> AsyncIterator[str]:
    """Call every route that is not marked public as a stranger, and fail at one that answers."""
    async with _client(app) as client:
        for path, methods, endpoint in _routes(app):
            if public_reason(endpoint) is not None:
                continue
            url = path.replace("{", "").replace("}", "")
            if methods == {"WEBSOCKET"}:
                assert (await knock(app, url))[0] == 401, path
            else:
                for method in methods:
                    answer = await client.request(method, url)
                    assert answer.status_code == 401, (method, path)
            yield path


async def test_every_route_that_is_not_marked_public_answers_401_to_a_stranger():
    app = _app(None)
    refused = [path async for path in _refusals(app)]
    assert len(refused) >= 12


async def test_no_feature_has_a_route_that_is_open_by_oversight():
    features = _feature_modules()
    app = _app(None, routers=[_built(module) for module in features])
    refused = [path async for path in _refusals(app)]
    for module in features:
        name = module.__name__.split(".")[-2]
        assert any(path.startswith(f"/api/v1/{name}") for path in refused), name
    # Whoever opens a route adds it here, and is asked why.
    assert _open_paths(app) == {"/api/v1/accounts/session", *OWN_OPEN_PATHS}


async def test_the_contract_of_all_features_can_be_written_and_read(recwarn):
    app = _app(None, routers=[_built(module) for module in _feature_modules()])
    async with _client(app) as client:
        contract = (await client.get("/openapi.json")).json()
        page = (await client.get("/docs")).text
    operations = [
        operation["operationId"]
        for path in contract["paths"].values()
        for operation in path.values()
    ]
    assert len(operations) == len(set(operations))
    assert [
        str(warning.message) for warning in recwarn if "Duplicate" in str(warning.message)
    ] == []
    assert all(f"<code>{path}</code>" in page for path in contract["paths"])


def test_every_open_route_says_why():
    assert _open_paths(_app(None)) == {
        "/api/v1/accounts/session",
        "/edge/callback",
        *OWN_OPEN_PATHS,
    }


async def test_features_are_under_the_api_and_edges_at_the_root():
    async with _client(_app(None), key="k") as client:
        assert (await client.get("/api/v1/things/7")).json() == {"id": "7", "by": "li"}
        assert (await client.post("/edge/callback")).json() == {"answer": "success"}


async def test_the_process_is_alive_and_says_its_version():
    async with _client(_app(None)) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive", "version": "1.2.3"}


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({"store": "up", "mqtt": "up"}, 200),
        ({"store": "up", "mqtt": "degraded"}, 200),
        ({"store": "up", "mqtt": "down"}, 503),
    ],
)
async def test_the_hub_is_ready_while_no_needed_part_is_down(parts, status):
    async with _client(_app(None, parts)) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == status
    assert answer.json() == {"ready": status == 200, "parts": parts}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_figures_are_open_to_this_machine(host):
    async with _client(_app(None), host) as client:
        await client.get("/healthz")
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert 'commhub_web_requests_total{method="GET",route="/healthz",status="200"}' in answer.text


async def test_a_single_figure_is_asked_for_by_its_name():
    async with _client(_app(None)) as client:
        await client.get("/healthz")
        one = await client.get("/metrics", params={"name[]": "commhub_web_requests_total"})
        none = await client.get("/metrics", params={"name[]": "nothing_of_ours"})
    shown = {line.partition("{")[0] for line in one.text.splitlines() if line[0] != "#"}
    assert shown == {"commhub_web_requests_total"}
    assert (none.status_code, none.text) == (200, "")


async def test_figures_ask_others_for_a_key():
    app = _app(None)
    async with _client(app, "10.0.0.9") as client:
        assert (await client.get("/metrics")).status_code == 401
    async with _client(app, "10.0.0.9", key="k") as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_figures_are_not_open_through_a_proxy_on_this_machine():
    async with _client(_app(None)) as client:
        answer = await client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.9"})
    assert answer.status_code == 401


async def test_the_contract_is_described_without_a_script():
    async with _client(_app(None)) as client:
        contract = (await client.get("/openapi.json")).json()
        page = await client.get("/docs")
    assert "/api/v1/things/{thing_id}" in contract["paths"]
    assert "/api/v1/accounts/users" in page.text
    assert 'href="#UserView"' in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_nothing_but_our_own_scripts_may_run_in_our_pages(static_dir):
    async with _client(_app(static_dir)) as client:
        for path in ("/", "/docs", "/healthz", "/api/v1/things/7", "/nowhere.js"):
            headers = (await client.get(path)).headers
            assert "script-src 'self';" in headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] == "same-origin", path


async def test_what_the_api_says_is_kept_in_no_cache(static_dir):
    async with _client(_app(static_dir), key="k") as client:
        assert (await client.get("/api/v1/things/7")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/index.html", "/incidents/0190-abc", "/wall/1"])
async def test_an_address_of_the_console_is_its_page(static_dir, path):
    async with _client(_app(static_dir)) as client:
        answer = await client.get(path, headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["cache-control"] == "no-cache"


async def test_a_built_file_is_kept_for_ever_and_others_are_asked_again(static_dir):
    async with _client(_app(static_dir)) as client:
        script = await client.get("/assets/desk-1a2b3c.js")
        icon = await client.get("/icon.svg")
    assert script.headers["cache-control"] == FOR_EVER
    assert "javascript" in script.headers["content-type"]
    assert icon.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/assets/gone-000000.js", 404),
        ("GET", "/api/v1/nowhere", 404),
        ("POST", "/api/v1/nowhere", 404),
        ("GET", "/twilio/nowhere", 404),
        ("PUT", "/api/v1/things/7", 405),
        ("POST", "/", 405),
        ("GET", "/..%2f..%2fetc%2fpasswd", 404),
    ],
)
async def test_a_wrong_address_is_a_problem_and_never_the_page(static_dir, method, path, status):
    async with _client(_app(static_dir), key="k") as client:
        answer = await client.request(method, path, headers={"Accept": "*/*"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("built", [None, "empty"])
async def test_without_a_built_console_the_page_says_how_to_build_it(tmp_path, built):
    async with _client(_app(tmp_path if built else None)) as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "make console" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cookie": "commhub_session=tok", "origin": "http://hub.test"}, 101),
        ({"cookie": "commhub_session=tok", "origin": "http://evil.test"}, 403),
        ({"cookie": "commhub_session=tok"}, 403),
        ({"cookie": "commhub_session=old", "origin": "http://hub.test"}, 401),
        ({"authorization": "Bearer k"}, 101),
        ({"authorization": "Bearer wrong"}, 401),
        ({}, 401),
    ],
)
async def test_a_socket_opens_for_a_key_or_for_our_own_page(headers, status):
    answered, document = await knock(_app(None), "/api/v1/things/socket", **headers)
    assert answered == status
    assert document.get("status", 101) == status


async def test_a_socket_nobody_serves_is_refused():
    assert (await knock(_app(None), "/nowhere"))[0] == 403
