"""The REST requests a hub makes: create, fetch and end calls."""

import asyncio
import base64
import binascii
import re
import secrets
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulators.twilio.exchange import Exchange
from simulators.twilio.model import Memory, Record, new_sid

Json = dict[str, Any]
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def _error(status: int, code: int, message: str) -> JSONResponse:
    """doc: the error form of the 2010 API."""
    body = {"status": status, "code": code, "message": message, "more_info": ""}
    return JSONResponse(body, status)


class Api:
    """The behaviour behind the routes."""

    def __init__(self, memory: Memory, exchange: Exchange) -> None:
        self._memory = memory
        self._exchange = exchange

    async def admit(self, account: str, request: Request) -> JSONResponse | None:
        """The refusal, if it is one."""
        await asyncio.sleep(self._memory.faults.slow_s)
        if not _is_us(self._memory, request):
            return _error(401, 20003, "Authenticate")
        if account != self._memory.account.sid:
            return _error(404, 20404, "The requested resource was not found")
        return None

    def create(self, form: dict[str, list[str]]) -> JSONResponse:
        """doc: the Call resource, «Create a call»."""
        memory, called, caller = self._memory, _one(form, "To"), _one(form, "From")
        if memory.faults.refuse:
            code, memory.faults.refuse = memory.faults.refuse, 0
            return _error(400, code, "refused by a script")
        if not _E164.fullmatch(called):
            return _error(400, 21211, f"The phone number {called} is not valid")
        if caller != memory.account.number:
            return _error(400, 21210, "The source phone number is not verified")
        record = Record(
            sid=new_sid("CA"),
            caller=caller,
            called=called,
            direction="outbound-api",
            url=_one(form, "Url"),
            status_url=_one(form, "StatusCallback"),
            events=tuple(form.get("StatusCallbackEvent", ())),
            timeout_s=float(_one(form, "Timeout") or 60),
        )
        self._exchange.begin(record)
        return JSONResponse(record.as_api(memory.account.sid), 201)

    def fetch(self, sid: str) -> JSONResponse:
        call = self._exchange.calls.get(sid)
        if call is None:
            return _error(404, 20404, "The requested resource was not found")
        return JSONResponse(call.record.as_api(self._memory.account.sid))

    def update(self, sid: str, form: dict[str, list[str]]) -> JSONResponse:
        """doc: «Update a call»: its end, or another document."""
        call = self._exchange.calls.get(sid)
        if call is None:
            return _error(404, 20404, "The requested resource was not found")
        if call.is_over:
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        if url := _one(form, "Url"):
            # doc: only a call in progress can be sent elsewhere.
            if call.record.status != "in-progress":
                return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
            call.send_to(url)
            return JSONResponse(call.record.as_api(self._memory.account.sid))
        status = _one(form, "Status")
        if status not in ("completed", "canceled"):
            return _error(400, 20001, f"the stand-in cannot do {status!r}")
        call.finish()
        return JSONResponse(call.record.as_api(self._memory.account.sid))


def build_router(memory: Memory, exchange: Exchange) -> APIRouter:
    """Under /2010-04-01."""
    router = APIRouter(prefix="/2010-04-01/Accounts/{account}")
    api = Api(memory, exchange)

    @router.post("/Calls.json")
    async def create(account: str, request: Request) -> JSONResponse:
        return await api.admit(account, request) or api.create(await _form(request))

    @router.get("/Calls/{sid}.json")
    async def fetch(account: str, sid: str, request: Request) -> JSONResponse:
        return await api.admit(account, request) or api.fetch(sid)

    @router.post("/Calls/{sid}.json")
    async def update(account: str, sid: str, request: Request) -> JSONResponse:
        return await api.admit(account, request) or api.update(sid, await _form(request))

    return router


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode())


def _one(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _is_us(memory: Memory, request: Request) -> bool:
    """doc: Basic, the account's SID and its token."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(given).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    account = memory.account
    return (
        scheme.lower() == "basic"
        and secrets.compare_digest(user.encode(), account.sid.encode())
        and secrets.compare_digest(password.encode(), account.token.encode())
    )
