"""The calls to WeCom's HTTP API: one access token per app, shared by all, and honest failures.

What matters to the caller is whether a failed request may have had its effect: `NotSentError` it has not,
`NoAnswerError` it may have, `ApiError` WeCom said no.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import structlog

from commhub.kit.clock import Clock
from gateways.wecom.config import WeComConfig
from gateways.wecom.errors import ApiError, NoAnswerError, NotSentError
from gateways.wecom.metrics import API_ERRORS, TOKENS

log = structlog.get_logger(__name__)

# 40014 not a valid token (also: revoked early), 42001 expired (D/90313).
TOKEN_CODES = frozenset({40014, 42001})
# A token is left alone this long before its end, so that no request travels with a dying one.
_MARGIN_S = 300.0
# Errors after which the request has certainly not been handed over.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class WeComApi:
    """An HTTP client that holds the app's token (D/91039). Use it with `async with`."""

    def __init__(self, config: WeComConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._token: str | None = None
        self._token_until = 0.0
        self._refreshing = asyncio.Lock()
        context = ssl.create_default_context(cafile=config.ca_file)
        self._client = httpx.AsyncClient(
            base_url=config.api_base, timeout=config.timeout_s, verify=context
        )

    async def __aenter__(self) -> Self:
        # httpx writes every URL at INFO, and WeCom wants the secret and the token in the URL.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST with the token; a token that WeCom no longer knows is replaced once.

        Raises ApiError, NotSentError or NoAnswerError.
        """
        token = await self._valid_token()
        try:
            return await self._post(path, token, body)
        except ApiError as error:
            if error.code not in TOKEN_CODES:
                raise
            log.info("wecom_token_rejected", code=error.code)
        return await self._post(path, await self._valid_token(rejected=token), body)

    async def _post(self, path: str, token: str, body: Mapping[str, Any]) -> dict[str, Any]:
        # Sorted and compact: a repeat of a delivery is the same bytes to WeCom's duplicate check.
        content = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return await self._exchange(
            self._client.build_request(
                "POST",
                path,
                params={"access_token": token},
                content=content.encode(),
                headers={"Content-Type": "application/json"},
            )
        )

    async def _valid_token(self, rejected: str | None = None) -> str:
        """The cached token, or a new one; while one is being fetched everybody waits for that one."""
        async with self._refreshing:
            fresh = self._clock.monotonic() < self._token_until
            if self._token is not None and self._token != rejected and fresh:
                return self._token
            config = self._config
            request = self._client.build_request(
                "GET",
                "/cgi-bin/gettoken",
                params={"corpid": config.corp_id, "corpsecret": config.secret},
            )
            try:
                answer = await self._exchange(request)
            except NoAnswerError as error:
                # Nothing was asked of WeCom yet but a token.
                raise NotSentError(f"no token: {error}") from error
            token, life_s = answer.get("access_token"), answer.get("expires_in", 7200)
            if not isinstance(token, str) or not token or not isinstance(life_s, int | float):
                raise NotSentError("WeCom's token answer has no token")
            TOKENS.inc()
            self._token = token
            self._token_until = self._clock.monotonic() + max(life_s - _MARGIN_S, life_s / 2)
            return token

    async def _exchange(self, request: httpx.Request) -> dict[str, Any]:
        try:
            response = await self._client.send(request)
        except _NOT_SENT as error:
            raise NotSentError(f"cannot reach WeCom: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise NoAnswerError(f"no answer from WeCom: {type(error).__name__}") from error
        if response.status_code in (429, 503):
            raise NotSentError(f"WeCom answered HTTP {response.status_code}")
        try:
            answer = response.raise_for_status().json()
            code = int(answer.get("errcode", 0))
        except (httpx.HTTPStatusError, ValueError, TypeError, AttributeError) as error:
            raise NoAnswerError(f"HTTP {response.status_code} without a readable answer") from error
        if code:
            API_ERRORS.labels(code).inc()
            raise ApiError(code, _first_words(answer.get("errmsg")))
        return dict(answer)


def _first_words(text: object) -> str:
    """The message without WeCom's hint and our address, which it appends."""
    return str(text or "").partition(", hint")[0][:120]
