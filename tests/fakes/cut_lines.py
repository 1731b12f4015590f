"""A line between two hubs that a test may cut, carried by a loop of its own while the test waits."""

import asyncio
import threading
from contextlib import contextmanager

from benchmarks.cascade.proxy import Line


class CutLine:
    """`url` is where it begins."""

    def __init__(self, loop, line):
        self._loop = loop
        self._line = line
        self.url = f"http://{line.host}:{line.port}"

    def cut(self):
        self._do(self._line.cut)

    def mend(self):
        self._do(self._line.mend)

    def _do(self, order):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (order(), done.set()))
        assert done.wait(10)


@contextmanager
def cut_line(host, port):
    """A line that leads to that hub."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="line", daemon=True)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    line = Line((host, port))
    run(line.__aenter__())
    try:
        yield CutLine(loop, line)
    finally:
        run(line.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
