"""A line that can be cut: a TCP proxy whose connections are broken off, and which takes none while the line is down."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

_AT_ONCE = 65_536


class Line:
    """`host`:`port` is where it listens while entered; `towards` where it leads."""

    host = "127.0.0.1"

    def __init__(self, towards: tuple[str, int]) -> None:
        self._towards = towards
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._meetings: set[asyncio.Task[None]] = set()
        self._is_down = False
        self.cuts = 0
        self.bytes = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, self.host, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._break_off()
        await asyncio.gather(*self._meetings, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection off, whatever is under way, and refuse new ones until `mend`."""
        self._is_down = True
        self.cuts += 1
        self._break_off()

    def mend(self) -> None:
        self._is_down = False

    def takes(self) -> bool:
        """Whether connections are taken."""
        return not self._is_down

    @property
    def is_carrying(self) -> bool:
        return bool(self._open)

    def _break_off(self) -> None:
        for writer in self._open:
            # A reset, not a goodbye: what was under way is lost.
            writer.transport.abort()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meeting = asyncio.create_task(self._meet(reader, writer))
        self._meetings.add(meeting)
        meeting.add_done_callback(self._meetings.discard)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.takes():
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._towards)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._open |= pair
        ways = [
            asyncio.create_task(self._carry(reader, far_writer)),
            asyncio.create_task(self._carry(far_reader, writer)),
        ]
        if not self.takes():
            self._break_off()
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open -= pair
            for one in pair:
                one.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_AT_ONCE):
                self.bytes += len(data)
                writer.write(data)
                await writer.drain()
