"""Bodies have a size, lists have pages."""

from collections.abc import AsyncIterator

import pytest
from fakes.web import app_of, client_of
from fastapi import APIRouter
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.errors import InvalidError
from commhub.http import cursors
from commhub.http.bodies import Body
from commhub.http.cursors import PageQuery
from commhub.http.limits import MAX_BODY
from commhub.http.views import Page

ROWS = [f"row-{n:03}" for n in range(299, -1, -1)]


class Text(Body):
    text: str


def _router() -> APIRouter:
    router = APIRouter(prefix="/l")

    @router.get("")
    async def rows(page: PageQuery) -> Page[str]:
        older = [row for row in ROWS if page.before is None or row < page.before]
        return page.of(older[: page.fetch], str.upper, key=lambda row: row)

    @router.get("/numbered")
    async def numbered(page: PageQuery) -> int | None:
        return page.before_number

    @router.post("")
    async def take(body: Text) -> int:
        return len(body.text)

    return router


async def _chunks(size: int) -> AsyncIterator[bytes]:
    yield b'{"text": "'
    for _ in range(size // 65536 + 1):
        yield b"x" * 65536
    yield b'"}'


async def test_a_body_at_the_limit_is_taken():
    text = "x" * (MAX_BODY - len('{"text":""}'))
    async with client_of(app_of(_router())) as client:
        answer = await client.post("l", json={"text": text})
    assert answer.json() == len(text)


async def test_a_body_over_the_limit_is_refused_by_its_length():
    async with client_of(app_of(_router())) as client:
        answer = await client.post("l", json={"text": "x" * MAX_BODY})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_a_body_without_a_length_is_refused_when_it_grows_too_large():
    async with client_of(app_of(_router())) as client:
        answer = await client.post(
            "l", content=_chunks(MAX_BODY), headers={"Content-Type": "application/json"}
        )
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    "length", [b"", str(MAX_BODY * 3).encode()], ids=["in chunks", "by length"]
)
async def test_what_a_sender_still_sends_is_read_before_it_is_refused(length):
    """Else the closed socket is reset under the sender, who then never reads why."""
    coming = [
        {"type": "http.request", "body": b"x" * MAX_BODY, "more_body": left > 0}
        for left in (2, 1, 0)
    ]
    left_when_answered = []

    async def receive():
        return coming.pop(0)

    async def send(message):
        if message["type"] == "http.response.start":
            left_when_answered.append((message["status"], len(coming)))

    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/l",
        "raw_path": b"/api/v1/l",
        "query_string": b"",
        "headers": [*headers, (b"content-length", length)] if length else headers,
    }
    await app_of(_router())(scope, receive, send)
    assert left_when_answered == [(413, 0)]


@pytest.mark.parametrize("limit", [1, 7, 100, 150, 200])
async def test_the_pages_together_are_the_list(limit):
    seen: list[str] = []
    cursor: str | None = ""
    async with client_of(app_of(_router())) as client:
        while cursor is not None:
            page = (await client.get("l", params={"limit": limit, "cursor": cursor})).json()
            assert 0 < len(page["items"]) <= limit
            seen += page["items"]
            cursor = page["next"]
    assert seen == [row.upper() for row in ROWS]


async def test_a_page_has_fifty_rows_when_nothing_is_said():
    async with client_of(app_of(_router())) as client:
        assert len((await client.get("l")).json()["items"]) == 50


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x"])
async def test_a_limit_out_of_bounds_is_refused(limit):
    async with client_of(app_of(_router())) as client:
        answer = await client.get("l", params={"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("cursor", ["x", "!!!", "MTo", "Mjph", "ÿ", "AAAA", "a" * 500])
async def test_a_cursor_of_nobody_is_refused(cursor):
    async with client_of(app_of(_router())) as client:
        answer = await client.get("l", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_a_cursor_of_another_list_is_refused_where_rows_are_numbered():
    async with client_of(app_of(_router())) as client:
        good = await client.get("l/numbered", params={"cursor": cursors.encode("41")})
        bad = await client.get("l/numbered", params={"cursor": cursors.encode("row-1")})
    assert good.json() == 41
    assert bad.status_code == 422


@given(st.text(max_size=300))
def test_no_text_makes_the_cursor_reader_fail(text):
    try:
        position = cursors.decode(text)
    except InvalidError:
        return
    assert cursors.decode(cursors.encode(position)) == position
