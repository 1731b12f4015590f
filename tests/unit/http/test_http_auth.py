"""Every route is authenticated unless it says why not, and a cookie is believed from our own pages only."""

import pytest
from fakes.web import app_of, client_of, someone
from fastapi import APIRouter, FastAPI

from commhub.domain.account import Permission
from commhub.http.auth import CurrentPrincipal, needs, public

COOKIE = {"Cookie": "commhub_session=tok"}


def _router() -> APIRouter:
    router = APIRouter(prefix="/things")
    nested = APIRouter(prefix="/inner")

    @router.get("/open")
    @public("a test of openness")
    async def open_to_all() -> dict[str, str]:
        return {"who": "anybody"}

    @router.get("/closed")
    async def closed() -> dict[str, str]:
        return {"who": "somebody"}

    @router.get("/me")
    @router.post("/me")
    async def me(principal: CurrentPrincipal) -> dict[str, str]:
        return {"who": principal.actor}

    @router.get("/calls", dependencies=[needs(Permission.CALL)])
    async def calls() -> dict[str, str]:
        return {"who": "a caller"}

    @nested.get("/open")
    @public("a test of openness, deeper")
    async def inner_open() -> dict[str, str]:
        return {"who": "anybody"}

    @nested.get("/closed")
    async def inner_closed() -> dict[str, str]:
        return {"who": "somebody"}

    router.include_router(nested)
    return router


@pytest.fixture
def app() -> FastAPI:
    return app_of(_router(), sessions={"tok": someone(name="zhao")})


@pytest.mark.parametrize(
    "path", ["things/closed", "things/me", "things/calls", "things/inner/closed"]
)
async def test_a_route_without_a_mark_refuses_strangers(app, path):
    async with client_of(app, key=None) as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["things/open", "things/inner/open"])
async def test_a_public_route_answers_strangers(app, path):
    async with client_of(app, key=None) as client:
        assert (await client.get(path)).json() == {"who": "anybody"}


async def test_a_key_says_who_is_asking(app):
    async with client_of(app) as client:
        assert (await client.post("things/me")).json() == {"who": "user:li"}


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer ", "Basic desk", "desk", "Bearer desk x"]
)
async def test_a_wrong_key_is_nobody(app, header):
    async with client_of(app, key=None) as client:
        answer = await client.get("things/me", headers={"Authorization": header})
    assert answer.status_code == 401


async def test_a_role_without_the_permission_is_refused_by_name(app):
    async with client_of(app, key="viewer") as client:
        answer = await client.get("things/calls")
    assert answer.status_code == 403
    assert answer.json()["code"] == "not-allowed"
    assert answer.json()["permission"] == "call"


async def test_a_role_with_the_permission_passes(app):
    async with client_of(app, key="desk") as client:
        assert (await client.get("things/calls")).status_code == 200


async def test_a_cookie_is_enough_to_read(app):
    async with client_of(app, key=None) as client:
        assert (await client.get("things/me", headers=COOKIE)).json() == {"who": "user:zhao"}


@pytest.mark.parametrize(
    "told",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://hub.test"},
        {"Origin": "https://hub.test"},
        {"Origin": "http://hub.test:80"},
    ],
)
async def test_a_cookie_from_our_own_page_may_change_things(app, told):
    async with client_of(app, key=None) as client:
        assert (await client.post("things/me", headers=COOKIE | told)).status_code == 200


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://hub.test.evil"},
        {"Origin": "http://hub.test:8080"},
        {"Origin": "http://hub.test:notaport"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://hub.test"},
    ],
)
async def test_a_cookie_sent_by_another_site_changes_nothing(app, told):
    async with client_of(app, key=None) as client:
        answer = await client.post("things/me", headers=COOKIE | told)
    assert answer.status_code == 403
    assert answer.json()["code"] == "cross-site"


async def test_a_key_needs_no_proof_of_origin(app):
    async with client_of(app) as client:
        answer = await client.post("things/me", headers={"Origin": "http://evil.test"})
    assert answer.status_code == 200
