"""When the collector of reference cycles may stop the process.

The interpreter walks all objects there are whenever a quarter more have come to be. In a process whose modules alone are
hundreds of thousands, and whose calls are kept half a minute beyond their end, that is a stop of a fifth of a second in
the middle of a call's setup; the walk through what outlived a first look (every four hundred thousand objects) stops it
for as long while calls come to be by the hundred. Young cycles are collected as ever; the walk through everything is
done from here, rarely, and in a quiet moment when there is one. So nothing that is made with every call may need it.
"""

import asyncio
import gc
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

EVERY_S = 120.0
PATIENCE_S = 600.0
_LOOK_S = 1.0
_YOUNG, _NEVER = 20_000, 1_000_000


def settle() -> None:
    """What is there now stays, and is not walked any more; to be called once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _NEVER, _NEVER)


async def run(is_busy: Callable[[], bool]) -> None:
    """Walk through everything every `EVERY_S`, or as soon after as nobody waits, at the latest after `PATIENCE_S`;
    until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(EVERY_S)
        deadline = loop.time() + PATIENCE_S
        while is_busy() and loop.time() < deadline:  # noqa: ASYNC110 - nobody tells that it has become quiet
            await asyncio.sleep(_LOOK_S)
        began = loop.time()
        found = gc.collect()
        log.debug("garbage_collected", objects=found, seconds=round(loop.time() - began, 3))
