"""A creating POST that is sent again has one effect and one answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fakes.web import app_of, client_of, someone
from fastapi import APIRouter, FastAPI, Response
from pydantic import SecretStr

from commhub.domain.errors import InvalidError
from commhub.domain.people import Unit
from commhub.http.bodies import Body
from commhub.http.idempotency import IdempotencyKey
from commhub.ports.store import UnitOfWork

KEY = {"Idempotency-Key": "order-1"}
KINDS = ["within", "after"]


class Order(Body):
    name: str
    password: SecretStr = SecretStr("")


class Kitchen:
    """Makes units whose id counts up, so that every effect leaves a row of its own."""

    def __init__(self, store) -> None:
        self.store = store
        self.made = 0
        self.pause: Callable[[], Awaitable[object]] | None = None

    async def cook(self, uow: UnitOfWork, name: str) -> dict[str, object]:
        if name == "refused":
            raise InvalidError("not on the menu")
        self.made += 1
        number = self.made
        await uow.directory.put_unit(Unit(id=f"u{number}", name=name, team="t"))
        if self.pause is not None:
            await self.pause()
        return {"number": number, "name": name, "secret": "s3cret"}

    async def cook_alone(self, name: str) -> dict[str, object]:
        async with self.store.begin() as uow:
            return await self.cook(uow, name)

    async def served(self) -> list[str]:
        async with self.store.read() as uow:
            return [unit.name for unit in await uow.directory.units()]


def _router(kitchen: Kitchen) -> APIRouter:
    router = APIRouter(prefix="/orders")
    blank = {"secret": None}

    @router.post("/within")
    async def within(body: Order, key: IdempotencyKey) -> Response:
        return await key.run(kitchen.store, body, lambda uow: kitchen.cook(uow, body.name))

    @router.post("/after")
    async def after(body: Order, key: IdempotencyKey) -> Response:
        return await key.run_after(kitchen.store, body, lambda: kitchen.cook_alone(body.name))

    @router.post("/secret")
    async def secret(body: Order, key: IdempotencyKey) -> Response:
        return await key.run(
            kitchen.store,
            body,
            lambda uow: kitchen.cook(uow, body.name),
            remember=lambda made: {**made, **blank},
        )

    return router


@pytest.fixture
def kitchen(store) -> Kitchen:
    return Kitchen(store)


@pytest.fixture
def app(kitchen, clock) -> FastAPI:
    return app_of(_router(kitchen), keys={"other": someone(name="wu")}, clock=clock)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_request_again_gets_the_first_answer(app, kitchen, kind):
    async with client_of(app) as client:
        first = await client.post(f"orders/{kind}", json={"name": "soup"}, headers=KEY)
        again = await client.post(
            f"orders/{kind}",
            content=b'{ "name":"soup" }',
            headers={**KEY, "Content-Type": "application/json"},
        )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await kitchen.served() == ["soup"]


@pytest.mark.parametrize("kind", KINDS)
async def test_another_body_with_the_same_key_is_a_conflict(app, kitchen, kind):
    async with client_of(app) as client:
        await client.post(f"orders/{kind}", json={"name": "soup"}, headers=KEY)
        other = await client.post(f"orders/{kind}", json={"name": "rice"}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert await kitchen.served() == ["soup"]


@pytest.mark.parametrize("kind", KINDS)
async def test_two_at_once_have_one_effect(app, kitchen, kind):
    kitchen.pause = lambda: asyncio.sleep(0)
    async with client_of(app) as client:
        answers = await asyncio.gather(
            *(client.post(f"orders/{kind}", json={"name": "soup"}, headers=KEY) for _ in range(8))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7
    assert await kitchen.served() == ["soup"]


async def test_two_processes_at_once_have_one_effect(kitchen, clock):
    # Two applications share no lock, as two processes do: the record's uniqueness decides.
    apps = [app_of(_router(kitchen), clock=clock) for _ in range(2)]
    clients = [client_of(app) for app in apps]
    answers = await asyncio.gather(
        *(client.post("orders/within", json={"name": "soup"}, headers=KEY) for client in clients)
    )
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert await kitchen.served() == ["soup"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_is_not_remembered(app, kitchen, kind):
    async with client_of(app) as client:
        for _ in range(2):
            refused = await client.post(f"orders/{kind}", json={"name": "refused"}, headers=KEY)
            assert refused.status_code == 422
            assert "idempotency-replayed" not in refused.headers
    assert await kitchen.served() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_key_every_request_counts(app, kitchen, kind):
    async with client_of(app) as client:
        for _ in range(2):
            await client.post(f"orders/{kind}", json={"name": "soup"})
    assert await kitchen.served() == ["soup", "soup"]


async def test_keys_of_two_people_and_two_routes_are_different_keys(app, kitchen):
    async with client_of(app) as client:
        await client.post("orders/within", json={"name": "a"}, headers=KEY)
        await client.post("orders/after", json={"name": "b"}, headers=KEY)
    async with client_of(app, key="other") as client:
        await client.post("orders/within", json={"name": "c"}, headers=KEY)
    assert sorted(await kitchen.served()) == ["a", "b", "c"]


async def test_a_secret_is_shown_once_and_stored_nowhere(app, kitchen, tmp_path):
    body = {"name": "soup", "password": "hunter2hunter2"}
    async with client_of(app) as client:
        first = await client.post("orders/secret", json=body, headers=KEY)
        again = await client.post("orders/secret", json=body, headers=KEY)
    assert (first.json()["secret"], again.json()["secret"]) == ("s3cret", None)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"s3cret" not in stored
    assert b"order-1" in stored


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
async def test_a_key_of_the_wrong_form_is_refused(app, kitchen, key):
    async with client_of(app) as client:
        answer = await client.post(
            "orders/within", json={"name": "soup"}, headers={"Idempotency-Key": key}
        )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert await kitchen.served() == []
