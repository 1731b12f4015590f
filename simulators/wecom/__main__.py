"""`python -m simulators.wecom`: serve the API and the phones until told to stop."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from simulators.page import create_page, serve
from simulators.wecom.api import Api, App, build_router
from simulators.wecom.clicker import CallbackSecret, Clicker
from simulators.wecom.commands import Commands
from simulators.wecom.model import Memory


def create_app(app: App, secret: CallbackSecret, memory: Memory) -> FastAPI:
    """The API under /cgi-bin, the phones at /, /state and /do/… for scripts."""
    clicker = Clicker(app, secret, memory)
    phones = (files("simulators.wecom") / "phones.html").read_text("utf-8")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await clicker.close()

    web = FastAPI(title="WeCom stand-in", docs_url=None, redoc_url=None, lifespan=lifespan)
    web.include_router(build_router(Api(app, memory)))

    @web.get("/")
    async def show() -> HTMLResponse:
        return HTMLResponse(phones)

    web.mount(
        "/", create_page("WeCom stand-in", memory.as_json, Commands(clicker, memory).by_name())
    )
    return web


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.wecom", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="the API that the hub calls")
    parser.add_argument("--http-port", type=int, help="the phones' page (default: the same port)")
    parser.add_argument("--callback-url", required=True, help="the hub's …/wecom/callback")
    parser.add_argument("--corp-id", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--agent-id", type=int, required=True)
    parser.add_argument("--token", required=True, help="signs the callbacks")
    parser.add_argument("--aes-key", required=True, help="seals the callbacks (43 characters)")
    parser.add_argument("--users", default="", help="who exists, by comma (default: everybody)")
    return parser.parse_args()


async def main() -> None:
    wanted = read_arguments()
    memory = Memory()
    if wanted.users:
        memory.known_users = {user.lower() for user in wanted.users.split(",")}
    app = App(
        corp_id=wanted.corp_id,
        agent_id=wanted.agent_id,
        secret=wanted.secret,
        callback_url=wanted.callback_url,
    )
    web = create_app(app, CallbackSecret(wanted.token, wanted.aes_key), memory)
    ports = {wanted.port, wanted.http_port or wanted.port}
    async with asyncio.TaskGroup() as servers:
        for port in ports:
            servers.create_task(serve(web, wanted.host, port), name=f"wecom:{port}")


if __name__ == "__main__":
    asyncio.run(main())
