"""Serve the application on an address, inside a loop that belongs to somebody else.

uvicorn would take the process's signals and end the process when the port is taken; here the parent keeps its
signals, and a port that is taken is an ordinary error with the address in it.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

log = structlog.get_logger(__name__)

# The live socket's longest message from a client is a hello.
WS_MAX_SIZE = 64 * 1024


class WebError(Exception):
    """The server cannot be started; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """`port` 0 takes any free one. With `certificate` and `key` (PEM files) it speaks HTTPS. `drain_s` is how long
    requests under way may take at the end. `proxies` are the addresses whose X-Forwarded-… is believed."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    drain_s: int = 5
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")


class _Server(uvicorn.Server):
    """A uvicorn that leaves the signals of the process alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serve(app: ASGIApp, config: ServerConfig) -> AsyncIterator[str]:
    """Serve while the block runs; yields the base URL. Raises WebError when the address cannot be had."""
    listener = _listen(config)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=list(config.proxies),
            ssl_certfile=config.certificate,
            ssl_keyfile=config.key,
            timeout_graceful_shutdown=config.drain_s,
            ws_max_size=WS_MAX_SIZE,
            # A frame of the live socket is rendered once for all desks; compressing it again for each is not.
            ws_per_message_deflate=False,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web-server")
    try:
        await _until_started(server, serving)
        host, port = listener.getsockname()[:2]
        url = f"{'https' if config.certificate else 'http'}://{_in_url(host)}:{port}"
        log.info("web_listening", url=url)
        yield url
    finally:
        server.should_exit = True
        await serving
        listener.close()


def _listen(config: ServerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise WebError(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from error
    return listener


async def _until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    # uvicorn tells nobody that it is ready, so its flag is looked at.
    while not server.started:
        if serving.done():
            serving.result()
            raise WebError("the server ended while it was starting; the log says why")
        await asyncio.sleep(0.01)


def _in_url(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - how «everywhere» is shown, not what is listened on
        return "localhost"
    return f"[{host}]" if ":" in host else host
