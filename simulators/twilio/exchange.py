"""All calls of the stand-in, and what a script may tell them: `POST /do/COMMAND` with a JSON object."""

import asyncio
from collections.abc import Mapping
from typing import Any

from simulators.page import Command
from simulators.twilio.call import Call
from simulators.twilio.model import BEHAVIOURS, Faults, Memory, Record, new_sid
from simulators.twilio.stream import Stream
from simulators.twilio.webhook import Webhooks

Json = dict[str, Any]


class Exchange:
    """Commands raise ValueError for a wish they cannot fulfil. Without a `sid` the newest call is meant."""

    def __init__(self, memory: Memory, tone: float, listen: list[float]) -> None:
        self._memory = memory
        self._webhooks = Webhooks(memory)
        self._tone = tone
        self._listen = listen
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls: dict[str, Call] = {}

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._webhooks.close()

    def begin(self, record: Record) -> Call:
        """Start a call's life."""
        call = Call(record, self._memory, self._webhooks, self._tone)
        self.calls[record.sid] = call
        task = asyncio.create_task(call.run(), name=record.sid)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return call

    def as_json(self) -> Mapping[str, Any]:
        return {
            "number": self._memory.account.number,
            "tone": self._tone,
            "behaviours": self._memory.behaviours,
            "calls": [call.as_json(self._listen) for call in self.calls.values()],
            "webhooks": list(self._memory.webhooks)[-50:],
        }

    def by_name(self) -> Mapping[str, Command]:
        return {
            "behave": self.behave,
            "answer": self.answer,
            "hangup": self.hang_up,
            "talk": self.talk,
            "press": self.press,
            "dial": self.dial,
            "drop": self.drop,
            "stall": self.stall,
            "raw": self.raw,
            "fault": self.fault,
            "reset": self.reset,
        }

    async def behave(self, body: Json) -> Any:
        """{"number", "as": answer | ring | busy | no-answer | failed}: what a number does when it is called."""
        if body.get("as") not in BEHAVIOURS:
            raise ValueError(f"as is one of {', '.join(BEHAVIOURS)}")
        self._memory.behaviours[_text(body, "number")] = body["as"]
        return {}

    async def answer(self, body: Json) -> Any:
        """Pick up what rings."""
        self._call(body).pick_up()
        return {}

    async def hang_up(self, body: Json) -> Any:
        """The far end puts the telephone down."""
        self._call(body).finish()
        return {}

    async def talk(self, body: Json) -> Any:
        """{"on"}: speak the tone, or be silent."""
        person = self._call(body).person
        person.talking = bool(body.get("on", not person.talking))
        return {"talking": person.talking}

    async def press(self, body: Json) -> Any:
        """{"digit"}: press a key."""
        await self._stream(body).press(_text(body, "digit"))
        return {}

    async def dial(self, body: Json) -> Any:
        """{"from", "to"?}: somebody calls our number."""
        account = self._memory.account
        record = Record(
            sid=new_sid("CA"),
            caller=_text(body, "from"),
            called=str(body.get("to") or account.number),
            direction="inbound",
            url=account.voice_url,
            status_url=account.status_url,
        )
        self.begin(record)
        return {"sid": record.sid}

    async def drop(self, body: Json) -> Any:
        """Break the stream's connection."""
        self._stream(body).drop()
        return {}

    async def stall(self, body: Json) -> Any:
        """{"on"}: take nothing from the stream's connection, or go on."""
        self._stream(body).stall(bool(body.get("on", True)))
        return {}

    async def raw(self, body: Json) -> Any:
        """{"text"}: say on the stream what no Twilio would."""
        await self._stream(body).say_raw(_text(body, "text"))
        return {}

    async def fault(self, body: Json) -> Any:
        """{"refuse": code, "slow_s", "lose_callbacks", "double_callbacks"}, {} for none."""
        try:
            self._memory.faults = Faults(**body)
        except TypeError as error:
            raise ValueError(f"unknown fault: {error}") from error
        return {"faults": body}

    async def reset(self, _: Json) -> Any:
        """End and forget every call, behaviour and fault."""
        for call in self.calls.values():
            call.finish()
        self.calls = {}
        self._memory.behaviours.clear()
        self._memory.webhooks.clear()
        self._memory.faults = Faults()
        return {}

    def _call(self, body: Json) -> Call:
        sid = body.get("sid") or next(reversed(self.calls), None)
        if sid not in self.calls:
            raise ValueError("there is no such call")
        return self.calls[sid]

    def _stream(self, body: Json) -> Stream:
        stream = self._call(body).stream
        if stream is None:
            raise ValueError("the call has no stream")
        return stream


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value
