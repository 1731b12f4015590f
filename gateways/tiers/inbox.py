"""What a peer sent and is not worked on yet: the reader puts frames in one by one, who works on them takes all there are.

So what came together is committed together, while the reader goes on answering heartbeats. It holds little: when it is full nothing more is
read, and the peer's own window stops it from sending.
"""

import asyncio

from gateways.tiers.frames import MAX_FRAME, Frame

_MOST_FRAMES = 64
_MOST_CHARACTERS = 2 * MAX_FRAME


class Inbox:
    """One puts, one takes. A frame of any length has room when nothing else is there."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._characters = 0
        self._end: Exception | None = None
        self._changed = asyncio.Condition()

    async def put(self, frame: Frame, characters: int) -> None:
        """`characters` is its length as it came. Returns when there is room for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(characters))
            self._frames.append(frame)
            self._characters += characters
            self._changed.notify_all()

    async def end(self, error: Exception) -> None:
        """Nothing more comes, because of this: who takes hears of it after the last frame."""
        async with self._changed:
            self._end = error
            self._changed.notify_all()

    async def take(self) -> list[Frame]:
        """All there are, in the order they came; waits for the first. Raises what it was ended with."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._frames or self._end is not None)
            frames, self._frames, self._characters = self._frames, [], 0
            self._changed.notify_all()
        if not frames and self._end is not None:
            raise self._end
        return frames

    def _has_room(self, characters: int) -> bool:
        if not self._frames:
            return True
        return (
            len(self._frames) < _MOST_FRAMES and self._characters + characters <= _MOST_CHARACTERS
        )
