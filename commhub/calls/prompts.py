"""Use cases of prompts: keeping uploaded ones, and playing any of them to a call.

An uploaded prompt is a file `ID.wav` in the prompts directory and a row. The media workers read the file by its id:
those of this machine from the same directory, others from a share mounted there.
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from commhub.calls import moves
from commhub.calls.sounds import read_sound
from commhub.domain.account import Principal
from commhub.domain.call import Call, Leg
from commhub.domain.call_facts import PromptPlayed
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Scheme
from commhub.domain.recording import BuiltInPrompt, Prompt
from commhub.kit.clock import Clock
from commhub.kit.ids import new_id
from commhub.ports.media import MediaEngine, Playback
from commhub.ports.store import Store, UnitOfWork

_LONGEST_NAME = 64
MOST_PROMPTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayRequest:
    """`prompt` is a built-in one, or an uploaded one by name or id; `leg_ids` None is the whole call."""

    prompt: str
    leg_ids: tuple[str, ...] | None = None
    loop: bool = False
    gain_db: float = 0.0


class PromptService:
    """`folder` is the prompts directory; it is made when it is needed."""

    def __init__(self, store: Store, clock: Clock, media: MediaEngine, folder: Path) -> None:
        self._store = store
        self._clock = clock
        self._media = media
        self._folder = folder

    # --- keeping -----------------------------------------------------------------------------------------

    async def all(self) -> Sequence[Prompt]:
        """The uploaded ones, by name."""
        async with self._store.read() as uow:
            return await uow.recordings.prompts()

    async def add(self, name: str, source: Path, principal: Principal) -> Prompt:
        """Make a prompt of a sound file. Raises InvalidError with why it is refused, ConflictError for a name that
        is taken."""
        name = _checked(name)
        async with self._store.read() as uow:
            await _refuse_taken(uow, name)
        prompt_id = new_id()
        target = self._file(prompt_id)
        # A worker never sees half a file: it is renamed when it is whole.
        unready = target.with_suffix(".new")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            sound = await read_sound(source, unready)
            size, digest = await asyncio.to_thread(_settle, unready, target)
            prompt = Prompt(
                id=prompt_id,
                name=name,
                seconds=round(sound.seconds, 2),
                size=size,
                sha256=digest,
                created_at=self._clock.now(),
                created_by=principal.actor,
            )
            async with self._store.begin() as uow:
                await uow.recordings.add_prompt(prompt)
                await uow.audit.append(
                    prompt.created_at, principal.actor, "prompt.add", prompt_id, "ok", name
                )
        except BaseException:
            for path in (unready, target):
                path.unlink(missing_ok=True)
            raise
        return prompt

    async def delete(self, prompt_id: str, principal: Principal) -> None:
        """Whoever hears it now hears it to its end."""
        async with self._store.begin() as uow:
            prompt = await uow.recordings.get_prompt(prompt_id)
            await uow.recordings.delete_prompt(prompt_id)
            await uow.audit.append(
                self._clock.now(), principal.actor, "prompt.delete", prompt_id, "ok", prompt.name
            )
        self._file(prompt_id).unlink(missing_ok=True)

    # --- playing -----------------------------------------------------------------------------------------

    async def play(self, call_id: str, request: PlayRequest, principal: Principal) -> Playback:
        """Play a prompt at a live call. It has its own id; whoever wants to stop it needs that."""
        now = self._clock.now()
        async with self._store.read() as uow:
            call = await moves.live_call(uow, call_id)
            prompt, name = await find_prompt(uow, request.prompt)
            legs = await _legs(uow, call, request.leg_ids)
        playback = Playback(
            id=new_id(),
            call_id=call_id,
            prompt=prompt,
            leg_ids=request.leg_ids,
            loop=request.loop,
            gain_db=request.gain_db,
        )
        await self._media.play(playback)
        shown = tuple(str(leg.endpoint) for leg in legs)
        async with self._store.begin() as uow:
            uow.record(
                PromptPlayed(
                    at=now,
                    actor=principal.actor,
                    incident_id=call.incident_id,
                    call_id=call_id,
                    name=name,
                    legs=shown,
                )
            )
            detail = f"{name} to {', '.join(shown) or 'all'}"
            await uow.audit.append(now, principal.actor, "call.play", call_id, "ok", detail)
        return playback

    async def stop(self, call_id: str, playback_id: str, principal: Principal) -> None:
        """Fade it out. One that has ended is fine (a retry)."""
        async with self._store.begin() as uow:
            await uow.calls.get(call_id)
            await uow.audit.append(
                self._clock.now(), principal.actor, "call.stop_playing", call_id, "ok", playback_id
            )
        await self._media.stop_playing(playback_id)

    def _file(self, prompt_id: str) -> Path:
        return self._folder / f"{prompt_id}.wav"


def _checked(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidError(f"a prompt's name has 1 to {_LONGEST_NAME} characters")
    if name in set(map(str, BuiltInPrompt)):
        raise ConflictError("a built-in prompt has this name", name=name)
    return name


async def _refuse_taken(uow: UnitOfWork, name: str) -> None:
    """Before the file is read; the row's uniqueness decides between two at once."""
    if await uow.recordings.find_prompt(name) is not None:
        raise ConflictError("a prompt of that name is there already", name=name)
    if len(await uow.recordings.prompts()) >= MOST_PROMPTS:
        raise ConflictError(f"there are {MOST_PROMPTS} prompts already; delete one first")


async def find_prompt(uow: UnitOfWork, wanted: str) -> tuple[str, str]:
    """What the engine calls it, and what people do. Raises NotFoundError."""
    if wanted in set(map(str, BuiltInPrompt)):
        return wanted, wanted
    found = await uow.recordings.find_prompt(wanted)
    found = found or await uow.recordings.get_prompt(wanted)
    return found.id, found.name


async def _legs(uow: UnitOfWork, call: Call, leg_ids: Sequence[str] | None) -> list[Leg]:
    if leg_ids is None:
        return []
    if not leg_ids:
        raise InvalidError("name at least one leg, or none at all for the whole call")
    known = {leg.id: leg for leg in await uow.calls.legs_of(call.id) if leg.is_live}
    for leg_id in leg_ids:
        if leg_id not in known:
            raise NotFoundError("this call has no such leg", leg=leg_id)
        if known[leg_id].endpoint.scheme is Scheme.RADIO:
            raise InvalidError("a radio group hears no prompts; play it to the phones")
    return [known[leg_id] for leg_id in leg_ids]


def _settle(unready: Path, target: Path) -> tuple[int, str]:
    """Have the disk hold the file, then give it its name; returns its size and SHA-256."""
    data = unready.read_bytes()
    with unready.open("rb") as file:
        os.fsync(file.fileno())
    unready.rename(target)
    return len(data), hashlib.sha256(data).hexdigest()
