"""What only the garbage collector would free: objects of ours that refer to each other in a ring and are used no more."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

OURS = ("bridges.", "commhub.", "devices.", "gateways.")


@contextmanager
def no_rings() -> Iterator[None]:
    """Fails when the block left objects of ours behind that reference counting does not free. A walk of the collector
    stops the process in the middle of calls, so what is made with every call must not need one."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        left = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    ours = {name: count for name, count in left.items() if name.startswith(OURS)}
    assert not ours, f"left to the garbage collector: {ours}"
