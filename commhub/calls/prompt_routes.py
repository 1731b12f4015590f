"""HTTP of prompts, under /api/v1/calls. Included before the calls' own routes: `prompts` is no call's id."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from pydantic import Field

from commhub.calls.prompts import PlayRequest, PromptService
from commhub.calls.sounds import LARGEST_FILE
from commhub.domain.account import Permission
from commhub.domain.errors import InvalidError
from commhub.domain.recording import BuiltInPrompt
from commhub.http.auth import CurrentPrincipal, needs
from commhub.http.bodies import Body
from commhub.http.call_views import PlaybackView, PromptList, PromptView
from commhub.http.idempotency import IdempotencyKey
from commhub.http.limits import takes_files
from commhub.ports.store import Store

PlaybackId = Annotated[str, InPath(max_length=64)]


class Play(Body):
    """`prompt` is a built-in one, or an uploaded one by name or id. `legs` are leg ids; left out, the whole call and
    its recording hear it."""

    prompt: str = Field(min_length=1, max_length=64, examples=["attention"])
    legs: list[Annotated[str, Field(max_length=64)]] | None = Field(
        None, min_length=1, max_length=64
    )
    loop: bool = False
    gain_db: float = Field(0, ge=-40, le=0, allow_inf_nan=False)


class _Upload(Body):
    """What makes an upload the same as another: for Idempotency-Key."""

    name: str
    sha256: str


def build_router(service: PromptService, store: Store) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/calls", tags=["calls"])

    @router.get("/prompts", dependencies=[needs(Permission.VIEW)])
    async def list_prompts() -> PromptList:
        """What can be played: built in, and uploaded."""
        uploaded = [PromptView.model_validate(one) for one in await service.all()]
        return PromptList(built_in=[str(one) for one in BuiltInPrompt], uploaded=uploaded)

    @router.post(
        "/prompts",
        status_code=201,
        response_model=PromptView,
        dependencies=[needs(Permission.MANAGE_SOUND)],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    @takes_files(LARGEST_FILE)
    async def add_prompt(
        request: Request,
        principal: CurrentPrincipal,
        key: IdempotencyKey,
        name: Annotated[str, Query(min_length=1, max_length=64)],
    ) -> Response:
        """Upload a sound file (the body, in any usual format, up to 20 MB and five minutes) under a name."""
        async with _saved(request) as (file, digest):

            async def produce() -> PromptView:
                return PromptView.model_validate(await service.add(name, file, principal))

            return await key.run_after(store, _Upload(name=name, sha256=digest), produce)

    @router.delete(
        "/prompts/{prompt_id}", status_code=204, dependencies=[needs(Permission.MANAGE_SOUND)]
    )
    async def delete_prompt(prompt_id: str, principal: CurrentPrincipal) -> None:
        await service.delete(prompt_id, principal)

    @router.post(
        "/{call_id}/playbacks",
        status_code=201,
        response_model=PlaybackView,
        dependencies=[needs(Permission.CALL)],
    )
    async def play(
        call_id: str, body: Play, principal: CurrentPrincipal, key: IdempotencyKey
    ) -> Response:
        """Play a prompt at a call. What is played for the same legs waits its turn."""
        wanted = PlayRequest(
            prompt=body.prompt,
            leg_ids=None if body.legs is None else tuple(body.legs),
            loop=body.loop,
            gain_db=body.gain_db,
        )

        async def produce() -> PlaybackView:
            return PlaybackView.model_validate(await service.play(call_id, wanted, principal))

        return await key.run_after(store, body, produce)

    @router.delete(
        "/{call_id}/playbacks/{playback_id}",
        status_code=204,
        dependencies=[needs(Permission.CALL)],
    )
    async def stop(call_id: str, playback_id: PlaybackId, principal: CurrentPrincipal) -> None:
        """Stop a prompt. One that has ended is fine."""
        await service.stop(call_id, playback_id, principal)

    return router


@asynccontextmanager
async def _saved(request: Request) -> AsyncIterator[tuple[Path, str]]:
    """The body as a file, and its SHA-256. Raises InvalidError for none."""
    digest = hashlib.sha256()
    size = 0
    with TemporaryDirectory(prefix="commhub-prompt-") as folder:
        path = Path(folder) / "upload"
        with path.open("wb") as file:
            async for piece in request.stream():
                size += len(piece)
                if size > LARGEST_FILE:
                    raise InvalidError(f"a prompt's file has at most {LARGEST_FILE >> 20} MB")
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
        if not size:
            raise InvalidError("send the sound file as the body of the request")
        yield path, digest.hexdigest()
