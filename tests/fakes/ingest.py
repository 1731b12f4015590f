"""A WHIP ingest of somebody else's, as far as HTTP goes: it answers what the test says, byte by byte, and remembers what it was
asked."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    body: bytes


@dataclass
class Ingest:
    """`answers` by path, each with the bytes of a response (or a coroutine that writes them); `asked` all requests."""

    url: str = ""
    answers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = first.split()
            self.asked.append(Asked(method, path, headers, body))
            answer = self.answers[path]
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def http(status, body=b"", **headers):
    """A response; underscores of the headers' names stand for hyphens."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def created(body=b"v=0\r\n", **headers):
    return http(
        201, body, **{"Content_Type": "application/sdp", "Location": "/sessions/7", **headers}
    )


@asynccontextmanager
async def ingest(context=None, port=0, **answers):
    """On a free port of this machine, or that one; `context` is its TLS. `answers`: by path, without the slash before it."""
    made = Ingest(answers={f"/{path}": answer for path, answer in answers.items()})
    server = await asyncio.start_server(made.serve, "127.0.0.1", port, ssl=context)
    port = server.sockets[0].getsockname()[1]
    made.url = f"http{'s' if context else ''}://127.0.0.1:{port}"
    try:
        yield made
    finally:
        server.close()
