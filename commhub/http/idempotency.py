"""`Idempotency-Key`: a creating POST that is sent again has one effect and the first answer.

A handler takes `key: IdempotencyKey` and answers with what `run` or `run_after` gives it:

    @router.post("", status_code=201, response_model=CallView, dependencies=[needs(Permission.CALL)])
    async def place(body: NewCall, principal: CurrentPrincipal, key: IdempotencyKey) -> Response:
        return await key.run_after(store, body, lambda: service.place(body.legs, by=principal))

`run` hands the unit of work to the use case and commits the record **with the effect**: nothing can come
between. `run_after` is for use cases that begin their own transaction: the record is committed **right after**
the effect, so a crash in between lets a repeat have its effect again; use it only where that is bearable (a second
ringing call) or where the use case has a key of its own below it (reports).

Two requests at once with one key have one effect: within the process they wait for each other, and across
processes the record's uniqueness rolls back the second one's transaction (`run` only). A refusal (any exception)
is not recorded: nothing happened, and the repeat is tried anew. Without the header nothing is recorded at all.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar
from weakref import WeakValueDictionary

from fastapi import Depends, FastAPI, Header, Request
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from starlette.responses import Response

from commhub.domain.errors import ConflictError, InvalidError
from commhub.http.auth import CurrentPrincipal
from commhub.http.metrics import REPLAYS
from commhub.kit.clock import Clock
from commhub.ports.store import Store, StoredResponse, UnitOfWork

REPLAYED = "Idempotency-Replayed"

ResultT = TypeVar("ResultT")


Locks = WeakValueDictionary[tuple[str, str], asyncio.Lock]


class KeyedRequest:
    """One request's key (None: the client sent none) and the scope it counts in: who asks, and which path."""

    def __init__(self, scope: str, key: str | None, locks: Locks, clock: Clock) -> None:
        self._scope = scope
        self._key = key
        self._locks = locks
        self._clock = clock

    async def run(
        self,
        store: Store,
        body: BaseModel,
        produce: Callable[[UnitOfWork], Awaitable[ResultT]],
        *,
        status: int = 201,
        remember: Callable[[ResultT], object] | None = None,
    ) -> Response:
        """Do it once, in one transaction with its record. `produce` must not commit by itself.

        `remember` says what a repeat is shown instead of the result, for answers with a secret that is shown once:
        secrets are not stored. Raises ConflictError when the key came with another body before.
        """
        if self._key is None:
            async with store.begin() as uow:
                return _answer(status, _json(await produce(uow)))
        digest = _digest(body)
        async with self._alone(self._key):
            try:
                async with store.begin() as uow:
                    stored = await uow.idempotency.find(self._scope, self._key)
                    if stored is not None:
                        return _replay(stored, digest)
                    result = await produce(uow)
                    kept = StoredResponse(
                        body_hash=digest, status=status, body=_json((remember or _same)(result))
                    )
                    await uow.idempotency.put(self._scope, self._key, kept, self._clock.now())
            except ConflictError:
                # Another process was first: its answer is ours, and our transaction was rolled back.
                stored = await self._find(store, self._key)
                if stored is None:
                    raise
                return _replay(stored, digest)
        return _answer(status, _json(result))

    async def run_after(
        self,
        store: Store,
        body: BaseModel,
        produce: Callable[[], Awaitable[ResultT]],
        *,
        status: int = 201,
        remember: Callable[[ResultT], object] | None = None,
    ) -> Response:
        """Do it once, where `produce` commits by itself; the record follows at once in a transaction of its own."""
        if self._key is None:
            return _answer(status, _json(await produce()))
        digest = _digest(body)
        async with self._alone(self._key):
            stored = await self._find(store, self._key)
            if stored is not None:
                return _replay(stored, digest)
            result = await produce()
            kept = StoredResponse(
                body_hash=digest, status=status, body=_json((remember or _same)(result))
            )
            async with store.begin() as uow:
                await uow.idempotency.put(self._scope, self._key, kept, self._clock.now())
        return _answer(status, _json(result))

    async def _find(self, store: Store, key: str) -> StoredResponse | None:
        async with store.read() as uow:
            return await uow.idempotency.find(self._scope, key)

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault((self._scope, key), asyncio.Lock())
        async with lock:
            yield


def install(app: FastAPI, clock: Clock) -> None:
    """Give `app` what the dependency needs: a clock, and the locks of requests under way."""
    locks: Locks = WeakValueDictionary()
    app.state.clock = clock
    app.state.idempotency_locks = locks


def _same(result: object) -> object:
    return result


def _digest(body: BaseModel) -> str:
    """SHA-256 of the parsed body, so that spaces and the order of members do not make another body."""
    text = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _json(result: object) -> str:
    return json.dumps(jsonable_encoder(result), ensure_ascii=False, allow_nan=False)


def _answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, status_code=status, headers=headers, media_type="application/json")


def _replay(stored: StoredResponse, digest: str) -> Response:
    if stored.body_hash != digest:
        raise ConflictError("this Idempotency-Key was used for another body before")
    REPLAYS.inc()
    return _answer(stored.status, stored.body, {REPLAYED: "true"})


async def _keyed_request(
    request: Request,
    principal: CurrentPrincipal,
    idempotency_key: Annotated[
        str | None,
        Header(description="Any text of your own, 1 to 255 characters, new for every new thing"),
    ] = None,
) -> KeyedRequest:
    if idempotency_key is not None and not (
        1 <= len(idempotency_key) <= 255
        and idempotency_key.isascii()
        and idempotency_key.isprintable()
    ):
        raise InvalidError("an Idempotency-Key has 1 to 255 printable ASCII characters")
    state: Any = request.app.state
    scope = f"{principal.kind}:{principal.id} {request.method} {request.url.path}"
    return KeyedRequest(scope, idempotency_key, state.idempotency_locks, state.clock)


IdempotencyKey = Annotated[KeyedRequest, Depends(_keyed_request)]
