"""Every refusal is one form of answer, and our own faults say nothing but an id."""

import json
from collections.abc import AsyncIterator

import pytest
from fakes.web import app_of, client_of
from fastapi import APIRouter
from pydantic import Field
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from commhub.domain.errors import (
    ConflictError,
    DomainError,
    IllegalMoveError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    RequirementError,
    UnavailableError,
)
from commhub.domain.incident import Action, Stage
from commhub.http.bodies import Body
from commhub.http.problems import TooManyError, UnauthenticatedError

REFUSALS: dict[str, tuple[DomainError, int]] = {
    "not-found": (NotFoundError("no incident «7»"), 404),
    "illegal-move": (IllegalMoveError("it is closed", stage=Stage.CLOSED), 409),
    "requirement-missing": (RequirementError("needs a note"), 422),
    "not-allowed": (NotAllowedError("your role may not"), 403),
    "conflict": (ConflictError("the name is taken"), 409),
    "invalid": (InvalidError("no endpoint"), 422),
    "unavailable": (UnavailableError("the broker is away"), 503),
    "unauthenticated": (UnauthenticatedError("who are you"), 401),
    "too-many-requests": (TooManyError("slow down", retry_after_s=7.2), 429),
    "refused": (DomainError("no"), 400),
}


class Sub(Body):
    password: str
    size: int = 0


class Wanted(Body):
    name: str
    parts: list[Sub] = Field(default_factory=list)
    extra: dict[str, object] = Field(default_factory=dict)


def _router() -> APIRouter:
    router = APIRouter(prefix="/p")

    @router.get("/refuse/{code}")
    async def refuse(code: str) -> None:
        raise REFUSALS[code][0]

    @router.get("/legal")
    async def legal() -> None:
        raise IllegalMoveError("no", legal=(Action.ACCEPT,), status="mine", code="mine")

    @router.post("/take")
    async def take(body: Wanted) -> Wanted:
        return body

    @router.get("/fault")
    async def fault() -> None:
        raise RuntimeError("the password is hunter2")

    @router.get("/late-fault")
    async def late_fault() -> StreamingResponse:
        async def rows() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError("halfway")

        return StreamingResponse(rows())

    return router


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_of_the_core_has_its_status_and_its_code(code):
    error, status = REFUSALS[code]
    async with client_of(app_of(_router())) as client:
        answer = await client.get(f"p/refuse/{code}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:commhub:problem:{code}"
    assert (document["code"], document["status"], document["detail"]) == (code, status, str(error))
    assert document["title"]


async def test_details_are_members_but_never_replace_the_standard_ones():
    async with client_of(app_of(_router())) as client:
        document = (await client.get("p/legal")).json()
    assert document["legal"] == ["accept"]
    assert (document["status"], document["code"]) == (409, "illegal-move")


@pytest.mark.parametrize(("code", "seconds"), [("unavailable", "5"), ("too-many-requests", "8")])
async def test_come_back_later_says_when(code, seconds):
    async with client_of(app_of(_router())) as client:
        assert (await client.get(f"p/refuse/{code}")).headers["retry-after"] == seconds


async def test_an_unknown_field_is_refused_by_its_place():
    body = {"name": "x", "parts": [{"password": "hunter2", "admin": True}]}
    async with client_of(app_of(_router())) as client:
        answer = await client.post("p/take", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"
    assert answer.json()["errors"][0]["pointer"] == "/parts/0/admin"


async def test_what_was_sent_is_not_repeated_in_the_refusal():
    async with client_of(app_of(_router())) as client:
        answer = await client.post("p/take", json={"name": {"password": "hunter2"}})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b"[]",
        b'"text"',
        b'{"name": "a\\u0000b"}',
        b'{"name": "a", "extra": {"deep": [{"\\u0000": 1}]}}',
        b'{"name": "a", "extra": {"half": "\\ud800"}}',
        b'{"name": "a", "extra": {"number": NaN}}',
        b'{"name": "a", "extra": {"number": 1e999}}',
        b"\xff\xfe{",
        b'{"name": "a", "extra": {"deep": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"name": "a", "extra": {"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
)
async def test_a_body_that_cannot_be_kept_is_refused_and_nothing_fails(raw):
    async with client_of(app_of(_router())) as client:
        answer = await client.post(
            "p/take", content=raw, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["code"] in {"invalid", "malformed"}


async def test_chinese_and_emoji_are_text_like_any_other():
    async with client_of(app_of(_router())) as client:
        answer = await client.post("p/take", json={"name": "积水 🌊"})
    assert answer.json()["name"] == "积水 🌊"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "p/nowhere", 404, "not-found"),
        ("DELETE", "p/take", 405, "method-not-allowed"),
        ("GET", "p/refuse/a%00b", 400, "malformed"),
        ("GET", "p/legal?q=%00", 400, "malformed"),
    ],
)
async def test_what_the_framework_refuses_is_a_problem_too(method, path, status, code):
    async with client_of(app_of(_router())) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_our_own_fault_is_logged_once_with_the_id_it_answers():
    with capture_logs() as lines:
        async with client_of(app_of(_router())) as client:
            answer = await client.get("p/fault")
    assert answer.status_code == 500
    document = answer.json()
    assert "hunter2" not in json.dumps(document)
    faults = [line for line in lines if line["event"] == "request_failed"]
    assert [line["error_id"] for line in faults] == [document["error_id"]]


async def test_a_fault_after_the_answer_began_drops_the_connection():
    with capture_logs() as lines:
        async with client_of(app_of(_router())) as client:
            with pytest.raises(RuntimeError, match="halfway"):
                await client.get("p/late-fault")
    assert [line["event"] for line in lines] == ["request_failed"]
