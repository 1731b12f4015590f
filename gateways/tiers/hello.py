"""What both sides of a link say first, over whatever carries it: who each is, and how far it has taken what the other said."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from commhub.domain.tier import SCHEMA
from gateways.tiers.config import TierConfig
from gateways.tiers.errors import Code, LinkDownError
from gateways.tiers.frames import Frame, decode, number_of, text_of


class Pipe(Protocol):
    """The WebSocket under a link, whichever side opened it. All raise GoneError once it is gone."""

    async def send(self, text: str) -> None: ...
    async def receive(self) -> str: ...
    async def close(self, code: int, reason: str) -> None: ...


async def hear_hello(pipe: Pipe, peer: str, config: TierConfig) -> dict[str, object]:
    """The peer's hello. A peer that refuses says so instead. Raises LinkDownError."""
    try:
        async with asyncio.timeout(config.hello_within_s):
            frame = decode(await pipe.receive())
    except TimeoutError:
        raise LinkDownError(Code.SILENT, f"{peer} says nothing") from None
    if frame["t"] == "bye":
        raise goodbye(frame)
    if frame["t"] != "hello":
        raise LinkDownError(Code.BROKEN_FRAME, "the first frame is a hello")
    if number_of(frame, "v") < 1:
        raise LinkDownError(Code.UNKNOWN_SCHEMA, "versions count from 1")
    if text_of(frame, "hub") != peer:
        raise LinkDownError(
            Code.UNKNOWN_PEER, f"this is {peer}'s place, and {frame['hub']} answers"
        )
    return frame


def goodbye(frame: Frame) -> LinkDownError:
    code, reason = str(frame.get("code", Code.GONE)), str(frame.get("reason", ""))
    return LinkDownError(code[:64], reason[:500], theirs=True)


def hello(config: TierConfig, epoch: str, reached: tuple[str, int], token: str) -> Frame:
    """What each side says first: who it is, what it understands, and how far it has taken what the other said."""
    return {
        "t": "hello",
        "v": SCHEMA,
        "hub": config.us,
        "name": config.name,
        "tier": config.tier.value,
        "sip": config.sip,
        "epoch": epoch,
        "reached": {"epoch": reached[0], "seq": reached[1]},
        "token": token,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """What the hellos said of the peer: its outbox, how far of it was taken here, and how far its clock is ahead of ours."""

    epoch: str
    reached: int
    skew_s: float
