"""Say something again that could not be taken just now: for an edge that has to tell a core which cannot commit."""

import asyncio
from collections.abc import Awaitable, Callable

AGAIN_AFTER_S = (0.2, 1.0, 5.0)


async def insist(say: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]) -> bool:
    """`say` until it goes through, four times at most; `failed` is told of each failure. False when it never did."""
    for pause in (*AGAIN_AFTER_S, None):
        try:
            await say()
        except Exception as error:  # noqa: BLE001 - `failed` counts and logs it
            failed(error)
            if pause is not None:
                await asyncio.sleep(pause)
        else:
            return True
    return False
