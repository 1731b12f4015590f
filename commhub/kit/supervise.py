"""Keep long-lived work alive: independent services restart alone, and one failure never cancels all.

`run_forever` supervises a coroutine inside one process; `Doorbell` wakes a worker loop that otherwise
polls, so that durable rows are handled at once when the writer is in the same process and soon when not.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

FIRST_DELAY_S = 0.2
MAX_DELAY_S = 15.0
HEALTHY_AFTER_S = 30.0


async def run_forever(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    on_failure: Callable[[BaseException], None] | None = None,
) -> None:
    """Run `work` again whenever it ends or raises, with jittered back-off that resets after a healthy spell.

    Cancellation passes through. The failure is logged with its traceback; nothing is swallowed silently.
    """
    loop = asyncio.get_running_loop()
    delay = FIRST_DELAY_S
    while True:
        started = loop.time()
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("service_failed", service=name)
            if on_failure is not None:
                on_failure(error)
        else:
            log.warning("service_ended", service=name)
        if loop.time() - started > HEALTHY_AFTER_S:
            delay = FIRST_DELAY_S
        await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        delay = min(delay * 2, MAX_DELAY_S)


class Doorbell:
    """Wake a polling loop early. Rings while nobody waits are remembered as one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, at_most_s: float) -> None:
        """Return when rung, or after `at_most_s` seconds."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
