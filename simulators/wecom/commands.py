"""What a script may tell the stand-in to do: `POST /do/COMMAND` with a JSON object."""

from collections.abc import Mapping
from typing import Any

from simulators.page import Command
from simulators.wecom.clicker import Clicker
from simulators.wecom.model import Faults, Memory

Json = dict[str, Any]


class Commands:
    """The commands; each raises ValueError for a wish it cannot fulfil."""

    def __init__(self, clicker: Clicker, memory: Memory) -> None:
        self._clicker = clicker
        self._memory = memory

    def by_name(self) -> Mapping[str, Command]:
        return {
            "tap": self.tap,
            "say": self.say,
            "open-chat": self.open_chat,
            "forge": self.forge,
            "verify-url": self.verify_url,
            "revoke-tokens": self.revoke_tokens,
            "advance": self.advance,
            "users": self.users,
            "fault": self.fault,
            "reset": self.reset,
        }

    async def tap(self, body: Json) -> Any:
        """{"user", "task_id" or "latest": true, "key"}: tap a button."""
        task_id = None if body.get("latest") else _text(body, "task_id")
        return await self._clicker.tap(_text(body, "user"), task_id, _text(body, "key"))

    async def say(self, body: Json) -> Any:
        """{"user", "text"}: write to the app."""
        return await self._clicker.say(_text(body, "user"), _text(body, "text"))

    async def open_chat(self, body: Json) -> Any:
        """{"user", "lat"?, "lon"?}: open the app's chat, which tells the position once."""
        lat, lon = float(body.get("lat", 31.2304)), float(body.get("lon", 121.4737))
        return await self._clicker.open_chat(_text(body, "user"), lat, lon)

    async def forge(self, body: Json) -> Any:
        """{"user", "task_id", "key"}: a tap that nobody made, wrongly signed."""
        return await self._clicker.forge(
            _text(body, "user"), _text(body, "task_id"), _text(body, "key")
        )

    async def verify_url(self, _: Json) -> Any:
        """Check the callback address as WeCom does when it is saved."""
        return await self._clicker.verify_url()

    async def revoke_tokens(self, _: Json) -> Any:
        """Make every token invalid before its time."""
        self._memory.revoked.update(self._memory.tokens)
        return {"revoked": len(self._memory.revoked)}

    async def advance(self, body: Json) -> Any:
        """{"seconds"}: let time pass, for tokens, codes and limits."""
        self._memory.clock.advance(float(body.get("seconds", 0)))
        return {"now": self._memory.clock.now()}

    async def users(self, body: Json) -> Any:
        """{"known": [ids] or null}: who exists; null: everybody."""
        known = body.get("known")
        if known is not None and not isinstance(known, list):
            raise ValueError("known must be a list of user ids, or null")
        self._memory.known_users = None if known is None else {str(u).lower() for u in known}
        return {"known": known}

    async def reset(self, _: Json) -> Any:
        """Forget every card, token, code and fault."""
        self._memory.forget()
        return {}

    async def fault(self, body: Json) -> Any:
        """{"duplicate": n, "reorder": n, "drop": n, "hang": n, "error_code": c, "error_times": n}, {} for none:
        the next callback n times more, the next n callbacks backwards or never, the next n API answers lost
        (after their effect) or an error. "hang_where": text, of which the calls are whose answers get lost."""
        where = body.get("hang_where", "")
        counts = {key: int(value) for key, value in body.items() if key != "hang_where"}
        try:
            self._memory.faults = Faults(hang_where=str(where), **counts)
        except TypeError as error:
            raise ValueError(f"unknown fault: {error}") from error
        return {"faults": dict(body)}


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value
