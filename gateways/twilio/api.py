"""The few REST requests the edge makes: twilio's client for their shapes, httpx for their way.

The library has no setting for another server and none for silence, and writes numbers of people at INFO; a transport
of our own has both.
"""

import asyncio
import logging
from types import TracebackType
from typing import Any, Self

import httpx
import structlog
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from gateways.twilio.config import TwilioConfig
from gateways.twilio.errors import ApiError, NoAnswerError
from gateways.twilio.metrics import API_ERRORS

log = structlog.get_logger(__name__)

_EVENTS = ["initiated", "ringing", "answered", "completed"]
# 20404 no such call, 21220 the call is over already.
_OVER = frozenset({20404, 21220})
# Errors after which the request has certainly not been handed over.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class _Transport(AsyncHttpClient):  # type: ignore[misc]  # twilio ships no types
    """Sends what the library asks for, to another server when one is set."""

    def __init__(self, base: str | None, timeout_s: float) -> None:
        super().__init__(logger=logging.getLogger(__name__), is_async=True, timeout=timeout_s)
        self._base = httpx.URL(base) if base else None
        self._client = httpx.AsyncClient(timeout=timeout_s)

    async def request(
        self,
        method: str,
        uri: str,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        allow_redirects: bool = False,
    ) -> Response:
        del timeout
        url = httpx.URL(uri)
        if self._base is not None:
            url = url.copy_with(
                scheme=self._base.scheme, host=self._base.host, port=self._base.port
            )
        answer = await self._client.request(
            method,
            url,
            params=params or None,
            data=data,
            headers=headers,
            auth=auth,
            follow_redirects=allow_redirects,
        )
        return Response(answer.status_code, answer.text, answer.headers)

    async def close(self) -> None:
        await self._client.aclose()


class TwilioApi:
    """Calls at Twilio. Use it with `async with`. Every method raises ApiError or NoAnswerError."""

    def __init__(self, config: TwilioConfig) -> None:
        self._config = config
        self._transport: _Transport | None = None
        self._client: Any = None

    async def __aenter__(self) -> Self:
        config = self._config
        # httpx writes every URL at INFO, and a call's SID is in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._transport = _Transport(config.api_base, config.request_timeout_s)
        self._client = Client(config.account_sid, config.auth_token, http_client=self._transport)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

    async def call(self, number: str, *, url: str, status_url: str, ring_for_s: float) -> str:
        """Begin to ring a number; its SID. `url` answers what to do once somebody picked up."""
        made = await self._ask(
            self._client.calls.create_async(
                to=number,
                from_=self._config.number,
                url=url,
                method="POST",
                status_callback=status_url,
                status_callback_method="POST",
                status_callback_event=_EVENTS,
                timeout=round(ring_for_s),
            )
        )
        return str(made.sid)

    async def status(self, sid: str) -> str:
        """What became of a call; one that Twilio does not know is `completed`."""
        try:
            return str((await self._ask(self._client.calls(sid).fetch_async())).status)
        except ApiError as error:
            if error.code in _OVER or error.status == 404:
                return "completed"
            raise

    async def fetch_back(self, sid: str, url: str) -> bool:
        """Make a call in progress ask `url` what to do next, whatever it does now; False when it is over."""
        try:
            await self._ask(self._client.calls(sid).update_async(url=url, method="POST"))
        except ApiError as error:
            if error.code not in _OVER and error.status != httpx.codes.NOT_FOUND:
                raise
            return False
        return True

    async def complete(self, sid: str) -> None:
        """End a call, ringing or talking. One that is over is fine (a retry)."""
        try:
            await self._ask(self._client.calls(sid).update_async(status="completed"))
        except ApiError as error:
            if error.code not in _OVER and error.status != 404:
                raise

    async def _ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                return await request
        except (TwilioRestException, TwilioServiceException) as error:
            API_ERRORS.labels(error.code or error.status).inc()
            if error.status == httpx.codes.UNAUTHORIZED:
                log.error("twilio_credentials_refused", code=error.code)  # noqa: TRY400 - the code says it
            text = getattr(error, "msg", None) or getattr(error, "title", "")
            raise ApiError(int(error.status), int(error.code or 0), str(text)[:200]) from error
        except _NOT_SENT as error:
            raise NoAnswerError("Twilio cannot be reached", sent=False) from error
        except (TimeoutError, httpx.HTTPError, TwilioException, ValueError, KeyError) as error:
            raise NoAnswerError(f"no answer from Twilio: {type(error).__name__}") from error
