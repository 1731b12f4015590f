"""`python -m simulators.twilio`: serve the API and the telephones' page until told to stop."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from simulators.page import create_page, serve
from simulators.twilio.api import build_router
from simulators.twilio.exchange import Exchange
from simulators.twilio.model import Account, Memory


def create_app(account: Account, tone: float, listen: list[float]) -> FastAPI:
    """The API under /2010-04-01, the page at /, /state and /do/… for scripts."""
    memory = Memory(account)
    exchange = Exchange(memory, tone, listen)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await exchange.close()

    web = FastAPI(title="Twilio stand-in", docs_url=None, redoc_url=None, lifespan=lifespan)
    web.include_router(build_router(memory, exchange))
    web.mount("/", create_page("Twilio stand-in", exchange.as_json, exchange.by_name()))
    return web


def _frequencies(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part.strip()]


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.twilio", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8091)
    parser.add_argument("--account-sid", required=True)
    parser.add_argument("--auth-token", required=True)
    parser.add_argument("--number", required=True, help="the account's number, E.164")
    parser.add_argument("--hub", required=True, help="the hub's public URL")
    parser.add_argument("--tone", type=float, default=1900.0, help="the far ends' voice, Hz")
    parser.add_argument("--listen", type=_frequencies, default=[], help="voices to look for, Hz,Hz")
    return parser.parse_args()


async def main() -> None:
    wanted = read_arguments()
    hub = wanted.hub.rstrip("/")
    account = Account(
        sid=wanted.account_sid,
        token=wanted.auth_token,
        number=wanted.number,
        voice_url=f"{hub}/twilio/voice",
        status_url=f"{hub}/twilio/status",
    )
    await serve(create_app(account, wanted.tone, wanted.listen), wanted.host, wanted.port)


if __name__ == "__main__":
    asyncio.run(main())
