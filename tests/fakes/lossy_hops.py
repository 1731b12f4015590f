"""The way between two hubs on which packets of pictures are lost: a line before the upper hub's HTTP port, whose answers to offers name a lossy
path (`fakes.lossy`) in place of the hub's own UDP port. Everything else passes as it is."""

import asyncio
from contextlib import asynccontextmanager, suppress

from fakes.lossy import lossy

_AT_ONCE = 65_536
_CANDIDATE = b"a=candidate:"


class LossyHop:
    """`url` is what the lower hub is told to dial; `path` what its pictures take, and counts what was lost."""

    def __init__(self, path, towards):
        self.path = path
        self.answers = 0
        self._towards = towards
        self._open = set()

    async def listen(self):
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _take(self, reader, writer):
        try:
            inward, outward = await asyncio.open_connection("127.0.0.1", self._towards)
        except OSError:
            writer.close()
            return
        ends = (writer, outward)
        self._open.update(ends)
        with suppress(ConnectionError):
            await asyncio.gather(
                self._carry(reader, outward, lambda data: data),
                self._carry(inward, writer, self._through),
            )
        for end in ends:
            end.close()
        self._open.difference_update(ends)

    async def _carry(self, reader, writer, seen):
        try:
            while data := await reader.read(_AT_ONCE):
                writer.write(seen(data))
                await writer.drain()
        finally:
            writer.close()

    def _through(self, data):
        """What the upper hub says, with the path's port in an answer to an offer. A port has as many digits, or the length told before it were wrong."""
        if _CANDIDATE not in data:
            return data
        self.answers += 1
        told = self.path.through(data.decode("latin-1")).encode("latin-1")
        assert len(told) == len(data), "the path's port has another number of digits"
        return told

    def close(self):
        for end in self._open:
            end.close()


@asynccontextmanager
async def lossy_hop(port, *, up):
    """Before the hub of that HTTP port; of `up` packets of media to it one is lost."""
    with lossy(up=up) as path:
        hop = LossyHop(path, port)
        server = await hop.listen()
        try:
            yield hop
        finally:
            server.close()
            hop.close()
